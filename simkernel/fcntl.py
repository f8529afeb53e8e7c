"""fcntl(2): what it does to descriptors, and SIGIO (K20)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from simkernel.perffile import PerfFile
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.descriptors import Descriptors
    from simkernel.readiness import File

__all__ = ["Fcntl"]

# From asm-generic/fcntl.h and linux/fcntl.h; the fcntl module is not everywhere.
_F_DUPFD: Final = 0
_F_GETFD: Final = 1
_F_SETFD: Final = 2
_F_GETFL: Final = 3
_F_SETFL: Final = 4
_F_SETOWN: Final = 8
_F_GETOWN: Final = 9
_F_SETSIG: Final = 10
_F_GETSIG: Final = 11
_F_DUPFD_CLOEXEC: Final = 1030
_NOT_MODELLED: Final = frozenset((5, 6, 7, 12, 13, 14, 15, 16, 17, *range(1024, 1041))) - {_F_DUPFD_CLOEXEC}
_O_ASYNC: Final = 0o20000
_CHANGEABLE: Final = 0o20000 | 0o4000 | 0o2000 | 0o40000
"""O_ASYNC, O_NONBLOCK, O_APPEND, O_DIRECT: the rest of F_SETFL is ignored, as on Linux."""
_MOST_SIGNALS: Final = 64


class Fcntl:
    """The commands.

    Args:
        descriptors: of the program under test.
        lives: whether there is a process of that id.
    """

    def __init__(self, descriptors: Descriptors, lives: Callable[[int], bool]) -> None:
        self._descriptors = descriptors
        self._lives = lives

    def __call__(self, fd: int, command: int, argument: int) -> int:
        """Carries one out."""
        file = self._descriptors.get(fd)
        if command in _NOT_MODELLED:
            raise NotImplementedError(f"simkernel has no fcntl command {command}")
        if command in (_F_DUPFD, _F_DUPFD_CLOEXEC):
            return self._descriptors.add(file, close_on_exec=command != _F_DUPFD, least=argument)
        if command == _F_GETFD:
            return int(self._descriptors.close_on_exec(fd))
        if command == _F_SETFD:
            self._descriptors.set_close_on_exec(fd, bool(argument & 1))
            return 0
        if command == _F_GETFL:
            return file.flags
        if command == _F_SETFL:
            if isinstance(file, PerfFile) and argument & _O_ASYNC and not file.is_async:
                file.signal_fd = fd
            file.flags = (file.flags & ~_CHANGEABLE) | (argument & _CHANGEABLE)
            return 0
        return self._signals(file, command, argument)

    def _signals(self, file: File, command: int, argument: int) -> int:
        if command not in (_F_SETOWN, _F_GETOWN, _F_SETSIG, _F_GETSIG):
            raise os_error(errno.EINVAL)
        if not isinstance(file, PerfFile):
            raise NotImplementedError(f"simkernel has no SIGIO of {file.describe()}")
        if command == _F_GETOWN:
            return file.owner
        if command == _F_GETSIG:
            return file.signal
        if command == _F_SETOWN:
            if argument > 0 and not self._lives(argument):
                raise os_error(errno.ESRCH)
            file.owner = argument
        elif 0 <= argument <= _MOST_SIGNALS:
            file.signal = argument
        else:
            raise os_error(errno.EINVAL)
        return 0
