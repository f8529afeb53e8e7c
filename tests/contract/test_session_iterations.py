"""Iterations that are given up, and begun again: in virtual time, for nothing here is about the real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfring import Session, SessionBuilder, TracepointEvents
from simkernel import Actor, SimKernel


@pytest.fixture
def kernel() -> SimKernel:
    return SimKernel(capabilities=frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"}))


@pytest.fixture
def actor(kernel: SimKernel) -> Actor:
    return kernel.actor()


@pytest.fixture
def session(kernel: SimKernel, actor: Actor) -> Iterator[Session]:
    builder = SessionBuilder().with_page_count(16).with_target_pid(actor.pid)
    with builder.with_tracepoint_events(TracepointEvents("syscalls:sys_enter_getppid")).build(kernel) as session:
        session.enable()
        list(session.records(duration=0))
        yield session


def test_a_timeout_of_an_iteration_that_was_given_up_does_not_end_the_next(session: Session, actor: Actor) -> None:
    actor.getppid(2)
    for _ in session.records(duration=0):
        break
    actor.getppid(3)
    assert sum(1 for _ in session.records(duration=0)) == 4


def test_nor_does_it_end_a_parse_for_a_duration(session: Session, actor: Actor) -> None:
    actor.getppid(2)
    next(session.batches(duration=0))
    actor.getppid(3)
    assert session.parse_for_duration(0) == 3


def test_a_flush_is_announced_to_the_next_iteration_too(session: Session, actor: Actor) -> None:
    actor.getppid(1)
    session.flush()
    next(session.batches())
    actor.getppid(1)
    assert [len(batch) for batch in session.batches(duration=0)] == [0, 1]
