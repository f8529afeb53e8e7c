"""The simulated ring where one more or one less would make the difference, and each word that it says."""

from __future__ import annotations

import re

import pytest

from perfring.abi import (
    MMAP_PAGE_CAPABILITIES,
    MMAP_PAGE_DATA_HEAD,
    MMAP_PAGE_DATA_OFFSET,
    MMAP_PAGE_DATA_SIZE,
    MMAP_PAGE_DATA_TAIL,
    MMAP_PAGE_SIZE,
)
from simkernel.ringbuf import POISON, REFUSED, RingBuffer, Writer
from tests.unit.test_simkernel_ringbuf import fill, woke_at


def words(ring: RingBuffer) -> dict[int, int]:
    """What is not 0 on the metadata page, by its offset."""
    page = ring.memory[: ring.page_size].cast("Q")
    return {8 * index: word for index, word in enumerate(page) if word}


def test_the_metadata_page_holds_that_and_nothing_else() -> None:
    assert words(RingBuffer(64, start=8)) == {
        MMAP_PAGE_CAPABILITIES: 2,
        MMAP_PAGE_SIZE: 96,
        MMAP_PAGE_DATA_HEAD: 8,
        MMAP_PAGE_DATA_TAIL: 8,
        MMAP_PAGE_DATA_OFFSET: 4096,
        MMAP_PAGE_DATA_SIZE: 64,
    }


@pytest.mark.parametrize(("before", "after"), [(0, 2), (4, 6), (0x7FFFFFFE, 0x80000000), (0xFFFFFFFE, 0)])
def test_the_sequence_lock_goes_on_from_where_it_was(before: int, after: int) -> None:
    ring = RingBuffer(64)
    ring.store_u64(8, before)
    ring.update_page(0, 0, 0)
    assert ring.load_u64(8) == after


def test_a_ring_of_8_bytes_in_a_page_of_2048_can_be_made() -> None:
    assert RingBuffer(8, page_size=2048).memory.nbytes == 2056


@pytest.mark.parametrize("size", [1024, 3000, 6144])
def test_a_page_that_is_too_small_or_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"page_size is {size}: it must be a power of two from 2048 on"):
        RingBuffer(64, page_size=size)


@pytest.mark.parametrize("start", [4, -8, 2**64])
def test_a_start_that_is_no_position_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match=f"start is {start}: it must be a u64 and a multiple of 8"):
        RingBuffer(64, start=start)


def test_a_ring_is_paused_without_data_pages_only() -> None:
    assert [RingBuffer(size).paused for size in (64, 0)] == [False, True]


def test_the_metadata_page_alone_has_no_watermark() -> None:
    assert (RingBuffer(0).watermark, RingBuffer(0, watermark=100).watermark) == (0, 0)


def test_a_writer_that_is_told_nothing_has_no_trailer_and_counts_no_samples() -> None:
    writer = Writer(owner="mine")
    assert (writer.trailer(), writer.wakeup_events, writer.owner) == (b"", 0, "mine")


@pytest.mark.parametrize("start", [64, 2**64 - 64])
def test_a_backward_ring_wakes_at_the_same_distance_wherever_it_starts(start: int) -> None:
    ring = RingBuffer(256, watermark=100, backward=True, start=start)
    assert woke_at(ring, 24) == (start - 120) % 2**64


@pytest.mark.parametrize("step_by_step", [False, True])
@pytest.mark.parametrize("size", [12, 20, 65532, 0, 65536])
def test_a_size_that_no_record_has_is_refused_on_both_ways(size: int, step_by_step: bool) -> None:
    ring = RingBuffer(1 << 17)
    with pytest.raises(ValueError, match=f"a record of {size} bytes"):
        ring.reserve(Writer(), size) if step_by_step else ring.output(Writer(), bytes(size))


@pytest.mark.parametrize("size", [8, 65528])
def test_the_shortest_and_the_longest_record_can_be_reserved(size: int) -> None:
    assert RingBuffer(1 << 17).reserve(Writer(), size) == 0


@pytest.mark.parametrize(("tail", "fits"), [(1, True), (0, False)])
def test_a_record_may_fill_all_but_one_byte(tail: int, fits: bool) -> None:
    """Only a reader that stores a tail between records can see it: all records are multiples of 8."""
    ring = RingBuffer(64)
    fill(ring, 1, 56)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, tail)
    assert (ring.reserve(Writer(), 8) != REFUSED) is fits


def test_nothing_fits_below_a_tail_that_is_one_byte_ahead() -> None:
    ring = RingBuffer(64)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 1)
    assert fill(ring, 1, 8) == 0


@pytest.mark.parametrize(("trailer_bytes", "fits"), [(16, True), (24, False)])
def test_room_is_asked_for_the_trailer_of_the_lost_too(trailer_bytes: int, fits: bool) -> None:
    ring = RingBuffer(128)
    fill(ring, 1, 64)
    ring.lost = 1
    assert (ring.reserve(Writer(trailer_bytes=trailer_bytes, trailer=lambda: bytes(trailer_bytes)), 16) >= 0) is fits


def test_refused_records_are_counted_one_by_one() -> None:
    ring = RingBuffer(64)
    assert (fill(ring, 4, 56), ring.refused) == (1, 3)


def test_publish_says_whether_it_signalled() -> None:
    ring, writer = RingBuffer(256, watermark=40), Writer()
    told = []
    for _ in range(2):
        ring.reserve(writer, 16)
        ring.reserve(writer, 16)
        told += [ring.publish(writer), ring.publish(writer)]
    assert told == [False, False, False, True]


@pytest.mark.parametrize("backward", [False, True])
def test_a_tail_beyond_the_head_frees_nothing_wherever_the_ring_is(backward: bool) -> None:
    start = 2**32
    ring = RingBuffer(64, backward=backward, start=start)
    fill(ring, 1, 16)
    before = bytes(ring.memory[ring.page_size :])
    ring.store_u64(MMAP_PAGE_DATA_TAIL, start - 24 if backward else start + 24)
    assert bytes(ring.memory[ring.page_size :]) == before


def test_a_tail_within_a_record_frees_every_byte_below_it() -> None:
    ring = RingBuffer(64)
    fill(ring, 1, 16)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 1)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 8)
    assert ring.memory[ring.page_size :][:9].tolist() == [POISON] * 8 + [0x11]


def test_str_of_the_metadata_page_alone() -> None:
    assert str(RingBuffer(0)) == "ring without data pages"


def test_str_tells_every_number_of_a_ring() -> None:
    ring = RingBuffer(64, watermark=15)
    fill(ring, 4, 24)
    text = "ring of 64 bytes: head 48, tail 0, used 48, wakeup 30 + watermark 15, latch set, 2 lost and untold, "
    assert str(ring) == text + "2 lost in all"


def test_str_tells_how_a_ring_is_used_and_no_tail_where_there_is_none() -> None:
    ring = RingBuffer(64, overwrite=True, backward=True)
    ring.pause(True)
    text = "ring of 64 bytes, overwrite, backward, paused: head 0, wakeup 0 + watermark 32, latch clear, "
    assert re.fullmatch(re.escape(text) + "0 lost and untold, 0 lost in all", str(ring))
