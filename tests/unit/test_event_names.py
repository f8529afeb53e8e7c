from __future__ import annotations

from typing import cast

import pytest

from perfring import abi
from perfring.builder import SessionBuilder
from perfring.event_names import DEFAULT_FREQUENCY, event_names, parse_event, parse_events
from perfring.events import (
    BpfOutputEvents,
    ContextSwitchEvents,
    CustomEvent,
    EventGroup,
    HardPageFaultEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    TracepointEvents,
)
from tests.unit._planning import GETPPID, planning_kernel


@pytest.mark.parametrize(
    ("text", "group"),
    [
        (GETPPID, TracepointEvents(GETPPID)),
        ("cpu-clock", ProfilingEvents(DEFAULT_FREQUENCY)),
        ("cycles", ProfilingEvents(DEFAULT_FREQUENCY, event="cycles")),
        ("cpu-cycles", ProfilingEvents(DEFAULT_FREQUENCY, event="cycles")),
        ("context-switches", ContextSwitchEvents()),
        ("cs", ContextSwitchEvents()),
        ("minor-faults", SoftPageFaultEvents()),
        ("major-faults", HardPageFaultEvents()),
        ("dummy", KernelEvents()),
        ("bpf-output", BpfOutputEvents()),
    ],
)
def test_name_stands_for_a_group(text: str, group: EventGroup) -> None:
    assert parse_event(text) == group


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("page-faults", abi.PERF_COUNT_SW_PAGE_FAULTS),
        ("faults", abi.PERF_COUNT_SW_PAGE_FAULTS),
        ("migrations", abi.PERF_COUNT_SW_CPU_MIGRATIONS),
    ],
)
def test_software_event_without_a_group_is_sampled_each_time(text: str, config: int) -> None:
    event = parse_event(text)
    assert isinstance(event, CustomEvent)
    assert (event.attr.type, event.attr.config, event.attr.sample_period) == (abi.PERF_TYPE_SOFTWARE, config, 1)


def test_raw_event_is_sampled_by_frequency() -> None:
    event = parse_event("r1a8", frequency=50)
    assert isinstance(event, CustomEvent)
    assert (event.attr.type, event.attr.config, event.attr.sample_freq) == (abi.PERF_TYPE_RAW, 0x1A8, 50)


@pytest.mark.parametrize("name", event_names())
def test_every_known_name_can_be_planned(name: str) -> None:
    plan = SessionBuilder().with_events(parse_event(name)).plan(planning_kernel())
    assert len(plan.events) == 1


def test_options_reach_the_group() -> None:
    assert parse_event("cpu-clock", frequency=7, callchain=True) == ProfilingEvents(7, callchain=True)
    assert parse_event(GETPPID, filter="common_pid == 1") == TracepointEvents(GETPPID, filter="common_pid == 1")


def test_unknown_name_is_refused_with_what_looks_alike() -> None:
    with pytest.raises(ValueError, match=r"^event 'contxt-switches' is unknown; did you mean context-switches"):
        parse_event("contxt-switches")


def test_name_unlike_any_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"^event 'zzz' is unknown; known are .*cpu-clock"):
        parse_event("zzz")


def test_modifier_of_perf_is_refused_with_a_word() -> None:
    with pytest.raises(ValueError, match=r"'cycles:u' has a modifier"):
        parse_event("cycles:u")


def test_glob_stands_for_tracepoints() -> None:
    assert parse_event("sched:*", filter="x == 1") == TracepointEvents("sched:*", filter="x == 1")


def test_filter_of_what_is_no_tracepoint_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'cpu-clock' is no tracepoint"):
        parse_event("cpu-clock", filter="x == 1")


def test_call_chain_of_what_writes_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'dummy' writes no samples"):
        parse_event("dummy", callchain=True)


def test_name_must_be_a_str() -> None:
    with pytest.raises(TypeError, match=r"^event is 5"):
        parse_event(cast("str", 5))


def test_several_names_are_parted_by_commas() -> None:
    assert parse_events([f"cs, {GETPPID}", "dummy"]) == (
        ContextSwitchEvents(),
        TracepointEvents(GETPPID),
        KernelEvents(),
    )


def test_second_clock_becomes_a_custom_event() -> None:
    builder = SessionBuilder().with_events(*parse_events(["cpu-clock,task-clock"], frequency=99))
    assert [spec.name for spec in builder.plan(planning_kernel()).events] == ["cpu-clock", "task-clock"]


def test_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^event '' is unknown"):
        parse_events(["cs,"])
