"""Starting the command of ``perfring record -- COMMAND``, so that its execve(2) is the first thing that is recorded.

::

    parent   fork ...... opens the session on the pid .. release -- reads "failed" -- records ..... reaps
    child    | reads "go" ................................ | execve(2), or writes errno into "failed"

The events start by themselves at the execve (enable_on_exec), so neither the waiting child nor a search along PATH
leaves a record. Both pipes are close-on-exec: end of file on "failed" means that the command runs.
"""

from __future__ import annotations

import os
import signal
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["NOT_EXECUTABLE", "NOT_FOUND", "Command", "CommandNotStarted"]

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
_KILLED: Final = 128
_ERRNO: Final = struct.Struct("=i")
# What Python ignores for itself stays ignored over execve(2), and would surprise the command.
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_HANDLED_BY_PYTHON: Final = (signal.SIGINT, signal.SIGTERM)


class CommandNotStarted(OSError):
    """execve(2) refused the command.

    Attributes:
        status: what a shell would exit with: 127 when there is no such command, else 126.
    """

    def __init__(self, number: int, name: str) -> None:
        self.status = NOT_FOUND if isinstance(OSError(number, ""), (FileNotFoundError, NotADirectoryError)) else 126
        super().__init__(number, os.strerror(number), name)


class Command:
    """A child that waits, then becomes the command. As a context manager it leaves no process and no fd behind.

    Args:
        argv: the command and its arguments; found along PATH.
        stdout: the fd that becomes its standard output; None for ours.
    """

    def __init__(self, argv: list[str], *, stdout: int | None = None) -> None:
        self._name = argv[0]
        self._status: int | None = None
        go, self._go = os.pipe()
        self._failed, failed = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, go, self._go, failed, stdout)
        os.close(go)
        os.close(failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever presses Ctrl-C twice wants no manners.
        self.finish(signal.SIGTERM if kind is None or issubclass(kind, Exception) else signal.SIGKILL)
        for fd in (self._go, self._failed):
            os.close(fd)

    def release(self) -> None:
        """Lets the command begin.

        Raises:
            CommandNotStarted: it cannot be executed.
        """
        os.write(self._go, b"!")
        answer = os.read(self._failed, _ERRNO.size)
        if answer:
            self.wait()
            (number,) = _ERRNO.unpack(answer)
            raise CommandNotStarted(number, self._name)

    def on_exit(self, callback: Callable[[], object]) -> None:
        """Calls back once, from a thread, when the command has ended. It stays to be reaped by `finish`."""

        def watch() -> None:
            with suppress(ChildProcessError):  # reaped already
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            callback()

        threading.Thread(target=watch, name="perfring-waitpid", daemon=True).start()

    def finish(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it if it still runs, and reaps it: its exit status, or 128 and the signal that killed it."""
        # Not reaped yet, so the pid cannot be another's; one that has ended takes the signal and ignores it.
        if self._status is None:
            os.kill(self.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Reaps it when it ends by itself."""
        if self._status is None:
            _, found = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(found)
            self._status = code if code >= 0 else _KILLED - code
        return self._status


def _become(argv: list[str], go: int, our_go: int, failed: int, stdout: int | None) -> NoReturn:
    """In the child: waits for the word and executes; never returns into the parent's code, whatever happens."""
    try:
        for number in (*_HANDLED_BY_PYTHON, *_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        os.close(our_go)  # or the end of the parent would be no end of file
        if stdout is not None:
            os.dup2(stdout, 1)
        if os.read(go, 1):
            os.execvp(argv[0], argv)
    except OSError as error:
        os.write(failed, _ERRNO.pack(error.errno or 0))
    finally:
        os._exit(NOT_FOUND)
