"""Files of the profiled process, which may be anybody's: they may be anything.

A name can lead to a FIFO that nobody writes into, to a device, to gigabytes, or to a table that sends its reader round
and round. So only regular files are opened, without waiting, and reading all of them ends after so much work. Not
guarded against: a file system that does not answer, such as one that the process itself serves by FUSE.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from stat import S_ISREG
from typing import BinaryIO

MOST_BYTES = 256 << 20  # about two million symbols of ELF files, which take half a minute
_LEAST_CHARGE = 64  # bytes that one read counts for: little ones take their time too
_LONGEST_LINE = 4096


class Work:
    """How many bytes may still be read, of all files together."""

    def __init__(self) -> None:
        self.left = MOST_BYTES


class Guarded:
    """A stream that raises ValueError when too much was read, however often one went back to the beginning."""

    def __init__(self, stream: BinaryIO, work: Work) -> None:
        self._stream = stream
        self._work = work
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        most = max(self._work.left, 0)
        return self._counted(self._stream.read(size if 0 <= size <= most else most + 1))

    def lines(self) -> Iterator[str]:
        """A line that is too long comes in pieces."""
        while line := self._counted(self._stream.readline(_LONGEST_LINE)):
            yield line.decode(errors="replace").rstrip("\n")

    def _counted(self, data: bytes) -> bytes:
        self._work.left -= max(len(data), _LEAST_CHARGE)
        if self._work.left < 0:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB would have to be read of this file and others")
        return data


@contextmanager
def opened(
    path: str, work: Work, *, inode: int | None = None, owners: Container[int] | None = None
) -> Iterator[Guarded]:
    """Opens a regular file: this one, of one of these users.

    Raises:
        FileNotFoundError: it is not there, or another one is in its place.
        OSError: it cannot be opened; a symbolic link is not followed where the owner matters.
        ValueError: it is no regular file, or somebody else's.
    """
    more = os.O_NONBLOCK | os.O_NOCTTY | (0 if owners is None else os.O_NOFOLLOW)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | more)) as stream:
        found = os.fstat(stream.fileno())
        if not S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        if inode is not None and found.st_ino != inode:
            raise FileNotFoundError(path)
        if owners is not None and found.st_uid not in owners:
            raise ValueError(f"it belongs to uid {found.st_uid}, neither to root nor to the user of the process")
        yield Guarded(stream, work)
