"""The watermark rule on the real kernel: K5 to K8, K11 to K13, K42 to K44.

Two producers write records of exactly one size into a ring that nothing else writes into: renames of this thread
(COMM records), and its getppid calls (samples of 56 bytes, whose LOST is the bare 24).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfring import abi
from perfring.geometry import first_wake_bytes
from perfring.linux import LinuxKernel
from perfring.verify import SHAPES, Arm, Shape, linux_arm, sweep
from tests.linux._stream import Stream, getppids, open_stream, renames

# By the size of their records.
COMM = {24 + 8 * index: shape for index, shape in enumerate(SHAPES)}
# Refused records enough to believe that the silence lasts.
MANY = 200


@pytest.fixture
def arm() -> Iterator[Arm]:
    with linux_arm() as arm:
        yield arm


@pytest.fixture
def page_of_4096(kernel: LinuxKernel) -> None:
    if kernel.page_size != 4096:
        pytest.skip(f"the numbers of this fact are for pages of 4096 bytes, not {kernel.page_size}")


@pytest.mark.parametrize("length", range(16))
def test_k05_records_are_multiples_of_8(arm: Arm, length: int) -> None:
    with renames(arm, Shape(0, "x" * length), 1) as stream:
        stream.write()
        (record,) = stream.records()
        assert record.size == stream.head == 16 + (length // 8 + 1) * 8


def test_k05_a_body_may_straddle_the_end_of_the_ring(arm: Arm) -> None:
    with renames(arm, Shape(0, "wrapped"), 1) as stream:
        end = stream.fill()
        stream.drain()
        stream.write()
        left = stream.size - end
        assert 0 < left < 24
        lost, comm = stream.records()
        assert (lost.type, lost.size) == (abi.PERF_RECORD_LOST, 24)
        assert comm.body[8:] == b"wrapped\0"


@pytest.mark.parametrize("size", COMM)
def test_k06_a_record_fits_only_when_one_byte_stays_free(arm: Arm, size: int) -> None:
    with renames(arm, COMM[size], 1) as stream:
        assert stream.fill() == (stream.size - 1) // size * size


def test_k06_the_fullest_ring_holds_all_but_8_bytes(kernel: LinuxKernel, page_of_4096: None) -> None:
    with getppids(kernel, 1) as stream:
        assert stream.fill() == stream.size - 8


def test_k07_the_cursor_moves_by_the_watermark_and_the_test_is_strict(arm: Arm) -> None:
    with renames(arm, COMM[56], 112) as stream:
        assert stream.wakes(12) == [168, 280, 392, 504, 616]


def test_k07_bytes_written_count_not_bytes_unread(arm: Arm) -> None:
    with renames(arm, COMM[56], 112) as stream:
        woke_at = []
        for _ in range(12):
            woke_at += stream.wakes(1)
            stream.drain()
        assert woke_at == [168, 280, 392, 504, 616]


def test_k07_the_cursor_moves_once_per_record_however_long_it_is(kernel: LinuxKernel, tmp_path: Path) -> None:
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, mmap=True, comm=True)
    long, third = _mmap_record_bytes(kernel, attr, tmp_path), 0
    third = long // 3 + 10
    with linux_arm() as arm:
        renamed = attr.copy(watermark=True, wakeup_watermark=third)
        with open_stream(kernel, renamed, lambda: arm.producer.rename("short")) as stream:
            _map_executable(tmp_path)
            assert (stream.head, stream.woken()) == (long, True)
            # long + 24 and long + 48 are still beyond the cursor; long + 72 is not.
            assert stream.wakes(4) == [long + 24, long + 48]


def _map_executable(folder: Path) -> None:
    path = folder / ("long" * 50)
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("rb") as file:
        mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def _mmap_record_bytes(kernel: LinuxKernel, attr: abi.PerfEventAttr, folder: Path) -> int:
    with open_stream(kernel, attr, lambda: _map_executable(folder)) as stream:
        stream.write()
        (record,) = stream.records()
        return record.size


def test_k08_zero_means_half_a_ring(arm: Arm) -> None:
    with renames(arm, COMM[56], 0) as stream:
        assert stream.wakes(stream.size // 56)[0] == first_wake_bytes(stream.size // 2, stream.size, 56)


def test_k08_without_the_flag_it_is_half_a_ring(arm: Arm) -> None:
    with renames(arm, COMM[56], 0, watermark=False) as stream:
        assert stream.wakes(stream.size // 56)[0] == first_wake_bytes(stream.size // 2, stream.size, 56)


def test_k08_more_than_the_ring_is_cut_down_to_the_ring(arm: Arm) -> None:
    with renames(arm, COMM[56], 2**32 - 1) as stream:
        woke_at = None
        while woke_at is None:
            stream.write()
            woke_at = stream.head if stream.woken() else None
            stream.drain()
        assert woke_at == (stream.size // 56 + 1) * 56


def test_k08_the_watermark_is_that_of_the_first_mapping(arm: Arm) -> None:
    with renames(arm, COMM[56], 112) as stream, renames(arm, COMM[56], 1120, disabled=True) as other:
        other.control(abi.PERF_EVENT_IOC_ENABLE)
        stream.write(3)
        assert (stream.woken(), other.woken()) == (True, False)


@pytest.mark.parametrize(
    ("size", "watermark", "woke_at"),
    [
        (56, 4087, 4088),
        (56, 4088, None),
        (56, 4095, None),
        (56, 4096, None),
        (24, 4079, 4080),
        (24, 4080, None),
        (32, 4063, 4064),
        (32, 4064, None),
    ],
)
def test_k11_the_fullest_level_is_the_boundary(
    arm: Arm, page_of_4096: None, size: int, watermark: int, woke_at: int | None
) -> None:
    with renames(arm, COMM[size], watermark) as stream:
        assert stream.wakes(4096 // size + MANY) == ([] if woke_at is None else [woke_at])


def test_k11_a_sweep_of_the_boundary_agrees_everywhere(arm: Arm) -> None:
    assert not [row for row in sweep(arm, after_loss=True) if not row.agrees]


@pytest.mark.parametrize(("pauses", "woke_at"), [(0, []), (1, [4088])])
def test_k11_a_pause_lifts_the_fullest_level(arm: Arm, page_of_4096: None, pauses: int, woke_at: list[int]) -> None:
    with renames(arm, COMM[32], 4087) as stream:
        for _ in range(pauses):
            stream.control(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
            stream.write()
            stream.control(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 0)
        assert stream.wakes(4096 // 32 + MANY) == woke_at


def test_k12_dropping_counts_and_never_signals(arm: Arm) -> None:
    with renames(arm, COMM[56], 1 << 20, read_format=abi.PERF_FORMAT_LOST) as stream:
        stream.fill()
        assert stream.wakes(MANY) == []
        assert stream.lost() == 1 + MANY


def test_k13_an_oversized_watermark_wakes_a_reader_that_drains_on_a_timer(arm: Arm) -> None:
    with renames(arm, COMM[56], 1 << 20) as stream:
        woke_at = []
        for _ in range(3 * stream.size // 560):
            woke_at += stream.wakes(10)
            stream.drain()
        assert woke_at == [(stream.size * turn // 56 + 1) * 56 for turn in range(1, 1 + len(woke_at))]
        assert len(woke_at) >= 2


@pytest.mark.parametrize("watermark", [4087, 4072])
def test_k42_one_loss_can_end_all_wakeups(kernel: LinuxKernel, page_of_4096: None, watermark: int) -> None:
    with getppids(kernel, watermark) as stream:
        assert stream.wakes(73) == [4088]
        stream.write()
        stream.drain()
        assert stream.wakes(MANY) == []
        assert stream.head - stream.tail == 4056


def test_k42_at_4071_wakeups_survive_one_loss(kernel: LinuxKernel, page_of_4096: None) -> None:
    with getppids(kernel, 4071) as stream:
        assert stream.wakes(74) == [4088]
        stream.drain()
        for _ in range(100):
            assert _write_until_woken(stream), "silence after one loss"
            stream.drain()


# Each round of 71 records and a LOST brings head on by 4056; the cursor moves by the watermark.
@pytest.mark.parametrize(("watermark", "rounds"), [(4072, 1), (4064, 3), (4057, 31), (4056, 100)])
def test_k42_losses_wear_the_wakeups_out(kernel: LinuxKernel, page_of_4096: None, watermark: int, rounds: int) -> None:
    with getppids(kernel, watermark) as stream:
        woken = 0
        while woken < 100 and stream.wakes(80):
            woken += 1
            stream.drain()
        assert woken == rounds


def _write_until_woken(stream: Stream) -> bool:
    return any(stream.wakes(1) for _ in range(MANY))


def test_k43_a_record_lost_while_paused_can_end_all_wakeups(kernel: LinuxKernel, page_of_4096: None) -> None:
    with getppids(kernel, 4039) as stream:
        assert stream.wakes(72) == []
        stream.control(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
        stream.write()
        stream.control(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 0)
        assert stream.wakes(MANY) == []
        assert stream.head == 4032


def test_k43_a_record_lost_while_the_reader_drains_can_end_all_wakeups(kernel: LinuxKernel, page_of_4096: None) -> None:
    with getppids(kernel, 4039) as stream:
        _drain_each(stream, 504)
        assert stream.wakes(1) == [28280], "the seventh wake, with one record unread"
        loaded = stream.head
        stream.write(73)
        stream.drain(to=loaded)
        assert stream.wakes(MANY) == []
        assert stream.head - stream.tail == 4032


def test_k43_at_the_largest_safe_watermark_neither_can(kernel: LinuxKernel, page_of_4096: None) -> None:
    with getppids(kernel, 4015) as stream:
        stream.wakes(71)
        stream.control(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
        stream.write()
        stream.control(abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 0)
        assert stream.wakes(1) == [71 * 56 + 80]


def _drain_each(stream: Stream, times: int) -> None:
    """As a reader with a latency bound does: on its own, whether woken or not."""
    for _ in range(times):
        stream.wakes(1)
        stream.drain()


@pytest.mark.parametrize("words", range(7))
def test_k44_lost_is_24_bytes_and_the_trailer(arm: Arm, words: int) -> None:
    with renames(arm, Shape(words, "short"), 1) as stream:
        stream.fill()
        stream.drain()
        stream.write()
        lost, _ = stream.records()
        assert (lost.type, lost.size) == (abi.PERF_RECORD_LOST, 24 + 8 * words)


def test_k44_lost_of_the_usual_attributes_is_48_bytes(arm: Arm) -> None:
    usual = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME
    with renames(arm, COMM[56], 1, sample_type=usual) as stream:
        stream.fill()
        stream.drain()
        stream.write()
        assert stream.records()[0].size == 48
