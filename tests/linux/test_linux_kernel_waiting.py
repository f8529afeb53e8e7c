"""poll(2), epoll(7), eventfd(2) and SIGIO through the seam."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest

from perfring import abi
from perfring.kernel import Epoll, Signal, Waker
from perfring.linux import LinuxKernel
from tests.linux._rings import COMM, mapped, opened, rename

F_SETSIG = 10
POLL_IN = 1
SI_KERNEL = 0x80
REALTIME = signal.SIGRTMIN + 3


@pytest.fixture
def ready(kernel: LinuxKernel) -> Iterator[int]:
    """A perf fd whose latch is set."""
    with opened(kernel) as fd, mapped(kernel, fd):
        rename()
        yield fd


@pytest.fixture
def epoll(kernel: LinuxKernel) -> Iterator[Epoll]:
    epoll = kernel.epoll()
    yield epoll
    epoll.close()


@pytest.fixture
def waker(kernel: LinuxKernel) -> Iterator[Waker]:
    waker = kernel.waker()
    yield waker
    waker.close()


def test_k14_poll_takes_the_readiness(kernel: LinuxKernel, ready: int) -> None:
    assert kernel.poll([(ready, select.POLLIN)], 0) == [(ready, select.POLLIN)]
    assert kernel.poll([(ready, select.POLLIN)], 0) == []


def test_k14_poll_for_no_events_takes_it_too(kernel: LinuxKernel, ready: int) -> None:
    assert kernel.poll([(ready, 0)], 0) == []
    assert kernel.poll([(ready, select.POLLIN)], 0) == []


def test_k19_an_event_without_a_ring_hangs_up(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert kernel.poll([(fd, select.POLLIN)], 0) == [(fd, select.POLLHUP)]


def test_poll_answers_in_the_order_asked(kernel: LinuxKernel, waker: Waker) -> None:
    waker.set()
    other = kernel.waker()
    other.set()
    asked = [(fd, select.POLLIN) for fd in (other.fileno(), waker.fileno())]
    assert kernel.poll(asked) == asked
    other.close()


def test_poll_of_nothing_times_out(kernel: LinuxKernel) -> None:
    assert kernel.poll([], 0.001) == []


def test_poll_refuses_an_fd_given_twice(kernel: LinuxKernel, ready: int) -> None:
    with pytest.raises(ValueError, match="given twice"):
        kernel.poll([(ready, select.POLLIN), (ready, 0)], 0)


@pytest.mark.parametrize("timeout", [-1, -0.5, float("nan")])
def test_a_negative_timeout_is_refused(kernel: LinuxKernel, epoll: Epoll, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout="):
        kernel.poll([], timeout)
    with pytest.raises(ValueError, match="timeout="):
        epoll.poll(timeout)


def test_epoll_reports_a_wakeup_once(epoll: Epoll, kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd):
        epoll.register(fd, select.EPOLLIN)
        rename()
        assert epoll.poll(5) == [(fd, select.EPOLLIN)]
        assert epoll.poll(0) == []


def test_k15_registering_does_not_report_an_older_wakeup_twice(epoll: Epoll, ready: int) -> None:
    epoll.register(ready, select.EPOLLIN)
    epoll.unregister(ready)
    assert epoll.poll(0) == []


def test_modify_changes_what_is_waited_for(epoll: Epoll, waker: Waker) -> None:
    waker.set()
    epoll.register(waker.fileno(), 0)
    assert epoll.poll(0) == []
    epoll.modify(waker.fileno(), select.EPOLLIN)
    assert epoll.poll(0) == [(waker.fileno(), select.EPOLLIN)]


def test_registering_twice_is_eexist(epoll: Epoll, waker: Waker) -> None:
    epoll.register(waker.fileno(), select.EPOLLIN)
    with pytest.raises(FileExistsError):
        epoll.register(waker.fileno(), select.EPOLLIN)


@pytest.mark.parametrize("call", ["modify", "unregister"])
def test_an_fd_that_is_not_registered_is_enoent(epoll: Epoll, waker: Waker, call: str) -> None:
    arguments = (waker.fileno(), select.EPOLLIN) if call == "modify" else (waker.fileno(),)
    with pytest.raises(FileNotFoundError):
        getattr(epoll, call)(*arguments)


def test_epoll_gives_no_more_than_maxevents(kernel: LinuxKernel, epoll: Epoll, waker: Waker) -> None:
    other = kernel.waker()
    for each in (other, waker):
        each.set()
        epoll.register(each.fileno(), select.EPOLLIN)
    assert len(epoll.poll(0, 1)) == 1
    other.close()


def test_closing_an_epoll_twice_is_harmless(kernel: LinuxKernel) -> None:
    epoll = kernel.epoll()
    epoll.close()
    epoll.close()
    with pytest.raises(ValueError, match="closed"):
        epoll.fileno()


def test_neither_epoll_nor_waker_is_inherited(epoll: Epoll, waker: Waker) -> None:
    assert not os.get_inheritable(epoll.fileno())
    assert not os.get_inheritable(waker.fileno())


def test_a_waker_stays_readable_until_cleared(kernel: LinuxKernel, waker: Waker) -> None:
    waker.set()
    waker.set()
    assert [len(kernel.poll([(waker.fileno(), select.POLLIN)], 0)) for _ in range(2)] == [1, 1]
    waker.clear()
    assert kernel.poll([(waker.fileno(), select.POLLIN)], 0) == []


def test_clearing_a_waker_that_is_not_set_is_harmless(kernel: LinuxKernel, waker: Waker) -> None:
    waker.clear()
    assert kernel.poll([(waker.fileno(), select.POLLIN)], 0) == []


def test_a_waker_ends_the_wait_of_another_thread(epoll: Epoll, waker: Waker) -> None:
    epoll.register(waker.fileno(), select.EPOLLIN)
    woken: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: woken.extend(epoll.poll()))
    thread.start()
    waker.set()
    thread.join(10)
    assert woken == [(waker.fileno(), select.EPOLLIN)]


def test_a_full_waker_is_still_set(kernel: LinuxKernel, waker: Waker) -> None:
    os.eventfd_write(waker.fileno(), 2**64 - 2)
    waker.set()
    assert kernel.poll([(waker.fileno(), select.POLLIN)], 0) == [(waker.fileno(), select.POLLIN)]


def test_a_closed_waker_says_so(kernel: LinuxKernel) -> None:
    waker = kernel.waker()
    waker.close()
    waker.close()
    with pytest.raises(ValueError, match="closed"):
        waker.set()


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def counting(kernel: LinuxKernel) -> Iterator[int]:
    """An event that overflows at each context switch of this thread; its watermark is out of reach."""
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_SOFTWARE,
        config=abi.PERF_COUNT_SW_CONTEXT_SWITCHES,
        sample_period=1,
        disabled=True,
        watermark=True,
        wakeup_watermark=1 << 20,
    )
    with opened(kernel, attr) as fd, mapped(kernel, fd):
        yield fd


def deliver_to_this_thread(kernel: LinuxKernel, fd: int, number: int) -> None:
    kernel.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    kernel.fcntl(fd, F_SETSIG, number)
    kernel.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC)


def overflow(kernel: LinuxKernel, fd: int, times: int) -> None:
    kernel.ioctl(fd, abi.PERF_EVENT_IOC_REFRESH, times)
    for _ in range(times):
        select.select([], [], [], 0.001)  # sleeping is the context switch


def test_no_signals_were_asked_for_and_none_are_taken(kernel: LinuxKernel) -> None:
    assert kernel.take_signals() == []


@pytest.mark.usefixtures("own_signals")
def test_k20_each_overflow_is_one_realtime_signal(kernel: LinuxKernel, counting: int) -> None:
    deliver_to_this_thread(kernel, counting, REALTIME)
    overflow(kernel, counting, 3)
    assert [each.fd for each in kernel.take_signals()] == [counting] * 3


@pytest.mark.usefixtures("own_signals")
def test_k39_the_last_overflow_says_hup(kernel: LinuxKernel, counting: int) -> None:
    deliver_to_this_thread(kernel, counting, REALTIME)
    overflow(kernel, counting, 2)
    assert kernel.take_signals() == [Signal(counting, POLL_IN), Signal(counting, 6)]


@pytest.mark.usefixtures("own_signals")
def test_signals_are_taken_once(kernel: LinuxKernel, counting: int) -> None:
    deliver_to_this_thread(kernel, counting, REALTIME)
    overflow(kernel, counting, 1)
    assert len(kernel.take_signals()) == 1
    assert kernel.take_signals() == []


@pytest.mark.usefixtures("own_signals")
def test_without_f_setsig_sigio_says_neither_fd_nor_reason(kernel: LinuxKernel, counting: int) -> None:
    deliver_to_this_thread(kernel, counting, 0)
    overflow(kernel, counting, 2)
    assert kernel.take_signals() == [Signal(-1, SI_KERNEL)]  # merged into one


def test_registering_a_closed_fd_is_ebadf(kernel: LinuxKernel, epoll: Epoll) -> None:
    with opened(kernel, COMM) as fd:
        pass
    with pytest.raises(OSError) as refused:
        epoll.register(fd, select.EPOLLIN)
    assert refused.value.errno == errno.EBADF
