"""What a callback may do with the session that calls it, and what is left of a stream whose loop is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from perfring.batch import Batch
from perfring.errors import SessionBusy, SessionClosed
from perfring.kernel import Kernel
from perfring.records import Record
from perfring.session import Session
from simkernel import SimKernel
from simkernel.aio import SimEventLoop
from simkernel.contract.arm import Actor

PARSES: dict[str, Callable[[Session], object]] = {
    "parse_all": lambda session: session.parse_all(),
    "parse_for_cpu": lambda session: session.parse_for_cpu(0),
    "parse_for_duration": lambda session: session.parse_for_duration(0),
    "parse_until": lambda session: session.parse_until(lambda: session.statistics().records > 0),
}
PULLS: dict[str, Callable[[Session], object]] = {
    "next_batch": lambda session: session.next_batch(timeout=0),
    "records": lambda session: next(session.records(duration=0)),
}


@pytest.mark.parametrize("inner", [*PARSES.values(), *PULLS.values()], ids=[*PARSES, *PULLS])
@pytest.mark.parametrize("outer", PARSES.values(), ids=PARSES)
def test_a_callback_cannot_read_the_session_that_calls_it(
    session: Session, actor: Actor, outer: Callable[[Session], object], inner: Callable[[Session], object]
) -> None:
    refused: list[Exception] = []
    order: list[int] = []
    session.on_error(lambda error, record: refused.append(error))
    session.on("sample", lambda record: order.append(record.position))
    session.on("sample", lambda record: inner(session))
    actor.getppid(2)
    outer(session)
    assert ([type(error) for error in refused], order) == ([SessionBusy] * 2, [0, 56])


@pytest.mark.parametrize("parse", PARSES.values(), ids=PARSES)
def test_a_callback_that_closes_ends_the_parsing_behind_the_records_that_were_taken(
    session: Session, actor: Actor, parse: Callable[[Session], object]
) -> None:
    seen: list[Record] = []
    session.on("sample", seen.append)
    session.on("sample", lambda record: session.close())
    actor.getppid(3)
    with suppress(SessionClosed):
        parse(session)
    assert session.closed
    counts = session.statistics()
    assert len(seen) + counts.undelivered == counts.records == 3


def test_a_callback_that_stops_lets_the_rest_be_delivered(session: Session, actor: Actor) -> None:
    seen: list[Record] = []
    session.on("sample", lambda record: session.stop())
    session.on("sample", seen.append)
    actor.getppid(3)
    assert (session.parse_for_duration(None), len(seen)) == (3, 3)


def test_a_callback_that_is_registered_by_a_callback_is_called_from_the_next_record_on(
    session: Session, actor: Actor
) -> None:
    seen: list[Record] = []

    def register(record: Record) -> None:
        if not seen:
            session.on("sample", seen.append)

    session.on("sample", register)
    actor.getppid(2)
    session.parse_all()
    assert [record.position for record in seen] == [56]


# A loop that was closed before its stream.


@pytest.fixture
def abandoned(perf_kernel: Kernel, session: Session, actor: Actor) -> AsyncIterator[Batch]:
    """A stream that nobody can go on with."""
    loop = SimEventLoop(perf_kernel) if isinstance(perf_kernel, SimKernel) else asyncio.new_event_loop()
    stream = session.stream()
    actor.getppid(1)
    assert len(loop.run_until_complete(anext(stream))) == 1
    loop.close()
    return stream


def test_another_reader_takes_over_from_a_stream_whose_loop_was_closed(
    session: Session, actor: Actor, abandoned: AsyncIterator[Batch]
) -> None:
    actor.getppid(2)
    assert session.parse_all() == 2


def test_a_stream_does_not_go_on_in_another_loop(
    session: Session, actor: Actor, abandoned: AsyncIterator[Batch]
) -> None:
    async def main() -> None:
        await anext(abandoned)

    actor.getppid(2)
    with pytest.raises(RuntimeError, match="this stream was begun in another event loop"):
        asyncio.run(main())
    assert session.parse_all() == 2
