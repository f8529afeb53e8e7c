"""A session with columns at bad moments, on the real kernel: as tests/linux/test_session_hardening.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from types import FrameType
from typing import TypeVar

import numpy as np
import pytest

from perfring import engine
from perfring.batch import Batch
from perfring.linux import LinuxKernel
from perfring.session import Session
from simkernel.contract.linux_actor import LinuxActor
from tests.engines import EACH_ENGINE
from tests.session_rig import GETPPID, SAMPLE_BYTES, watching

_Answer = TypeVar("_Answer")

_MOMENTS = 600
"""More than a delivery of three records has."""


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


@pytest.fixture
def session(kernel: LinuxKernel) -> Iterator[tuple[Session, LinuxActor]]:
    with LinuxActor(0) as actor, watching(actor, pages=64).with_columns().build(kernel) as session:
        session.enable()
        yield session, actor


def interrupted_at(moment: int, read: Callable[[], _Answer]) -> _Answer | None:
    """Raises KeyboardInterrupt at the so many-th moment of a call, or returns what it returns.

    A signal handler runs when a function begins, and when a function of C has returned: those are the moments.
    """
    moments, outside = count(), sys._getframe()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_return") and frame is not outside and next(moments) == moment:
            raise KeyboardInterrupt

    answer = None
    with suppress(KeyboardInterrupt):
        sys.setprofile(profile)
        answer = read()
        sys.setprofile(None)  # an interrupt does that by itself
    return answer


def by_columns(batch: Batch | None) -> list[int]:
    """The positions of a batch's samples, as its columns say them."""
    found: list[int] = batch.columns[GETPPID].array("position").tolist() if batch else []
    return found


def everything_left(session: Session) -> list[int]:
    seen = []
    while rest := session.next_batch(timeout=0):
        seen += by_columns(rest)
    return seen


def test_an_interrupt_at_any_moment_neither_loses_nor_repeats(session: tuple[Session, LinuxActor]) -> None:
    opened, actor = session
    seen, moment, batch = list[int](), 0, None
    while batch is None:
        actor.getppid(3)
        batch = interrupted_at(moment, lambda: opened.next_batch(timeout=0))
        seen += by_columns(batch) + everything_left(opened)
        moment += 1
    assert seen == [SAMPLE_BYTES * number for number in range(3 * moment)]
    assert moment > 30


# An interrupt can also come while a generator is taken down, where Python cannot raise it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_of_an_iteration_repeats_nothing_and_loses_only_what_it_was_given(
    session: tuple[Session, LinuxActor],
) -> None:
    opened, actor = session
    seen, moment, done = list[int](), 0, None

    def read() -> bool:
        for record in opened.records(duration=0):
            seen.append(record.position)
        return True

    while done is None:
        actor.getppid(3)
        done = interrupted_at(moment, read)
        seen += everything_left(opened)
        moment += 1
    every = [SAMPLE_BYTES * number for number in range(3 * moment)]
    assert seen == sorted(set(seen))
    # One that was on its way from the iteration to this function at the moment of an interrupt.
    assert len(every) - len(seen) <= moment
    assert moment > 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_of_a_delivery_loses_only_the_record_that_was_delivered(
    session: tuple[Session, LinuxActor],
) -> None:
    opened, actor = session
    seen, delivered = list[int](), [0]
    opened.on("sample", lambda record: seen.append(record.position))
    for moment in range(_MOMENTS):
        actor.getppid(3)
        interrupted_at(moment, lambda: opened.parse_for_cpu(0))
        opened.parse_for_cpu(0)
        delivered.append(len(seen))
    assert seen == sorted(set(seen))
    assert np.diff(delivered).min() == 2


def test_columns_interrupted_while_they_are_made_are_made_the_next_time(session: tuple[Session, LinuxActor]) -> None:
    opened, actor = session
    actor.getppid(5)
    batch = opened.next_batch(timeout=0)
    moment, found = 0, None
    while found is None:
        found = interrupted_at(moment, lambda: by_columns(batch))
        moment += 1
    assert found == [SAMPLE_BYTES * number for number in range(5)]
    assert [record.position for record in batch] == found
