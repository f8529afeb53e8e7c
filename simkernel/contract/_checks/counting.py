"""Counting: what read(2) says, groups, periods, and the software events. Real actors are not quiet: lower bounds."""

from __future__ import annotations

from perfring import abi
from simkernel.contract.rig import Rig, expect, require, types
from simkernel.contract.suite import check

_ENABLED, _RUNNING = abi.PERF_FORMAT_TOTAL_TIME_ENABLED, abi.PERF_FORMAT_TOTAL_TIME_RUNNING


@check("K41")
def check_times_enabled_and_running_grow_alike(rig: Rig) -> None:
    fd = rig.open(rig.samples(read_format=_ENABLED | _RUNNING))
    rig.actor.spend(2_000_000)
    count, enabled, running = rig.counts(fd)
    expect((count, enabled), (0, running), "count, and the time enabled where nothing is multiplexed")
    require(running >= 2_000_000, f"{running} ns running, and the task has spent 2 ms")


@check("K41")
def check_a_disabled_event_takes_no_time(rig: Rig) -> None:
    fd = rig.open(rig.samples(disabled=True, read_format=_ENABLED | _RUNNING))
    rig.actor.spend(1_000_000)
    expect(rig.counts(fd), (0, 0, 0), "count and times of an event that was never enabled")


@check("K41")
def check_a_group_is_read_from_its_leader(rig: Rig) -> None:
    group = {"read_format": abi.PERF_FORMAT_GROUP | abi.PERF_FORMAT_ID}
    leader = rig.open(rig.software(**group))
    member = rig.open(rig.samples(**group), group_fd=leader)
    rig.actor.getppid(5)
    want = (2, 0, rig.id_of(leader), 5, rig.id_of(member))
    expect(rig.counts(leader), want, "number of events, and value and id of each")


@check("K38", "K41")
def check_a_group_is_enabled_with_its_leader(rig: Rig) -> None:
    leader = rig.open(rig.software(disabled=True))
    member = rig.open(rig.samples(), group_fd=leader)
    rig.actor.getppid(2)
    rig.control(leader, abi.PERF_EVENT_IOC_ENABLE)
    rig.actor.getppid(3)
    expect(rig.counts(member), (3,), "count of a member whose leader was enabled after two of five calls")


@check("K38")
def check_the_group_flag_reaches_every_member(rig: Rig) -> None:
    leader = rig.open(rig.samples())
    member = rig.open(rig.samples(), group_fd=leader)
    rig.actor.getppid()
    rig.control(leader, abi.PERF_EVENT_IOC_DISABLE, abi.PERF_IOC_FLAG_GROUP)
    rig.actor.getppid()
    rig.control(leader, abi.PERF_EVENT_IOC_RESET, abi.PERF_IOC_FLAG_GROUP)
    rig.control(leader, abi.PERF_EVENT_IOC_ENABLE, abi.PERF_IOC_FLAG_GROUP)
    rig.actor.getppid(2)
    expect((rig.counts(leader), rig.counts(member)), ((2,), (2,)), "counts of leader and member")


@check("K38")
def check_without_the_group_flag_a_member_keeps_its_count(rig: Rig) -> None:
    leader = rig.open(rig.samples())
    member = rig.open(rig.samples(), group_fd=leader)
    rig.actor.getppid(3)
    rig.control(leader, abi.PERF_EVENT_IOC_RESET, 0)
    expect((rig.counts(leader), rig.counts(member)), ((0,), (3,)), "counts of leader and member, the leader's reset")


@check("K28")
def check_inherit_adds_the_childrens_counts(rig: Rig) -> None:
    fd = rig.open(rig.samples(inherit=True))
    child = rig.actor.fork()
    child.getppid(3)
    rig.actor.getppid(2)
    expect(rig.counts(fd), (5,), "count of parent and child")
    child.exit()
    expect(rig.counts(fd), (5,), "count after the child exited")


@check("K28")
def check_without_inherit_a_child_counts_nothing(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    rig.actor.fork().getppid(3)
    expect(rig.counts(fd), (0,), "count of a parent that did nothing")


@check("K38", period=[2, 3, 10])
def check_every_nth_hit_is_a_sample(rig: Rig, period: int) -> None:
    ring = rig.ring(rig.samples(sample_period=period))
    rig.actor.getppid(30)
    expect((ring.head // 16, rig.counts(ring.fd)), (30 // period, (30,)), "samples and count of 30 calls")


@check("K38")
def check_without_a_period_it_only_counts(rig: Rig) -> None:
    ring = rig.ring(rig.samples(sample_period=0))
    rig.actor.getppid(5)
    expect((ring.head, rig.counts(ring.fd)), (0, (5,)), "head and count of an event without a period")


@check("K19", "K41")
def check_a_count_can_be_read_after_the_task_exited(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    rig.actor.getppid(4)
    rig.actor.exit()
    expect(rig.counts(fd), (4,), "count of a task that has exited")


@check("K30", config=[abi.PERF_COUNT_SW_PAGE_FAULTS, abi.PERF_COUNT_SW_PAGE_FAULTS_MIN])
def check_page_faults_are_counted(rig: Rig, config: int) -> None:
    fd = rig.open(rig.software(config))
    rig.actor.touch_pages(20)
    require(rig.counts(fd)[0] >= 20, f"{rig.counts(fd)[0]} faults, and 20 new pages were written to")


@check("K35")
def check_a_page_fault_tells_its_address(rig: Rig) -> None:
    attr = rig.software(abi.PERF_COUNT_SW_PAGE_FAULTS, sample_period=1, sample_type=abi.PERF_SAMPLE_ADDR)
    ring = rig.ring(attr, pages=16)
    rig.actor.touch_pages(8)
    pages = {record.unpack("Q")[0] // rig.kernel.page_size for record in ring.drain()}
    runs = [page for page in pages if all(page + step in pages for step in range(8))]
    require(runs, "the samples' addresses have no eight pages in a row, and so many were written to")


@check("K30")
def check_context_switches_are_counted(rig: Rig) -> None:
    fd = rig.open(rig.software(abi.PERF_COUNT_SW_CONTEXT_SWITCHES))
    for _ in range(20):
        rig.actor.switch()
    # A sleep that is over before it began is no switch: an emulated machine missed 3 of 5.
    require(rig.counts(fd)[0] >= 5, f"{rig.counts(fd)[0]} switches, and the task gave up its CPU 20 times")


@check("K30")
def check_migrations_are_counted(rig: Rig) -> None:
    fd = rig.open(rig.software(abi.PERF_COUNT_SW_CPU_MIGRATIONS))
    for _ in range(2):
        rig.actor.pin(rig.second_cpu)
        rig.actor.getppid()
        rig.actor.pin(rig.cpus[0])
        rig.actor.getppid()
    require(rig.counts(fd)[0] >= 4, f"{rig.counts(fd)[0]} migrations, and the task was moved 4 times")


@check("K30", config=[abi.PERF_COUNT_SW_TASK_CLOCK, abi.PERF_COUNT_SW_CPU_CLOCK])
def check_the_clocks_count_nanoseconds(rig: Rig, config: int) -> None:
    fd = rig.open(rig.software(config))
    rig.actor.spend(3_000_000)
    require(rig.counts(fd)[0] >= 2_900_000, f"{rig.counts(fd)[0]} ns, and the task has spent 3 ms")


@check("K30", config=[abi.PERF_COUNT_SW_TASK_CLOCK, abi.PERF_COUNT_SW_CPU_CLOCK])
def check_the_clocks_sample(rig: Rig, config: int) -> None:
    ring = rig.ring(rig.software(config, sample_period=500_000, sample_type=abi.PERF_SAMPLE_TID), pages=4)
    rig.actor.spend(10_000_000)
    records = [record for record in ring.drain() if record.type == abi.PERF_RECORD_SAMPLE]
    require(len(records) >= 2, f"{len(records)} samples each 0.5 ms, and the task has spent 10 ms")
    expect({record.unpack("II") for record in records}, {(rig.actor.pid,) * 2}, "pid and tid of the samples")


@check("K30")
def check_a_frequency_samples_the_clock(rig: Rig) -> None:
    attr = rig.software(freq=True, sample_freq=1000, sample_type=abi.PERF_SAMPLE_TID)
    ring = rig.ring(attr.copy(config=abi.PERF_COUNT_SW_CPU_CLOCK), pages=4)
    rig.actor.spend(20_000_000)
    require(abi.PERF_RECORD_SAMPLE in types(ring.drain()), "no sample at 1000 Hz, and the task has spent 20 ms")


@check("K30")
def check_the_dummy_counts_nothing(rig: Rig) -> None:
    fd = rig.open(rig.software())
    rig.actor.getppid(3)
    rig.actor.touch_pages(3)
    rig.actor.switch()
    expect(rig.counts(fd), (0,), "count of the dummy event")
