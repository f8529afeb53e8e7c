"""`Session.stream` on both kernels: each perf fd in the epoll of an asyncio loop (K16).

What is to come while the task waits comes by `Arm.soon`: from a thread on the real kernel, from a simulated task in
virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from perfring.batch import Batch, Reason
from perfring.errors import SessionBusy, SessionClosed
from perfring.kernel import Kernel
from perfring.session import Session
from simkernel import SimKernel, aio
from simkernel.contract.arm import Actor, Arm
from tests.session_rig import PATIENCE, watching

Main = Callable[[], Coroutine[Any, Any, None]]
Run = Callable[[Main], None]


@pytest.fixture
def run(perf_kernel: Kernel) -> Run:
    """Runs a test's coroutine on a loop in the time of its kernel, within patience."""

    def runner(main: Main) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await main()

        if isinstance(perf_kernel, SimKernel):
            aio.run(perf_kernel, bounded())
        else:
            asyncio.run(bounded())

    return runner


async def upcoming(stream: AsyncIterator[Batch]) -> Batch:
    return await anext(stream)


def test_the_first_look_finds_what_came_before_the_registration(session: Session, actor: Actor, run: Run) -> None:
    actor.getppid(30)

    async def main() -> None:
        batch = await upcoming(session.stream())
        assert (batch.reason, len(batch)) == (Reason.START, 30)

    run(main)


def test_the_kernel_wakes_the_task(perf_arm: Arm, session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(upcoming(session.stream()))
        await asyncio.sleep(0)  # runs it up to its wait
        perf_arm.soon(lambda: actor.getppid(30))
        batch = await waiting
        assert (batch.reason, len(batch) in range(19, 31)) == (Reason.WAKEUP, True)

    run(main)


def test_a_latency_bound_delivers_what_lies_below_the_watermark(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        stream = session.stream(max_latency=0.01)
        actor.getppid(1)
        await upcoming(stream)
        actor.getppid(2)
        batch = await upcoming(stream)
        assert (batch.reason, len(batch)) == (Reason.LATENCY, 2)

    run(main)


def test_a_duration_ends_the_stream_with_what_lies_below_the_watermark(
    session: Session, actor: Actor, run: Run
) -> None:
    async def main() -> None:
        stream = session.stream(duration=0.05)
        actor.getppid(1)
        first = await upcoming(stream)
        actor.getppid(2)
        rest = [(batch.reason, len(batch)) async for batch in stream]
        assert (len(first), rest) == (1, [(Reason.TIMEOUT, 2)])

    run(main)


def test_a_duration_ends_a_stream_that_is_always_woken(perf_arm: Arm, actor: Actor, run: Run) -> None:
    async def main() -> None:
        with watching(actor, watermark=1).build(perf_arm.kernel) as session:
            session.enable()
            actor.getppid(1)
            async for _ in session.stream(duration=0.0005):
                actor.getppid(1)

    run(main)


def test_a_flush_does_not_end_a_stream_with_a_duration(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        session.flush()
        reasons = [batch.reason async for batch in session.stream(duration=0.01)]
        assert reasons == [Reason.FLUSH]

    run(main)


@pytest.mark.parametrize("duration", [-1.0, float("nan")])
def test_a_duration_that_makes_no_sense_is_refused_at_once(session: Session, duration: float) -> None:
    with pytest.raises(ValueError, match=f"duration is {duration}"):
        session.stream(duration=duration)


def test_stop_ends_the_stream_with_all_data(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        actor.getppid(7)
        session.stop()
        assert [len(batch) async for batch in session.stream()] == [7]

    run(main)


def test_flush_is_announced_behind_the_data(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        stream = session.stream()
        actor.getppid(1)
        await upcoming(stream)
        actor.getppid(2)
        session.flush()
        data, announced = await upcoming(stream), await upcoming(stream)
        assert [(batch.reason, len(batch)) for batch in (data, announced)] == [(Reason.FLUSH, 2), (Reason.FLUSH, 0)]

    run(main)


def test_the_exit_of_the_target_ends_the_stream(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        actor.getppid(3)
        actor.exit()
        assert sum([len(batch) async for batch in session.stream()]) == 3

    run(main)


def test_an_exit_while_the_task_waits_ends_it_without_spinning(
    perf_arm: Arm, session: Session, actor: Actor, run: Run
) -> None:
    async def main() -> None:
        stream = session.stream()
        actor.getppid(1)
        await upcoming(stream)
        waiting = asyncio.create_task(upcoming(stream))
        perf_arm.soon(actor.exit)
        with pytest.raises(StopAsyncIteration):
            await waiting

    run(main)


@pytest.mark.parametrize("from_loop", [True, False])
def test_close_ends_a_task_that_waits(perf_arm: Arm, session: Session, from_loop: bool, run: Run) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(upcoming(session.stream()))
        await asyncio.sleep(0)  # runs it up to its wait
        if from_loop:
            session.close()
        else:
            perf_arm.soon(session.close)
        with pytest.raises(StopAsyncIteration):
            await waiting

    run(main)


def test_a_second_stream_is_refused(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        first = session.stream()
        actor.getppid(1)
        await upcoming(first)
        with pytest.raises(SessionBusy):
            await upcoming(session.stream())
        await first.aclose()  # type: ignore[attr-defined]

    run(main)


def test_a_cancelled_task_leaves_the_session_to_the_next_reader(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        waiting = asyncio.create_task(upcoming(session.stream()))
        await asyncio.sleep(0)  # runs it up to its wait
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        actor.getppid(3)
        assert len(await upcoming(session.stream(max_latency=0.01))) == 3

    run(main)


def test_a_thread_can_read_after_the_stream_has_ended(session: Session, actor: Actor, run: Run) -> None:
    async def main() -> None:
        actor.getppid(1)
        stream = session.stream()
        await upcoming(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    run(main)
    actor.getppid(2)
    assert len(session.next_batch(timeout=0)) == 2


def test_a_closed_session_has_no_stream(session: Session) -> None:
    session.close()
    with pytest.raises(SessionClosed):
        session.stream()
