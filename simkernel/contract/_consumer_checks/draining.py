"""Taking records out of a ring into which others write meanwhile."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from perfring import abi
from simkernel.contract._lines import limited_lines
from simkernel.contract.consumer_suite import consumer_check
from simkernel.contract.raw import HEADER
from simkernel.contract.rig import require
from simkernel.contract.stage import Stage
from simkernel.contract.stage_kernel import Halted

if TYPE_CHECKING:
    from simkernel.event import PerfEvent

_CROSSING = 40
_MOST_LINES = 300_000
_BUSY_RECORDS = 3_000


@consumer_check("K14")
def more_than_it_takes_at_once(stage: Stage) -> None:
    """4000 records, one wakeup, and then silence."""
    stage.start(pages=64)
    stage.produce(4000)
    stage.collect(
        "it left records in the ring and waited for them: what stays unread is not reported again, so a reader "
        "that stops at a budget must come back by itself (K14)"
    )


@consumer_check("K5")
def record_across_the_end(stage: Stage) -> None:
    """Six laps of a small ring, with records split at every place where they can be."""
    stage.start()
    for _ in range(10):
        stage.produce(60)
        stage.collect(
            "a record that reaches the end of the data area goes on at its beginning; its header never does, and "
            "there is no padding (K5)"
        )
    refused = len(stage.watch.made) - len(stage.watch.accepted())
    require(
        not refused, f"{refused} records found no room in a ring that was drained: store data_tail after reading (K37)"
    )


@consumer_check("K2", first=(2**32 - 400, 2**64 - 400))
def position_that_overflows(stage: Stage, first: int) -> None:
    """A ring that has been used for long: head and tail pass 2**32, or 2**64."""
    stage.kernel.first_position = first
    stage.start()
    for _ in range(2):
        stage.produce(_CROSSING)
        stage.collect(
            "data_head and data_tail are u64 that only ever grow, modulo 2**64, and neither is a place in the "
            "ring: that is the position modulo data_size, and the difference is to be taken modulo 2**64 (K2)"
        )


@consumer_check("K37")
def bytes_freed_before_they_were_read(stage: Stage) -> None:
    """The kernel overwrites at once whatever is given back."""
    stage.kernel.poison = True
    stage.start()
    stage.produce(_CROSSING)
    stage.collect("once data_tail is stored the kernel may write there: read first (K37)")


@consumer_check("K37")
def records_that_come_while_it_drains(stage: Stage) -> None:
    """Two more records each time it looks at data_head."""
    stage.start()
    stage.produce(_CROSSING)
    words = (
        "records that came while it drained are missing: give back what was read, up to the data_head that was "
        "loaded before, not up to a newer one (K37)"
    )
    left = [2] * 20

    def more() -> None:
        if left:
            stage.produce(left.pop())

    with stage.at_each_look(more):
        stage.read(words)
        stage.read(words, timeout=0.01)
    # What came last may lie below the watermark, so one wakeup more.
    stage.produce_later(0.01, _CROSSING)
    stage.read(words)
    stage.collect(words, timeout=0.01, reads=10)


@consumer_check("K14")
def ring_that_is_never_empty(stage: Stage) -> None:
    """Three more records each time it looks at data_head, without end."""
    stage.start()

    def more() -> None:
        if len(stage.watch.made) > made + _BUSY_RECORDS:
            raise Halted("it drains until the ring is empty, and this one never is")
        stage.produce(3)

    words = "on a busy ring read() must return: drain up to the data_head that it found, no further"
    with stage.at_each_look(more):
        for _ in range(3):
            stage.produce(_CROSSING)
            made = len(stage.watch.made)
            require(stage.read(words), words)
    require(stage.samples, f"{words}. It returned nothing")


@consumer_check("K36")
def time_that_runs_backwards(stage: Stage) -> None:
    """Two records of one ring are older than those before them."""

    def inverted(event: PerfEvent, data: bytes) -> bytes | None:
        return _shift_time(event, data, -50_000) if len(stage.watch.made) in (10, 20) else None

    stage.watch.change = inverted
    stage.start()
    stage.produce(_CROSSING)
    stage.collect("records of one ring may be out of order in time, and are records all the same (K36)")


@consumer_check("K36", ordered=True)
def order_over_two_cpus(stage: Stage) -> None:
    """Samples on two CPUs in turn."""
    stage.start(cpus=(0, 1), tasks=2)
    for _ in range(3):
        for _ in range(_CROSSING):
            stage.produce(1, actor=0)
            stage.produce(1, actor=1)
        stage.collect("it must deliver what both rings have", timeout=0.01, reads=10)
    place = {(each.cpu, each.data): number for number, each in enumerate(stage.watch.made)}
    order = [place[sample] for sample in stage.samples]
    wrong = sum(later < earlier for earlier, later in pairwise(order))
    require(not wrong, f"it promises time order over CPUs, and {wrong} records came after younger ones")


@consumer_check("K35", size=(0, 4, 65528))
def header_that_makes_no_sense(stage: Stage, size: int) -> None:
    """The size in a header is 0, less than a header, or reaches past data_head; what came before and after is good."""

    def corrupt(_: PerfEvent, data: bytes) -> bytes | None:
        kind, misc, _ = HEADER.unpack_from(data)
        return HEADER.pack(kind, misc, size) + data[8:] if len(stage.watch.made) == 30 else None

    stage.watch.change = corrupt
    stage.start()
    stage.produce(_CROSSING)
    words = f"a header with a size of {size} must not hold it up: skip to data_head, and go on with what comes then"
    with limited_lines(_MOST_LINES):
        _read_whatever_comes(stage, words)
    stage.produce_later(0.01, _CROSSING)
    with limited_lines(_MOST_LINES):
        _read_whatever_comes(stage, words)
    _require_the_good(stage, words)


def _read_whatever_comes(stage: Stage, words: str) -> None:
    """Reads twice; an error is a way to tell of it, but only once."""
    for timeout in (None, 0.01):
        try:
            stage.read(words, timeout=timeout)
        except AssertionError as failed:
            if not isinstance(failed.__cause__, Exception):
                raise


def _require_the_good(stage: Stage, words: str) -> None:
    made = [(each.cpu, each.data) for each in stage.watch.made]
    delivered = set(stage.samples)
    before = sum(sample in delivered for sample in made[:30])
    after = sum(sample in delivered for sample in made[_CROSSING:])
    require(before == 30, f"{words}. Of the 30 records before it {before} came")
    require(after == _CROSSING, f"{words}. Of the {_CROSSING} records that were written later {after} came")


_U64 = struct.Struct("=Q")


def _shift_time(event: PerfEvent, data: bytes, ns: int) -> bytes:
    """The sample, at another time: its place follows from the fields before it, 8 bytes each."""
    asked = event.attr.sample_type
    before = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_TID
    at = HEADER.size + 8 * (asked & before).bit_count()
    (time,) = _U64.unpack_from(data, at)
    return data[:at] + _U64.pack(time + ns) + data[at + 8 :]
