"""When to look into the rings: the state machine behind every way of reading a session.

::

        wait  -->  reason  -->  sweep: batch, batch, ... (nothing left)  -->  announce the reason, once  -->  wait

TIMEOUT, FLUSH and END are announced by an empty batch, *behind* the data that was there when they came up; the other
reasons need no word of their own. There is one reader at a time: the latch wakes one waiter only (K17), and two sweeps
would tear the time order apart.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from perfring.abi import CLOCK_MONOTONIC
from perfring.batch import Reason
from perfring.errors import SessionBusy, SessionClosed
from perfring.waiting import EpollWaiter, LoopWaiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from perfring.batch import Batch
    from perfring.draining import RingDrain
    from perfring.kernel import Kernel, Waker
    from perfring.sweeping import Sweeper

__all__ = ["Reader"]

_Result = TypeVar("_Result")
_ROLE: Final = "reader"

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
        announcement: what was read and not yet handed over, if it is no data: as the outbox of the order. Who has it in
            good hands sets it to None.
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
        self._role: dict[str, object] = {}
        self._waiter: EpollWaiter | None = None
        self._loop_waiter: LoopWaiter | None = None
        # A signal handler may come while its own thread holds them, and raise anywhere: so they can be taken twice, and
        # are no Condition, which is written in Python and stays held when it is interrupted.
        self._lock, self._occupation = threading.RLock(), threading.RLock()
        self._blocked_thread: int | None = None
        self._stream: object = None
        self._sweep: Iterator[list[Any]] | None = None
        self._reason = Reason.START
        self._looked_at = 0.0
        self._ended = self._unsure = False
        self._flush_asked = False
        self._stop_asked = False
        self._closing = self._waker_closed = False
        self.announcement: Batch | None = None
        self.timeouts = 0

    # What others ask of the reader: each may come from any thread, or from a signal handler.

    def flush(self) -> None:
        """Asks for everything that is there now, and then for one FLUSH announcement."""
        self._flush_asked = True
        self._wake()

    def stop(self) -> None:
        """Asks to disable the events, deliver the rest, and announce END."""
        self._stop_asked = True
        self._wake()

    def close(self) -> bool:
        """Ends whatever waits. Idempotent.

        Returns:
            False: that is this very thread, interrupted in its wait by a signal handler. The wait then raises
            SessionClosed, and whoever called it has to close again.
        """
        self._closing = True
        self._wake()
        if self._blocked_thread == threading.get_ident():
            return False
        with self._occupation, self._lock:
            loop_waiter = self._loop_waiter
        if loop_waiter is not None:
            loop_waiter.close_from_anywhere(_DETACH_PATIENCE)
        self._drop_waiter()
        with self._lock:
            self._waker_closed = True
            self._waker.close()
        return True

    def close_in_child(self) -> None:
        """Closes this process's copies of the fds, and takes no lock: the thread that holds it is not here (K45)."""
        if self._waiter is not None:
            self._waiter.close()
        self._waker.close()

    # Reading.

    def alone(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """``work(*arguments)``, as the one reader.

        Raises:
            SessionBusy: somebody else is.
        """
        me = object()
        try:
            self._take_role(me)
            return work(*arguments)
        finally:
            if _ROLE in self._role and self._role[_ROLE] is me:
                del self._role[_ROLE]

    def _take_role(self, me: object) -> None:
        # One step for all threads. And whoever gives it back looks who has it, so that an interrupt may come at any
        # call in between; the giving back has none.
        if self._role.setdefault(_ROLE, me) is not me and not self._inherit_role(me):
            raise SessionBusy(
                "somebody else is reading this session, or this is a callback of its reader; a wakeup reaches one "
                "waiter only (K17): use one reader, and hand the records on"
            )

    def _inherit_role(self, me: object) -> bool:
        """Takes the role from a stream that nobody can go on with: its loop was closed before it was."""
        with self._lock:
            waiter = self._loop_waiter
            if waiter is None or not waiter.is_abandoned() or self._role.get(_ROLE) is not self._stream:
                return False
            self._loop_waiter = None
            self._role[_ROLE] = me
            return True

    def next_batch(
        self,
        timeout: float | None,
        max_latency: float | None,
        *,
        tick: float | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Batch:
        """As `upcoming`, for who has not got the role: has it meanwhile.

        Raises:
            SessionBusy: somebody else has it.
        """
        me = object()
        try:  # as `alone`, but this is on the way of every batch
            self._take_role(me)
            return self.upcoming(timeout, max_latency, tick=tick, until=until)
        finally:
            if _ROLE in self._role and self._role[_ROLE] is me:
                del self._role[_ROLE]

    def upcoming(
        self,
        timeout: float | None,
        max_latency: float | None,
        *,
        tick: float | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Batch:
        """Waits until there is something to tell, and returns it; for who has the role.

        Args:
            timeout: seconds until TIMEOUT is announced.
            max_latency: seconds without a wakeup after which the rings are drained all the same.
            tick: seconds between two looks at ``until`` during a wait.
            until: ends the wait, with TIMEOUT but without a drain, when it returns True.

        Raises:
            SessionClosed: closed meanwhile.
        """
        deadline = None if timeout is None else self._now() + timeout
        try:
            if self._unsure:
                self._drop_waiter()
            if self._waiter is None or self._closing:
                self._occupied(_only_open)  # a new waiter brings its first look before anything else
            while True:
                batch = self._advance()
                if batch is not None:
                    return batch
                if until is not None and until():
                    return self._sweeper.order.batch([], Reason.TIMEOUT)
                expires, wait_for = self._soonest(deadline, max_latency)
                if tick is not None and (wait_for is None or tick < wait_for):
                    expires, wait_for = None, tick
                reason = self._occupied(EpollWaiter.wait, wait_for)
                self._begin_for(reason, expires, over=deadline is not None and self._now() >= deadline)
        except BaseException:
            # What was asked and then not looked at would never be told again (K14): the next waiter looks first. The
            # flag is for one more interrupt, which could keep the waiter from being dropped here.
            self._unsure = True
            self._drop_waiter()
            raise

    def begin_anew(self) -> None:
        """The timeout of a reader that gave up before it was announced does not end the next one; its data comes."""
        if self._sweep is not None and self._reason is Reason.TIMEOUT:
            self._reason = Reason.START
        if self.announcement is not None and self.announcement.reason is Reason.TIMEOUT:
            self.announcement = None

    async def stream(self, *, max_latency: float | None, deadline: float | None = None) -> AsyncIterator[Batch]:
        """The same for asyncio, until the session ends or is closed. Holds the role as long as it lives.

        Args:
            max_latency: as for `next_batch`.
            deadline: seconds of the monotonic clock, at which what is there is delivered, and the stream ends.
        """
        me, waiter = object(), None
        try:
            self._take_role(me)
            self._stream = me
            waiter = self._enter_loop()
            while waiter is not None and not self._closing:
                batch = self._advance()
                if batch is None:
                    expires, wait_for = self._soonest(deadline, max_latency)
                    reason = await waiter.wait(wait_for)
                    self._begin_for(reason, expires, over=deadline is not None and self._now() >= deadline)
                elif batch or batch.reason is Reason.FLUSH:
                    self._sweeper.order.outbox = []  # and no call between here and there: see `TimeOrder`
                    if self.announcement is batch:
                        self.announcement = None
                    yield batch
                    await waiter.let_others_run()
                else:
                    self.announcement = None
                    return
        except SessionClosed:
            return
        finally:
            try:
                if waiter is not None:
                    waiter.close()
                    if self._loop_waiter is waiter:
                        self._loop_waiter = None
            finally:
                if _ROLE in self._role and self._role[_ROLE] is me:
                    del self._role[_ROLE]

    # The state machine.

    def _advance(self) -> Batch | None:
        """The next piece of the sweep under way, or its announcement; None when there is reason to wait."""
        order = self._sweeper.order
        if order.leaving is not None:
            order.settle()
        if order.outbox:
            return order.batch(order.outbox, self._reason)
        if self.announcement is not None:
            return self.announcement
        if self._ended:
            return order.batch([], Reason.END)
        while self._sweep is not None:
            records = next(self._sweep, None)
            if records:
                return order.batch(records, self._reason)
            if records is None:
                announcement = order.batch([], self._reason) if self._reason in _ANNOUNCED else None
                # In one statement, so that an interrupt finds it announced or not.
                self._sweep, self._ended, self.announcement = None, self._reason is Reason.END, announcement
                return announcement
        return None

    def _begin_for(self, reason: Reason, expired: Reason | None, *, over: bool = False) -> None:
        """Begins the sweep for which a wait gave reason.

        Args:
            reason: why the wait ended.
            expired: what its timeout means; None when it was only for a look around.
            over: the caller's deadline has passed. On busy rings something else always wakes the reader first.
        """
        if self._closing:
            raise SessionClosed("the session was closed while it waited")
        if self._stop_asked:
            self._disable()
            self._begin(Reason.END)
        elif self._all_ended():
            self._begin(Reason.END)
        elif self._flush_asked:
            self._begin(Reason.FLUSH)
        elif reason is Reason.TIMEOUT:
            if expired is not None:
                self.timeouts += 1
                self._begin(expired)
        elif over:
            self._begin(Reason.TIMEOUT)
        elif reason is not Reason.FLUSH:  # a waker without anything asked for: somebody else took care of it
            self._begin(reason)

    def _begin(self, reason: Reason) -> None:
        if self._sweep is not None and self._reason is Reason.FLUSH:
            self._flush_asked = True  # its reader gave up before that was announced
        sweep, now = self._sweeper.sweep(everything=reason is Reason.END), self._now()
        self._sweep, self._reason, self._looked_at = sweep, reason, now
        if reason is Reason.FLUSH:  # and no call between: an interrupt finds it asked for or under way
            self._flush_asked = False

    def _soonest(self, deadline: float | None, max_latency: float | None) -> tuple[Reason | None, float | None]:
        """What happens first if nothing else does, and in how many seconds."""
        if self._stop_asked or self._flush_asked or self._all_ended():
            return None, 0.0  # a reader that gave up may have taken the waker's word, or the hangup
        now = self._now()
        left = None if deadline is None else max(deadline - now, 0.0)
        if max_latency is not None:
            due = max(self._looked_at + max_latency - now, 0.0)
            if left is None or due < left:
                return Reason.LATENCY, due
        return Reason.TIMEOUT, left

    def _all_ended(self) -> bool:
        # The first one tells, most of the time. No generator: an interrupt that hits the end of one is swallowed.
        for ring in self._rings:  # noqa: SIM110
            if not ring.ended:
                return False
        return True

    # The waiters.

    def _occupied(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """``work`` with the epoll of this session, which nobody closes meanwhile: `close` ends it, and waits."""
        with self._occupation:
            self._blocked_thread = threading.get_ident()
            try:
                # Whoever sets a flag sets the waker after it: one that was set before the wait ends it at once.
                return work(self._open_waiter(), *arguments)
            finally:
                self._blocked_thread = None

    def _open_waiter(self) -> EpollWaiter:
        """The epoll of this session; a new one brings a first look into the rings with it (K15)."""
        if self._closing:
            raise SessionClosed("the session is closed")
        if self._waiter is None:
            if self._loop_waiter is not None:  # of a stream that was interrupted when it took its leave
                self._loop_waiter.close_from_anywhere(_DETACH_PATIENCE)
                self._loop_waiter = None
            waiter = EpollWaiter(self._kernel, self._rings, self._waker)
            self._begin(Reason.START)
            self._waiter, self._unsure = waiter, False
        return self._waiter

    def _enter_loop(self) -> LoopWaiter | None:
        """Registers with the running loop, which needs a first look as well; None when it is too late."""
        self._sweeper.check()
        self._drop_waiter()
        with self._lock:
            if self._closing:
                return None
            waiter = LoopWaiter(self._kernel, self._rings, self._waker)
            self._begin(Reason.START)
            self._loop_waiter = waiter
            return waiter

    def _drop_waiter(self) -> None:
        with self._lock:
            if self._waiter is not None:
                self._unsure = True  # as long as there is one that may be closed already
                self._waiter.close()
                self._waiter = None

    def _wake(self) -> None:
        with self._lock:
            if not self._waker_closed:
                self._waker.set()

    def _now(self) -> float:
        return self._kernel.clock_ns(CLOCK_MONOTONIC) / 1e9


def _only_open(waiter: EpollWaiter) -> None:
    """What `Reader._occupied` calls where there is nothing to wait for."""
