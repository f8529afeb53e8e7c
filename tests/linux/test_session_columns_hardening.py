"""A session with columns at bad moments, on the real kernel: as tests/linux/test_session_hardening.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfring import engine
from perfring.batch import Batch
from perfring.linux import LinuxKernel
from perfring.session import Session
from simkernel.contract.linux_actor import LinuxActor
from tests.engines import EACH_ENGINE
from tests.interrupting import each_moment
from tests.session_rig import GETPPID, SAMPLE_BYTES, watching


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


@pytest.fixture
def session(kernel: LinuxKernel) -> Iterator[tuple[Session, LinuxActor]]:
    with LinuxActor(0) as actor, watching(actor, pages=64).with_columns().build(kernel) as session:
        session.enable()
        yield session, actor


def by_columns(batch: Batch | None) -> list[int]:
    """The positions of a batch's samples, as its columns say them."""
    found: list[int] = batch.columns[GETPPID].array("position").tolist() if batch else []
    return found


def test_columns_interrupted_while_they_are_made_are_made_the_next_time(session: tuple[Session, LinuxActor]) -> None:
    opened, actor = session
    actor.getppid(5)
    batch = opened.next_batch(timeout=0)
    found = [told.answer for told in each_moment(lambda: by_columns(batch))][-1]
    assert found == [SAMPLE_BYTES * number for number in range(5)]
    assert [record.position for record in batch] == found
