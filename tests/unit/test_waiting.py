from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from itertools import count
from typing import NoReturn

import pytest

from perfring.batch import Reason
from perfring.waiting import EpollWaiter, LoopWaiter
from tests.unit._fake_kernel import FakeKernel, FakeWaker, Rings


def waiter_on(rings: Rings) -> EpollWaiter:
    return EpollWaiter(rings.kernel.as_kernel(), rings.drains, rings.waker)


def test_each_ring_has_one_fd_registered() -> None:
    rings = Rings(2, events=3)
    waiter_on(rings)
    assert rings.kernel.epolls[0].fds == [7, 100, 110]


def test_a_ready_ring_is_told_and_noted() -> None:
    rings = Rings(2)
    waiter = waiter_on(rings)
    rings.wake(cpu=1)
    assert waiter.wait(None) is Reason.WAKEUP
    assert [drain.statistics.wakeups for drain in rings.drains] == [0, 1]


def test_the_waker_is_told_as_flush_and_is_clear_then() -> None:
    rings = Rings()
    waiter = waiter_on(rings)
    rings.waker.set()
    assert [waiter.wait(1), waiter.wait(1)] == [Reason.FLUSH, Reason.TIMEOUT]


def test_a_wakeup_matters_more_than_the_waker() -> None:
    rings = Rings()
    waiter = waiter_on(rings)
    rings.waker.set()
    rings.wake()
    assert waiter.wait(None) is Reason.WAKEUP


def test_on_hangup_the_next_live_event_stands_for_the_ring() -> None:
    rings = Rings(events=3)
    waiter = waiter_on(rings)
    rings.kernel.gone |= {100, 101}
    assert waiter.wait(None) is Reason.HANGUP
    assert (rings.kernel.epolls[0].fds, rings.drains[0].ended) == ([7, 102], False)


def test_a_wakeup_of_the_event_that_took_over_is_told() -> None:
    rings = Rings(events=2)
    waiter = waiter_on(rings)
    rings.kernel.gone.add(100)
    waiter.wait(None)
    rings.wake()
    assert waiter.wait(None) is Reason.WAKEUP


def test_a_ring_without_live_events_has_ended_and_is_not_asked_again() -> None:
    rings = Rings(events=2)
    waiter = waiter_on(rings)
    rings.kernel.gone |= {100, 101}
    assert [waiter.wait(1), waiter.wait(1)] == [Reason.HANGUP, Reason.TIMEOUT]
    assert (rings.kernel.epolls[0].fds, rings.drains[0].ended) == ([7], True)


def test_a_ring_that_ended_before_is_left_out() -> None:
    rings = Rings(2)
    rings.drains[0].ended = True
    waiter_on(rings)
    assert rings.kernel.epolls[0].fds == [7, 110]


def test_a_refused_registration_leaves_no_epoll_open(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = Rings()
    monkeypatch.delitem(rings.kernel.latches, 100)
    with pytest.raises(KeyError):
        waiter_on(rings)
    assert rings.kernel.epolls[0].closed


def test_a_wait_of_months_is_made_of_days() -> None:
    rings = Rings()
    waiter, before = waiter_on(rings), rings.kernel.now
    assert waiter.wait(4e6) is Reason.TIMEOUT
    assert rings.kernel.now - before == 4 * 10**15


def test_a_wait_of_months_ends_with_a_wakeup() -> None:
    rings = Rings()
    waiter = waiter_on(rings)
    waits = count()

    def world() -> None:
        if next(waits) == 2:
            rings.wake()

    rings.kernel.on_wait = world
    assert waiter.wait(4e6) is Reason.WAKEUP


# The loop's waiter, with pipes for perf fds: readable is what the loop sees, what asking says is the fake kernel's.


class Pipes:
    """Rings whose fds are pipes that a loop can watch."""

    def __init__(self) -> None:
        self.rings = Rings()
        self.kernel: FakeKernel = self.rings.kernel
        self.pairs = [os.pipe(), os.pipe()]
        (self.fd, self._write), (self.waker_fd, self._write_waker) = self.pairs
        self.kernel.latches[self.fd] = [False]
        self.rings.drains[0].event_fds = lambda: [self.fd]  # type: ignore[method-assign]
        self.rings.waker.fileno = lambda: self.waker_fd  # type: ignore[method-assign]

    def waiter(self) -> LoopWaiter:
        return LoopWaiter(self.kernel.as_kernel(), self.rings.drains, self.rings.waker)

    def ready(self) -> None:
        os.write(self._write, b"x")

    def close(self) -> None:
        for fd in (fd for pair in self.pairs for fd in pair):
            os.close(fd)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


def test_a_ready_fd_ends_the_wait_of_a_task(pipes: Pipes) -> None:
    async def main() -> Reason:
        waiter = pipes.waiter()
        pipes.ready()
        reason = await waiter.wait(None)
        waiter.close()
        return reason

    assert asyncio.run(main()) is Reason.WAKEUP
    assert pipes.rings.drains[0].statistics.wakeups >= 1


def test_a_hangup_takes_the_fd_out_of_the_loop(pipes: Pipes) -> None:
    async def main() -> tuple[Reason, bool]:
        waiter = pipes.waiter()
        pipes.kernel.gone.add(pipes.fd)
        pipes.ready()
        reason = await waiter.wait(None)
        watched = asyncio.get_running_loop().remove_reader(pipes.fd)
        waiter.close()
        return reason, watched

    assert asyncio.run(main()) == (Reason.HANGUP, False)
    assert pipes.rings.drains[0].ended


def test_a_timeout_of_a_task_is_told(pipes: Pipes) -> None:
    async def main() -> Reason:
        waiter = pipes.waiter()
        reason = await waiter.wait(0)
        waiter.close()
        return reason

    assert asyncio.run(main()) is Reason.TIMEOUT


@pytest.mark.parametrize("from_thread", [False, True])
def test_closing_ends_the_wait_of_a_task(pipes: Pipes, from_thread: bool) -> None:
    async def main() -> bool:
        waiter = pipes.waiter()
        task = asyncio.create_task(waiter.wait(None))
        await asyncio.sleep(0)
        if from_thread:
            threading.Thread(target=waiter.close_from_anywhere, args=(20.0,)).start()
        else:
            waiter.close_from_anywhere(20.0)
        await task
        return asyncio.get_running_loop().remove_reader(pipes.fd)

    assert asyncio.run(main()) is False


def test_a_loop_that_was_closed_needs_nothing_taken_out(pipes: Pipes) -> None:
    async def main() -> LoopWaiter:
        return pipes.waiter()

    waiter = asyncio.run(main())
    waiter.close_from_anywhere(20.0)
    waiter.close()


def interrupted(*_: object) -> NoReturn:
    raise TimeoutError("as a signal handler may: a loop reports it, and goes on")


@pytest.mark.parametrize(
    ("owner", "asked"), [(FakeKernel, "poll"), (FakeWaker, "clear")], ids=["in a ring", "in the waker"]
)
def test_what_is_interrupted_after_it_was_asked_ends_the_wait_of_a_task(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch, owner: type, asked: str
) -> None:
    async def main() -> Reason:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        waiter = pipes.waiter()
        with monkeypatch.context() as patch:
            patch.setattr(owner, asked, interrupted)
            os.write(pipes._write if asked == "poll" else pipes._write_waker, b"x")
            reason = await waiter.wait(20.0)
        waiter.close()
        return reason

    assert asyncio.run(main()) in (Reason.HANGUP, Reason.FLUSH)
