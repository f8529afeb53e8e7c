"""Finds the wait that will never end although the world goes on: rings that refuse everything, and signal nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simkernel.misuse import Deadlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simkernel.clock import Clock
    from simkernel.ringbuf import RingBuffer

__all__ = ["StallWatch"]


class StallWatch:
    """Watches the rings of one wait without timeout.

    A ring that is full below its watermark signals nobody, and an endless workload would run on for ever (K12). So
    when, for a whole span of virtual time, nothing was written, something was refused, and no latch is set, nobody will
    wake.

    Args:
        clock: the machine's.
        rings: those that are waited for.
        span: nanoseconds.
    """

    def __init__(self, clock: Clock, rings: Sequence[RingBuffer], span: int) -> None:
        self._clock = clock
        self._rings = rings
        self._span = span
        self._begin()

    def _begin(self) -> None:
        self._since = self._clock.now
        self._heads = [ring.head for ring in self._rings]
        self._refused = sum(ring.refused for ring in self._rings)

    def look(self) -> None:
        """Called whenever something has happened.

        Raises:
            Deadlock: the wait will never end.
        """
        if self._clock.now - self._since < self._span:
            return
        moved = any(ring.head != head for ring, head in zip(self._rings, self._heads, strict=True))
        refused = sum(ring.refused for ring in self._rings) - self._refused
        if moved or not refused or any(ring.latch for ring in self._rings):
            self._begin()
            return
        raise Deadlock(
            f"for {self._span / 1e9:g} virtual seconds the rings that are waited for refused all of {refused} records, "
            "and none of them will signal: every one is full below its watermark (K12)"
        )
