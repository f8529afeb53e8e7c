from __future__ import annotations

import logging
from functools import partial
from typing import NoReturn

import pytest

from perfring.dispatch import ANY, Dispatcher
from perfring.records import Record
from perfring.sideband import Comm, Lost


def comm(name: str = "x", event: str | None = "leader") -> Comm:
    return Comm(cpu=0, position=0, misc=0, size=0, time=1, pid=1, tid=1, id=None, event=event, comm=name)


def fail(record: Record) -> NoReturn:
    raise RuntimeError("callback")


def test_a_callback_gets_the_records_of_its_kind_only() -> None:
    dispatcher, seen = Dispatcher({}), list[Record]()
    dispatcher.on("lost", seen.append)
    lost = Lost(cpu=0, position=0, misc=0, size=0, time=1, pid=1, tid=1, id=None, event=None, lost_id=1, lost=3)
    assert dispatcher.deliver([comm(), lost]) == 2
    assert seen == [lost]


def test_callbacks_of_everything_come_last() -> None:
    dispatcher, calls = Dispatcher({}), list[str]()
    dispatcher.on(ANY, lambda record: calls.append("any"))
    dispatcher.on("comm", lambda record: calls.append("comm"))
    dispatcher.deliver([comm()])
    assert calls == ["comm", "any"]


def test_a_callback_added_later_is_called_from_then_on() -> None:
    dispatcher, seen = Dispatcher({}), list[Record]()
    dispatcher.deliver([comm()])
    dispatcher.on("comm", seen.append)
    dispatcher.deliver([comm()])
    assert len(seen) == 1


def test_side_band_of_an_event_does_not_reach_those_who_asked_for_its_samples() -> None:
    dispatcher, seen = Dispatcher({"cpu-clock": "profile"}), list[Record]()
    dispatcher.on("cpu-clock", seen.append)
    dispatcher.on("profile", seen.append)
    dispatcher.deliver([comm(event="cpu-clock")])
    assert seen == []


def test_a_failing_callback_is_reported_and_the_rest_goes_on() -> None:
    dispatcher, errors, seen = Dispatcher({}), list[tuple[Exception, Record | None]](), list[Record]()
    dispatcher.on("comm", fail)
    dispatcher.on("comm", seen.append)
    dispatcher.on_error(lambda error, record: errors.append((error, record)))
    first, second = comm("a"), comm("b")
    dispatcher.deliver([first, second])
    assert [record for _, record in errors] == [first, second] == seen
    assert dispatcher.errors == 2


def test_without_an_error_callback_the_log_tells(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = Dispatcher({})
    dispatcher.on("comm", fail)
    with caplog.at_level(logging.ERROR, "perfring"):
        dispatcher.deliver([comm("guilty")])
    assert "RuntimeError: callback" in caplog.text
    assert "guilty" in caplog.text


def test_a_failing_error_callback_falls_back_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = Dispatcher({})

    def broken(error: Exception, record: Record | None) -> None:
        raise ValueError("error callback")

    dispatcher.on_error(broken)
    dispatcher.on("comm", fail)
    with caplog.at_level(logging.ERROR, "perfring"):
        assert dispatcher.deliver([comm(), comm()]) == 2
    assert "the error callback failed" in caplog.text


def test_an_interrupt_leaves_the_rest_undelivered() -> None:
    dispatcher = Dispatcher({})

    def interrupt(record: Record) -> None:
        raise KeyboardInterrupt

    dispatcher.on("comm", interrupt)
    rest = iter([comm("a"), comm("b")])
    with pytest.raises(KeyboardInterrupt):
        dispatcher.deliver(rest)
    assert [record.to_dict()["comm"] for record in rest] == ["b"]


def test_callbacks_that_an_interrupt_kept_from_a_record_have_it_before_the_next() -> None:
    dispatcher, calls, interrupts = Dispatcher({}), list[tuple[str, str]](), iter([KeyboardInterrupt()])

    def called(name: str, record: Record) -> None:
        calls.append((name, record.to_dict()["comm"]))
        if name == "second" and (error := next(interrupts, None)):
            raise error

    for name in ("first", "second", "third"):
        dispatcher.on("comm", partial(called, name))
    with pytest.raises(KeyboardInterrupt):
        dispatcher.deliver([comm("a")])
    assert dispatcher.deliver([comm("b")]) == 1
    assert calls == [(name, which) for which in "ab" for name in ("first", "second", "third")]


def test_one_callback_that_was_registered_twice_is_called_twice_although_it_was_interrupted() -> None:
    dispatcher, calls = Dispatcher({}), list[Record]()

    def interrupted(record: Record) -> None:
        calls.append(record)
        if len(calls) == 1:
            raise KeyboardInterrupt

    dispatcher.on("comm", interrupted)
    dispatcher.on(ANY, interrupted)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.deliver([comm("a")])
    dispatcher.deliver([])
    assert len(calls) == 2


def test_a_callback_that_fails_when_it_is_called_late_is_reported() -> None:
    dispatcher, errors = Dispatcher({}), list[Exception]()

    def interrupt(record: Record) -> None:
        raise KeyboardInterrupt

    dispatcher.on_error(lambda error, record: errors.append(error))
    dispatcher.on("comm", interrupt)
    dispatcher.on("comm", fail)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.deliver([comm()])
    dispatcher.deliver([])
    assert ([type(error) for error in errors], dispatcher.errors) == ([RuntimeError], 1)
