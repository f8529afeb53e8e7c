"""asyncio on virtual time: the loop itself, and perfring's stream on it."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from perfring.abi import CLOCK_MONOTONIC
from perfring.batch import Batch, Reason
from simkernel import Deadlock, SimKernel, SimulatorError, aio
from simkernel.faults import on_call
from simkernel.hotplug import later
from simkernel.workload import constant, poisson
from tests.unit._simulated import machine, watching

DAY = 86_400


async def total(stream: Any) -> int:
    """Reads a stream to its end, and counts the samples."""
    return sum([record.kind == "sample" async for batch in stream for record in batch])


# The loop.


def test_sleeping_takes_virtual_time_to_the_millisecond() -> None:
    kernel = machine()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(1000.5)
        return loop.time() - before

    assert 1000.5 <= aio.run(kernel, main()) <= 1000.501


def test_the_clock_of_the_loop_is_that_of_the_machine() -> None:
    kernel = machine()

    async def main() -> bool:
        return asyncio.get_running_loop().time() == kernel.clock_ns(CLOCK_MONOTONIC) / 1e9

    assert aio.run(kernel, main())


def test_timers_fire_in_their_order() -> None:
    async def main() -> list[int]:
        seen: list[int] = []

        async def after(seconds: int) -> None:
            await asyncio.sleep(seconds)
            seen.append(seconds)

        await asyncio.gather(*map(after, (3, 1, 2)))
        return seen

    assert aio.run(machine(), main()) == [1, 2, 3]


def test_a_timeout_ends_what_takes_too_long() -> None:
    kernel = machine()

    async def main() -> None:
        async with asyncio.timeout(10):
            await asyncio.sleep(DAY)

    with pytest.raises(TimeoutError):
        aio.run(kernel, main())
    assert kernel.clock_ns(CLOCK_MONOTONIC) < 71_000_000_000


def test_programs_run_while_the_coroutine_sleeps() -> None:
    kernel = machine()
    seen: list[int] = []
    kernel.spawn(constant(10, act=lambda actor: seen.append(actor.pid), count=50))

    async def main() -> int:
        await asyncio.sleep(2.05)
        return len(seen)

    assert aio.run(kernel, main()) == 20


def test_a_waker_wakes_its_reader() -> None:
    kernel = machine()
    waker = kernel.waker()

    async def main() -> None:
        woken = asyncio.Event()
        asyncio.get_running_loop().add_reader(waker.fileno(), woken.set)
        later(kernel, 5, waker.set)
        await woken.wait()
        assert asyncio.get_running_loop().remove_reader(waker.fileno())

    aio.run(kernel, main())
    waker.close()


def test_a_task_that_waits_for_nothing_is_a_deadlock() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="nothing is runnable, and no timer is set"):
        aio.run(machine(), main())


def test_a_deadlock_still_lets_tasks_clean_up() -> None:
    cleaned: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("done")

    with pytest.raises(Deadlock):
        aio.run(machine(), main())
    assert cleaned == ["done"]


def test_a_loop_leaves_no_descriptor_open_on_either_machine() -> None:
    kernel = machine()
    before = os.listdir("/proc/self/fd")
    aio.run(kernel, asyncio.sleep(1))
    assert "fd " not in str(kernel)
    assert os.listdir("/proc/self/fd") == before


def test_run_returns_what_the_coroutine_returns() -> None:
    async def main() -> str:
        return "value"

    assert aio.run(machine(), main(), debug=True) == "value"


@pytest.fixture
def _listens_to_ctrl_c() -> Iterator[None]:
    """A job in the background of a script is born deaf to SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_listens_to_ctrl_c")
def test_ctrl_c_ends_it() -> None:
    kernel = machine()
    later(kernel, 3, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        aio.run(kernel, asyncio.sleep(DAY))
    assert kernel.clock_ns(CLOCK_MONOTONIC) < 64_000_000_000


def test_a_simulated_timer_wakes_the_loop_as_a_signal_handler_does() -> None:
    kernel = machine()

    async def main() -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        later(kernel, 5, lambda: loop.call_soon_threadsafe(called.set))
        await called.wait()

    aio.run(kernel, main())
    assert kernel.clock_ns(CLOCK_MONOTONIC) == 65_000_000_000


# What belongs to another world.


def refused(kernel: SimKernel, work: Coroutine[Any, Any, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        aio.run(kernel, work)


def test_a_real_descriptor_is_refused() -> None:
    async def main() -> None:
        asyncio.get_running_loop().add_reader(0, print)

    refused(machine(), main(), SimulatorError, "fd 0 is a real descriptor")


def test_a_thread_is_refused() -> None:
    refused(machine(), asyncio.to_thread(print), NotImplementedError, "no run_in_executor: virtual time does not wait")


def test_a_connection_is_refused() -> None:
    work = asyncio.open_connection("localhost", 1)
    refused(machine(), work, NotImplementedError, "no create_connection: the simulated machine has no sockets")


def test_a_subprocess_is_refused() -> None:
    work = asyncio.create_subprocess_exec("true")
    refused(machine(), work, NotImplementedError, "no subprocess_exec: make simulated tasks")


def test_a_socket_is_refused() -> None:
    async def main() -> None:
        with socket.socket() as ours:
            await asyncio.get_running_loop().sock_recv(ours, 1)

    refused(machine(), main(), NotImplementedError, "no sock_recv")


def test_a_signal_handler_is_refused() -> None:
    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)

    refused(machine(), main(), NotImplementedError, "no add_signal_handler")


def test_another_thread_is_refused_with_a_word() -> None:
    caught: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def intrude() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except SimulatorError as error:
                caught.append(error)

        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()

    aio.run(machine(), main())
    assert [str(error).split(":")[0] for error in caught] == ["call_soon_threadsafe from another thread"]


def test_call_soon_threadsafe_from_the_loops_own_thread_works() -> None:
    async def main() -> None:
        called = asyncio.Event()
        asyncio.get_running_loop().call_soon_threadsafe(called.set)
        await called.wait()

    aio.run(machine(), main())


# The selector.


def test_the_selector_tells_what_it_holds_and_refuses_twice() -> None:
    kernel = machine()
    selector, waker = aio.SimSelector(kernel), kernel.waker()
    key = selector.register(waker.fileno(), selectors.EVENT_READ, "data")
    assert dict(selector.get_map()) == {waker.fileno(): key}
    with pytest.raises(KeyError):
        selector.register(waker.fileno(), selectors.EVENT_READ)
    selector.close()


@pytest.mark.parametrize("events", [0, 4])
def test_the_selector_names_events_that_there_are_not(events: int) -> None:
    kernel = machine()
    with pytest.raises(ValueError, match=f"events is {events}"):
        aio.SimSelector(kernel).register(kernel.waker().fileno(), events)


def test_the_selector_changes_what_it_waits_for() -> None:
    kernel = machine()
    selector, waker = aio.SimSelector(kernel), kernel.waker()
    selector.register(waker.fileno(), selectors.EVENT_READ)
    assert selector.select(0) == []
    key = selector.modify(waker.fileno(), selectors.EVENT_READ | selectors.EVENT_WRITE)
    assert selector.select(0) == [(key, selectors.EVENT_WRITE)]


def test_the_selector_forgets_what_was_closed_meanwhile() -> None:
    kernel = machine()
    selector, waker = aio.SimSelector(kernel), kernel.waker()
    fd = waker.fileno()
    selector.register(fd, selectors.EVENT_READ)
    waker.close()
    selector.unregister(fd)
    with pytest.raises(KeyError, match="is not registered"):
        selector.unregister(fd)


# perfring's stream, unchanged.


def test_a_stream_delivers_all_and_ends_with_its_target() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000, count=500))
    with watching(actor).build(kernel) as session:
        session.enable()
        assert aio.run(kernel, total(session.stream())) == 500
        assert session.statistics().wakeups > 20


def test_a_stream_keeps_its_latency_bound() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1, duration=100))

    async def main() -> list[Batch]:
        return [batch async for batch in session.stream(max_latency=10)]

    with watching(actor).build(kernel) as session:
        session.enable()
        batches = aio.run(kernel, main())
    assert batches[0].reason is Reason.LATENCY
    assert max(map(len, batches)) in (10, 11)


def test_a_stream_on_a_ring_that_cannot_wake_is_a_deadlock() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000))
    with pytest.warns(UserWarning, match="4090"):
        session = watching(actor, watermark=4090).with_target_cpu(0).build(kernel)
    session.enable()
    with session, pytest.raises(Deadlock, match="full below its watermark"):
        aio.run(kernel, total(session.stream()))


def test_close_ends_a_stream_that_waits() -> None:
    kernel = machine()
    actor = kernel.actor()
    session = watching(actor).build(kernel)

    async def main() -> int:
        asyncio.get_running_loop().call_later(7, session.close)
        return await total(session.stream())

    assert aio.run(kernel, main()) == 0


def test_several_streams_share_a_loop() -> None:
    kernel = machine()
    actors = [kernel.spawn(constant(1000, count=300), cpu=cpu) for cpu in (0, 1)]
    sessions = [watching(actor).build(kernel) for actor in actors]

    async def main() -> list[int]:
        return await asyncio.gather(*(total(session.stream()) for session in sessions))

    for session in sessions:
        session.enable()
    assert aio.run(kernel, main()) == [300, 300]
    for session in sessions:
        session.close()


def day(seed: int) -> tuple[int, int, list[tuple[int | None, int]]]:
    """24 hours of an event every ten seconds or so: samples, virtual seconds, and when each came."""
    kernel = machine(seed=seed)
    begun = kernel.clock_ns(CLOCK_MONOTONIC)
    actor = kernel.spawn(poisson(0.1, duration=DAY))

    async def main() -> list[tuple[int | None, int]]:
        return [(record.time, record.cpu) async for batch in session.stream(max_latency=60) for record in batch]

    with watching(actor).build(kernel) as session:
        session.enable()
        seen = aio.run(kernel, main())
    return len(seen), (kernel.clock_ns(CLOCK_MONOTONIC) - begun) // 1_000_000_000, seen


def test_a_day_of_traffic_is_streamed_the_same_for_the_same_seed() -> None:
    (count, seconds, seen), again, other = day(1), day(1), day(2)
    assert count in range(8_300, 9_000)
    assert seconds == DAY
    assert (count, seconds, seen) == again != other


def test_a_signal_handler_can_stop_the_stream() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000))
    with watching(actor).build(kernel) as session:
        session.enable()
        with kernel.rules.installed(on_call("epoll_wait", session.stop, nth=20)) as fault:
            assert aio.run(kernel, total(session.stream())) > 0
        assert fault.struck == 1
