"""What to do about an error of the system that says only what happened: ``FILE: No space left on device``."""

from __future__ import annotations

import errno
import os
from typing import Final

from perfring.errors import CommandNotStarted

__all__ = ["of_command", "with_advice"]

_ADVICE: Final = {
    errno.ENOENT: "check the path, and the directory it is in",
    errno.ENOTDIR: "check the path: something in it is a file where a directory should be",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "choose another path, or run as a user who may",
    errno.EPERM: "run as a user who may; perfring doctor says what this one lacks",
    errno.EROFS: "choose a path on a file system that can be written",
    errno.ENOSPC: "make room, or choose a path on another disk",
    errno.EDQUOT: "make room, or choose a path on another disk",
    errno.EBADF: "standard output is closed: leave out the >&-, or write > FILE",
    errno.EMFILE: "raise the limit, as in: ulimit -n 4096",
    errno.ENFILE: "raise the machine's limit, as in: sudo sysctl fs.file-max=1000000",
    errno.ENOMEM: "give the rings fewer --pages, or free some memory; ulimit -v shows a limit",
    errno.EIO: "see what dmesg says of the device, or choose a path on another one",
}
_OTHERWISE: Final = "perfring doctor says whether this machine can record"
_COMMAND: Final = {
    errno.ENOENT: "name a program on PATH, or the path of one",
    errno.EACCES: "make it executable, as in: chmod +x {}",
    errno.EISDIR: "name a program in it",
    errno.ENOEXEC: "begin it with the program that runs it, as in: sh {}",
}


def with_advice(error: OSError, *, name: str | None = None) -> str:
    """File, what happened, and what to do, in one line.

    Args:
        error: from the system.
        name: the file as the user wrote it; None as the error has it.
    """
    happened = error.strerror or str(error)
    if name is None and isinstance(error.filename, str | bytes):
        name = os.fsdecode(error.filename)
    return f"{name + ': ' if name else ''}{happened}; {_ADVICE.get(error.errno or 0, _OTHERWISE)}"


def of_command(error: OSError) -> str:
    """The same for a command that cannot be run."""
    name = error.name if isinstance(error, CommandNotStarted) else error.filename
    number = error.errno or 0
    if number == errno.EACCES and isinstance(name, str) and os.path.isdir(name):
        number = errno.EISDIR  # which execve(2) does not say
    advice = _COMMAND.get(number, "check that it runs without perfring")
    return f"{name}: {os.strerror(number)}; {advice.format(name)}"
