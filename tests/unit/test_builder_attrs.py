from __future__ import annotations

import time

import pytest

from perfring import abi
from perfring.abi import PerfEventAttr
from perfring.builder import SessionBuilder
from perfring.common_attr import CommonAttr
from perfring.errors import Unsupported
from perfring.events import (
    BpfOutputEvents,
    ContextSwitchEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    TracepointEvents,
)
from perfring.plan import EventSpec
from tests.unit._planning import GETPPID, fixed_tracepoint, only_event, planning_kernel

CLOCK = PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_CPU_CLOCK, sample_period=100_000)


def every_spec(builder: SessionBuilder) -> tuple[EventSpec, ...]:
    return builder.plan(planning_kernel()).all_specs


def custom(**fields: int) -> PerfEventAttr:
    """The attr of a session with this one event, which is CLOCK but for some fields."""
    return only_event(SessionBuilder().with_event(CLOCK.copy(**fields))).attr  # type: ignore[arg-type]


def test_leader_is_a_dummy_that_asks_for_no_rights() -> None:
    leader = fixed_tracepoint().plan(planning_kernel()).leader.attr
    assert (leader.type, leader.config) == (abi.PERF_TYPE_SOFTWARE, abi.PERF_COUNT_SW_DUMMY)
    assert leader.exclude_kernel


def test_every_event_can_be_told_apart_and_put_in_order() -> None:
    wanted = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME
    for spec in every_spec(fixed_tracepoint()):
        assert spec.attr.sample_type & wanted == wanted
        assert spec.attr.sample_id_all


def test_every_event_uses_the_raw_monotonic_clock() -> None:
    for spec in every_spec(fixed_tracepoint()):
        assert (spec.attr.use_clockid, spec.attr.clockid) == (True, time.CLOCK_MONOTONIC_RAW)


def test_every_event_starts_disabled_and_counts_what_it_lost() -> None:
    for spec in every_spec(fixed_tracepoint()):
        assert spec.attr.disabled
        assert spec.attr.read_format == abi.PERF_FORMAT_ID | abi.PERF_FORMAT_LOST


def test_events_of_targets_are_inherited() -> None:
    assert all(spec.attr.inherit for spec in every_spec(fixed_tracepoint().with_target_pid(7)))


def test_events_of_the_whole_machine_are_not_inherited() -> None:
    assert not any(spec.attr.inherit for spec in every_spec(fixed_tracepoint()))


def test_inherit_can_be_switched_off() -> None:
    builder = fixed_tracepoint().with_target_pid(7).with_inherit(False)
    assert not any(spec.attr.inherit for spec in every_spec(builder))


def test_bpf_output_is_never_inherited() -> None:
    builder = SessionBuilder().with_bpf_output_events(BpfOutputEvents()).with_target_pid(7)
    assert [spec.attr.inherit for spec in every_spec(builder)] == [True, False]


def test_overwrite_writes_every_event_backward() -> None:
    assert all(spec.attr.write_backward for spec in every_spec(fixed_tracepoint().with_overwrite()))


def test_enable_on_exec_is_set_on_every_event() -> None:
    builder = fixed_tracepoint().with_target_pid(7).with_enable_on_exec()
    assert all(spec.attr.enable_on_exec for spec in every_spec(builder))


def test_user_only_excludes_the_kernel_from_every_event() -> None:
    assert all(spec.attr.exclude_kernel for spec in every_spec(fixed_tracepoint().user_only()))


def test_user_only_leaves_the_kernel_out_of_call_chains() -> None:
    builder = SessionBuilder().with_profiling_events(ProfilingEvents(99, callchain=True)).user_only()
    assert only_event(builder).attr.exclude_callchain_kernel


def test_user_only_takes_switch_records() -> None:
    builder = SessionBuilder().with_kernel_events(KernelEvents(context_switch=True)).user_only()
    assert only_event(builder).attr.context_switch


def test_user_only_takes_page_faults() -> None:
    builder = SessionBuilder().with_soft_page_fault_events(SoftPageFaultEvents()).user_only()
    assert only_event(builder).name == "minor-faults"


def test_user_only_refuses_context_switch_samples_for_they_never_come() -> None:
    builder = SessionBuilder().with_context_switch_events(ContextSwitchEvents()).user_only()
    with pytest.raises(ValueError, match=r"KernelEvents\(context_switch=True\)"):
        every_spec(builder)


def test_user_only_refuses_tracepoints_in_the_kernel_for_they_never_hit() -> None:
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents("sched:sched_switch")).user_only()
    with pytest.raises(ValueError, match="'sched:sched_switch': user_only"):
        every_spec(builder)


@pytest.mark.parametrize("name", [GETPPID, "uprobes:malloc"])
def test_user_only_takes_tracepoints_that_are_hit_from_user_space(name: str) -> None:
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents(name)).user_only()
    assert only_event(builder).name == name


def test_user_only_refuses_an_event_that_excludes_user_space() -> None:
    with pytest.raises(ValueError, match="exclude_user is set"):
        every_spec(SessionBuilder().with_event(CLOCK.copy(exclude_user=True)).user_only())


def test_custom_attr_keeps_its_own_fields() -> None:
    attr = custom(sample_type=abi.PERF_SAMPLE_CPU, exclude_user=1, read_format=abi.PERF_FORMAT_TOTAL_TIME_ENABLED)
    assert attr.sample_type & abi.PERF_SAMPLE_CPU
    assert attr.exclude_user
    assert attr.read_format & abi.PERF_FORMAT_TOTAL_TIME_ENABLED


def test_custom_attr_may_name_the_clock_of_the_session() -> None:
    assert custom(use_clockid=1, clockid=time.CLOCK_MONOTONIC_RAW).use_clockid


def test_small_custom_attr_grows_to_hold_the_clock() -> None:
    assert custom(size=abi.PERF_ATTR_SIZE_VER0).size >= abi.PERF_ATTR_SIZE_VER9


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"use_clockid": 1, "clockid": time.CLOCK_MONOTONIC}, "clockid is 1"),
        ({"wakeup_events": 1}, "wakeup_events .* is 1"),
        ({"watermark": 1, "wakeup_watermark": 64}, "wakeup_events .* is 64"),
        ({"watermark": 1}, "wakeup_events"),
        ({"write_backward": 1}, r"use with_overwrite\(\)"),
        ({"inherit": 1}, r"use with_inherit\(True\)"),
        ({"enable_on_exec": 1}, r"use with_enable_on_exec\(\)"),
        ({"read_format": abi.PERF_FORMAT_GROUP}, "opens no groups"),
        ({"sample_period": 0}, "only counts"),
        ({"config": abi.PERF_COUNT_SW_DUMMY}, "only counts"),
    ],
)
def test_custom_attr_that_contradicts_the_session_is_refused(fields: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=f"^event '1-0x.': .*{text}"):
        custom(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"aux_output": 1},
        {"aux_watermark": 4096},
        {"aux_sample_size": 64},
        {"aux_pause": 1},
        {"sample_type": abi.PERF_SAMPLE_AUX},
    ],
)
def test_aux_rings_are_refused_with_a_word(fields: dict[str, int]) -> None:
    with pytest.raises(Unsupported, match="AUX ring"):
        custom(**fields)


def test_event_that_joins_later_gets_the_same_attr() -> None:
    plan = fixed_tracepoint().with_target_pid(7).plan(planning_kernel())
    (bare,) = TracepointEvents(GETPPID).specs(planning_kernel())
    assert CommonAttr.of(plan).onto(bare).attr == plan.events[0].attr
