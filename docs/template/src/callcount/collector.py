"""The collector: knows what it records, how it waits, and what it has counted. Nothing here asks which kernel it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from perfring import Kernel, Reason, Sample, Session, SessionBuilder, SessionClosed, TracepointEvents

PAGES = 64
WATERMARK = 64 * 1024
"""Bytes in a CPU's ring for which the kernel wakes us; `perfring watermark` shows what that means."""


def collector_of(
    tracepoint: str,
    *,
    pids: Sequence[int] = (),
    pages: int = PAGES,
    watermark: int = WATERMARK,
    kernel: Kernel | None = None,
) -> Collector:
    """Opens what is to be counted.

    Args:
        tracepoint: ``system:event``.
        pids: of whom; without any, of the whole machine.
        pages: of each CPU's ring.
        watermark: bytes that wake us.
        kernel: this machine's when None. Tests give another one.
    """
    builder = (
        SessionBuilder()
        .with_page_count(pages)
        .with_wakeup_watermark(watermark)
        .with_target_pid(*pids)
        .with_tracepoint_events(TracepointEvents(tracepoint))
    )
    return Collector(builder.build(kernel))


class Collector:
    """Counts the samples of a session by process.

    Attributes:
        calls: how often each process came by.
    """

    def __init__(self, session: Session) -> None:
        self.calls: Counter[int] = Counter()
        self._session = session
        session.enable()

    def read(self, timeout: float | None = None) -> list[Sample] | None:
        """Waits until the kernel wakes us, and counts what is there.

        Args:
            timeout: seconds after which the rings are looked into all the same.

        Returns:
            what was counted; None when nothing more will come.
        """
        try:
            batch = self._session.next_batch(timeout=timeout)
        except SessionClosed:  # by another thread
            return None
        if not batch and batch.reason is Reason.END:
            return None
        samples = [record for record in batch if isinstance(record, Sample)]
        self.calls.update(sample.pid for sample in samples if sample.pid is not None)
        return samples

    @property
    def lost(self) -> int:
        """How many calls the kernel could not write down, because we were too late."""
        return self._session.statistics().lost

    def stop(self) -> None:
        """Makes `read` deliver what is left, and then return None. From any thread, or a signal handler."""
        self._session.stop()

    def close(self) -> None:
        """Ends it at once; what is left in the rings is not counted."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
