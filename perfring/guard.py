"""Between those who touch the rings and the one who closes them.

Closing takes fds and mappings away, and comes from anywhere: from another thread, which then waits until nobody touches
them, or from a signal handler in the midst of the very thread that does. That one cannot wait for itself, so there the
closing is put off until that thread lets go.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from perfring.errors import SessionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Guard"]

_Result = TypeVar("_Result")


class Guard:
    """Keeps what is touched from being closed.

    Args:
        release: closes everything. May be called again when it was interrupted.

    Attributes:
        wanted: somebody wants to close.
        closed: nothing may be touched any more.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._lock = threading.RLock()  # a signal handler may come while its own thread holds it
        self._depth = 0
        self.wanted = self._released = False
        self.closed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps everything open for the length of a block, which should be short: `close` waits for it.

        Raises:
            SessionClosed: it is too late.
        """
        with self._lock:
            self.check()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                self._close_if_wanted()

    def call(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """``work(*arguments)``, with everything kept open: as `held`, without its generator, for every wake.

        Raises:
            SessionClosed: it is too late.
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
        """Raises SessionClosed when it is too late."""
        if self.closed:
            raise SessionClosed("the session was closed meanwhile")

    def close(self) -> None:
        """Releases everything, at once or when this thread leaves its `held`. Idempotent."""
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
