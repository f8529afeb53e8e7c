"""Many records at once, where one more or one less would make the difference.

`tests/property/test_many_records.py` compares them with the same records one by one. That never shows how many of them
went the quick way, nor what a tail that is no multiple of 8 does.
"""

from __future__ import annotations

import pytest

from perfring.abi import MMAP_PAGE_DATA_TAIL
from simkernel.ringbuf import RingBuffer, Writer
from tests.unit.test_simkernel_ringbuf import fill


@pytest.mark.parametrize("size", [8, 65528])
def test_the_shortest_and_the_longest_record_can_be_written(size: int) -> None:
    assert RingBuffer(1 << 18).output_many(Writer(), bytes(3 * size), size) == 3


def test_they_are_no_samples_unless_it_is_said() -> None:
    ring = RingBuffer(4096)
    ring.output_many(Writer(wakeup_events=1), bytes(48), 16)
    assert (ring.events, ring.latch) == (0, 0)


def test_what_is_written_quietly_counts_no_samples_unless_it_is_said() -> None:
    ring = RingBuffer(4096)
    ring.output_quietly(bytes(16))
    assert ring.events == 0


@pytest.mark.parametrize(("tail", "fits"), [(1, 1), (0, 0)])
def test_they_may_fill_all_but_one_byte(tail: int, fits: int) -> None:
    ring = RingBuffer(64)
    fill(ring, 1, 56)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, tail)
    assert ring.output_many(Writer(), bytes(8), 8) == fits


@pytest.mark.parametrize(("tail", "fits"), [(1, 1), (0, 0)])
def test_the_lost_before_them_may_fill_all_but_one_byte_too(tail: int, fits: int) -> None:
    ring = RingBuffer(128)
    fill(ring, 1, 64)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, tail)
    ring.lost = 1
    assert ring.output_many(Writer(trailer_bytes=24, trailer=lambda: bytes(24)), bytes(16), 16) == fits


def test_nothing_fits_below_a_tail_that_is_one_byte_ahead() -> None:
    ring = RingBuffer(64)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 1)
    assert ring.output_many(Writer(), bytes(16), 8) == 0


def test_nothing_is_quiet_below_a_tail_that_is_one_byte_ahead() -> None:
    ring = RingBuffer(64)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 1)
    assert ring.quiet(8) == 0


@pytest.mark.parametrize("start", [0, 4096, 2**64 - 40])
def test_so_many_are_quiet_as_pass_no_watermark(start: int) -> None:
    ring = RingBuffer(4096, watermark=100, start=start)
    fill(ring, 1, 24)
    assert ring.quiet(24) == 3


@pytest.mark.parametrize(("overwrite", "quiet"), [(False, 2), (True, 3)])
def test_so_many_are_quiet_as_find_room_unless_the_ring_is_overwritten(overwrite: bool, quiet: int) -> None:
    ring = RingBuffer(64, watermark=64, overwrite=overwrite)
    fill(ring, 1, 40)
    assert ring.quiet(8) == quiet


def test_one_sample_less_than_wakeup_events_is_quiet() -> None:
    assert RingBuffer(4096).quiet(16, wakeup_events=5) == 4
