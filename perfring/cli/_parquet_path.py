"""The files of a recording in Parquet, before anything is written: their names, and whether they can be opened."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PARQUET_SUFFIX", "ParquetNames", "ParquetPath"]

PARQUET_SUFFIX: Final = ".parquet"
"""Of a file for DuckDB, Polars, Spark ..."""


class ParquetPath:
    """A file that is open and still as it was: nothing of it is lost before `release`.

    Args:
        name: where it is; made when it is not there.

    Raises:
        OSError: it cannot be opened for writing, or is no regular file; ``filename`` is the path.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._fd = -1
        self._made = True
        try:
            self._fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            self._made = False
            self._fd = os.open(name, os.O_RDWR | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self.drop()
            raise OSError(errno.EINVAL, "a Parquet file can only be a regular file", name)

    def release(self) -> int:
        """The fd, which is the caller's from now on."""
        fd, self._fd = self._fd, -1
        return fd

    def drop(self) -> None:
        """Closes what was not released, and removes it if it was made here."""
        if self._fd >= 0:
            os.close(self.release())
            if self._made:
                with suppress(OSError):
                    os.unlink(self.name)


class ParquetNames:
    """What the files of a recording are called: FILE.parquet for the one event, FILE.KIND.parquet for all else.

    Args:
        path: as the user wrote it.
        events: the events whose samples are asked for.

    Raises:
        OSError: nothing can be made in that directory; ``filename`` is the path.
    """

    def __init__(self, path: str, events: list[str]) -> None:
        self._path = path
        self._stem = path.removesuffix(PARQUET_SUFFIX)
        self._single = events[0] if len(events) == 1 else None
        self._given: set[str] = set()
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"there is no directory {folder}", path)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"no file can be made in {folder}", path)

    def of(self, kind: str) -> str:
        """The path for a kind, another one each time."""
        if kind == self._single and self._path not in self._given:
            name = self._path
        else:
            name = next(name for name in self._candidates(kind) if name not in self._given)
        self._given.add(name)
        return name

    def others_on_disk(self) -> list[str]:
        """Files whose names `of` could give, and that are there already."""
        folder, start = os.path.split(self._stem)
        pattern = re.compile(re.escape(start) + r"(\.[\w-]+)?" + re.escape(PARQUET_SUFFIX))
        found = [os.path.join(folder, name) for name in os.listdir(folder or ".") if pattern.fullmatch(name)]
        return [name for name in sorted(found) if name not in self._given]

    def _candidates(self, kind: str) -> Iterator[str]:
        plain = re.sub(r"[^\w-]", "-", kind)
        yield f"{self._stem}.{plain}{PARQUET_SUFFIX}"
        number = 2
        while True:
            yield f"{self._stem}.{plain}-{number}{PARQUET_SUFFIX}"
            number += 1
