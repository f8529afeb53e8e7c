"""Tracepoints that every tracer asks for: the same on both kernels, in the same order."""

from __future__ import annotations

import pytest

from perfring import KernelEvents, Sample, SessionBuilder, TracepointEvents, TracepointNotFound
from perfring.kernel import Kernel
from simkernel import SimKernel
from simkernel.pytest_plugin import ActorFactory
from simkernel.tasks import Sleep

RAW = ("raw_syscalls:sys_enter", "raw_syscalls:sys_exit")
NAMED = ("syscalls:sys_enter_getppid", "syscalls:sys_exit_getppid")
WAKEUPS = ("sched:sched_wakeup", "sched:sched_wakeup_new")
GETPPID = 110


def test_a_system_call_passes_the_general_tracepoints_and_its_own(
    perf_kernel: Kernel, perf_actor: ActorFactory
) -> None:
    actor = perf_actor()
    builder = SessionBuilder().with_target_pid(actor.pid).with_tracepoint_events(TracepointEvents(*NAMED, *RAW))
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.getppid()
        samples = [record for record in session.records(duration=0) if isinstance(record, Sample)]
        calls = [s for s in samples if GETPPID in (s.fields or {}).values()]
        events = [call.event for call in calls]
        # Which of the two comes first depends on who on this machine opened one of them first.
        assert [set(events[:2]), set(events[2:])] == [{RAW[0], NAMED[0]}, {RAW[1], NAMED[1]}]


def test_a_glob_records_all_that_match_each_by_its_own_name(perf_kernel: Kernel, perf_actor: ActorFactory) -> None:
    actor = perf_actor()
    events = TracepointEvents("sys*:sys_e*_getppid")
    builder = SessionBuilder().with_target_pid(actor.pid).with_tracepoint_events(events)
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.getppid(2)
        assert [record.event for record in session.records(duration=0)] == [*NAMED] * 2


def test_a_glob_opens_its_tracepoints_in_the_order_of_their_names(perf_kernel: Kernel) -> None:
    plan = SessionBuilder().with_tracepoint_events(TracepointEvents("sched:sched_*", "task:*")).plan(perf_kernel)
    names = [spec.name for spec in plan.events]
    assert {"sched:sched_switch", "sched:sched_wakeup", "task:task_rename"} <= set(names)
    assert names == sorted(set(names))


def test_a_glob_that_matches_nothing_is_named_with_the_directory(perf_kernel: Kernel) -> None:
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents("sched:nosuch*"))
    with pytest.raises(TracepointNotFound, match=r"no tracepoint in /sys/\S+/events matches 'sched:nosuch\*'; see"):
        builder.build(perf_kernel)


def test_the_general_tracepoints_are_of_the_kernel_mode_and_have_the_size_of_linux(
    perf_kernel: Kernel, perf_actor: ActorFactory
) -> None:
    actor = perf_actor()
    builder = SessionBuilder().with_target_pid(actor.pid).with_tracepoint_events(TracepointEvents(*RAW, ip=True))
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.getppid()
        samples = [record for record in session.records(duration=0) if isinstance(record, Sample)]
        seen = {(sample.event, sample.cpu_mode, len(sample.raw or b"")) for sample in samples}
        assert seen == {(RAW[0], "kernel", 68), (RAW[1], "kernel", 28)}


def test_a_filter_finds_one_system_call_among_all(perf_kernel: Kernel, perf_actor: ActorFactory) -> None:
    actor = perf_actor()
    events = TracepointEvents(*RAW, filter=f"id == {GETPPID}")
    builder = SessionBuilder().with_target_pid(actor.pid).with_tracepoint_events(events)
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.getppid(3)
        assert [record.event for record in session.records(duration=0)] == [*RAW] * 3


def test_a_child_is_woken_as_a_new_task_by_the_one_who_forked_it(perf_kernel: Kernel, perf_actor: ActorFactory) -> None:
    actor = perf_actor()
    events = TracepointEvents(WAKEUPS[1], "sched:sched_process_fork")
    builder = SessionBuilder().with_target_pid(actor.pid).with_tracepoint_events(events)
    with builder.with_kernel_events(KernelEvents(mmap=None, comm=False)).build(perf_kernel) as session:
        session.enable()
        child = actor.fork()
        told = [record for record in session.records(duration=0) if record.kind in ("fork", "sample")]
        woken = told[-1]
        assert [record.event for record in told] == ["side-band", "sched:sched_process_fork", WAKEUPS[1]]
        assert isinstance(woken, Sample)
        assert woken.fields
        assert (woken.pid, woken.fields["pid"], woken.fields["prio"]) == (actor.pid, child.pid, 120)


def test_a_program_is_new_when_it_is_woken_first_and_then_no_more(sim_kernel: SimKernel) -> None:
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents(*WAKEUPS))
    with builder.build(sim_kernel) as session:
        session.enable()
        sim_kernel.spawn(lambda _: iter([Sleep(1000), Sleep(1000)]))
        assert [record.event for record in session.records(duration=0.1)] == [WAKEUPS[1], WAKEUPS[0], WAKEUPS[0]]


def test_a_filter_by_an_array_is_refused_with_its_name(sim_kernel: SimKernel) -> None:
    events = TracepointEvents(RAW[0], filter="args == 1")
    with pytest.raises(NotImplementedError, match="filters by args"):
        SessionBuilder().with_tracepoint_events(events).build(sim_kernel)
