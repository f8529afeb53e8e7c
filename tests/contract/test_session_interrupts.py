"""Interrupts at every moment of every way to read: nothing is lost, nothing comes twice, nothing stays locked.

What can depend on it is said of both kernels, of sessions with records and with columns, and there of both engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import TypeAlias

import pytest

from perfring import engine
from perfring.batch import Batch, Reason
from perfring.kernel import Kernel
from perfring.records import Record
from perfring.ring import RingReader
from perfring.session import Session
from simkernel import Actor as SimActor
from simkernel import SimKernel, aio
from simkernel.contract.arm import Actor
from tests.engines import EACH_ENGINE
from tests.interrupting import each_moment
from tests.session_rig import GETPPID, PATIENCE, SAMPLE_BYTES, watching

# An interrupt can also come while an object is taken down, where Python cannot raise it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Seen: TypeAlias = list[Record | Batch]
Way: TypeAlias = Callable[[Session, Seen], object]


@pytest.fixture(params=["records", *EACH_ENGINE])
def delivered(request: pytest.FixtureRequest) -> Iterator[str]:
    with nullcontext() if request.param == "records" else engine.using(request.param):
        yield request.param


@pytest.fixture
def session(perf_kernel: Kernel, actor: Actor, delivered: str) -> Iterator[Session]:
    builder = watching(actor, pages=64)
    with (builder if delivered == "records" else builder.with_columns()).build(perf_kernel) as session:
        session.enable()
        yield session


@pytest.fixture
def simulated(sim_kernel: SimKernel) -> Iterator[tuple[Session, SimActor]]:
    """What only Python decides."""
    actor = sim_kernel.actor(0)
    with watching(actor, pages=64).build(sim_kernel) as session:
        session.enable()
        yield session, actor


# Between what a session hands over and the list there is no moment at which Python looks for signals.


def by_next_batch(session: Session, seen: Seen) -> None:
    seen.append(session.next_batch(timeout=0))


def by_batches(session: Session, seen: Seen) -> None:
    for batch in session.batches(duration=0):
        seen.append(batch)


def by_records(session: Session, seen: Seen) -> None:
    for record in session.records(duration=0):
        seen.append(record)


def by_two_records(session: Session, seen: Seen) -> None:
    """The iteration is left: what it leaves is for the next reader."""
    for number, record in enumerate(session.records(duration=0)):
        seen.append(record)
        if number:
            break


def by_stream(session: Session, seen: Seen) -> None:
    async def main() -> None:
        async for batch in session.stream(duration=0.0001):
            seen.append(batch)

    kernel = session._kernel
    if isinstance(kernel, SimKernel):
        aio.run(kernel, main())
    else:
        asyncio.run(main())


def by_parse_all(session: Session, seen: Seen) -> None:
    session.parse_all()


def by_parse_for_cpu(session: Session, seen: Seen) -> None:
    session.parse_for_cpu(0)


def by_parse_for_duration(session: Session, seen: Seen) -> None:
    session.parse_for_duration(0)


def by_parse_until(session: Session, seen: Seen) -> None:
    before = len(seen)
    session.parse_until(lambda: len(seen) >= before + 3, tick=0.0001)


PULLING = [by_next_batch, by_batches, by_records, by_two_records, by_stream]
PARSING = [by_parse_all, by_parse_for_cpu, by_parse_for_duration, by_parse_until]


def rest_of(session: Session) -> list[Batch]:
    """What an interrupt has left to the next reader."""
    found = []
    while batch := session.next_batch(timeout=0):
        found.append(batch)
    return found


def positions(seen: Seen) -> list[int]:
    each = (list(one) if isinstance(one, Batch) else [one] for one in seen)
    return [record.position for records in each for record in records]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


# Every moment.


@pytest.mark.parametrize("way", [*PULLING, *PARSING])
def test_an_interrupt_neither_loses_nor_repeats_a_record_and_leaves_none_uncounted(
    session: Session, actor: Actor, way: Way
) -> None:
    seen: Seen = []
    calls = 0
    session.on("sample", seen.append)
    actor.getppid(3)
    for _ in each_moment(partial(way, session, seen)):
        counts = session.statistics()
        assert calls + len(positions(seen)) + counts.undelivered == counts.records
        assert positions([*seen, *rest_of(session)]) == [SAMPLE_BYTES * (calls + number) for number in range(3)]
        seen.clear()
        session.on("lost", interrupt)  # so that the next delivery looks for the callbacks of its records anew
        actor.getppid(3)
        calls += 3


@pytest.mark.parametrize("further", [(1,), (3,), (1, 2)])
@pytest.mark.parametrize("way", [*(way for way in PULLING if way is not by_stream), *PARSING])
def test_nor_do_more_interrupts_while_one_is_dealt_with(
    simulated: tuple[Session, SimActor], way: Way, further: tuple[int, ...]
) -> None:
    session, actor = simulated
    seen: Seen = []
    calls = 3
    session.on("sample", seen.append)
    actor.getppid(3)
    for _ in each_moment(partial(way, session, seen), *further):
        seen += rest_of(session)
        session.on("lost", interrupt)
        actor.getppid(3)
        calls += 3
    assert positions(seen) == [SAMPLE_BYTES * number for number in range(calls - 3)]


@pytest.mark.parametrize("way", PARSING)
def test_each_callback_has_each_record_once_and_in_order(simulated: tuple[Session, SimActor], way: Way) -> None:
    session, actor = simulated
    once, again, twice = list[Record | Batch](), list[Record | Batch](), list[Record | Batch]()
    for topic, seen in (("sample", once), (GETPPID, again), ("*", twice), ("*", twice)):
        session.on(topic, seen.append)
    actor.getppid(3)
    calls = 3
    for _ in each_moment(partial(way, session, once)):
        session.parse_all()
        actor.getppid(3)
        calls += 3
    every = [SAMPLE_BYTES * number for number in range(calls - 3)]
    assert positions(once) == positions(again) == every
    assert positions(twice) == [place for place in every for _ in range(2)]


def test_a_flush_is_announced_once_behind_its_data(simulated: tuple[Session, SimActor]) -> None:
    session, actor = simulated
    session.next_batch(timeout=0)
    seen: Seen = []

    def flush() -> None:
        seen.clear()
        actor.getppid(3)
        session.flush()

    flush()
    for _ in each_moment(partial(by_next_batch, session, seen)):
        while not any(isinstance(batch, Batch) and not batch and batch.reason is Reason.FLUSH for batch in seen):
            seen.append(session.next_batch(timeout=PATIENCE))
        assert len(positions(seen)) == 3
        assert session.next_batch(timeout=0).reason is Reason.TIMEOUT
        flush()


@pytest.mark.parametrize("way", [*PULLING, *PARSING])
def test_nothing_stays_locked_while_an_interrupt_is_dealt_with(simulated: tuple[Session, SimActor], way: Way) -> None:
    session, actor = simulated
    seen: Seen = []
    session.on("sample", seen.append)
    actor.getppid(3)
    with ThreadPoolExecutor(1) as other:
        for told in each_moment(partial(way, session, seen)):
            session.parse_all()  # the frames that the error keeps alive have not got the role
            for ask in (session.statistics, session.disable, session.enable, session.flush):
                other.submit(ask).result(PATIENCE)
            session.parse_for_duration(0)
            actor.getppid(3)
            assert told.struck or told.error is None


@pytest.mark.parametrize("control", ["statistics", "enable", "disable", "pause", "resume", "flush", "stop"])
def test_nothing_stays_locked_behind_a_control_that_was_interrupted(
    simulated: tuple[Session, SimActor], control: str
) -> None:
    session, _ = simulated
    with ThreadPoolExecutor(1) as other:
        for _told in each_moment(getattr(session, control)):
            for ask in (session.statistics, session.flush):
                other.submit(ask).result(PATIENCE)


def test_an_interrupted_close_is_made_up_for_but_for_the_descriptor_in_its_hands(sim_kernel: SimKernel) -> None:
    opened: list[Session] = []

    def open_one() -> None:
        opened[:] = [watching(sim_kernel.actor(0)).build(sim_kernel)]
        opened[0].next_batch(timeout=0)

    open_one()
    leaks = 0
    for _ in each_moment(lambda: opened[0].close()):  # noqa: PLW0108 - another one each time
        opened[0].close()
        left = str(sim_kernel).count(" -> anon_inode")
        assert left - leaks <= 1
        leaks = left
        open_one()
    opened[0].close()


# What an interrupt leaves, seen closer.


def test_an_interrupted_callback_leaves_the_rest(session: Session, actor: Actor) -> None:
    session.on("sample", interrupt)
    actor.getppid(3)
    with pytest.raises(KeyboardInterrupt):
        session.parse_all()
    assert positions([session.next_batch(timeout=0)]) == [SAMPLE_BYTES, 2 * SAMPLE_BYTES]


def test_an_interrupt_before_the_delivery_of_one_cpu_loses_nothing(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor.getppid(3)
    for _ in session.records(duration=0):
        break
    with monkeypatch.context() as patch:
        patch.setattr(type(session._sweeper.order), "hand_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.parse_for_cpu(0)
    assert (session.statistics().undelivered, session.parse_for_cpu(0)) == (2, 2)


def test_what_an_interrupt_leaves_to_the_next_reader_is_counted_once(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor.getppid(3)
    with monkeypatch.context() as patch:
        patch.setattr(RingReader, "publish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.next_batch(timeout=0)
    assert (len(session.next_batch(timeout=0)), session.statistics().records) == (3, 3)


def test_what_somebody_else_has_read_does_not_come_to_an_iteration_again(session: Session, actor: Actor) -> None:
    actor.getppid(3)
    iteration = session.records(duration=0)
    seen: Seen = [next(iteration)]
    seen += [session.next_batch(timeout=0), *iteration]
    assert positions(seen) == [0, SAMPLE_BYTES, 2 * SAMPLE_BYTES]
