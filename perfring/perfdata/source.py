"""A file that is read piece by piece: nothing that it says makes it ask for more than is there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, Self

from perfring.errors import PerfDataError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO

    from perfring.perfdata.format import Section

__all__ = ["MOST_SECTION_BYTES", "Source"]

MOST_SECTION_BYTES: Final = 16 << 20
"""Of what has to be in memory at once: the formats of all tracepoints of a kernel have some 5 MiB."""


class Source:
    """A regular file, open for reading at any place.

    Args:
        path: of the file.
        stream: is read to its end in place of the file, into an unnamed one in the directory for temporary files.

    Attributes:
        path: the same.
        size: bytes, when it was opened.

    Raises:
        OSError: it cannot be opened, or the stream not be saved.
        PerfDataError: it is a directory, or nothing that can be read at any place.
    """

    def __init__(self, path: str, *, stream: BinaryIO | None = None) -> None:
        self.path = path
        # Without blocking: a FIFO would wait for its writer.
        self._fd = _save(stream) if stream else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(self._fd)
            if stat.S_ISDIR(found.st_mode):
                raise self.error("a directory, as `perf record --threads` makes it: record without --threads", 0)
            if not stat.S_ISREG(found.st_mode):
                raise self.error("not a regular file: save it into one, or have `perfring read -` do that", 0)
        except BaseException:
            os.close(self._fd)
            raise
        self.size = found.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def error(self, text: str, offset: int) -> PerfDataError:
        """What is wrong at this place."""
        return PerfDataError(text, path=self.path, offset=offset)

    def some(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes; fewer at the end of the file."""
        return os.pread(self._fd, size, offset) if offset < self.size else b""

    def exactly(self, offset: int, size: int, what: str) -> bytes:
        """So many bytes.

        Raises:
            PerfDataError: the file ends before, or they are more than any honest file has there.
        """
        if offset + size > self.size:
            raise self.error(
                f"{what}, {size} bytes, ends beyond the file, which has {self.size}: it is cut off or damaged; "
                "copy it again",
                offset,
            )
        if size > MOST_SECTION_BYTES:
            raise self.error(f"{what} has {size} bytes, and {MOST_SECTION_BYTES} are read at most", offset)
        data = self.some(offset, size)
        if len(data) != size:  # somebody cuts it while it is read
            raise self.error(f"{what} is cut off after {len(data)} bytes of {size}", offset)
        return data

    def section(self, section: Section, what: str) -> bytes:
        """The same of a section."""
        return self.exactly(section.offset, section.size, what)


def _save(stream: BinaryIO) -> int:
    """A new fd on a file of what the stream has."""
    import shutil
    import tempfile

    try:
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(stream, file)
            file.flush()
            return os.dup(file.fileno())
    except OSError as error:
        error.filename = error.filename or tempfile.gettempdir()
        raise
