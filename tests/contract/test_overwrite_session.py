"""A flight recorder on both kernels (K4, K34)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfring.events import TracepointEvents
from perfring.kernel import Kernel
from perfring.overwrite import OverwriteSession
from perfring.records import Record
from simkernel.contract.arm import Actor
from tests.session_rig import GETPPID, SAMPLE_BYTES, watching


@pytest.fixture
def session(perf_kernel: Kernel, actor: Actor) -> Iterator[OverwriteSession]:
    with watching(actor).build_overwrite(perf_kernel) as session:
        session.enable()
        yield session


def times(records: list[Record]) -> list[int]:
    return [record.time or 0 for record in records]


def test_a_snapshot_has_the_newest_first(session: OverwriteSession, actor: Actor) -> None:
    actor.getppid(5)
    found = times(session.snapshot())
    assert (len(found), found) == (5, sorted(found, reverse=True))


def test_a_snapshot_takes_nothing_out(session: OverwriteSession, actor: Actor) -> None:
    actor.getppid(2)
    assert times(session.snapshot()) == times(session.snapshot())


def test_an_empty_ring_has_no_records(session: OverwriteSession) -> None:
    assert session.snapshot() == []


def test_a_lapped_ring_holds_the_newest_that_are_whole(session: OverwriteSession, actor: Actor) -> None:
    actor.getppid(200)
    assert len(session.snapshot()) == 4096 // SAMPLE_BYTES


def test_nothing_is_lost_in_an_overwrite_ring(session: OverwriteSession, actor: Actor) -> None:
    actor.getppid(200)
    assert {record.kind for record in session.snapshot()} == {"sample"}


def test_a_paused_ring_stays_as_it_is(session: OverwriteSession, actor: Actor) -> None:
    actor.getppid(2)
    session.pause()
    actor.getppid(3)
    assert len(session.snapshot()) == 2
    assert session.paused


def test_recording_goes_on_behind_a_snapshot(session: OverwriteSession, actor: Actor) -> None:
    actor.getppid(1)
    session.snapshot()
    actor.getppid(1)
    assert len(session.snapshot()) == 2


def test_two_events_share_a_backward_ring(perf_kernel: Kernel, actor: Actor) -> None:
    with (
        watching(actor)
        .with_tracepoint_events(TracepointEvents("syscalls:sys_exit_getppid"))
        .build_overwrite(perf_kernel) as session
    ):
        session.enable()
        actor.getppid(1)
        assert [record.event for record in session.snapshot()] == ["syscalls:sys_exit_getppid", GETPPID]


def test_build_points_to_build_overwrite(perf_kernel: Kernel, actor: Actor) -> None:
    with pytest.raises(ValueError, match=r"build_overwrite\(\)"):
        watching(actor).with_overwrite().build(perf_kernel)
