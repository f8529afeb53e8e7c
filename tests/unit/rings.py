"""Rings made of bytes: all that a reader of a ring needs, of any size, at any position."""

from __future__ import annotations

import struct

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL

U64 = (1 << 64) - 1
POISON = 0xA5
COMM = 3


class BytesRing:
    """The kernel's side of a ring and a `Mapping` of it. Space that the reader frees is poisoned at once."""

    def __init__(self, size: int, *, start: int = 0) -> None:
        self.memory = bytearray([POISON]) * size
        self.data = memoryview(self.memory)
        self.head = self.tail = start
        self.closed = 0

    def write(self, record: bytes) -> int:
        """Appends a record where head is, and publishes it. Returns its position."""
        position = self.head
        for offset, byte in enumerate(record):
            self.memory[(position + offset) % len(self.memory)] = byte
        self.head = (position + len(record)) & U64
        return position

    def load_u64(self, offset: int) -> int:
        return {MMAP_PAGE_DATA_HEAD: self.head, MMAP_PAGE_DATA_TAIL: self.tail}[offset]

    def store_u64(self, offset: int, value: int) -> None:
        assert offset == MMAP_PAGE_DATA_TAIL, f"a reader stores its tail and nothing else, not at {offset}"
        # At most the ring is freed at once; a tail that jumps further follows a head that made no sense.
        for position in range(self.tail, self.tail + min((value - self.tail) & U64, len(self.memory))):
            self.memory[position % len(self.memory)] = POISON
        self.tail = value

    def close(self) -> None:
        self.closed += 1


def comm(name: str, *, time: int, event: int = 7, tid: int = 1) -> bytes:
    """A PERF_RECORD_COMM with the trailer TID, TIME, IDENTIFIER, as a session's events write it."""
    text = name.encode() + b"\0" * (8 - len(name) % 8)
    body = struct.pack("=II", tid, tid) + text + struct.pack("=IIQQ", tid, tid, time, event)
    return struct.pack("=IHH", COMM, 0, 8 + len(body)) + body
