"""Many records at once are the same as one after the other: in every byte, every count, and in who is woken when."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL, PERF_RECORD_SAMPLE
from simkernel.ringbuf import REFUSED, RingBuffer, Writer

WRITERS = 3
NUMBERS = ("head", "wakeup", "watermark", "latch", "paused", "lost", "refused", "events", "used")


@dataclass
class Rig:
    """A ring, who writes into it, and what was seen at each wakeup.

    Attributes:
        drains: the reader is another CPU, which empties the ring in the middle of a wakeup.
        woken: for each wakeup: whose record it was, and head and latch then.
    """

    size: int
    watermark: int
    overwrite: bool
    backward: bool
    start: int
    wakeup_events: list[int]
    drains: bool
    woken: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ring = RingBuffer(
            self.size,
            watermark=self.watermark,
            overwrite=self.overwrite,
            backward=self.backward,
            start=self.start,
            on_wakeup=self._wake,
        )
        trailers = [bytes((number,)) * 8 * number for number in range(WRITERS)]
        self.writers = [
            Writer(number, wakeup_events=events, trailer_bytes=len(trailer), trailer=partial(bytes, trailer))
            for number, (events, trailer) in enumerate(zip(self.wakeup_events, trailers, strict=True))
        ]

    def _wake(self, writer: Writer) -> None:
        self.woken.append((writer.id, self.ring.head, self.ring.latch))
        if self.drains:
            self.free(64)

    def free(self, share: int) -> int:
        """The reader gives so many 64ths of what is unread back; returns its new tail."""
        head, tail = (self.ring.load_u64(at) for at in (MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL))
        step = self.ring.used * share // 64 // 8 * 8
        after = head if share == 64 else (tail - step if self.backward else tail + step) % 2**64
        self.ring.store_u64(MMAP_PAGE_DATA_TAIL, after)
        return after

    def state(self) -> tuple[object, ...]:
        numbers = [getattr(self.ring, name) for name in NUMBERS]
        return numbers, [writer.lost for writer in self.writers], list(self.woken), bytes(self.ring.memory)

    def write(self, writer: int, size: int, count: int, *, sample: bool, at_once: bool) -> int:
        image = b"".join(record(number, size) for number in range(count))
        if at_once:
            return self.ring.output_many(self.writers[writer], image, size, sample=sample)
        pieces = [image[at : at + size] for at in range(0, len(image), size)]
        return sum(self.ring.output(self.writers[writer], piece, sample=sample) for piece in pieces)


def record(number: int, size: int) -> bytes:
    return struct.pack("=IHH", PERF_RECORD_SAMPLE, 0, size) + bytes((number % 256,)) * (size - 8)


Pick = Callable[[int, int], int]
"""A whole number from the first to the second."""


def twins(pick: Pick) -> tuple[Rig, Rig]:
    """Two equal rings, with a watermark that is often small against the ring, as most are."""
    size = 1 << pick(3, 11)
    backward = not pick(0, 5)
    arguments: dict[str, Any] = {
        "size": size,
        "watermark": pick(0, (size + 8) >> pick(0, 3)),
        "overwrite": not pick(0, 3),
        "backward": backward,
        "start": 0 if backward else (0, 8, 2**32 - 40, 2**64 - 40, 2**64 - 8)[pick(0, 4)],
        "wakeup_events": [pick(2, 9) * pick(0, 1) for _ in range(WRITERS)],
        "drains": not pick(0, 3),
    }
    return Rig(**arguments), Rig(**arguments)


def steps(pick: Pick, count: int) -> Iterator[Callable[[Rig, bool], object]]:
    """What happens to both; nearly all of it are records of few sizes, as in a ring of one program."""
    sizes = [8 * pick(1, 1 << pick(0, 7)) for _ in range(2)]
    for _ in range(count):
        kind = pick(0, 9)
        if kind < 6:
            yield partial(_write, pick(0, WRITERS - 1), sizes[pick(0, 1)], pick(0, 60), bool(pick(0, 2)), kind == 0)
        elif kind < 8:
            yield partial(_free, pick(0, 64))
        else:
            yield _take_latch if kind == 8 else partial(_pause, not pick(0, 3))


def _write(writer: int, size: int, count: int, sample: bool, nested: bool, rig: Rig, at_once: bool) -> object:
    position = rig.ring.reserve(rig.writers[0], 8) if nested else REFUSED
    seen = rig.write(writer, size, count, sample=sample, at_once=at_once), rig.state()
    if position != REFUSED:
        rig.ring.write(position, record(0, 8))
        rig.ring.publish(rig.writers[0])
    return seen


def _free(share: int, rig: Rig, _: bool) -> int:
    return rig.free(share)


def _take_latch(rig: Rig, _: bool) -> int:
    return rig.ring.take_latch()


def _pause(paused: bool, rig: Rig, _: bool) -> int:
    rig.ring.pause(paused)
    return 0


def go_in_step(pick: Pick, count: int) -> None:
    single, many = twins(pick)
    for step in steps(pick, count):
        assert step(many, True) == step(single, False)
        assert many.state() == single.state()


@given(st.data())
def test_many_records_at_once_are_as_one_by_one(data: st.DataObject) -> None:
    go_in_step(lambda low, high: data.draw(st.integers(low, high)), 12)


def walk_together(count: int) -> None:
    for seed in range(count):
        go_in_step(Random(seed).randint, 30)


def test_five_hundred_long_walks_go_in_step() -> None:
    walk_together(500)


def test_the_metadata_page_alone_takes_and_counts_nothing() -> None:
    ring, writer = RingBuffer(0), Writer()
    assert ring.output_many(writer, record(0, 16) * 5, 16) == 0
    assert (ring.refused, writer.lost) == (0, 0)


def test_a_paused_ring_has_no_room_for_anything_quiet() -> None:
    ring = RingBuffer(4096)
    ring.pause(True)
    assert ring.quiet(16) == 0


def test_a_million_records_are_lost_in_one_go() -> None:
    ring, writer = RingBuffer(4096), Writer()
    assert ring.output_many(writer, record(0, 8) * 1_000_000, 8) == 511
    assert (ring.lost, writer.lost) == (999_489, 999_489)


@pytest.mark.parametrize(("size", "text"), [(12, "size is 12"), (0, "size is 0"), (65536, "size is 65536")])
def test_a_size_that_no_record_has_is_refused(size: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RingBuffer(4096).output_many(Writer(), bytes(24), size)


def test_half_a_record_is_refused() -> None:
    with pytest.raises(ValueError, match="24 bytes: they must be whole records of 16"):
        RingBuffer(4096).output_many(Writer(), bytes(24), 16)
