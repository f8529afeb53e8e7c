"""When to look into the rings: the state machine behind every way of reading a session.

::

        wait  -->  reason  -->  sweep: batch, batch, ... (nothing left)  -->  announce the reason, once  -->  wait

TIMEOUT, FLUSH and END are announced by an empty batch, *behind* the data that was there when they came up; the other
reasons need no word of their own. There is one reader at a time: the latch wakes one waiter only (K17), and two sweeps
would tear the time order apart.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from perfring.abi import CLOCK_MONOTONIC
from perfring.batch import Batch, Reason
from perfring.errors import SessionBusy, SessionClosed
from perfring.waiting import EpollWaiter, LoopWaiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from perfring.draining import RingDrain
    from perfring.kernel import Kernel, Waker
    from perfring.records import Record
    from perfring.sweeping import Sweeper

__all__ = ["Reader"]

_ANNOUNCED: Final = frozenset({Reason.TIMEOUT, Reason.FLUSH, Reason.END})
_DETACH_PATIENCE: Final = 5.0
"""Seconds that `Reader.close` waits for an event loop in another thread, which may itself wait for the caller."""


class Reader:
    """Reads a session's rings whenever there is reason to.

    Args:
        kernel: where the waiting happens.
        rings: the rings, which are all looked at on any wake: a load is cheap, a wakeup is not.
        sweeper: takes the records out.
        waker: ends a wait from outside.
        disable: stops the events, when the reader is asked to `stop`.

    Attributes:
        timeouts: waits that ended because their time was over.
    """

    def __init__(
        self,
        kernel: Kernel,
        rings: Sequence[RingDrain],
        sweeper: Sweeper,
        waker: Waker,
        *,
        disable: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._rings = rings
        self._sweeper = sweeper
        self._waker = waker
        self._disable = disable
        self._role = threading.Lock()
        self._waiter: EpollWaiter | None = None
        self._loop_waiter: LoopWaiter | None = None
        self._blocked = threading.Condition()
        self._blocked_thread: int | None = None
        self._sweep: Iterator[list[Record]] | None = None
        self._reason = Reason.START
        self._looked_at = 0.0
        self._ended = False
        self._flush_asked = False
        self._stop_asked = False
        self._closing = False
        self.timeouts = 0

    # What others ask of the reader: each may come from any thread, or from a signal handler.

    def flush(self) -> None:
        """Asks for everything that is there now, and then for one FLUSH announcement."""
        self._flush_asked = True
        self._waker.set()

    def stop(self) -> None:
        """Asks to disable the events, deliver the rest, and announce END."""
        self._stop_asked = True
        self._waker.set()

    def close(self) -> bool:
        """Ends whatever waits. False: that is this very thread, interrupted in its wait by a signal handler.

        The wait then raises SessionClosed, and the reader calls nothing of the kernel any more.
        """
        with self._blocked:
            self._closing = True
            self._waker.set()
            if self._blocked_thread == threading.get_ident():
                return False
            self._blocked.wait_for(lambda: self._blocked_thread is None)
        if self._loop_waiter is not None:
            self._loop_waiter.close_from_anywhere(_DETACH_PATIENCE)
            self._loop_waiter = None
        self._drop_waiter()
        return True

    # Reading.

    @contextmanager
    def role(self) -> Iterator[None]:
        """Makes the caller the one reader.

        Raises:
            SessionBusy: somebody else is.
        """
        if not self._role.acquire(blocking=False):
            raise SessionBusy(
                "somebody else is reading this session, or this is a callback of its reader; a wakeup reaches one "
                "waiter only (K17): use one reader, and hand the records on"
            )
        try:
            yield
        finally:
            self._role.release()

    def next_batch(
        self,
        *,
        timeout: float | None,
        max_latency: float | None,
        tick: float | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Batch:
        """Waits until there is something to tell, and returns it. The caller has the role.

        Args:
            timeout: seconds until TIMEOUT is announced.
            max_latency: seconds without a wakeup after which the rings are drained all the same.
            tick: seconds between two looks at ``until`` during a wait.
            until: ends the wait, with TIMEOUT but without a drain, when it returns True.
        """
        deadline = None if timeout is None else self._now() + timeout
        with self._blocked:
            self._open_waiter()
        while True:
            batch = self._advance()
            if batch is not None:
                return batch
            if until is not None and until():
                return Batch((), Reason.TIMEOUT)
            expires: Reason | None
            expires, wait_for = self._soonest(deadline, max_latency)
            if tick is not None and (wait_for is None or tick < wait_for):
                expires, wait_for = None, tick
            self._begin_for(self._block(wait_for), expires)

    async def stream(self, *, max_latency: float | None) -> AsyncIterator[Batch]:
        """The same for asyncio, until the session ends or is closed. Holds the role as long as it lives."""
        with self.role():
            self._drop_waiter()
            self._loop_waiter = waiter = LoopWaiter(self._kernel, self._rings, self._waker)
            try:
                self._begin(Reason.START)
                while not self._closing:
                    batch = self._advance()
                    if batch is None:
                        expires, wait_for = self._soonest(None, max_latency)
                        self._begin_for(await waiter.wait(wait_for), expires)
                        continue
                    if batch or batch.reason is not Reason.END:
                        yield batch
                    else:
                        return
            except SessionClosed:
                return
            finally:
                waiter.close()
                self._loop_waiter = None

    def forget_sweep(self) -> None:
        """Another sweep, of `parse_all`, takes over what this one had still to read."""
        self._sweep = None

    # The state machine.

    def _advance(self) -> Batch | None:
        """The next piece of the sweep under way, or its announcement; None when there is reason to wait."""
        if self._ended:
            return Batch((), Reason.END)
        while self._sweep is not None:
            records = next(self._sweep, None)
            if records:
                return Batch(records, self._reason)
            if records is None:
                self._sweep = None
                self._ended = self._reason is Reason.END
                if self._reason in _ANNOUNCED:
                    return Batch((), self._reason)
        return None

    def _begin_for(self, reason: Reason, expired: Reason | None) -> None:
        """Begins the sweep for which a wait gave reason.

        Args:
            reason: why the wait ended.
            expired: what its timeout means; None when it was only for a look around.
        """
        if self._closing:
            raise SessionClosed("the session was closed while it waited")
        if self._stop_asked:
            self._disable()
            self._begin(Reason.END)
        elif all(ring.ended for ring in self._rings):
            self._begin(Reason.END)
        elif self._flush_asked:
            self._flush_asked = False
            self._begin(Reason.FLUSH)
        elif reason is Reason.TIMEOUT:
            if expired is not None:
                self.timeouts += 1
                self._begin(expired)
        elif reason is not Reason.FLUSH:  # a waker without anything asked for: somebody else took care of it
            self._begin(reason)

    def _begin(self, reason: Reason) -> None:
        self._reason = reason
        self._looked_at = self._now()
        self._sweep = self._sweeper.sweep(everything=reason is Reason.END)

    def _soonest(self, deadline: float | None, max_latency: float | None) -> tuple[Reason, float | None]:
        """What happens first if nothing else does, and in how many seconds."""
        now = self._now()
        left = None if deadline is None else max(deadline - now, 0.0)
        if max_latency is not None:
            due = max(self._looked_at + max_latency - now, 0.0)
            if left is None or due < left:
                return Reason.LATENCY, due
        return Reason.TIMEOUT, left

    def _block(self, timeout: float | None) -> Reason:
        with self._blocked:
            waiter = self._open_waiter()  # and it stays open until this thread is out of it
            self._blocked_thread = threading.get_ident()
        try:
            # Whoever sets a flag sets the waker after it: one that was set before this wait ends it at once.
            return waiter.wait(timeout)
        finally:
            with self._blocked:
                self._blocked_thread = None
                self._blocked.notify_all()

    def _open_waiter(self) -> EpollWaiter:
        """The epoll of this session; a new one brings a first look into the rings with it (K15)."""
        if self._closing:
            raise SessionClosed("the session is closed")
        if self._waiter is None:
            self._waiter = EpollWaiter(self._kernel, self._rings, self._waker)
            self._begin(Reason.START)
        return self._waiter

    def _drop_waiter(self) -> None:
        if self._waiter is not None:
            self._waiter.close()
            self._waiter = None

    def _now(self) -> float:
        return self._kernel.clock_ns(CLOCK_MONOTONIC) / 1e9
