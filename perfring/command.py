"""A command that is recorded from its execve(2) on, and not a moment later: the child waits until the session is open.

Example::

    with Command(["make", "-j4"]) as command:
        builder = SessionBuilder().with_target_pid(command.pid).with_enable_on_exec()
        with builder.with_profiling_events(ProfilingEvents(99)).build() as session:
            command.release()
            for record in session.records():  # to the end of the command and its children
                print(record)
        raise SystemExit(command.wait())

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

from perfring.errors import CommandNotStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["Command"]

_KILLED: Final = 128
_ERRNO: Final = struct.Struct("=i")
# What Python ignores for itself stays ignored over execve(2), and would surprise the command.
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_HANDLED_BY_PYTHON: Final = (signal.SIGINT, signal.SIGTERM)


class Command:
    """A child that waits, then becomes the command. As a context manager it leaves no process and no fd behind.

    Args:
        argv: the command and its arguments; found along PATH.
        stdout: the fd that becomes its standard output; None for ours.

    Attributes:
        pid: its process id, from before it begins: the target of the session.

    Raises:
        TypeError, ValueError: not a list of str, or no command in it.
    """

    def __init__(self, argv: Sequence[str], *, stdout: int | None = None) -> None:
        self._name = _checked(argv)[0]
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
        self.finish(number=signal.SIGTERM if kind is None or issubclass(kind, Exception) else signal.SIGKILL)
        for fd in (self._go, self._failed):
            os.close(fd)

    def release(self) -> None:
        """Lets the command begin; one that was killed before, by the Ctrl-C that its group gets, has just ended.

        Raises:
            CommandNotStarted: it cannot be executed.
        """
        with suppress(BrokenPipeError):
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

    def finish(self, *, number: signal.Signals = signal.SIGTERM) -> int:
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


def _checked(argv: Sequence[str]) -> Sequence[str]:
    """In the parent: what is wrong with them would be an exception in the child, where nobody sees it."""
    if isinstance(argv, str) or not all(isinstance(word, str) for word in argv):
        raise TypeError(f"argv is {argv!r}: it must be a list such as ['make', '-j4']")
    if not argv or any("\0" in word for word in argv):
        raise ValueError(f"argv is {argv!r}: it must be a command and its arguments, without NUL")
    return argv


def _become(argv: Sequence[str], go: int, our_go: int, failed: int, stdout: int | None) -> NoReturn:
    """In the child: waits for the word and executes; never returns into the parent's code, whatever happens."""
    try:
        for number in (*_HANDLED_BY_PYTHON, *_IGNORED_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        os.close(our_go)  # or the end of the parent would be no end of file
        if stdout is not None:
            os.dup2(stdout, 1)
        if os.read(go, 1):
            os.execvp(argv[0], list(argv))
    except OSError as error:
        os.write(failed, _ERRNO.pack(error.errno or 0))
    finally:
        os._exit(CommandNotStarted.NOT_FOUND)
