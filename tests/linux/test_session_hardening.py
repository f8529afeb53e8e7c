"""What happens at bad moments: interrupts, closes from elsewhere, readers that give up half way."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest

from perfring.abi import MMAP_PAGE_DATA_TAIL
from perfring.batch import Batch, Reason
from perfring.decoding import Decoder
from perfring.errors import ForkedSession, SessionClosed
from perfring.linux import LinuxEpoll, LinuxKernel
from perfring.ordering import TimeOrder
from perfring.records import Record
from perfring.ring import RingReader
from perfring.session import Session
from simkernel.contract.linux_actor import LinuxActor
from tests.session_rig import PATIENCE, SAMPLE_BYTES, watching


@pytest.fixture
def actor() -> Iterator[LinuxActor]:
    with LinuxActor(0) as actor:
        yield actor


@pytest.fixture
def session(kernel: LinuxKernel, actor: LinuxActor) -> Iterator[Session]:
    with watching(actor).build(kernel) as session:
        session.enable()
        yield session


class Ambush:
    """Makes something happen once, where a signal handler would run."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def before(self, owner: type, name: str, action: Callable[[], object]) -> None:
        """Just before the next call of a method."""
        plain = getattr(owner, name)

        def ambushed(*args: Any, **keywords: Any) -> Any:
            self._patch.setattr(owner, name, plain)
            action()
            return plain(*args, **keywords)

        self._patch.setattr(owner, name, ambushed)

    def after(self, owner: type, name: str, action: Callable[[], object]) -> None:
        """When the next call has been made, and nobody has seen its result."""
        plain = getattr(owner, name)

        def ambushed(*args: Any, **keywords: Any) -> Any:
            self._patch.setattr(owner, name, plain)
            result = plain(*args, **keywords)
            action()
            return result

        self._patch.setattr(owner, name, ambushed)


@pytest.fixture
def ambush(monkeypatch: pytest.MonkeyPatch) -> Ambush:
    return Ambush(monkeypatch)


def interrupt() -> None:
    raise KeyboardInterrupt


@contextmanager
def hanging_is_a_failure(session: Session) -> Iterator[None]:
    """Ends a read that would wait for ever."""
    watchdog = threading.Timer(PATIENCE, session.close)
    watchdog.start()
    yield
    watchdog.cancel()
    watchdog.join()


# Readers that give up half way: the next one goes on where they stopped.


def test_what_an_iteration_leaves_of_the_last_batch_comes_before_the_end(session: Session, actor: LinuxActor) -> None:
    actor.getppid(3)
    session.stop()
    for _ in session.records():
        break
    assert len(list(session.records())) == 2


def test_what_an_iteration_leaves_is_not_waited_for(session: Session, actor: LinuxActor) -> None:
    actor.getppid(3)
    for _ in session.records():
        break
    with hanging_is_a_failure(session):
        assert len(session.next_batch()) == 2


def test_what_an_iteration_leaves_comes_first_in_parse_all(session: Session, actor: LinuxActor) -> None:
    actor.getppid(3)
    for _ in session.records():
        break
    actor.getppid(1)
    assert session.parse_all() == 3


def test_what_an_iteration_leaves_comes_first_in_parse_for_cpu(session: Session, actor: LinuxActor) -> None:
    actor.getppid(3)
    for _ in session.records():
        break
    actor.getppid(1)
    assert session.parse_for_cpu(0) == 3


def test_the_timeout_of_an_earlier_call_does_not_end_an_iteration(session: Session, actor: LinuxActor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(1)
    assert session.next_batch(timeout=0).reason is Reason.TIMEOUT
    actor.getppid(30)
    assert sum(len(batch) for batch in session.batches(duration=0.05)) == 30


def test_the_timeout_of_an_earlier_call_does_not_end_a_parse(session: Session, actor: LinuxActor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(1)
    session.next_batch(timeout=0)
    actor.getppid(30)
    assert session.parse_for_duration(0.05) == 30


def test_a_stopped_session_ends_although_its_stream_was_left(session: Session, actor: LinuxActor) -> None:
    async def leave_the_stream() -> None:
        session.stop()
        async for _ in session.stream():
            break

    actor.getppid(2)
    asyncio.run(leave_the_stream())
    with hanging_is_a_failure(session):
        assert session.next_batch().reason is Reason.END


def test_a_flush_is_announced_although_a_stream_was_left(session: Session, actor: LinuxActor) -> None:
    async def leave_the_stream() -> None:
        stream = session.stream()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)  # runs it up to its wait
        session.flush()
        await asyncio.sleep(0)  # the loop sees the waker
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting

    asyncio.run(leave_the_stream())
    with hanging_is_a_failure(session):
        assert session.next_batch().reason is Reason.FLUSH


def test_parse_all_during_the_last_sweep_does_not_swallow_the_end(session: Session, actor: LinuxActor) -> None:
    actor.getppid(2)
    session.stop()
    session.next_batch()
    session.parse_all()
    with hanging_is_a_failure(session):
        assert [batch.reason for batch in (session.next_batch(), session.next_batch())] == [Reason.END] * 2


# Interrupts: nothing is lost, nothing is delivered twice, nothing stays locked.


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_while_records_are_decoded_loses_none(
    session: Session, actor: LinuxActor, ambush: Ambush, moment: str
) -> None:
    actor.getppid(5)
    getattr(ambush, moment)(Decoder, "decode_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.next_batch(timeout=0)
    assert len(session.next_batch(timeout=0)) == 5


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_while_records_are_put_in_order_loses_none(
    session: Session, actor: LinuxActor, ambush: Ambush, moment: str
) -> None:
    actor.getppid(5)
    getattr(ambush, moment)(TimeOrder, "release", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.parse_all()
    assert session.parse_all() == 5


def test_an_interrupt_before_the_tail_is_stored_gives_the_space_back_later(
    session: Session, actor: LinuxActor, ambush: Ambush
) -> None:
    actor.getppid(5)
    ambush.before(RingReader, "publish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.next_batch(timeout=0)
    assert len(session.next_batch(timeout=0)) == 5
    mapping = session._opened[0].mapping
    assert mapping is not None
    assert mapping.load_u64(MMAP_PAGE_DATA_TAIL) == 5 * SAMPLE_BYTES


def test_an_interrupt_that_swallows_a_wakeup_does_not_make_the_next_wait_hang(
    session: Session, actor: LinuxActor, ambush: Ambush
) -> None:
    session.next_batch(timeout=0)
    actor.getppid(30)  # k14: the wait below takes the latch
    ambush.after(LinuxEpoll, "poll", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.next_batch(timeout=PATIENCE)
    with hanging_is_a_failure(session):
        assert len(session.next_batch()) == 30


def test_an_interrupt_between_two_rounds_leaves_the_end_behind_the_data(
    session: Session, actor: LinuxActor, ambush: Ambush
) -> None:
    actor.getppid(5)
    session.stop()
    ambush.before(Decoder, "decode_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.next_batch()
    assert [len(batch) for batch in session.batches()] == [5]


def test_a_flush_is_announced_after_an_interrupt(session: Session, actor: LinuxActor, ambush: Ambush) -> None:
    session.next_batch(timeout=0)
    actor.getppid(5)
    session.flush()
    ambush.before(Decoder, "decode_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.next_batch()
    assert [(len(batch), batch.reason is Reason.FLUSH) for batch in (session.next_batch(), session.next_batch())] == [
        (5, False),
        (0, True),
    ]


# Close, from anywhere.


def test_a_handler_that_closes_while_records_are_decoded_ends_the_reader(
    session: Session, actor: LinuxActor, ambush: Ambush
) -> None:
    actor.getppid(5)
    ambush.before(Decoder, "decode_run", session.close)
    with pytest.raises(SessionClosed):
        session.next_batch()
    counts = session.statistics()
    assert counts.undelivered + counts.unread_bytes // SAMPLE_BYTES == 5


@pytest.mark.parametrize("call", ["ioctl", "read", "clock_ns", "epoll", "poll"])
@pytest.mark.parametrize("method", ["parse_all", "statistics", "enable", "disable", "pause", "next_batch"])
def test_a_handler_that_closes_at_a_system_call_leaves_nothing_open(
    session: Session, ambush: Ambush, method: str, call: str
) -> None:
    ambush.before(LinuxEpoll if call == "poll" else LinuxKernel, call, session.close)
    with suppress(SessionClosed):
        keywords = {"timeout": 0} if method == "next_batch" else {}
        getattr(session, method)(**keywords)
    session.close()


def test_a_handler_that_closes_and_raises_in_a_wait_leaves_nothing_open(session: Session, ambush: Ambush) -> None:
    def close_and_raise() -> None:
        session.close()
        raise KeyboardInterrupt

    session.next_batch(timeout=0)
    ambush.before(LinuxEpoll, "poll", close_and_raise)
    with pytest.raises(KeyboardInterrupt):
        session.next_batch()


def test_statistics_keep_the_counted_losses_after_close(session: Session, actor: LinuxActor, ambush: Ambush) -> None:
    actor.getppid(100)
    ambush.before(LinuxKernel, "read", session.close)
    during = session.statistics().rings[0].lost_counted
    assert (during, session.statistics().rings[0].lost_counted) == (27, 27)


def test_a_stream_of_a_session_that_was_closed_meanwhile_just_ends(session: Session) -> None:
    async def main() -> list[Batch]:
        stream = session.stream()
        session.close()
        return [batch async for batch in stream]

    assert asyncio.run(main()) == []


def test_stop_and_close_at_once_end_the_reader_quietly(kernel: LinuxKernel, actor: LinuxActor) -> None:
    for _ in range(20):
        session = watching(actor).build(kernel)
        errors: list[BaseException] = []

        def read(session: Session = session, errors: list[BaseException] = errors) -> None:
            try:
                list(session.batches())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        with suppress(SessionClosed):
            session.stop()
        session.close()
        thread.join(PATIENCE)
        assert (errors, thread.is_alive()) == ([], False)


def test_many_threads_may_close_at_once(kernel: LinuxKernel, actor: LinuxActor) -> None:
    for _ in range(20):
        session = watching(actor).build(kernel)
        session.next_batch(timeout=0)
        together, failed = threading.Barrier(4), list[BaseException]()

        def close(
            session: Session = session,
            together: threading.Barrier = together,
            failed: list[BaseException] = failed,
        ) -> None:
            together.wait()
            try:
                session.close()
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert failed == []


def test_close_in_a_forked_child_closes_all_of_its_descriptors(kernel: LinuxKernel, actor: LinuxActor) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with watching(actor).build(kernel) as session:
        session.next_batch(timeout=0)
        pid = os.fork()
        if pid == 0:
            try:
                session.close()
            finally:
                os._exit(len(os.listdir("/proc/self/fd")) - before)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_child_that_is_forked_in_a_callback_reads_no_ring(kernel: LinuxKernel, actor: LinuxActor) -> None:
    pids: list[int] = []

    def fork(record: Record) -> None:
        if not pids:
            pids.append(os.fork())

    with watching(actor, pages=64).with_drain_budget(1).build(kernel) as session:
        session.on("sample", fork)
        session.enable()
        actor.getppid(2000)  # more than one piece
        try:
            session.parse_all()
        except ForkedSession:
            os._exit(7)
        finally:
            if not pids[0]:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 7
        assert session.statistics().records == 2000


def test_a_stream_cannot_be_begun_in_a_forked_child(session: Session) -> None:
    async def main() -> None:
        await anext(stream)

    stream = session.stream()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(main())
        except ForkedSession:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


# Full speed.


@contextmanager
def busy(actor: LinuxActor) -> Iterator[None]:
    """Keeps the actor calling, until the block is left."""
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            actor.getppid(2000)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PATIENCE)


def test_an_iteration_with_a_duration_ends_on_a_busy_ring(kernel: LinuxKernel, actor: LinuxActor) -> None:
    with watching(actor, pages=4, watermark=64).build(kernel) as session, busy(actor):
        session.enable()
        with hanging_is_a_failure(session):
            assert sum(len(batch) for batch in session.batches(duration=0.05)) > 0
            assert not session.closed


def test_looks_without_a_wait_end_on_a_busy_ring(kernel: LinuxKernel, actor: LinuxActor) -> None:
    with watching(actor, pages=4, watermark=64).build(kernel) as session, busy(actor):
        session.enable()
        with hanging_is_a_failure(session):
            while session.next_batch(timeout=0):
                pass
            assert not session.closed


def test_a_stream_lets_other_tasks_run_between_the_pieces_of_a_full_ring(
    kernel: LinuxKernel, actor: LinuxActor
) -> None:
    async def main(session: Session) -> tuple[int, int]:
        turns = batches = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async for _ in session.stream():
            batches += 1
        task.cancel()
        return batches, turns

    with watching(actor, pages=128).with_drain_budget(1).build(kernel) as session:
        session.enable()
        actor.getppid(9000)
        session.stop()
        batches, turns = asyncio.run(main(session))
    assert batches > 3
    assert turns >= batches


def in_a_thread(session: Session, after: float) -> int:
    """Reads in a thread, closes it from this one. Returns what was read."""
    counts, batches = list[int](), session.batches()
    thread = threading.Thread(target=lambda: counts.append(sum(len(batch) for batch in batches)))
    thread.start()
    time.sleep(after)
    session.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return counts[0]


def in_a_task(session: Session, after: float) -> int:
    """Reads in a task, closes it from a thread. Returns what was read."""

    async def read() -> int:
        stream, closer = session.stream(), threading.Timer(after, session.close)
        closer.start()
        async with asyncio.timeout(PATIENCE):
            counts = [len(batch) async for batch in stream]
        await asyncio.to_thread(closer.join)
        return sum(counts)

    return asyncio.run(read())


def by_parsing(session: Session, after: float) -> int:
    """Parses in this thread, closes from another."""
    delivered = count()
    session.on("*", lambda _: next(delivered))  # what parse_all has delivered when it raises, it cannot return
    closer = threading.Timer(after, session.close)
    closer.start()
    with suppress(SessionClosed):
        while True:
            session.parse_all()
    closer.join()
    return next(delivered)


@pytest.mark.parametrize("read", [in_a_thread, in_a_task, by_parsing])
def test_a_session_can_be_closed_at_any_moment_under_full_load(
    kernel: LinuxKernel, actor: LinuxActor, read: Callable[[Session, float], int]
) -> None:
    chance = random.Random(18)
    with busy(actor):
        for _ in range(17):
            session = watching(actor, pages=chance.choice([1, 16, 64]), watermark=chance.choice([64, 2048]))
            opened = session.build(kernel)
            opened.enable()
            delivered = read(opened, chance.uniform(0, 0.02))
            counts = opened.statistics()
            assert delivered + counts.undelivered == counts.records
