"""The simulated ring, alone: every statement here was measured on Linux before (the K numbers)."""

from __future__ import annotations

import struct

import pytest

from perfring.abi import (
    MMAP_PAGE_DATA_HEAD,
    MMAP_PAGE_DATA_OFFSET,
    MMAP_PAGE_DATA_SIZE,
    MMAP_PAGE_DATA_TAIL,
    PERF_RECORD_SAMPLE,
)
from simkernel.ringbuf import POISON, READABLE, REFUSED, RingBuffer, Writer

Record = tuple[int, bytes]


def record(size: int, fill: int = 0x11) -> bytes:
    return struct.pack("=IHH", PERF_RECORD_SAMPLE, 0, size) + bytes((fill,)) * (size - 8)


def fill(ring: RingBuffer, count: int, size: int = 56, writer: Writer | None = None) -> int:
    """How many of ``count`` records were accepted."""
    writer = writer or Writer()
    return sum(ring.output(writer, record(size)) for _ in range(count))


def drain(ring: RingBuffer) -> list[Record]:
    """Reads everything and frees it: ``(type, body)`` of each record."""
    size = ring.data_size
    tail, head = ring.load_u64(MMAP_PAGE_DATA_TAIL), ring.load_u64(MMAP_PAGE_DATA_HEAD)
    data = bytes(ring.memory[ring.page_size :])
    unread = bytes(data[(tail + i) % size] for i in range((head - tail) % 2**64))
    ring.store_u64(MMAP_PAGE_DATA_TAIL, head)
    return list(split(unread))


def split(unread: bytes) -> list[Record]:
    found, at = [], 0
    while at < len(unread):
        kind, _, size = struct.unpack_from("=IHH", unread, at)
        found.append((kind, unread[at + 8 : at + size]))
        at += size
    return found


def woke_at(ring: RingBuffer, size: int) -> int | None:
    """The head at which the latch is first set, with nobody draining."""
    while not ring.latch:
        if not ring.output(Writer(), record(size)):
            return None
    return ring.head


def test_k2_the_metadata_page_tells_where_the_data_is() -> None:
    ring = RingBuffer(8192, page_size=4096)
    assert (ring.load_u64(MMAP_PAGE_DATA_OFFSET), ring.load_u64(MMAP_PAGE_DATA_SIZE)) == (4096, 8192)


def test_the_metadata_page_tells_the_size_of_its_used_part() -> None:
    assert struct.unpack_from("=I", RingBuffer(4096).memory, 72) == (96,)


def test_update_page_moves_the_sequence_lock_by_two() -> None:
    ring = RingBuffer(4096)
    ring.update_page(7, 100, 90)
    assert struct.unpack_from("=II", ring.memory, 8) == (2, 0)
    assert [ring.load_u64(offset) for offset in (16, 24, 32)] == [7, 100, 90]


def test_k1_the_metadata_page_alone_takes_nothing_and_counts_nothing() -> None:
    ring, writer = RingBuffer(0), Writer()
    ring.pause(False)
    assert not ring.output(writer, record(8))
    assert (ring.refused, writer.lost) == (0, 0)


def test_k3_scribbling_over_data_head_does_not_disturb_the_kernels_own() -> None:
    ring = RingBuffer(4096)
    ring.store_u64(MMAP_PAGE_DATA_HEAD, 12345)
    ring.output(Writer(), record(24))
    assert ring.load_u64(MMAP_PAGE_DATA_HEAD) == 24


def test_k6_one_byte_always_stays_free() -> None:
    ring = RingBuffer(4096)
    assert fill(ring, 600, size=8) == 511
    assert ring.used == 4088


def test_k7_a_level_equal_to_the_watermark_does_not_wake() -> None:
    ring = RingBuffer(4096, watermark=112)
    fill(ring, 2)
    before = ring.latch
    fill(ring, 1)
    assert (before, ring.latch) == (0, READABLE)


def test_k7_the_cursor_moves_by_the_watermark_once_per_record() -> None:
    ring = RingBuffer(4096, watermark=8)
    fill(ring, 1, size=64)
    assert ring.wakeup == 8


def test_k7_what_counts_is_bytes_written_not_bytes_unread() -> None:
    ring = RingBuffer(4096, watermark=112)
    for _ in range(3):
        fill(ring, 1)
        drain(ring)
    assert ring.latch


@pytest.mark.parametrize(("asked", "taken"), [(0, 2048), (1, 1), (4096, 4096), (9000, 4096)])
def test_k8_the_watermark_as_the_kernel_takes_it(asked: int, taken: int) -> None:
    assert RingBuffer(4096, watermark=asked).watermark == taken


@pytest.mark.parametrize(
    ("size", "watermark", "woke"),
    [
        (56, 4087, 4088),
        (56, 4088, None),
        (8, 4087, 4088),
        (8, 4088, None),
        (24, 4079, 4080),
        (24, 4080, None),
        (32, 4064, None),
    ],
)
def test_k11_where_a_watermark_wakes(size: int, watermark: int, woke: int | None) -> None:
    assert woke_at(RingBuffer(4096, watermark=watermark), size) == woke


def test_k9_every_nth_sample_signals() -> None:
    ring, writer = RingBuffer(4096), Writer(wakeup_events=3)
    signalled = []
    for _ in range(6):
        ring.output(writer, record(16), sample=True)
        signalled.append(bool(ring.take_latch()))
    assert signalled == [False, False, True, False, False, True]


def test_k9_such_a_wakeup_moves_the_cursor_by_one() -> None:
    ring = RingBuffer(4096)
    ring.output(Writer(wakeup_events=1), record(16), sample=True)
    assert ring.wakeup == 1


def test_k9_side_band_never_counts() -> None:
    ring = RingBuffer(4096)
    ring.output(Writer(wakeup_events=1), record(16))
    assert not ring.latch


def test_k9_writers_share_the_count_and_compare_it_with_their_own() -> None:
    ring, patient, eager = RingBuffer(4096), Writer(wakeup_events=5), Writer(wakeup_events=2)
    ring.output(patient, record(16), sample=True)
    ring.output(eager, record(16), sample=True)
    assert ring.latch


def test_k12_a_refused_record_is_counted_and_signals_nobody() -> None:
    ring, writer = RingBuffer(4096, watermark=4095), Writer()
    assert fill(ring, 80, writer=writer) == 73
    assert (ring.latch, ring.lost, writer.lost) == (0, 7, 7)


def test_k14_asking_takes_the_latch() -> None:
    ring = RingBuffer(4096, watermark=8)
    fill(ring, 1)
    assert (ring.take_latch(), ring.take_latch()) == (READABLE, 0)


def test_k21_the_next_record_that_fits_is_preceded_by_one_lost() -> None:
    ring = RingBuffer(4096)
    fill(ring, 75)
    drain(ring)
    ring.output(Writer(id=77), record(56))
    assert [kind for kind, _ in drain(ring)] == [2, PERF_RECORD_SAMPLE]


def test_k21_the_lost_names_the_event_that_writes_next_and_how_many() -> None:
    ring = RingBuffer(4096)
    fill(ring, 75, writer=Writer(id=1))
    drain(ring)
    ring.output(Writer(id=77), record(56))
    assert struct.unpack("=QQ", drain(ring)[0][1]) == (77, 2)


def test_k21_a_record_and_its_lost_must_fit_together() -> None:
    ring, writer = RingBuffer(4096), Writer()
    fill(ring, 74, writer=writer)
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 56)
    assert not ring.output(writer, record(56))
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 112)
    assert ring.output(writer, record(56))


def test_k44_the_lost_carries_the_trailer_of_the_event_that_writes_it() -> None:
    ring, writer = RingBuffer(4096), Writer(trailer_bytes=8, trailer=lambda: b"trailers")
    fill(ring, 74, writer=writer)
    drain(ring)
    ring.output(writer, record(56))
    assert drain(ring)[0][1].endswith(b"trailers")


def test_k42_a_watermark_that_stalls_after_the_first_loss() -> None:
    ring, writer = RingBuffer(4096, watermark=4087), Writer()
    fill(ring, 74, writer=writer)
    assert ring.take_latch()
    drain(ring)
    fill(ring, 200, writer=writer)
    assert ring.used == 24 + 72 * 56
    assert not ring.latch


def test_k43_a_loss_in_a_pause_that_leaves_no_room_for_its_lost() -> None:
    ring, writer = RingBuffer(4096, watermark=4039), Writer()
    fill(ring, 72, writer=writer)
    ring.pause(True)
    fill(ring, 1, writer=writer)
    ring.pause(False)
    assert fill(ring, 10, writer=writer) == 0
    assert not ring.latch


def test_k23_a_paused_ring_refuses_and_then_tells() -> None:
    ring = RingBuffer(4096)
    ring.pause(True)
    assert fill(ring, 2) == 0
    ring.pause(False)
    fill(ring, 1)
    assert struct.unpack("=QQ", drain(ring)[0][1]) == (0, 2)


def test_k4_an_overwrite_ring_refuses_nothing_and_wakes() -> None:
    ring = RingBuffer(4096, watermark=4096, overwrite=True)
    assert fill(ring, 100) == 100
    assert ring.latch
    assert ring.head == 5600


def test_a_record_larger_than_the_ring_is_lost() -> None:
    ring = RingBuffer(4096)
    assert not ring.output(Writer(), record(8192))
    assert ring.lost == 1


def test_a_record_larger_than_an_overwrite_ring_runs_over_itself() -> None:
    ring = RingBuffer(16, overwrite=True)
    ring.output(Writer(), bytes(range(40)))
    assert bytes(ring.memory[ring.page_size :]) == bytes([32, 33, 34, 35, 36, 37, 38, 39, *range(24, 32)])


def test_k34_a_backward_ring_counts_down_from_zero() -> None:
    ring = RingBuffer(4096, backward=True)
    fill(ring, 2)
    assert ring.load_u64(MMAP_PAGE_DATA_HEAD) == 2**64 - 112


def test_k34_the_newest_record_of_a_backward_ring_stands_at_head() -> None:
    ring = RingBuffer(64, backward=True, overwrite=True)
    for value in (1, 2, 3, 4, 5):
        ring.output(Writer(), record(16, value))
    at = ring.page_size + ring.head % 64
    assert ring.memory[at + 8] == 5


def test_k34_wakeups_of_a_backward_ring_count_the_same_distance() -> None:
    ring = RingBuffer(4096, backward=True, watermark=112)
    assert [bool(fill(ring, 1)) and bool(ring.take_latch()) for _ in range(4)] == [False, False, True, False]


def test_a_backward_ring_that_is_read_refuses_what_does_not_fit() -> None:
    ring = RingBuffer(4096, backward=True)
    assert fill(ring, 80) == 73
    ring.store_u64(MMAP_PAGE_DATA_TAIL, ring.head)
    assert fill(ring, 1) == 1


@pytest.mark.parametrize("start", [2**32 - 64, 2**64 - 64])
def test_positions_pass_2_to_the_32_and_2_to_the_64(start: int) -> None:
    ring = RingBuffer(4096, start=start, watermark=112)
    fill(ring, 3)
    assert ring.latch
    assert ring.load_u64(MMAP_PAGE_DATA_HEAD) == (start + 168) % 2**64
    assert drain(ring) == [(PERF_RECORD_SAMPLE, b"\x11" * 48)] * 3


def test_k5_a_body_wraps_in_two_parts() -> None:
    ring, writer = RingBuffer(64), Writer()
    ring.output(writer, record(48, 1))
    drain(ring)
    ring.output(writer, record(40, 2))
    assert drain(ring) == [(PERF_RECORD_SAMPLE, b"\x02" * 32)]


def test_freed_bytes_are_poisoned_at_once() -> None:
    ring = RingBuffer(64)
    ring.output(Writer(), record(16))
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 16)
    assert bytes(ring.memory[ring.page_size :][:16]) == bytes((POISON,)) * 16


def test_freed_bytes_of_a_backward_ring_are_poisoned_too() -> None:
    ring = RingBuffer(64, backward=True)
    ring.output(Writer(), record(16))
    ring.store_u64(MMAP_PAGE_DATA_TAIL, ring.head)
    assert bytes(ring.memory[ring.page_size :][48:]) == bytes((POISON,)) * 16


def test_a_tail_past_the_head_poisons_nothing() -> None:
    ring = RingBuffer(64)
    ring.output(Writer(), record(16, 7))
    ring.store_u64(MMAP_PAGE_DATA_TAIL, 24)
    assert ring.memory[ring.page_size + 8] == 7


def test_only_the_outermost_of_nested_writers_publishes() -> None:
    ring, writer = RingBuffer(4096), Writer()
    outer = ring.reserve(writer, 16)
    ring.output(writer, record(24, 2))
    assert ring.load_u64(MMAP_PAGE_DATA_HEAD) == 0
    ring.write(outer, record(16, 1))
    ring.publish(writer)
    assert [body[:1] for _, body in drain(ring)] == [b"\x01", b"\x02"]


def test_a_wakeup_of_a_nested_writer_is_signalled_by_the_outermost() -> None:
    ring, writer = RingBuffer(4096, watermark=20), Writer()
    outer = ring.reserve(writer, 16)
    ring.output(writer, record(24))
    assert not ring.latch
    ring.write(outer, record(16))
    assert ring.publish(writer)


def test_a_reader_sees_nothing_before_publish() -> None:
    ring, writer = RingBuffer(4096), Writer()
    assert ring.reserve(writer, 16) != REFUSED
    assert drain(ring) == []


def test_on_wakeup_is_called_with_the_writer_that_signalled() -> None:
    called: list[Writer] = []
    ring, writer = RingBuffer(4096, watermark=8, on_wakeup=called.append), Writer()
    ring.output(writer, record(16))
    assert called == [writer]


@pytest.mark.parametrize("size", [0, 4, 12, 65536])
def test_a_size_that_no_record_has_is_named(size: int) -> None:
    with pytest.raises(ValueError, match=f"a record of {size} bytes"):
        RingBuffer(4096).reserve(Writer(), size)


@pytest.mark.parametrize("size", [4, 12, 4095])
def test_a_ring_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"data_size is {size}"):
        RingBuffer(size)


def test_str_shows_positions_and_losses() -> None:
    ring = RingBuffer(4096, watermark=4095)
    fill(ring, 75)
    text = str(ring)
    assert "head 4088" in text
    assert "2 lost and untold" in text
