"""perfring's own session as a consumer for `check_consumer`, and how to adapt one that decodes its records."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from perfring.batch import Reason
from perfring.builder import SessionBuilder
from perfring.errors import SessionClosed
from perfring.records import Sample
from simkernel.contract.raw import HEADER

if TYPE_CHECKING:
    from simkernel.contract.consumer import ConsumerSetup

__all__ = ["SessionConsumer"]

_BODY: Final = struct.Struct("=QIIQQ")


class SessionConsumer:
    """Opens a `perfring.Session` for what a setup asks, and makes bytes again of its samples.

    Raises:
        WatermarkError: the watermark would stall; it is a ValueError.
    """

    def __init__(self, setup: ConsumerSetup) -> None:
        builder = (
            SessionBuilder()
            .with_page_count(setup.pages)
            .with_wakeup_watermark(setup.watermark)
            .with_target_cpu(*setup.cpus)
            .with_target_pid(*setup.pids)
            .with_event(setup.attr, name="getppid")
        )
        self.session = builder.build(setup.kernel)
        # Bad records are counted, and the log is not the place for those that a check has planted.
        self.session.on_error(lambda *_: None)
        self.session.enable()

    @property
    def lost(self) -> int:
        """What read(2) of its events told, LOST records or not (K22)."""
        return sum(ring.lost_counted or 0 for ring in self.session.statistics().rings)

    def read(self, timeout: float | None) -> list[tuple[int, bytes]] | None:
        """The next batch."""
        try:
            batch = self.session.next_batch(timeout=timeout)
        except SessionClosed:
            return None
        if not batch and batch.reason is Reason.END:
            return None
        return [(record.cpu, _encode(record)) for record in batch if isinstance(record, Sample)]

    def close(self) -> None:
        """Closes the session."""
        self.session.close()


def _encode(sample: Sample) -> bytes:
    """The bytes that the kernel wrote for IDENTIFIER, TID, TIME and PERIOD."""
    body = _BODY.pack(sample.id or 0, sample.pid or 0, sample.tid or 0, sample.time or 0, sample.period or 0)
    return HEADER.pack(sample.type, sample.misc, sample.size) + body
