"""The simulated ring against a ring that is only a list: whatever was accepted comes out, in order, byte for byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL, PERF_RECORD_LOST, PERF_RECORD_SAMPLE
from simkernel.ringbuf import RingBuffer, Writer

SIZE = 256


@dataclass
class Model:
    """What a ring is, without positions that wrap: the unread records, and four numbers."""

    watermark: int
    unread: list[bytes] = field(default_factory=list)
    written: int = 0
    cursor: int = 0
    lost: int = 0
    woken: bool = False

    def output(self, record: bytes) -> None:
        arriving = [struct.pack("=IHHQQ", PERF_RECORD_LOST, 0, 24, 5, self.lost), record] if self.lost else [record]
        need = sum(map(len, arriving))
        if sum(map(len, self.unread)) + need > SIZE - 1:
            self.lost += 1
            return
        self.lost = 0
        self.unread += arriving
        self.written += need
        if self.written - self.cursor > self.watermark:
            self.cursor += self.watermark
            self.woken = True

    def drain(self, count: int) -> list[bytes]:
        taken, self.unread = self.unread[:count], self.unread[count:]
        return taken


def read(ring: RingBuffer, count: int) -> list[bytes]:
    """Takes up to ``count`` records out of the ring, byte by byte."""
    taken: list[bytes] = []
    tail, head = ring.load_u64(MMAP_PAGE_DATA_TAIL), ring.load_u64(MMAP_PAGE_DATA_HEAD)
    data = ring.memory[ring.page_size :]
    while tail != head and len(taken) < count:
        size = data[(tail + 6) % SIZE] + (data[(tail + 7) % SIZE] << 8)
        taken.append(bytes(data[(tail + i) % SIZE] for i in range(size)))
        tail = (tail + size) % 2**64
    ring.store_u64(MMAP_PAGE_DATA_TAIL, tail)
    return taken


def make(number: int, size: int) -> bytes:
    return struct.pack("=IHH", PERF_RECORD_SAMPLE, 0, size) + bytes((number % 256,)) * (size - 8)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 40).map(lambda words: words * 8)),
        st.tuples(st.just("drain"), st.integers(0, 8)),
    ),
    max_size=120,
)
starts = st.sampled_from((0, 8, 2**32 - 40, 2**64 - 40, 2**64 - 8))


@given(steps, st.integers(1, SIZE), starts)
def test_whatever_is_accepted_comes_out_in_order(actions: list[tuple[str, int]], watermark: int, start: int) -> None:
    ring, model, writer = RingBuffer(SIZE, watermark=watermark, start=start), Model(watermark), Writer(id=5)
    for number, (action, value) in enumerate(actions):
        if action == "write":
            ring.output(writer, make(number, value))
            model.output(make(number, value))
            assert bool(ring.take_latch()) == model.woken
            model.woken = False
        else:
            assert read(ring, value) == model.drain(value)
    assert (ring.lost, ring.used) == (model.lost, sum(map(len, model.unread)))


@given(st.lists(st.integers(1, 20).map(lambda words: words * 8), min_size=1, max_size=60), starts)
def test_an_overwrite_ring_always_ends_with_the_last_record(sizes: list[int], start: int) -> None:
    ring, writer = RingBuffer(SIZE, overwrite=True, start=start), Writer()
    for number, size in enumerate(sizes):
        ring.output(writer, make(number, size))
    last, data = make(len(sizes) - 1, sizes[-1]), ring.memory[ring.page_size :]
    found = bytes(data[(ring.head - len(last) + i) % SIZE] for i in range(len(last)))
    assert found == last


@given(st.lists(st.integers(1, 20).map(lambda words: words * 8), min_size=1, max_size=60))
def test_backward_and_forward_wake_at_the_same_records(sizes: list[int]) -> None:
    rings = [RingBuffer(SIZE, overwrite=True, watermark=100, backward=backward) for backward in (False, True)]
    for number, size in enumerate(sizes):
        for ring in rings:
            ring.output(Writer(), make(number, size))
        assert rings[0].take_latch() == rings[1].take_latch()
