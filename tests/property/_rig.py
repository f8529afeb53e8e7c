"""The simulated ring with the session's own ring reader at it, and whoever decides when that reader reads."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeAlias

from perfring.abi import MMAP_PAGE_DATA_TAIL, PERF_RECORD_LOST, PERF_RECORD_SAMPLE
from perfring.ring import RingReader
from simkernel.ringbuf import RingBuffer, Writer

__all__ = ["Policy", "Rig", "RingMapping", "bounded", "late", "partly", "stream", "timed", "waits"]

_HEADER = struct.Struct("=IHH")


class RingMapping:
    """The seam's Mapping, straight onto the ring: no descriptor, no kernel."""

    def __init__(self, buffer: RingBuffer) -> None:
        self._buffer = buffer
        self.data = buffer.memory[buffer.page_size :].toreadonly()
        self.load_u64 = buffer.load_u64
        self.store_u64 = buffer.store_u64

    def close(self) -> None:
        self.data = memoryview(b"")


class Rig:
    """One ring, one event that writes numbered records into it, one reader.

    Attributes:
        produced: records that were written or refused.
        delivered: the numbers of those that the reader took out, in its order.
        told: how many losses PERF_RECORD_LOST told the reader of.
        wakes: how often the reader found the latch set.
    """

    def __init__(
        self, size: int, *, watermark: int, lost_bytes: int = 24, page_size: int = 4096, start: int = 0
    ) -> None:
        trailer = bytes(lost_bytes - 24)
        self.buffer = RingBuffer(size, watermark=watermark, page_size=page_size, start=start)
        self.reader = RingReader(RingMapping(self.buffer))
        self._writer = Writer(trailer_bytes=len(trailer), trailer=lambda: trailer)
        self.produced = self.told = self.wakes = 0
        self.delivered: list[int] = []

    def write(self, size: int, *, step_by_step: bool = False) -> bool:
        """Sends one record; whether it was taken. 16 bytes are the least that hold its number."""
        record = (_HEADER.pack(PERF_RECORD_SAMPLE, 0, size) + self.produced.to_bytes(8, "little"))[:size].ljust(size)
        self.produced += 1
        if not step_by_step:
            return self.buffer.output(self._writer, record)
        position = self.buffer.reserve(self._writer, size)
        if position >= 0:
            self.buffer.write(position, record)
            self.buffer.publish(self._writer)
        return position >= 0

    def lose(self, size: int) -> None:
        """Loses one record whatever the ring holds (K23)."""
        self.buffer.pause(True)
        self.write(size)
        self.buffer.pause(False)

    def is_woken(self) -> bool:
        """Asks, and so takes the latch (K14)."""
        woken = bool(self.buffer.take_latch())
        self.wakes += woken
        return woken

    def drain(self, *, most: int | None = None) -> None:
        """Takes out what lies below a snapshot of head, or so many records of it."""
        image = self.reader.copy(self.reader.unread(self.reader.head()))
        offset = records = 0
        while offset < len(image) and records != most:
            kind, _, size = _HEADER.unpack_from(image, offset)
            assert size >= 8, f"at {offset} of {len(image)} bytes there is no record"
            self._take(kind, image[offset + 8 : offset + size])
            offset, records = offset + size, records + 1
        self.reader.free(offset)

    def _take(self, kind: int, body: bytes) -> None:
        if kind == PERF_RECORD_LOST:
            self.told += int.from_bytes(body[8:16], "little")
        else:
            assert kind == PERF_RECORD_SAMPLE, f"{kind} is no kind of record that was written"
            self.delivered.append(int.from_bytes(body[:8], "little"))

    @property
    def lost(self) -> int:
        """What the reader was told of, and what a LOST would tell it next."""
        return self.told + self.buffer.lost

    @property
    def unread(self) -> int:
        return self.buffer.head - self.buffer.load_u64(MMAP_PAGE_DATA_TAIL)


Policy: TypeAlias = Callable[[Rig, int], None]
"""What a reader does after the n-th record."""


def waits(rig: Rig, number: int) -> None:
    """Nothing but wait, and drain on each wake."""
    if rig.is_woken():
        rig.drain()


def partly(most: int) -> Policy:
    """On each wake takes so many records, and strands the rest."""

    def policy(rig: Rig, number: int) -> None:
        if rig.is_woken():
            rig.drain(most=most)

    return policy


def timed(every: int) -> Policy:
    """Never asks; drains after every so many records."""

    def policy(rig: Rig, number: int) -> None:
        if number % every == 0:
            rig.drain()

    return policy


def bounded(every: int) -> Policy:
    """Waits, and drains as well after so many records."""

    def policy(rig: Rig, number: int) -> None:
        if rig.is_woken() or number % every == 0:
            rig.drain()

    return policy


def late(first: int) -> Policy:
    """Comes after so many records: registering takes the latch, so it drains once, then waits (K15)."""

    def policy(rig: Rig, number: int) -> None:
        if number == first:
            rig.is_woken()
            rig.drain()
        elif number > first:
            waits(rig, number)

    return policy


def stream(rig: Rig, sizes: Iterable[int], policy: Policy) -> None:
    """Sends records of these sizes, a negative one to be lost, and lets the reader do what it does in between."""
    for number, size in enumerate(sizes, start=1):
        if size < 0:
            rig.lose(-size)
        else:
            rig.write(size)
        policy(rig, number)
