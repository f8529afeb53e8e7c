"""Rows of calls are made at once: that they are, and where they must not be. What comes of them is in `property/`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfring import SessionBuilder, TracepointEvents
from perfring.session import Session
from simkernel import SimKernel
from simkernel.activity import Activity
from simkernel.actor import Actor
from simkernel.rules import PASS
from simkernel.tasks import Program, Sleep, Spend
from simkernel.workload import Plan, Workload, bursty, getppid

GETPPID = "syscalls:sys_enter_getppid"


@pytest.fixture
def hits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hits of getppid that are made singly."""
    seen: list[str] = []
    plain: Callable[..., None] = Activity.tracepoint

    def tracepoint(self: Activity, task: object, name: str, **rest: object) -> None:
        if name == GETPPID:
            seen.append(name)
        plain(self, task, name, **rest)

    monkeypatch.setattr(Activity, "tracepoint", tracepoint)
    return seen


def opened(kernel: SimKernel, actor: Actor, *, pages: int = 64, watermark: int = 65536) -> Session:
    builder = SessionBuilder().with_page_count(pages).with_wakeup_watermark(watermark).with_target_pid(actor.pid)
    session = builder.with_tracepoint_events(TracepointEvents(GETPPID)).build(kernel)
    session.enable()
    return session


def machine() -> SimKernel:
    return SimKernel(capabilities=frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN"}))


def test_a_million_calls_are_few_hits(hits: list[str]) -> None:
    kernel = machine()
    actor = kernel.actor()
    with opened(kernel, actor) as session:
        actor.getppid(1_000_000)
        assert session.parse_all() + session.statistics().lost == 1_000_000
    assert len(hits) < 10


def test_a_million_calls_that_nobody_hears_are_hardly_a_hit(hits: list[str]) -> None:
    machine().actor().getppid(1_000_000)
    assert len(hits) < 10


def test_a_rule_sees_every_call(hits: list[str]) -> None:
    kernel = machine()
    with kernel.rules.installed(lambda _: PASS):
        kernel.actor().getppid(1000)
    assert len(hits) == 1000


def test_where_every_record_wakes_it_is_not_asked_every_time(hits: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, asked = machine(), list[object]()
    actor = kernel.actor()

    def never(event: object) -> int:
        asked.append(event)
        return 0

    monkeypatch.setattr("simkernel.repeating._quiet_calls", never)
    with opened(kernel, actor):
        actor.getppid(1000)
    assert len(hits) == 1000
    assert len(asked) < 30


def test_a_burst_is_a_row_of_calls(hits: list[str]) -> None:
    kernel = machine()
    actor = kernel.spawn(bursty(1000, 0.01, count=3500))
    with opened(kernel, actor) as session:
        assert session.parse_for_duration(None) == 3500
    assert len(hits) < 100


def test_a_plan_goes_on_only_when_an_act_that_draws_lots_is_done() -> None:
    done: list[str] = []

    def plan(_: object) -> Plan:
        for offset, act in ((1, getppid), (1, getppid), (1, note), (1, getppid)):
            done.append(f"{act.__name__} planned")
            yield offset, act

    def note(_: Actor) -> None:
        done.append("note done")

    kernel = machine()
    kernel.spawn(Workload(plan))
    kernel.me.spend(1_000_000)
    assert done[2:5] == ["note planned", "note done", "getppid planned"]


@pytest.mark.parametrize(("times", "error"), [(-1, ValueError), (2.5, TypeError), (True, TypeError)])
def test_a_count_of_calls_that_is_none_is_refused(times: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"times is {times}"):
        machine().actor().getppid(times)


@pytest.mark.parametrize("between", [Sleep, Spend])
def test_what_another_cpu_does_comes_at_its_time(between: type[Sleep | Spend]) -> None:
    kernel, seen = machine(), []

    def other(_: Actor) -> Program:
        while True:
            seen.append(kernel.machine.clock.now)
            yield between(10_000)

    kernel.spawn(other, cpu=1)
    actor = kernel.actor(cpu=0)
    begun = kernel.machine.clock.now
    actor.getppid(1000)
    # A call takes 150 ns; what is due in the midst of one happens then, and not at the end of the row.
    assert len(seen) == 16
    assert [now - begun for now in seen] == [10_000 * number for number in range(16)]
