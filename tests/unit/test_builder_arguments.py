from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import cast

import pytest

from perfring import abi
from perfring.builder import SessionBuilder
from perfring.events import KernelEvents, ProfilingEvents
from tests.unit._planning import fixed_tracepoint, planning_kernel

Setter = Callable[..., SessionBuilder]
INTS: dict[str, tuple[Setter, int]] = {
    "page_count": (SessionBuilder().with_page_count, 1),
    "pid": (SessionBuilder().with_target_pid, 1),
    "cpu": (SessionBuilder().with_target_cpu, 0),
    "wakeup_watermark": (SessionBuilder().with_wakeup_watermark, 1),
    "wakeup_events": (SessionBuilder().with_wakeup_events, 1),
    "budget": (SessionBuilder().with_drain_budget, 1),
}
EACH_INT = pytest.mark.parametrize("name", INTS)


@EACH_INT
def test_number_below_the_least_is_refused_with_its_value(name: str) -> None:
    setter, least = INTS[name]
    with pytest.raises(ValueError, match=f"^{name} is {least - 1}: it must be from {least} to"):
        setter(least - 1)


@EACH_INT
def test_least_number_is_taken(name: str) -> None:
    setter, least = INTS[name]
    assert setter(least) != SessionBuilder()


@EACH_INT
@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_what_is_no_int_is_refused_with_its_value(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} is {value!r}: it must be an int"):
        INTS[name][0](value)


@EACH_INT
def test_number_beyond_the_field_of_the_kernel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {1 << 63}"):
        INTS[name][0](1 << 63)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e7])
def test_latency_must_be_a_sensible_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"^max_latency is {seconds}: "):
        SessionBuilder().with_max_latency(seconds)


@pytest.mark.parametrize("seconds", [True, "1", None])
def test_latency_must_be_a_number(seconds: object) -> None:
    with pytest.raises(TypeError, match=f"^max_latency is {seconds!r}"):
        SessionBuilder().with_max_latency(cast("float", seconds))


def test_inherit_must_be_a_bool() -> None:
    with pytest.raises(TypeError, match=r"^inherit is 1: "):
        SessionBuilder().with_inherit(cast("bool", 1))


def test_watermark_after_wakeup_events_is_refused() -> None:
    with pytest.raises(ValueError, match=r"watermark\(64\) and with_wakeup_events\(3\) exclude"):
        SessionBuilder().with_wakeup_events(3).with_wakeup_watermark(64)


def test_wakeup_events_after_watermark_are_refused() -> None:
    with pytest.raises(ValueError, match=r"watermark\(64\) and with_wakeup_events\(3\) exclude"):
        SessionBuilder().with_wakeup_watermark(64).with_wakeup_events(3)


def test_watermark_of_zero_is_refused_for_what_the_kernel_makes_of_it() -> None:
    with pytest.raises(ValueError, match="half a ring"):
        SessionBuilder().with_wakeup_watermark(0)


def test_nothing_to_record_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to record"):
        SessionBuilder().with_page_count(1).plan(planning_kernel())


def test_inherit_without_a_target_is_refused() -> None:
    with pytest.raises(ValueError, match="with_target_pid"):
        fixed_tracepoint().with_inherit(True).plan(planning_kernel())


def test_enable_on_exec_without_a_target_is_refused() -> None:
    with pytest.raises(ValueError, match="with_target_pid"):
        fixed_tracepoint().with_enable_on_exec().plan(planning_kernel())


def test_frequency_above_the_machines_limit_is_refused() -> None:
    builder = SessionBuilder().with_profiling_events(ProfilingEvents(100_001))
    with pytest.raises(ValueError, match=r"100001 is above this machine's limit of 100000"):
        builder.plan(planning_kernel())


def test_frequency_of_the_machines_limit_is_taken() -> None:
    plan = SessionBuilder().with_profiling_events(ProfilingEvents(100_000)).plan(planning_kernel())
    assert plan.events[0].attr.sample_freq == 100_000


def test_targets_are_sorted_and_counted_once() -> None:
    builder = fixed_tracepoint().with_target_cpu(1).with_target_cpu(0).with_target_cpu(1)
    plan = builder.with_target_pid(9).with_target_pid(7).with_target_pid(9).plan(planning_kernel())
    assert (plan.cpus, plan.pids) == ((0, 1), (7, 9))


def test_several_targets_are_given_at_once() -> None:
    plan = fixed_tracepoint().with_target_pid(9, 7).with_target_cpu(1, 0).plan(planning_kernel())
    assert (plan.cpus, plan.pids) == ((0, 1), (7, 9))


@pytest.mark.parametrize("name", ["pid", "cpu"])
def test_each_of_several_targets_is_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is -5"):
        INTS[name][0](3, -5)


def test_no_more_targets_leave_those_that_are_there() -> None:
    builder = fixed_tracepoint().with_target_pid(7).with_target_cpu(1)
    assert builder.with_target_pid().with_target_cpu() == builder


def test_no_target_means_the_whole_machine() -> None:
    plan = fixed_tracepoint().plan(planning_kernel())
    assert (plan.cpus, plan.pids, plan.per_task) == (None, None, False)


def test_user_only_without_a_target_records_this_process() -> None:
    plan = SessionBuilder().user_only().with_kernel_events(KernelEvents()).plan(planning_kernel())
    assert plan.pids == (os.getpid(),)


def test_user_only_keeps_the_targets_given() -> None:
    builder = SessionBuilder().user_only().with_kernel_events(KernelEvents())
    assert builder.with_target_pid(7).plan(planning_kernel()).pids == (7,)


def test_latency_and_budget_reach_the_plan() -> None:
    plan = fixed_tracepoint().with_max_latency(1).with_drain_budget(4096).plan(planning_kernel())
    assert (plan.max_latency, plan.budget_bytes) == (1.0, 4096)


@pytest.mark.parametrize("attr", [None, 5, {"type": 1}])
def test_custom_event_needs_an_attr(attr: object) -> None:
    with pytest.raises(TypeError, match="it must be a PerfEventAttr"):
        SessionBuilder().with_event(cast("abi.PerfEventAttr", attr))


def test_group_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="it must be KernelEvents"):
        SessionBuilder().with_kernel_events(cast("KernelEvents", ProfilingEvents(99)))


def test_what_is_no_group_is_refused() -> None:
    with pytest.raises(TypeError, match="it must be a group of events"):
        SessionBuilder().with_events(cast("KernelEvents", "cpu-clock"))
