"""A ring read from its layout alone (K2, K35), sharing nothing with perfring's reader: the two check each other."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from perfring.kernel import Kernel, Mapping

__all__ = [
    "DATA_HEAD",
    "DATA_OFFSET",
    "DATA_SIZE",
    "DATA_TAIL",
    "HEADER",
    "POLLHUP",
    "POLLIN",
    "POLLOUT",
    "POLLPRI",
    "POLLRDNORM",
    "RawRecord",
    "RawRing",
]

# Byte offsets in the metadata page: struct perf_event_mmap_page of linux/perf_event.h.
DATA_HEAD: Final = 1024
DATA_TAIL: Final = 1032
DATA_OFFSET: Final = 1040
DATA_SIZE: Final = 1048
HEADER: Final = struct.Struct("=IHH")
"""struct perf_event_header: type, misc, size."""

# poll.h; the select module of other systems lacks some.
POLLIN: Final = 0x001
POLLPRI: Final = 0x002
POLLOUT: Final = 0x004
POLLHUP: Final = 0x010
POLLRDNORM: Final = 0x040

_U64: Final = (1 << 64) - 1


class RawRecord(NamedTuple):
    """One record as it lies in the ring.

    Attributes:
        type: PERF_RECORD_*.
        misc: the header's flags.
        body: what follows the header.
    """

    type: int
    misc: int
    body: bytes

    @property
    def size(self) -> int:
        """Bytes, the header's 8 included."""
        return HEADER.size + len(self.body)

    def unpack(self, layout: str) -> tuple[int, ...]:
        """The body as numbers; the layout is one of `struct`, without its byte order."""
        return struct.unpack_from("=" + layout, self.body)


class RawRing:
    """An event, its mapping, and the reader's side of both.

    Args:
        kernel: the system calls.
        fd: the event.
        mapping: of that event, or of the one that it is redirected into.
    """

    def __init__(self, kernel: Kernel, fd: int, mapping: Mapping) -> None:
        self.kernel = kernel
        self.fd = fd
        self.mapping = mapping
        self.size = len(mapping.data)

    @property
    def head(self) -> int:
        """data_head."""
        return self.mapping.load_u64(DATA_HEAD)

    @property
    def tail(self) -> int:
        """data_tail."""
        return self.mapping.load_u64(DATA_TAIL)

    @property
    def used(self) -> int:
        """Bytes between tail and head."""
        return (self.head - self.tail) & _U64

    def ask(self, events: int = POLLIN) -> int:
        """poll(2) without waiting: what it reports, which takes the latch (K14)."""
        return dict(self.kernel.poll([(self.fd, events)], 0)).get(self.fd, 0)

    def records(self) -> list[RawRecord]:
        """Everything between tail and head, oldest first; nothing is given back."""
        return self.walk(self.tail, self.head)

    def walk(self, start: int, end: int) -> list[RawRecord]:
        """The records between two positions.

        Raises:
            AssertionError: a header that cannot be.
        """
        ring, records = bytes(self.mapping.data) * 2, []
        while start != end:
            at = start % self.size
            kind, misc, size = HEADER.unpack_from(ring, at)
            if not HEADER.size <= size <= (end - start) & _U64 or size % 8:
                raise AssertionError(f"a record of {size} bytes at {start}, head is {end}")
            records.append(RawRecord(kind, misc, ring[at + HEADER.size : at + size]))
            start = (start + size) & _U64
        return records

    def newest(self) -> list[RawRecord]:
        """The records of a backward ring that has been overwritten, newest first: those that are still whole."""
        ring, records, at, end = bytes(self.mapping.data) * 2, list[RawRecord](), self.head % self.size, self.size
        while end:
            kind, misc, size = HEADER.unpack_from(ring, at)
            if size > end:
                break
            if size < HEADER.size or size % 8:
                raise AssertionError(f"a record of {size} bytes, {self.size - end} behind the head {self.head}")
            records.append(RawRecord(kind, misc, ring[at + HEADER.size : at + size]))
            at, end = (at + size) % self.size, end - size
        return records

    def drain(self) -> list[RawRecord]:
        """The records, and then their room is given back."""
        end = self.head
        records = self.walk(self.tail, end)
        self.free(to=end)
        return records

    def free(self, *, to: int | None = None) -> None:
        """Stores tail: gives room back, unread; without a position, all of it."""
        self.mapping.store_u64(DATA_TAIL, self.head if to is None else to)
