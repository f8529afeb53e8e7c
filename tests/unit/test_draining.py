from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NoReturn

import pytest

from perfring.abi import (
    PERF_COUNT_SW_DUMMY,
    PERF_SAMPLE_IDENTIFIER,
    PERF_SAMPLE_TID,
    PERF_SAMPLE_TIME,
    PERF_TYPE_SOFTWARE,
    PerfEventAttr,
)
from perfring.decoding import Decoder
from perfring.draining import RingDrain
from perfring.errors import BadRecord
from perfring.layout import EventLayout
from perfring.opening import OpenRing
from perfring.records import Record
from perfring.ring import RingReader
from tests.unit.rings import U64, BytesRing, comm

EDGES = (0, 2**32 - 48, 2**64 - 48)
BUDGET = 1 << 16


class Reported(list[BadRecord]):
    """An error callback that remembers."""


def drain_of(ring: BytesRing, *, cpu: int = 5) -> tuple[RingDrain, Reported]:
    attr = PerfEventAttr(
        type=PERF_TYPE_SOFTWARE,
        config=PERF_COUNT_SW_DUMMY,
        sample_type=PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
        sample_id_all=True,
    )
    reported = Reported()
    layout = EventLayout(attr, name="seven", kind="custom")
    decoder = Decoder({7: layout}, default=layout)
    return RingDrain(OpenRing(cpu, mapping=ring), decoder, reported.append), reported


def drained(drain: RingDrain, target: int, budget: int) -> list[Record]:
    records: list[Record] = []
    drain.drain(target, budget, records)
    return records


def names(records: list[Record]) -> list[str]:
    return [record.to_dict()["comm"] for record in records]


@pytest.mark.parametrize("start", EDGES)
def test_every_record_comes_once_and_in_order(start: int) -> None:
    ring = BytesRing(256, start=start)
    drain, reported = drain_of(ring)
    seen = []
    for number in range(20):
        ring.write(comm(f"c{number}", time=number))
        seen += names(drained(drain, drain.head(), BUDGET))
    assert (seen, reported) == ([f"c{number}" for number in range(20)], [])


def test_what_is_drained_is_counted() -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(comm("a", time=1))
    ring.write(comm("b", time=2))
    drained(drain, drain.head(), BUDGET)
    counts = drain.statistics
    assert (counts.records, counts.bytes, counts.highest_fill, drain.last_time) == (2, 96, 96, 2)


def test_a_drain_stops_at_its_target() -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(comm("before", time=1))
    target = drain.head()
    ring.write(comm("after", time=2))
    assert names(drained(drain, target, BUDGET)) == ["before"]
    assert drain.has_reached(target)


def test_a_target_that_somebody_else_drained_past_is_reached() -> None:
    ring = BytesRing(256)
    drain, reported = drain_of(ring)
    ring.write(comm("a", time=1))
    target = drain.head()
    ring.write(comm("b", time=2))
    drained(drain, drain.head(), BUDGET)
    assert drain.has_reached(target)
    assert (drained(drain, target, BUDGET), reported) == ([], [])


def test_a_budget_cuts_no_record_and_takes_one_at_least() -> None:
    ring = BytesRing(1 << 17)
    drain, reported = drain_of(ring)
    for number in range(2000):  # 48 bytes each, more than the longest record together
        ring.write(comm(str(number), time=number))
    target, seen = drain.head(), list[str]()
    while not drain.has_reached(target):
        found = names(drained(drain, target, 1))
        assert found
        seen += found
    assert (seen, reported) == ([str(number) for number in range(2000)], [])


@pytest.mark.parametrize("start", EDGES)
def test_a_header_of_size_0_is_reported_and_skipped_to_head(start: int) -> None:
    ring = BytesRing(256, start=start)
    drain, reported = drain_of(ring)
    ring.write(comm("good", time=1))
    bad_at = ring.write(bytes(16))
    assert names(drained(drain, drain.head(), BUDGET)) == ["good"]
    assert [(bad.cpu, bad.position, bad.skipped) for bad in reported] == [(5, bad_at, 16)]
    assert (ring.tail, drain.statistics.bad_records, drain.statistics.skipped_bytes) == (ring.head, 1, 16)


def test_a_bad_header_gives_up_the_whole_ring_and_not_what_was_copied_of_it() -> None:
    ring = BytesRing(1 << 17)
    drain, reported = drain_of(ring)
    bad_at = ring.write(bytes(8) + (1 << 16) * b"x")
    ring.write(comm("behind", time=1))  # of which the copy of 64 KiB has nothing
    assert drained(drain, drain.head(), BUDGET) == []
    assert [(bad.position, bad.skipped) for bad in reported] == [(bad_at, ring.head)]
    assert (ring.tail, drain.statistics.bytes) == (ring.head, ring.head)


def test_a_record_longer_than_what_was_written_is_reported_and_skipped_to_head() -> None:
    ring = BytesRing(256)
    drain, reported = drain_of(ring)
    bad_at = ring.write(struct.pack("=IHH", 3, 0, 200))
    assert drained(drain, drain.head(), BUDGET) == []
    assert [(bad.position, bad.skipped) for bad in reported] == [(bad_at, 8)]
    assert "a size of 200 ends beyond the 8 bytes that are left" in str(reported[0])


def test_an_unknown_id_costs_only_that_record() -> None:
    ring = BytesRing(256)
    drain, reported = drain_of(ring)
    ring.write(struct.pack("=IHHQII", 9, 0, 24, 12345, 1, 1))
    ring.write(comm("next", time=2))
    assert names(drained(drain, drain.head(), BUDGET)) == ["next"]
    assert [bad.skipped for bad in reported] == [24]


@pytest.mark.parametrize("head", [300, 2**63, U64 - 7])
def test_a_head_that_makes_no_sense_is_reported_and_reading_goes_on_there(head: int) -> None:
    ring = BytesRing(256)
    drain, reported = drain_of(ring)
    ring.head = head
    assert drained(drain, drain.head(), BUDGET) == []
    assert [(bad.cpu, bad.position, bad.skipped) for bad in reported] == [(5, 0, head)]
    ring.write(comm("next", time=2))
    assert names(drained(drain, drain.head(), BUDGET)) == ["next"]


@pytest.mark.parametrize("astray", [1 << 20, 1 << 63, U64 - 1023])
def test_what_was_not_read_yet_still_comes_when_head_returns(astray: int) -> None:
    ring = BytesRing(256, start=48)
    drain, reported = drain_of(ring)
    ring.write(comm("a", time=1))
    published, ring.head = ring.head, astray
    drain.head()
    ring.head = published
    assert sum(bad.skipped for bad in reported) & U64 == astray - 48 & U64
    target = drain.head()
    assert sum(bad.skipped for bad in reported) & U64 == 0
    assert drain.has_reached(48)
    assert not drain.has_reached(target)


def test_a_head_that_goes_back_for_good_is_followed() -> None:
    ring = BytesRing(256, start=96)
    drain, _ = drain_of(ring)
    ring.head = 0
    drain.head()
    ring.write(comm("a", time=1))
    assert names(drained(drain, drain.head(), BUDGET)) == ["a"]
    ring.write(comm("b", time=2))
    ring.write(comm("c", time=3))
    assert names(drained(drain, drain.head(), BUDGET)) == ["b", "c"]


def test_a_wakeup_that_finds_nothing_is_spurious() -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    for _ in range(2):
        drain.note_wakeup()
        drain.head()
    ring.write(comm("a", time=1))
    drain.note_wakeup()
    drain.head()
    assert (drain.statistics.wakeups, drain.statistics.spurious_wakeups) == (3, 2)


def test_a_lost_record_is_added_to_the_losses() -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(struct.pack("=IHHQQIIQQ", 2, 0, 48, 7, 31, 1, 1, 9, 7))
    drained(drain, drain.head(), BUDGET)
    assert (drain.statistics.lost_reported, drain.statistics.lost) == (31, 31)


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def decode_run(*args: object, **keywords: object) -> NoReturn:
        raise error

    return decode_run


def test_an_error_in_the_decoder_costs_what_it_was_given_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = BytesRing(256)
    drain, reported = drain_of(ring)
    ring.write(comm("a", time=1))
    monkeypatch.setattr(Decoder, "decode_run", raising(MemoryError()))
    with pytest.raises(MemoryError):
        drained(drain, drain.head(), BUDGET)
    assert ring.tail == ring.head
    assert [bad.skipped for bad in reported] == [48]


def test_after_an_error_in_the_decoder_no_reading_begins_inside_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = BytesRing(1 << 17)
    drain, reported = drain_of(ring)
    for number in range(2000):
        ring.write(comm(str(number), time=number))
    monkeypatch.setattr(Decoder, "decode_run", raising(MemoryError()))
    with pytest.raises(MemoryError):
        drained(drain, drain.head(), BUDGET)
    assert (ring.tail, [bad.skipped for bad in reported]) == (ring.head, [ring.head])


def test_an_interrupt_in_the_decoder_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = BytesRing(256)
    drain, reported = drain_of(ring)
    ring.write(comm("a", time=1))
    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "decode_run", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            drained(drain, drain.head(), BUDGET)
    assert (names(drained(drain, drain.head(), BUDGET)), reported) == (["a"], [])


def test_what_is_bad_is_counted_once_although_its_report_was_interrupted() -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(comm("a", time=1))
    ring.write(struct.pack("=IHHQ", 9, 0, 16, 6))
    drain._report = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        drained(drain, drain.head(), BUDGET)
    drain._report = lambda _: None
    assert names(drained(drain, drain.head(), BUDGET)) == ["a"]
    assert (drain.statistics.bad_records, drain.statistics.skipped_bytes) == (1, 16)


@pytest.mark.parametrize("head", [1 << 20, 1 << 63, U64 - 1023])
def test_a_target_from_before_a_head_that_made_no_sense_is_reached(head: int) -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(comm("a", time=1))
    target, ring.head = drain.head(), head
    drain.head()
    assert drain.has_reached(target)
    assert drained(drain, target, BUDGET) == []


def test_a_tail_that_an_interrupt_kept_from_being_stored_is_stored_later(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(comm("a", time=1))
    with monkeypatch.context() as patch:
        patch.setattr(RingReader, "publish", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            drained(drain, drain.head(), BUDGET)
    drain.head()
    assert ring.tail == ring.head


def test_what_an_interrupt_leaves_in_the_hands_of_the_reader_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = BytesRing(256)
    drain, _ = drain_of(ring)
    ring.write(comm("a", time=7))
    ring.write(struct.pack("=IHHQQIIQQ", 2, 0, 48, 7, 31, 1, 1, 9, 7))
    monkeypatch.setattr(RingReader, "publish", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        drain.drain(drain.head(), BUDGET, [])
    counts = drain.statistics
    assert (counts.records, counts.bytes, counts.lost_reported, drain.last_time) == (2, ring.head, 31, 9)
