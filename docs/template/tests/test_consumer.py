"""Our reader against everything that Linux is known to do to one: docs/consumer.md of perfring says what that is."""

from __future__ import annotations

import struct

from callcount import Collector

from perfring import Sample, SessionBuilder
from simkernel.contract import ConsumerSetup, check_consumer

RECORD = struct.Struct("=IHHQIIQQ")
"""What the suite's samples look like: type, misc, size; id, pid, tid, time, period."""


class Adapted:
    """Our collector as the suite wants one: it opens what the setup says, and makes bytes of its samples again."""

    def __init__(self, setup: ConsumerSetup) -> None:
        builder = SessionBuilder().with_page_count(setup.pages).with_wakeup_watermark(setup.watermark)
        builder = builder.with_target_cpu(*setup.cpus).with_target_pid(*setup.pids)
        self.session = builder.with_event(setup.attr).build(setup.kernel)
        self.session.on_error(lambda *_: None)  # the suite plants records that make no sense
        self.collector = Collector(self.session)

    @property
    def lost(self) -> int:
        return self.collector.lost

    def read(self, timeout: float | None) -> list[tuple[int, bytes]] | None:
        samples = self.collector.read(timeout)
        return None if samples is None else [(sample.cpu, to_bytes(sample)) for sample in samples]

    def close(self) -> None:
        self.collector.close()


def to_bytes(sample: Sample) -> bytes:
    numbers = (sample.id, sample.pid, sample.tid, sample.time, sample.period)
    return RECORD.pack(sample.type, sample.misc, sample.size, *(number or 0 for number in numbers))


def test_our_reader_copes_with_everything_that_linux_does() -> None:
    report = check_consumer(Adapted)
    assert report.ok, str(report)
