"""Waiting for rings: epoll and asyncio, with the latch handled in one place.

What the kernel does, and what follows from it:

* Readiness is a latch that asking takes: it says "a wakeup happened since somebody last asked", not "there is data"
  (K14). So on any wake every ring is looked at, and whatever was asked is drained afterwards.
* To register an fd asks it, too; a wakeup from before is gone (K15). So after `start` the rings are drained once.
* An epoll inside another epoll, or a second poller of the same ring, loses wakeups (K16, K17). So each ring has one fd
  registered, directly with whoever really waits, and a session has one waiter.
* When the task of an event has exited, its fd reports POLLHUP for ever, *instead of* POLLIN, while other events go on
  writing into the same ring (K19). So on HUP another live event of the ring takes its place, and the ring has ended
  when none is left. HUP is level-triggered: an fd that stayed registered would make the reader spin.
* Nothing that is closed wakes a waiting thread (K45). So an eventfd is registered along with the rings.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from perfring.abi import CLOCK_MONOTONIC
from perfring.batch import Reason

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from perfring.kernel import Kernel, Waker

__all__ = ["EpollWaiter", "LoopWaiter", "WaitableRing"]

# The bits of poll(2) and epoll(7) are the same, and here also where the select module has neither (Windows).
_IN: Final = 0x1
_GONE: Final = 0x8 | 0x10 | 0x20
"""POLLERR, POLLHUP, POLLNVAL."""


class WaitableRing(Protocol):
    """What waiting needs to know of a ring, and notes in it."""

    ended: bool
    """Set when no live event is left."""

    def event_fds(self) -> Iterable[int]:
        """The perf fds that write into the ring, the mapped one first."""
        ...

    def note_wakeup(self) -> None:
        """The kernel said that the ring is ready."""
        ...


class _Watch:
    """One ring and the fd that stands for it at the moment."""

    __slots__ = ("_kernel", "fd", "ring")

    def __init__(self, kernel: Kernel, ring: WaitableRing) -> None:
        self._kernel = kernel
        self.ring = ring
        self.fd = next(iter(ring.event_fds()))

    def is_gone(self) -> bool:
        """Asks the fd: whether its task has exited. Takes the latch, so the ring must be drained afterwards (K14)."""
        return bool(self._ask(self.fd) & _GONE)

    def move_on(self) -> bool:
        """Lets another live event of the ring stand for it; without one the ring has ended. Takes the latch."""
        for fd in self.ring.event_fds():
            if not self._ask(fd) & _GONE:
                self.fd = fd
                return True
        self.ring.ended = True
        return False

    def _ask(self, fd: int) -> int:
        return next((events for _, events in self._kernel.poll([(fd, _IN)], 0)), 0)


_LONGEST_WAIT: Final = 86_400.0
"""Seconds: epoll_wait(2) counts milliseconds in an int, which 25 days overflow."""


class EpollWaiter:
    """Waits with epoll, for the thread that calls `wait`."""

    def __init__(self, kernel: Kernel, rings: Iterable[WaitableRing], waker: Waker) -> None:
        self._kernel = kernel
        self._waker = waker
        self._watches = [_Watch(kernel, ring) for ring in rings if not ring.ended]
        self._by_fd: dict[int, _Watch] = {}
        self._epoll = kernel.epoll()
        try:
            self._epoll.register(waker.fileno(), _IN)
            for watch in self._watches:
                self._register(watch)
        except BaseException:
            self._epoll.close()
            raise

    def wait(self, timeout: float | None) -> Reason:
        """Blocks until a ring is ready, an event hangs up, the waker is set (told as FLUSH), or the timeout passes.

        Args:
            timeout: seconds; None waits for ever.
        """
        if timeout is None or timeout <= _LONGEST_WAIT:
            return self._sort_out(self._epoll.poll(timeout))
        deadline = self._now() + timeout
        while not (ready := self._epoll.poll(min(timeout, _LONGEST_WAIT))) and timeout:
            timeout = max(deadline - self._now(), 0.0)
        return self._sort_out(ready)

    def close(self) -> None:
        """Closes the epoll instance; never while another thread waits in it (K45)."""
        self._epoll.close()

    def _now(self) -> float:
        # The kernel's clock and not this process's: a simulated kernel waits in virtual time.
        return self._kernel.clock_ns(CLOCK_MONOTONIC) / 1e9

    def _register(self, watch: _Watch) -> None:
        self._epoll.register(watch.fd, _IN)
        self._by_fd[watch.fd] = watch

    def _sort_out(self, ready: list[tuple[int, int]]) -> Reason:
        woken = hung_up = flushed = False
        for fd, events in ready:
            watch = self._by_fd.get(fd)
            if watch is None:
                self._waker.clear()
                flushed = True
            elif events & _GONE:
                self._replace(watch)
                hung_up = True
            else:
                watch.ring.note_wakeup()
                woken = True
        # The one worth telling when several came together.
        if woken:
            return Reason.WAKEUP
        if hung_up:
            return Reason.HANGUP
        return Reason.FLUSH if flushed else Reason.TIMEOUT

    def _replace(self, watch: _Watch) -> None:
        self._epoll.unregister(watch.fd)
        del self._by_fd[watch.fd]
        if watch.move_on():
            self._register(watch)


class LoopWaiter:
    """Waits as a task of the running asyncio loop: each ring's fd is registered with the loop itself (K16)."""

    def __init__(self, kernel: Kernel, rings: Iterable[WaitableRing], waker: Waker) -> None:
        import asyncio  # a sixth of the time that `import perfring` would take, and most programs do not use it

        self._waker = waker
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._reasons: set[Reason] = set()
        self._watched: dict[int, _Watch] = {}
        self._waker_fd: int | None = waker.fileno()
        try:
            self._loop.add_reader(self._waker_fd, self._on_waker)
            for ring in rings:
                if not ring.ended:
                    self._add(_Watch(kernel, ring))
        except BaseException:
            self.close()
            raise

    async def wait(self, timeout: float | None) -> Reason:
        """As `EpollWaiter.wait`, without blocking the loop."""
        timer = None if timeout is None else self._loop.call_later(timeout, self._note, Reason.TIMEOUT)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._changed.clear()
        reasons, self._reasons = self._reasons, set()
        return _foremost(reasons)

    async def let_others_run(self) -> None:
        """Gives every other task its turn.

        Raises:
            RuntimeError: in another loop than the one that the fds are registered with: nothing would ever wake it.
        """
        import asyncio

        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "this stream was begun in another event loop, and only that one can wake it: begin a new one with "
                "session.stream()"
            )
        await asyncio.sleep(0)

    def close_from_anywhere(self, patience: float) -> None:
        """As `close`, from any thread. Waits at most ``patience`` seconds for a loop that runs in another one."""
        if _runs_here(self._loop) or not self._loop.is_running():
            self.close()
            return
        closed = threading.Event()

        def close() -> None:
            self.close()
            closed.set()

        try:
            self._loop.call_soon_threadsafe(close)
        except RuntimeError:  # the loop was closed since
            self.close()
        else:
            closed.wait(patience)

    def is_abandoned(self) -> bool:
        """Whether the loop was closed: nobody can go on with what waits in it."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Takes everything out of the loop, and ends a `wait`. Idempotent, also when the loop is closed already."""
        if self._waker_fd is None:
            return
        if not self._loop.is_closed():
            for fd in (self._waker_fd, *self._watched):
                self._loop.remove_reader(fd)
            # Not at once: in a signal handler the loop may be asleep, and only this wakes it.
            self._loop.call_soon_threadsafe(self._note, Reason.END)
        self._waker_fd = None
        self._watched.clear()

    def _add(self, watch: _Watch) -> None:
        self._watched[watch.fd] = watch
        self._loop.add_reader(watch.fd, self._on_ring, watch)

    def _on_ring(self, watch: _Watch) -> None:
        # Before anything is asked: what an interrupt leaves of this is a look too many, and no wakeup too few.
        self._note(Reason.HANGUP)
        # The loop does not tell the mask, so a hangup is asked for: it would make the loop spin.
        if not watch.is_gone():
            watch.ring.note_wakeup()
            self._note(Reason.WAKEUP)
            return
        self._loop.remove_reader(watch.fd)
        del self._watched[watch.fd]
        if watch.move_on():
            self._add(watch)

    def _on_waker(self) -> None:
        self._note(Reason.FLUSH)
        self._waker.clear()

    def _note(self, reason: Reason) -> None:
        self._reasons.add(reason)
        self._changed.set()


_ORDER = (Reason.WAKEUP, Reason.HANGUP, Reason.FLUSH)


def _foremost(reasons: set[Reason]) -> Reason:
    """The reason worth telling when several came together."""
    # No generator: an interrupt that hits the end of one is swallowed by Python.
    for reason in _ORDER:
        if reason in reasons:
            return reason
    return Reason.TIMEOUT


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the caller is inside this loop."""
    import asyncio

    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
