"""Ctrl-C as the end of a recording."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from perfring import SessionBuilder, TracepointEvents, stop_on_signals
from simkernel import SimKernel


class _Session:
    """Counts how often it is stopped."""

    def __init__(self) -> None:
        self.stopped = 0

    def stop(self) -> None:
        self.stopped += 1


def _stopped(session: Any, *numbers: signal.Signals) -> None:
    with stop_on_signals(session):
        for number in numbers:
            signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_session(number: signal.Signals) -> None:
    session = _Session()
    _stopped(session, number)
    assert session.stopped == 1


def test_a_second_signal_leaves_at_once() -> None:
    session = _Session()
    with pytest.raises(KeyboardInterrupt):
        _stopped(session, signal.SIGTERM, signal.SIGINT)
    assert session.stopped == 1


def test_a_session_that_is_closed_needs_no_stopping(sim_kernel: SimKernel) -> None:
    with (
        SessionBuilder()
        .with_tracepoint_events(TracepointEvents("syscalls:sys_enter_getppid"))
        .build(sim_kernel) as session
    ):
        pass
    _stopped(session, signal.SIGINT)
    assert session.closed


def test_the_handlers_from_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    _stopped(_Session(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_was_ignored_stays_ignored() -> None:
    session: Any = _Session()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(session, signals=(signal.SIGHUP,)):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert session.stopped == 0


def test_other_signals_can_be_chosen() -> None:
    session: Any = _Session()
    with stop_on_signals(session, signals=(signal.SIGUSR1,)):
        signal.raise_signal(signal.SIGUSR1)
    assert session.stopped == 1


def test_another_thread_than_the_main_one_is_told() -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            _stopped(_Session())
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_what_was_recorded_before_the_signal_is_delivered(sim_kernel: SimKernel) -> None:
    actor = sim_kernel.actor()
    events = TracepointEvents("syscalls:sys_enter_getppid")
    with SessionBuilder().with_tracepoint_events(events).build(sim_kernel) as session, stop_on_signals(session):
        session.enable()
        actor.getppid(5)
        signal.raise_signal(signal.SIGINT)
        assert len(list(session.records())) == 5
