from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest

from perfring import abi
from perfring.abi import PerfEventAttr
from perfring.errors import TracepointNotFound
from perfring.events import (
    BpfOutputEvents,
    ContextSwitchEvents,
    CustomEvent,
    EventGroup,
    HardPageFaultEvents,
    KernelEvents,
    ProfilingEvents,
    Sampling,
    SoftPageFaultEvents,
    Tracepoint,
    TracepointEvents,
)
from perfring.plan import EventKind
from tests.unit._planning import GETPPID, OPENED, planning_kernel


def attr_of(group: EventGroup) -> PerfEventAttr:
    (spec,) = group.specs(planning_kernel())
    return spec.attr


def test_kernel_events_record_executable_mappings_names_and_tasks() -> None:
    attr = attr_of(KernelEvents())
    assert (attr.mmap, attr.mmap2, attr.mmap_data) == (True, True, False)
    assert (attr.comm, attr.comm_exec, attr.task, attr.context_switch) == (True, True, True, False)


def test_kernel_events_record_all_mappings_when_asked_for() -> None:
    assert attr_of(KernelEvents(mmap="all")).mmap_data


def test_kernel_events_record_no_mappings_when_asked_not_to() -> None:
    attr = attr_of(KernelEvents(mmap=None))
    assert (attr.mmap, attr.mmap2, attr.mmap_data) == (False, False, False)


def test_kernel_events_record_switches_alone_when_asked_for() -> None:
    attr = attr_of(KernelEvents(mmap=None, comm=False, task=False, context_switch=True))
    assert (attr.comm, attr.task, attr.context_switch) == (False, False, True)


def test_kernel_events_with_everything_off_are_refused() -> None:
    with pytest.raises(ValueError, match="records nothing"):
        KernelEvents(mmap=None, comm=False, task=False)


def test_kernel_events_refuse_an_unknown_word_for_mappings() -> None:
    with pytest.raises(ValueError, match=r"^mmap is 'data'"):
        KernelEvents(mmap=cast("Any", "data"))


@pytest.mark.parametrize("name", ["comm", "task", "context_switch"])
def test_kernel_events_refuse_what_is_no_bool(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} is 1"):
        KernelEvents(**cast("dict[str, Any]", {name: 1}))


def test_profiling_samples_the_cpu_clock_by_frequency() -> None:
    attr = attr_of(ProfilingEvents(997))
    assert (attr.type, attr.config) == (abi.PERF_TYPE_SOFTWARE, abi.PERF_COUNT_SW_CPU_CLOCK)
    assert (attr.freq, attr.sample_freq, attr.exclude_idle) == (True, 997, True)


def test_profiling_samples_hardware_cycles_when_asked_for() -> None:
    attr = attr_of(ProfilingEvents(997, event="cycles"))
    assert (attr.type, attr.config) == (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_CPU_CYCLES)
    assert not attr.exclude_idle


@pytest.mark.parametrize("frequency", [0, -1, 1 << 63])
def test_profiling_refuses_a_frequency_out_of_range(frequency: int) -> None:
    with pytest.raises(ValueError, match=f"^frequency is {frequency}:"):
        ProfilingEvents(frequency)


@pytest.mark.parametrize("frequency", [True, 99.0, "99"])
def test_profiling_refuses_a_frequency_that_is_no_int(frequency: object) -> None:
    with pytest.raises(TypeError, match=f"^frequency is {frequency!r}:"):
        ProfilingEvents(cast("int", frequency))


def test_profiling_refuses_an_unknown_clock() -> None:
    with pytest.raises(ValueError, match=r"^event is 'wall-clock': .* cpu-clock, task-clock"):
        ProfilingEvents(99, event="wall-clock")


@pytest.mark.parametrize(
    ("group", "config", "name", "kind"),
    [
        (ContextSwitchEvents(), abi.PERF_COUNT_SW_CONTEXT_SWITCHES, "context-switches", EventKind.CONTEXT_SWITCH),
        (SoftPageFaultEvents(), abi.PERF_COUNT_SW_PAGE_FAULTS_MIN, "minor-faults", EventKind.SOFT_PAGE_FAULT),
        (HardPageFaultEvents(), abi.PERF_COUNT_SW_PAGE_FAULTS_MAJ, "major-faults", EventKind.HARD_PAGE_FAULT),
        (BpfOutputEvents(), abi.PERF_COUNT_SW_BPF_OUTPUT, "bpf-output", EventKind.BPF_OUTPUT),
    ],
)
def test_each_occurrence_is_sampled(group: EventGroup, config: int, name: str, kind: EventKind) -> None:
    (spec,) = group.specs(planning_kernel())
    assert (spec.name, spec.kind) == (name, kind)
    assert (spec.attr.config, spec.attr.sample_period, spec.attr.freq) == (config, 1, False)


@pytest.mark.parametrize("group", [SoftPageFaultEvents(), HardPageFaultEvents()])
def test_page_faults_hold_their_address(group: EventGroup) -> None:
    assert attr_of(group).sample_type & abi.PERF_SAMPLE_ADDR


@pytest.mark.parametrize("group", [BpfOutputEvents(), TracepointEvents(GETPPID)])
def test_payloads_are_recorded_raw(group: EventGroup) -> None:
    assert attr_of(group).sample_type & abi.PERF_SAMPLE_RAW


@pytest.mark.parametrize(
    "group",
    [
        ProfilingEvents(99, callchain=True),
        ContextSwitchEvents(callchain=True),
        SoftPageFaultEvents(callchain=True),
        HardPageFaultEvents(callchain=True),
        TracepointEvents(GETPPID, callchain=True),
    ],
)
def test_every_sampling_group_can_record_call_chains(group: EventGroup) -> None:
    assert attr_of(group).sample_type & abi.PERF_SAMPLE_CALLCHAIN


def test_sampling_options_become_bits_and_fields() -> None:
    attr = Sampling(ip=True, user_regs=0b101, user_stack=4096).onto(PerfEventAttr())
    assert attr.sample_type == abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_REGS_USER | abi.PERF_SAMPLE_STACK_USER
    assert (attr.sample_regs_user, attr.sample_stack_user) == (0b101, 4096)


@pytest.mark.parametrize(
    "group", [ProfilingEvents(99, cpu=True, period=True), TracepointEvents(GETPPID, cpu=True, period=True)]
)
def test_a_sample_can_hold_its_cpu_and_its_period(group: EventGroup) -> None:
    both = abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_PERIOD
    assert attr_of(group).sample_type & both == both


def test_call_chain_can_be_had_without_its_user_part() -> None:
    attr = Sampling(callchain=True, user_callchain=False).onto(PerfEventAttr())
    assert (attr.exclude_callchain_user, attr.exclude_callchain_kernel) == (True, False)


def test_call_chain_can_be_had_without_its_kernel_part() -> None:
    attr = Sampling(callchain=True, kernel_callchain=False).onto(PerfEventAttr())
    assert (attr.exclude_callchain_user, attr.exclude_callchain_kernel) == (False, True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"user_stack": 12}, "user_stack is 12: the kernel takes multiples of 8"),
        ({"user_stack": 65536}, "user_stack is 65536"),
        ({"user_regs": -1}, "user_regs is -1"),
        ({"callchain": True, "user_callchain": False, "kernel_callchain": False}, "both False"),
        ({"user_callchain": False}, "callchain is False"),
    ],
)
def test_sampling_option_that_makes_no_sense_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Sampling(**options)


def test_tracepoint_has_its_id_filter_and_format() -> None:
    (spec,) = TracepointEvents(GETPPID, filter="common_pid == 1").specs(planning_kernel())
    assert (spec.attr.type, spec.attr.config, spec.filter) == (abi.PERF_TYPE_TRACEPOINT, 300, "common_pid == 1")
    assert spec.format is not None
    assert spec.format.name == GETPPID


def test_each_tracepoint_keeps_its_own_filter() -> None:
    group = TracepointEvents(GETPPID).add("sched:sched_switch", filter="prev_pid > 1")
    assert [spec.filter for spec in group.specs(planning_kernel())] == [None, "prev_pid > 1"]


def test_each_tracepoint_keeps_its_own_options() -> None:
    group = TracepointEvents(GETPPID).add("sched:sched_switch", sampling=Sampling(callchain=True))
    chains = [spec.attr.sample_type & abi.PERF_SAMPLE_CALLCHAIN for spec in group.specs(planning_kernel())]
    assert chains == [0, abi.PERF_SAMPLE_CALLCHAIN]


def test_unknown_tracepoint_is_named_with_what_looks_alike() -> None:
    with pytest.raises(TracepointNotFound) as missing:
        TracepointEvents("syscalls:sys_enter_getpid").specs(planning_kernel())
    assert missing.value.suggestions == (GETPPID,)


@pytest.mark.parametrize("name", ["", "getppid", "a:b:c", "../x:y"])
def test_what_is_no_tracepoint_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not the name of a tracepoint"):
        TracepointEvents(name)


def test_a_glob_becomes_an_event_for_each_tracepoint_that_matches() -> None:
    specs = TracepointEvents("*:*[det]", filter="common_pid == 1").specs(planning_kernel())
    assert [(spec.name, spec.filter) for spec in specs] == [(OPENED, "common_pid == 1"), (GETPPID, "common_pid == 1")]


def test_a_tracepoint_that_is_named_by_itself_keeps_its_own_filter_in_a_glob() -> None:
    group = TracepointEvents("s*:*").add(GETPPID, filter="common_pid == 1")
    found = {spec.name: spec.filter for spec in group.specs(planning_kernel())}
    assert found == {GETPPID: "common_pid == 1", OPENED: None, "sched:sched_switch": None}


def test_globs_that_agree_about_a_tracepoint_record_it_once() -> None:
    names = [spec.name for spec in TracepointEvents("sched:*", "*:*_switch").specs(planning_kernel())]
    assert names == ["sched:sched_switch"]


def test_globs_that_differ_about_a_tracepoint_are_refused() -> None:
    group = TracepointEvents("sched:*").add("*:*_switch", sampling=Sampling(ip=True))
    with pytest.raises(ValueError, match=r"'sched:\*' and '\*:\*_switch' both match tracepoint sched:sched_switch"):
        group.specs(planning_kernel())


def test_globs_that_differ_are_settled_by_the_name() -> None:
    group = TracepointEvents("sched:*").add("*:*_switch", filter="x > 1").add("sched:sched_switch", filter="x > 2")
    assert [spec.filter for spec in group.specs(planning_kernel())] == ["x > 2"]


def test_the_same_glob_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tracepoint sched:\* is there twice"):
        TracepointEvents("sched:*", "sched:*")


def test_one_tracepoint_is_no_glob() -> None:
    with pytest.raises(ValueError, match=r"'sched:\*' is a glob.*TracepointEvents\('sched:\*'\) takes all"):
        Tracepoint("sched:*")


@pytest.mark.parametrize("expression", ["", " ", "a\0b"])
def test_what_is_no_filter_of_a_glob_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"^filter of sched:\* is "):
        TracepointEvents("sched:*", filter=expression)


@pytest.mark.parametrize("expression", ["", " ", "a\0b"])
def test_what_is_no_filter_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=f"^filter of {GETPPID} is "):
        Tracepoint(GETPPID, expression)


def test_tracepoint_name_must_be_a_str() -> None:
    with pytest.raises(TypeError, match=r"^tracepoint is 5"):
        TracepointEvents(cast("str", 5))


def test_filter_must_be_a_str() -> None:
    with pytest.raises(TypeError, match="is 5: it must be a str"):
        Tracepoint(GETPPID, cast("str", 5))


def test_custom_event_needs_a_name() -> None:
    with pytest.raises(ValueError, match=r"^name is ''"):
        CustomEvent(PerfEventAttr(), "")


def test_specs_of_a_custom_event_are_copies() -> None:
    event = CustomEvent(PerfEventAttr(type=6, sample_period=1), "probe")
    attr_of(event).sample_period = 2
    assert attr_of(event).sample_period == 1


@pytest.mark.parametrize(
    ("group", "field"),
    [(KernelEvents(), "comm"), (ProfilingEvents(99), "frequency"), (TracepointEvents(GETPPID), "tracepoints")],
)
def test_groups_are_immutable(group: EventGroup, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(group, field, None)
