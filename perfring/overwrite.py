"""A flight recorder: rings that keep the newest records and are read only when something has happened.

The rings are mapped read-only and written backward (K4, K34): nothing is ever refused, the oldest records are
overwritten, and the newest one is found at head. They can be read only while they are paused (K23), for the kernel may
write anywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfring.recording import Recording
from perfring.ring import BackwardRing

if TYPE_CHECKING:
    from perfring.kernel import Kernel
    from perfring.plan import SessionPlan
    from perfring.records import Record

__all__ = ["OverwriteSession"]


class OverwriteSession(Recording):
    """Perf rings that overwrite their oldest records. Made by `SessionBuilder.build_overwrite`."""

    def __init__(self, kernel: Kernel, plan: SessionPlan) -> None:
        super().__init__(kernel, plan)
        self._paused = False
        try:
            self._rings = tuple(
                (ring.cpu, BackwardRing(ring.mapping)) for ring in self._opened if ring.mapping is not None
            )
        except BaseException:
            self._close_all()
            raise

    @property
    def paused(self) -> bool:
        """Whether `pause` is in force."""
        return self._paused

    def snapshot(self) -> list[Record]:
        """What the rings hold now, newest first over all CPUs. Nothing is taken out: the next snapshot sees it again.

        The rings are paused while they are read, unless they are already. Each ring's oldest record, which may be half
        overwritten, is left out then. Bad records go to the error callback.

        Raises:
            SessionClosed, ForkedSession.
        """
        self._check()
        images = self._guard.call(self._images)
        records: list[Record] = []
        for cpu, head, image in images:
            found, _ = self._decoder.decode_run(image, cpu=cpu, position=head, on_bad=self._dispatcher.report)
            records += found
        records.sort(key=lambda record: -1 if record.time is None else record.time, reverse=True)
        return records

    def _images(self) -> list[tuple[int, int, bytes]]:
        """CPU, head and a copy of each ring."""
        was_paused = self._paused
        self._set_paused(True)
        try:
            heads = [ring.head() for _, ring in self._rings]
            return [(cpu, head, ring.copy(head)) for (cpu, ring), head in zip(self._rings, heads, strict=True)]
        finally:
            self._set_paused(was_paused)

    def _set_paused(self, value: bool) -> None:
        super()._set_paused(value)
        self._paused = value
