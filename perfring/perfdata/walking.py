"""Goes from record to record through the data of a file, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from perfring.abi import HEADER
from perfring.errors import BadRecord
from perfring.perfdata.format import FIRST_USER_TYPE

if TYPE_CHECKING:
    from perfring.perfdata.format import Section
    from perfring.perfdata.source import Source

__all__ = ["FoundRecord", "Walker"]

_CHUNK: Final = 1 << 20
_NO_CPU: Final = -1


class FoundRecord(NamedTuple):
    """A record, whole, with a header that can be.

    Attributes:
        buffer: where it is, among others.
        offset: where in the buffer it begins.
        type: PERF_RECORD_*, or one of perf's own.
        size: bytes.
        position: where in the file.
    """

    buffer: bytes
    offset: int
    type: int
    size: int
    position: int

    @property
    def body(self) -> bytes:
        """The bytes behind the header."""
        return self.buffer[self.offset + HEADER.size : self.offset + self.size]


class Walker:
    """Iterates over the records of a section.

    Attributes:
        position: behind the record that came last.
        bad: why it ended early, if it did: nothing tells where the next record begins.
    """

    def __init__(self, source: Source, section: Section) -> None:
        self._source = source
        self._end = section.end
        self.position = section.offset
        self.bad: BadRecord | None = None

    def __iter__(self) -> Iterator[FoundRecord]:
        while self.position < self._end:
            began = self.position
            chunk = self._source.some(began, min(_CHUNK, self._end - began))
            yield from self._walk(chunk, began)
            if self.position == began:
                self._give_up(chunk)
                return

    def pass_over(self, size: int) -> bool:
        """Skips what follows the record that came last and is in none. Returns False when it ends beyond the data."""
        if size > self._end - self.position:
            skipped, self.position = self._end - self.position, self._end
            text = f"{size} bytes that belong to the record before, where {skipped} are left"
            self.bad = BadRecord(text, cpu=_NO_CPU, position=self._end - skipped, skipped=skipped)
            return False
        self.position += size
        return True

    def _walk(self, chunk: bytes, began: int) -> Iterator[FoundRecord]:
        """The whole records of a piece, as long as nobody passes over something."""
        at, end, unpack = 0, len(chunk), HEADER.unpack_from
        while end - at >= HEADER.size:
            kind, _, size = unpack(chunk, at)
            if not _sound(kind, size) or at + size > end:
                return
            self.position = began + at + size
            yield FoundRecord(chunk, at, kind, size, began + at)
            at += size
            if self.position != began + at:
                return

    def _give_up(self, chunk: bytes) -> None:
        """No record begins at the position, or it goes on behind the data."""
        left = self._end - self.position
        text = f"{left} bytes, too few for a header"
        if len(chunk) >= HEADER.size:
            kind, _, size = HEADER.unpack_from(chunk)
            why = f"ends beyond the {left} bytes that are left" if _sound(kind, size) else "cannot be"
            text = f"type {kind}: a size of {size} {why}"
        self.bad = BadRecord(text, cpu=_NO_CPU, position=self.position, skipped=left)


def _sound(kind: int, size: int) -> bool:
    """At least the header; the kernel's are multiples of 8 (K5)."""
    return size >= HEADER.size and (kind >= FIRST_USER_TYPE or not size & 7)
