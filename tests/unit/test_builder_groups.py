from __future__ import annotations

from typing import Any

import pytest

from perfring import abi
from perfring.builder import SessionBuilder
from perfring.events import (
    BpfOutputEvents,
    ContextSwitchEvents,
    HardPageFaultEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    TracepointEvents,
)
from perfring.plan import EventKind
from tests.unit._planning import GETPPID, planning_kernel

GROUPS: dict[str, tuple[Any, Any]] = {
    "kernel_events": (KernelEvents(), KernelEvents(task=False)),
    "tracepoint_events": (TracepointEvents(GETPPID), TracepointEvents("sched:sched_switch")),
    "profiling_events": (ProfilingEvents(99), ProfilingEvents(100)),
    "context_switch_events": (ContextSwitchEvents(), ContextSwitchEvents(ip=True)),
    "soft_page_fault_events": (SoftPageFaultEvents(), SoftPageFaultEvents(ip=True)),
    "hard_page_fault_events": (HardPageFaultEvents(), HardPageFaultEvents(ip=True)),
    "bpf_output_events": (BpfOutputEvents(), BpfOutputEvents()),
}
EACH_GROUP = pytest.mark.parametrize("word", GROUPS)


def having(word: str) -> SessionBuilder:
    builder: SessionBuilder = getattr(SessionBuilder(), f"with_{word}")(GROUPS[word][0])
    return builder


@EACH_GROUP
def test_take_gives_the_group_back_and_a_builder_without_it(word: str) -> None:
    assert getattr(having(word), f"take_{word}")() == (GROUPS[word][0], SessionBuilder())


@EACH_GROUP
def test_take_gives_none_where_there_is_no_group(word: str) -> None:
    assert getattr(SessionBuilder(), f"take_{word}")() == (None, SessionBuilder())


@EACH_GROUP
def test_take_leaves_the_other_groups(word: str) -> None:
    other = "kernel_events" if word != "kernel_events" else "profiling_events"
    both = getattr(having(word), f"with_{other}")(GROUPS[other][0])
    assert getattr(both, f"take_{word}")()[1] == having(other)


@EACH_GROUP
def test_replace_puts_one_group_in_place_of_another(word: str) -> None:
    replaced = getattr(having(word), f"replace_{word}")(GROUPS[word][1])
    assert getattr(replaced, f"take_{word}")()[0] == GROUPS[word][1]


@EACH_GROUP
def test_replace_adds_where_there_was_no_group(word: str) -> None:
    assert getattr(SessionBuilder(), f"replace_{word}")(GROUPS[word][0]) == having(word)


@pytest.mark.parametrize("word", sorted(set(GROUPS) - {"tracepoint_events"}))
def test_second_group_of_a_kind_is_refused_and_not_dropped(word: str) -> None:
    with pytest.raises(ValueError, match=f"use replace_{word}"):
        getattr(having(word), f"with_{word}")(GROUPS[word][1])


def test_tracepoints_join_those_that_are_there() -> None:
    builder = having("tracepoint_events").with_tracepoint_events(TracepointEvents("sched:sched_switch"))
    assert [spec.name for spec in builder.plan(planning_kernel()).events] == ["sched:sched_switch", GETPPID]


def test_same_tracepoint_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=f"{GETPPID} is there twice"):
        having("tracepoint_events").with_tracepoint_events(TracepointEvents(GETPPID, filter="common_pid == 1"))


def test_custom_events_add_up() -> None:
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, sample_period=1000)
    builder = SessionBuilder().with_event(attr, name="a").with_event(attr, name="b")
    assert [spec.name for spec in builder.plan(planning_kernel()).events] == ["a", "b"]


def test_custom_event_without_a_name_is_called_by_type_and_config() -> None:
    builder = SessionBuilder().with_event(abi.PerfEventAttr(type=6, config=1, sample_period=1))
    assert builder.plan(planning_kernel()).events[0].name == "6-0x1"


def test_custom_event_is_copied_when_it_is_given() -> None:
    attr = abi.PerfEventAttr(type=6, sample_period=1)
    builder = SessionBuilder().with_event(attr)
    attr.sample_period = 2
    assert builder.plan(planning_kernel()).events[0].attr.sample_period == 1


def test_events_of_the_plan_are_in_the_order_of_their_kinds() -> None:
    builder = SessionBuilder()
    for word in GROUPS:
        builder = getattr(builder, f"with_{word}")(GROUPS[word][0])
    kinds = [spec.kind for spec in builder.plan(planning_kernel()).events]
    assert kinds == list(EventKind)[1:-1]


def test_with_events_takes_groups_of_any_kind() -> None:
    groups = [group for group, _ in GROUPS.values()]
    assert len(SessionBuilder().with_events(*groups).plan(planning_kernel()).events) == len(groups)
