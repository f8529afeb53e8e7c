"""The descriptors of the program under test."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, TypeVar

from simkernel.misuse import SimulatorError
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simkernel.readiness import File

__all__ = ["FIRST_FD", "Descriptors"]

FIRST_FD: Final = 1 << 30
"""Where simulated descriptors begin: one that leaks into a real system call gets EBADF there."""

_F = TypeVar("_F", bound="File")


class Descriptors:
    """Open files by number: the lowest free one is taken, as on Linux."""

    def __init__(self) -> None:
        self._files: dict[int, File] = {}
        self._close_on_exec: set[int] = set()

    def add(self, file: File, *, close_on_exec: bool, least: int = FIRST_FD) -> int:
        """A new descriptor of a file."""
        fd = max(least, FIRST_FD)
        while fd in self._files:
            fd += 1
        self._files[fd] = file
        file.refs += 1
        self.set_close_on_exec(fd, close_on_exec)
        return fd

    def find(self, fd: int) -> File | None:
        """The file behind a descriptor, or None.

        Raises:
            SimulatorError: it is a descriptor of the real kernel, which has no business here.
        """
        file = self._files.get(fd)
        if file is None and 0 <= fd < FIRST_FD and _is_real(fd):
            raise SimulatorError(
                f"fd {fd} is an open descriptor of the real kernel: simulated ones begin at {FIRST_FD}, and the two do "
                "not mix"
            )
        return file

    def get(self, fd: int) -> File:
        """The file behind a descriptor. Raises OSError: EBADF."""
        file = self.find(fd)
        if file is None:
            raise os_error(errno.EBADF)
        return file

    def remove(self, fd: int) -> None:
        """close(2). Raises OSError: EBADF."""
        file = self.get(fd)
        del self._files[fd]
        self._close_on_exec.discard(fd)
        file.drop()

    def close_on_exec(self, fd: int) -> bool:
        """FD_CLOEXEC."""
        return fd in self._close_on_exec

    def set_close_on_exec(self, fd: int, on: bool) -> None:
        """FD_CLOEXEC."""
        (self._close_on_exec.add if on else self._close_on_exec.discard)(fd)

    def items(self) -> Iterator[tuple[int, File]]:
        """All, ascending."""
        return iter(sorted(self._files.items()))


def _is_real(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
