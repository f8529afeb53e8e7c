"""Between those who touch the rings and the one who closes them.

Closing takes fds and mappings away, and comes from anywhere: from another thread, which then waits until nobody touches
them, or from a signal handler in the midst of the very thread that does. That one cannot wait for itself, so there the
closing is put off until that thread lets go.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from perfring.errors import ForkedSession, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Guard"]

_Result = TypeVar("_Result")


class Guard:
    """Keeps what is touched from being closed.

    Args:
        release: closes everything. May be called again when it was interrupted.

    Attributes:
        wanted: somebody wants to close.
        closed: nothing may be touched any more.
        forked: this is a child of the process that has the rings, which are not mapped here (K45).
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._lock = threading.RLock()  # a signal handler may come while its own thread holds it
        self._depth = 0
        self.wanted = self._released = False
        self.closed = self.forked = False
        _all.add(self)

    def call(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """``work(*arguments)``, with everything kept open. It should be short: `close` waits for it.

        This is no context manager: an interrupt on the way into the ``__exit__`` of one that is written in Python would
        leave it held, by nobody. That of a lock is written in C.

        Raises:
            SessionClosed: it is too late.
            ForkedSession: the process was forked meanwhile, and this is the child.
        """
        with self._lock:
            self.check()
            self._depth += 1
            try:
                return work(*arguments)
            finally:
                self._depth -= 1
                self._close_if_wanted()

    def check(self) -> None:
        """Raises SessionClosed or ForkedSession when it is too late."""
        if not self.closed:
            return
        if self.forked:
            raise ForkedSession(
                f"the session was opened before process {os.getpid()} was forked, and its rings are not mapped here "
                "(K45): open a session of its own"
            )
        raise SessionClosed("the session was closed meanwhile")

    def note_fork(self) -> None:
        """This is a child: nothing may be touched, and whoever held the lock may not exist here."""
        self._lock = threading.RLock()
        self.closed = self.forked = True

    def close(self) -> None:
        """Releases everything, at once or when this thread comes back from its `call`. Idempotent."""
        # Before the lock: a reader at work would always be quicker to take it again, so it closes when it lets go.
        self.wanted = True
        with self._lock:
            self._close_if_wanted()

    def _close_if_wanted(self) -> None:
        if not self.wanted or self._depth or self._released:
            return
        self._depth += 1
        try:
            self._release()
            self._released = True
        finally:
            self.closed = True
            self._depth -= 1


_all: WeakSet[Guard] = WeakSet()


def _tell_child() -> None:
    for guard in list(_all):
        guard.note_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_tell_child)
