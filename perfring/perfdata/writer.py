"""Writes a perf.data file, so that what was written stays readable whatever happens.

Each `PerfDataWriter.commit` leaves a whole file behind: records, the table of features behind them, and a header that
counts both. A process that dies between two of them leaves the file of the last one. Within a commit::

    1  header without features    the table is about to be written over; the records before it stay readable
    2  records, table
    3  header with features

Room on the disk is reserved before the first step, so a full disk refuses a commit before it has touched anything.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, Final, Self

from perfring import abi
from perfring.errors import PerfDataError
from perfring.perfdata.described import FileEvent, FileFeatures
from perfring.perfdata.features import encode_event_desc, encode_features
from perfring.perfdata.format import FILE_HEADER, SECTION, Feature, FileHeader, Section
from perfring.perfdata.synthesized import FINISHED_ROUND, encode_id_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["PerfDataWriter"]

_RESERVED_AT_ONCE: Final = 1 << 20
_SPARE: Final = 4096
"""Room that only `close` may use: on a disk that is full the file can still say what is not in it."""
_ALIGNED: Final = 8
_ATTR_SIZES: Final = (
    *(abi.PERF_ATTR_SIZE_VER5, abi.PERF_ATTR_SIZE_VER6, abi.PERF_ATTR_SIZE_VER7, abi.PERF_ATTR_SIZE_VER8),
    abi.PERF_ATTR_SIZE_VER9,
)
# Filesystems that cannot reserve, and refuse instead of doing it by hand.
_NO_RESERVING: Final = frozenset((errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS))


class PerfDataWriter:
    """One file, open for writing.

    Args:
        path: made, for its owner alone to read, or emptied; a regular file.
        events: whatever has written the records: the first is the one to which records of no known event belong.
        features: what is known of machine and recording; `FileFeatures.times` come with `close`.
        tracing_data: what `collect_tracing_data` returned, for tracepoints; None without.

    Attributes:
        path: the file's.
        written: bytes of records that are in the file for good.

    Raises:
        ValueError: no event.
        PerfDataError: it is no regular file.
        OSError: it cannot be opened, or there is no room even for the header; ``filename`` is the path.
    """

    def __init__(
        self,
        path: str,
        events: Sequence[FileEvent],
        *,
        features: FileFeatures | None = None,
        tracing_data: bytes | None = None,
    ) -> None:
        if not events:
            raise ValueError("events is empty: a perf.data file needs at least one")
        self.path = path
        self.written = 0
        self._size = self._reserved = 0
        self._pending: list[bytes] = []
        contents = _contents(events, features or FileFeatures(), tracing_data)
        # Without blocking: a FIFO of that name would wait for its reader. For nobody else to read, as perf's own files:
        # where the kernel's code is (KASLR) is in it, and what everybody runs.
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise PerfDataError("not a regular file: perf.data is written with seeks", path=path, offset=0)
            self._begin(events, contents)
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def add(self, records: bytes) -> None:
        """Takes whole records, for the next `commit`."""
        if records:
            self._pending.append(records)

    @property
    def pending(self) -> int:
        """Bytes that were added and are not in the file yet."""
        return sum(map(len, self._pending))

    def commit(self) -> None:
        """Writes what was added: the file is whole, and has it, when this returns. Keeps room for what `close` adds.

        Raises:
            OSError: the disk is full, or the like; the file is whole, and has what it had before. ``filename`` is the
                path. What was added stays `pending`.
        """
        if self._pending:
            self._store(b"".join(self._pending), self._sections, spare=_SPARE)

    def discard(self) -> None:
        """Forgets what was added and is not in the file."""
        self._pending.clear()

    def close(self, *, times: tuple[int, int] | None = None, build_ids: bytes = b"") -> None:
        """Writes what was added, and what is known in the end, and closes the file. Idempotent.

        Args:
            times: of the first and the last sample.
            build_ids: the content of HEADER_BUILD_ID, as `encode_build_ids` makes it.

        Raises:
            OSError: as `commit`. The file is closed then, too.
        """
        if self._fd < 0:
            return
        try:
            if self._pending:
                self._store(b"".join(self._pending), self._sections)
            late = encode_features(FileFeatures(times=times))
            if build_ids:
                late[Feature.BUILD_ID] = build_ids
            self._store(b"", self._sections, late)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Closes the file as the last `commit` left it. Idempotent."""
        if self._fd < 0:
            return
        try:
            os.ftruncate(self._fd, self._size)  # what was reserved and not used
        finally:
            os.close(self._fd)
            self._fd = -1

    def _begin(self, events: Sequence[FileEvent], contents: dict[Feature, bytes]) -> None:
        head, attrs, attr_size = _head(events)
        parts, offset = [head], FILE_HEADER.size + len(head)
        self._sections: dict[Feature, Section] = {}
        for feature, content in contents.items():
            padded = content + bytes(-len(content) % _ALIGNED)
            self._sections[feature] = Section(offset, len(content))
            parts.append(padded)
            offset += len(padded)
        self._header = FileHeader(attr_size, attrs, Section(offset, 0))
        start = b"".join(parts)
        self._reserve(offset)
        self._write(start, FILE_HEADER.size)
        # Never without a record: to readers that is the file of a recording that was killed.
        self._store(encode_id_index(events) or FINISHED_ROUND, self._sections, spare=_SPARE)

    def _store(
        self,
        records: bytes,
        sections: dict[Feature, Section],
        late: dict[Feature, bytes] | None = None,
        *,
        spare: int = 0,
    ) -> None:
        """Writes records, the contents that come late, and the table; see the top of this module."""
        data = Section(self._header.data.offset, self._header.data.size + len(records))
        chosen, end = dict(sections), data.end + SECTION.size * (len(sections) + len(late or ()))
        for feature, content in (late or {}).items():
            chosen[feature] = Section(end, len(content))
            end += len(content)
        table = b"".join(SECTION.pack(*chosen[feature]) for feature in sorted(chosen))
        header = self._header._replace(data=data, features=sum(1 << feature for feature in chosen))
        self._reserve(end + spare)
        self._write(self._header._replace(features=0).pack(), 0)
        self._write(b"".join((records, table, *(late or {}).values())), self._header.data.end)
        self._write(header.pack(), 0)
        self._header, self._size = header, end
        self.written += len(records)
        self._pending.clear()

    def _reserve(self, end: int) -> None:
        """Makes sure that the file may grow so far. OSError: it may not."""
        if end <= self._reserved:
            return
        try:
            self._allocate(end + _RESERVED_AT_ONCE)
        except OSError:
            self._allocate(end)

    def _allocate(self, size: int) -> None:
        try:
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            if error.errno not in _NO_RESERVING:
                error.filename = self.path
                raise
        self._reserved = size

    def _write(self, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        try:
            while rest:
                done = os.pwrite(self._fd, rest, offset)
                rest, offset = rest[done:], offset + done
        except OSError as error:
            error.filename = self.path
            raise


def _contents(events: Sequence[FileEvent], features: FileFeatures, tracing_data: bytes | None) -> dict[Feature, bytes]:
    """All that is known before the first record."""
    contents = encode_features(features)
    contents[Feature.EVENT_DESC] = encode_event_desc(events, _attr_bytes(events))
    if tracing_data is not None:
        contents[Feature.TRACING_DATA] = tracing_data
    return contents


def _attr_bytes(events: Sequence[FileEvent]) -> int:
    """The shortest published size that holds every attr whole: an older perf refuses a longer one than it knows."""
    for size in _ATTR_SIZES:
        try:
            for event in events:
                event.attr.copy(size=size).pack()
        except ValueError:
            continue
        return size
    raise ValueError(f"the attrs {[event.attr for event in events]} do not fit into {_ATTR_SIZES[-1]} bytes")


def _head(events: Sequence[FileEvent]) -> tuple[bytes, Section, int]:
    """Ids and attrs, where the attrs are, and the bytes of each of them."""
    size = _attr_bytes(events)
    offset, ids, attrs = FILE_HEADER.size, [], []
    for event in events:
        packed = struct.pack(f"={len(event.ids)}Q", *event.ids)
        attrs.append(event.attr.copy(size=size).pack() + SECTION.pack(offset, len(packed)))
        ids.append(packed)
        offset += len(packed)
    entries = b"".join(attrs)
    return b"".join(ids) + entries, Section(offset, len(entries)), size + SECTION.size
