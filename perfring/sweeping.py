"""A sweep: everything that was in the rings when it began, in time order over all of them, and then an end.

A ring that is written into all the time would keep a reader that "reads until it is empty" busy for ever. So a sweep
loads all heads once, reads up to there within a budget per ring and round, so that a full ring does not starve the
others, and ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfring.ordering import Order, TimeOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfring.draining import RingDrain
    from perfring.guard import Guard
    from perfring.kernel import Kernel

__all__ = ["Sweeper"]


class Sweeper:
    """Takes records out of all rings, in time order.

    Args:
        kernel: whose clock tells what is older than the beginning of a sweep.
        rings: the rings.
        guard: keeps them open while they are touched.
        clock_id: the clock of the records.
        budget: bytes of one ring, before the others get their turn.
        order: holds back what is too young: of the kind that the rings' drains fill; None for a `TimeOrder`.

    Attributes:
        order: what is held back until its turn has come.
    """

    def __init__(
        self,
        kernel: Kernel,
        rings: Sequence[RingDrain],
        guard: Guard,
        *,
        clock_id: int,
        budget: int,
        order: Order | None = None,
    ) -> None:
        self._kernel = kernel
        self._rings = rings
        self._guard = guard
        self._clock_id = clock_id
        self._budget = budget
        self.order: Order = TimeOrder() if order is None else order

    def check(self) -> None:
        """Raises SessionClosed or ForkedSession when the rings may not be touched any more."""
        self._guard.check()

    def sweep(self, *, everything: bool = False) -> Iterator[list[Any]]:
        """Yields what was there at the beginning, oldest first, as `order` releases it; some pieces may be empty.

        Between two pieces nothing is held: no lock, no data in a ring that was counted as read.

        Args:
            everything: release also what is younger than the beginning, at the end of all.

        Raises:
            SessionClosed: closed meanwhile.
        """
        # One ring is its own order: nothing that is older can come out of another, and nothing need wait for it.
        return self._sweep_the_only(*self._rings) if len(self._rings) == 1 else self._sweep_all(everything)

    def _sweep_all(self, everything: bool) -> Iterator[list[Any]]:
        guarded = self._guard.call
        # Whatever is older than this moment is in the rings when the heads are loaded, but for a record that is stamped
        # and not yet published. The second look below, a round later, finds that one too, in all likelihood.
        began = self._kernel.clock_ns(self._clock_id)
        unfinished = behind = guarded(self._heads)
        while unfinished:
            for ring, target in behind:
                # For each: who wants to close waits no longer than that.
                guarded(ring.drain, target, self._budget, self.order.pending)
            unfinished = [(ring, target) for ring, target in unfinished if not ring.has_reached(target)]
            if unfinished:
                reached = min(ring.last_time for ring, _ in unfinished)
                # The others would only add to what is held back, until there is no memory left for it.
                behind = [(ring, target) for ring, target in unfinished if ring.last_time == reached]
                yield self.order.release(min(began, reached))
        for ring in self._rings:
            guarded(self._drain_anew, ring)
        self._guard.check()
        yield self.order.release(None if everything else began)

    def _sweep_the_only(self, ring: RingDrain) -> Iterator[list[Any]]:
        target = self._guard.call(self._drain_anew, ring)
        while not ring.has_reached(target):
            yield self.order.release()
            self._guard.call(ring.drain, target, self._budget, self.order.pending)
        self._guard.check()
        yield self.order.release()

    def sweep_one(self, ring: RingDrain) -> Iterator[list[Any]]:
        """The same for one ring alone, without regard to the others; what was held back of it comes first."""
        target = self._guard.call(ring.head)
        yield self.order.take(ring.cpu)
        while not ring.has_reached(target):
            self._guard.call(ring.drain, target, self._budget, self.order.pending)
            yield self.order.take(ring.cpu)

    def _heads(self) -> list[tuple[RingDrain, int]]:
        return [(ring, ring.head()) for ring in self._rings]

    def _drain_anew(self, ring: RingDrain) -> int:
        target = ring.head()
        ring.drain(target, self._budget, self.order.pending)
        return target
