"""What the builder says about events, asked of the real kernel."""

from __future__ import annotations

import os
import select
from collections import Counter
from collections.abc import Callable, Iterator
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import pytest

from perfring import abi, tracefs
from perfring.abi import PerfEventAttr
from perfring.builder import SessionBuilder
from perfring.events import (
    BpfOutputEvents,
    ContextSwitchEvents,
    CustomEvent,
    EventGroup,
    HardPageFaultEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    Tracepoint,
    TracepointEvents,
)
from perfring.linux import LinuxKernel
from perfring.record_sizes import RecordSizes
from perfring.records import Sample
from perfring.session import Session
from tests.linux._bpf import BpfOutput
from tests.linux._rings import mapped, opened, rename

GETPPID = "syscalls:sys_enter_getppid"
GROUPS: tuple[EventGroup, ...] = (
    KernelEvents(mmap="all", context_switch=True),
    ProfilingEvents(997, callchain=True),
    ProfilingEvents(997, event="task-clock", user_regs=1, user_stack=64),
    ContextSwitchEvents(callchain=True, user_callchain=False),
    SoftPageFaultEvents(ip=True),
    HardPageFaultEvents(ip=True),
    BpfOutputEvents(),
    TracepointEvents(GETPPID, "sched:sched_switch", callchain=True, kernel_callchain=False),
)
EACH_GROUP = pytest.mark.parametrize("group", GROUPS, ids=lambda group: type(group).__name__)


@pytest.fixture
def cpu() -> Iterator[int]:
    """The one CPU that this process runs on during the test."""
    allowed = os.sched_getaffinity(0)
    cpu = min(allowed)
    os.sched_setaffinity(0, {cpu})
    yield cpu
    os.sched_setaffinity(0, allowed)


def of_this_process(cpu: int, *groups: EventGroup) -> SessionBuilder:
    return SessionBuilder().with_target_pid(os.getpid()).with_target_cpu(cpu).with_events(*groups)


@EACH_GROUP
def test_every_group_opens_on_the_whole_machine(kernel: LinuxKernel, group: EventGroup) -> None:
    with SessionBuilder().with_events(group).build(kernel) as session:
        assert [cpu for cpu, _ in session.perf_fds()] == list(kernel.online_cpus())


@EACH_GROUP
def test_every_group_opens_for_a_process(kernel: LinuxKernel, cpu: int, group: EventGroup) -> None:
    with of_this_process(cpu, group).build(kernel) as session:
        assert len(session.perf_fds()) == 1


@EACH_GROUP
def test_every_group_opens_in_an_overwrite_ring(kernel: LinuxKernel, cpu: int, group: EventGroup) -> None:
    with of_this_process(cpu, group).build_overwrite(kernel) as session:
        assert session.plan.overwrite


def readable(session: Session, kernel: LinuxKernel) -> bool:
    ((_, fd),) = session.perf_fds()
    return kernel.poll([(fd, select.POLLIN)], 0) != []


@pytest.fixture
def every_third(kernel: LinuxKernel, cpu: int) -> Iterator[Session]:
    builder = of_this_process(cpu, TracepointEvents(GETPPID), KernelEvents())
    with builder.with_wakeup_events(3).build(kernel) as session:
        session.enable()
        yield session


def test_k9_wakeup_events_wake_at_the_nth_sample_and_not_before(every_third: Session, kernel: LinuxKernel) -> None:
    woke = []
    for _ in range(7):
        os.getppid()
        woke.append(readable(every_third, kernel))
    assert woke == [False, False, True, False, False, True, False]


def test_k9_wakeup_events_do_not_count_side_band(every_third: Session, kernel: LinuxKernel) -> None:
    for _ in range(9):
        rename()
    assert not readable(every_third, kernel)


def test_k10_custom_event_of_a_watermarked_session_does_not_wake(kernel: LinuxKernel, cpu: int) -> None:
    faults = PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_PAGE_FAULTS, sample_period=1)
    with SessionBuilder().with_target_pid(os.getpid()).with_target_cpu(cpu).with_event(faults).build(kernel) as session:
        session.enable()
        touch_pages()
        assert not readable(session, kernel)
        assert session.parse_all() > 0


def touch_pages() -> None:
    with mmap(-1, 8 * 4096, MAP_PRIVATE | MAP_ANONYMOUS) as memory:
        for page in range(8):
            memory[page * 4096] = 1


def call_getppid() -> None:
    os.getppid()


def switch() -> None:
    """Nobody answers, so the scheduler runs something else meanwhile."""
    select.select([], [], [], 0.001)


def tracepoint(kernel: LinuxKernel, name: str) -> PerfEventAttr:
    found = tracefs.read_format(kernel, name)
    return PerfEventAttr(type=abi.PERF_TYPE_TRACEPOINT, config=found.id, sample_period=1)


def software(config: int) -> PerfEventAttr:
    return PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=config, sample_period=1)


def written(kernel: LinuxKernel, attr: PerfEventAttr, act: Callable[[], None]) -> int:
    """Bytes that the event wrote into its ring meanwhile."""
    with opened(kernel, attr) as fd, mapped(kernel, fd, data_pages=8) as ring:
        act()
        return ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)


KERNEL_ONLY = pytest.mark.parametrize(
    "attr_of",
    [
        lambda kernel: software(abi.PERF_COUNT_SW_CONTEXT_SWITCHES),
        lambda kernel: tracepoint(kernel, "sched:sched_switch"),
    ],
    ids=["context-switches", "sched_switch"],
)


@KERNEL_ONLY
def test_events_of_the_kernel_write_nothing_with_exclude_kernel(
    kernel: LinuxKernel, attr_of: Callable[[LinuxKernel], PerfEventAttr]
) -> None:
    assert written(kernel, attr_of(kernel).copy(exclude_kernel=True), switch) == 0


@KERNEL_ONLY
def test_events_of_the_kernel_write_without_exclude_kernel(
    kernel: LinuxKernel, attr_of: Callable[[LinuxKernel], PerfEventAttr]
) -> None:
    assert written(kernel, attr_of(kernel), switch) > 0


def test_system_call_tracepoints_write_with_exclude_kernel(kernel: LinuxKernel) -> None:
    assert written(kernel, tracepoint(kernel, GETPPID).copy(exclude_kernel=True), call_getppid) > 0


def test_switch_records_are_written_with_exclude_kernel(kernel: LinuxKernel) -> None:
    attr = software(abi.PERF_COUNT_SW_DUMMY).copy(exclude_kernel=True, context_switch=True)
    assert written(kernel, attr, switch) > 0


def test_tracepoint_of_fixed_fields_keeps_within_the_sizes_reckoned(kernel: LinuxKernel, cpu: int) -> None:
    plan = of_this_process(cpu, TracepointEvents(GETPPID)).plan(kernel)
    sizes = RecordSizes.of(plan.events, kernel)
    attr = plan.events[0].attr.copy(disabled=False, inherit=False)
    assert sizes.smallest <= written(kernel, attr, call_getppid) <= sizes.largest


@pytest.mark.parametrize("inherit", [False, True])
def test_bpf_map_takes_an_output_event_only_when_it_is_not_inherited(
    kernel: LinuxKernel, cpu: int, inherit: bool
) -> None:
    attr = software(abi.PERF_COUNT_SW_BPF_OUTPUT).copy(sample_type=abi.PERF_SAMPLE_RAW, inherit=inherit)
    with BpfOutput(slots=64) as output, opened(kernel, attr, pid=os.getpid(), cpu=cpu) as fd:
        refused = None
        try:
            kernel.bpf_map_update(output.map_fd, cpu, fd)
        except OSError as error:
            refused = error.errno
    assert (refused is not None) == inherit


def test_k52_without_its_period_a_hit_that_counts_nanoseconds_is_many_samples(kernel: LinuxKernel) -> None:
    spec = Tracepoint("sched:sched_stat_runtime").spec(kernel)
    bare = CustomEvent(spec.attr.copy(sample_type=spec.attr.sample_type & ~abi.PERF_SAMPLE_PERIOD), "bare")
    found: list[Sample] = []
    with SessionBuilder().with_events(bare).build() as session:
        session.enable()
        while len(found) < 200:
            sum(range(100_000))  # each tick counts how long we ran
            found += [each for each in session.next_batch(timeout=0) if isinstance(each, Sample)]
    hits = Counter((each.cpu, each.time, each.raw) for each in found)
    assert max(hits.values()) > 50


def test_k52_a_hit_that_counts_nanoseconds_is_one_sample() -> None:
    found: list[Sample] = []
    with SessionBuilder().with_tracepoint_events(TracepointEvents("sched:sched_stat_runtime")).build() as session:
        session.enable()
        while len(found) < 20:
            sum(range(100_000))  # each tick counts how long we ran
            found += [each for each in session.next_batch(timeout=0) if isinstance(each, Sample)]
    hits = {(each.cpu, each.time, each.tid, each.field("pid"), each.period) for each in found}
    assert len(hits) == len(found)
    assert all(each.period == each.field("runtime") > 1 for each in found)
