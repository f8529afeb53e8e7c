"""Targets that come and go while a session is open, in virtual time."""

from __future__ import annotations

import pytest

from perfring import SessionBuilder, TargetNotFound, TracepointEvents
from simkernel import SimKernel

GETPPID, RETURN = "syscalls:sys_enter_getppid", "syscalls:sys_exit_getppid"


@pytest.fixture
def kernel() -> SimKernel:
    return SimKernel(capabilities=frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"}))


def test_a_tracepoint_is_added_for_the_targets_that_are_left(kernel: SimKernel) -> None:
    gone, left = kernel.actor(), kernel.actor()
    builder = SessionBuilder().with_target_pid(gone.pid, left.pid).with_page_count(4)
    with builder.with_tracepoint_events(TracepointEvents(GETPPID)).build(kernel) as session:
        gone.exit()
        session.enable()
        session.add_tracepoint(RETURN)
        left.getppid()
        assert [record.event for record in session.records(duration=0)] == [GETPPID, RETURN]


def test_a_tracepoint_is_not_added_when_every_target_is_gone(kernel: SimKernel) -> None:
    actor = kernel.actor()
    builder = SessionBuilder().with_target_pid(actor.pid).with_page_count(4)
    with builder.with_tracepoint_events(TracepointEvents(GETPPID)).build(kernel) as session:
        actor.exit()
        with pytest.raises(TargetNotFound, match=str(actor.pid)):
            session.add_tracepoint(RETURN)


def test_an_fd_that_somebody_else_closed_is_told_and_the_others_are_closed(kernel: SimKernel) -> None:
    session = SessionBuilder().with_page_count(4).with_tracepoint_events(TracepointEvents(GETPPID)).build(kernel)
    (_, first), (_, second) = session.perf_fds()
    kernel.close(first)
    with pytest.raises(OSError, match="Bad file descriptor"):
        session.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        kernel.close(second)
    assert "ring of" not in str(kernel)
