"""What the simulator adds to Linux, or decides for it: time, waits that never end, misuse, rules, seeds, rights."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from perfring import abi
from perfring.kernel import Kernel
from simkernel import (
    DROP,
    PASS,
    Actor,
    ActorExited,
    Deadlock,
    Delay,
    Errno,
    Happening,
    Replace,
    SimKernel,
    SimulatorError,
    Sleep,
    Spend,
)
from simkernel.mapping import SimMapping
from simkernel.rules import Answer
from simkernel.tasks import Program

ROOT = frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"})
POLLIN = 1


@pytest.fixture
def kernel() -> SimKernel:
    return SimKernel(capabilities=ROOT)


def getppid_attr(kernel: SimKernel, *, wakeup_watermark: int = 1) -> abi.PerfEventAttr:
    number = int(SimKernel(capabilities=ROOT).read_text("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/id"))
    return abi.PerfEventAttr(
        type=abi.PERF_TYPE_TRACEPOINT,
        config=number,
        sample_period=1,
        sample_type=abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME,
        watermark=True,
        wakeup_watermark=wakeup_watermark,
    )


def open_ring(kernel: SimKernel, *, wakeup_watermark: int = 1, pid: int = -1) -> tuple[int, SimMapping]:
    fd = kernel.perf_event_open(getppid_attr(kernel, wakeup_watermark=wakeup_watermark), pid, 0)
    return fd, kernel.mmap(fd, 2 * kernel.page_size)


def head(mapping: SimMapping) -> int:
    return mapping.load_u64(abi.MMAP_PAGE_DATA_HEAD)


def refused(code: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        call()
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[code]


def forever(actor: Actor) -> Program:
    while True:
        actor.getppid()
        yield Sleep(1_000_000)


def test_it_is_a_kernel(kernel: SimKernel) -> None:
    seam: Kernel = kernel
    assert isinstance(seam, Kernel)


def test_descriptors_begin_where_no_real_one_is(kernel: SimKernel) -> None:
    assert open_ring(kernel)[0] == 1 << 30


def test_the_lowest_free_descriptor_is_taken(kernel: SimKernel) -> None:
    fds = [kernel.perf_event_open(getppid_attr(kernel), 0, -1) for _ in range(3)]
    kernel.close(fds[1])
    assert kernel.perf_event_open(getppid_attr(kernel), 0, -1) == fds[1]


def test_a_descriptor_of_the_real_kernel_is_misuse(kernel: SimKernel) -> None:
    with pytest.raises(SimulatorError, match="real kernel"):
        kernel.close(0)


def test_a_descriptor_of_nobody_is_ebadf(kernel: SimKernel) -> None:
    refused(errno.EBADF, lambda: kernel.close(987_654))


# Time.


def test_time_stands_still_while_the_program_runs(kernel: SimKernel) -> None:
    before = kernel.clock_ns(abi.CLOCK_MONOTONIC)
    open_ring(kernel)
    assert kernel.clock_ns(abi.CLOCK_MONOTONIC) == before


def test_a_timeout_passes_in_virtual_time(kernel: SimKernel) -> None:
    before = kernel.clock_ns(abi.CLOCK_MONOTONIC)
    assert kernel.poll([(open_ring(kernel)[0], POLLIN)], 86_400.0) == []
    assert kernel.clock_ns(abi.CLOCK_MONOTONIC) - before == 86_400 * 10**9


def test_timeouts_are_rounded_up_to_milliseconds(kernel: SimKernel) -> None:
    before = kernel.clock_ns(abi.CLOCK_MONOTONIC)
    kernel.poll([], 0.0001)
    assert kernel.clock_ns(abi.CLOCK_MONOTONIC) - before == 1_000_000


def test_clocks_differ_by_a_constant(kernel: SimKernel) -> None:
    before = kernel.clock_ns(abi.CLOCK_REALTIME) - kernel.clock_ns(abi.CLOCK_MONOTONIC_RAW)
    kernel.sleep(3)
    assert kernel.clock_ns(abi.CLOCK_REALTIME) - kernel.clock_ns(abi.CLOCK_MONOTONIC_RAW) == before


def test_a_clock_that_is_not_modelled_is_named(kernel: SimKernel) -> None:
    with pytest.raises(NotImplementedError, match="clock 2"):
        kernel.clock_ns(2)


def test_sleeping_backwards_is_refused(kernel: SimKernel) -> None:
    with pytest.raises(ValueError, match=r"seconds is -1"):
        kernel.sleep(-1)


# Programs.


def test_a_program_runs_while_the_reader_waits(kernel: SimKernel) -> None:
    fd, _ = open_ring(kernel, wakeup_watermark=100)
    kernel.spawn(forever)
    assert kernel.poll([(fd, POLLIN)]) == [(fd, POLLIN)]


def test_a_program_exits_at_its_end(kernel: SimKernel) -> None:
    def once(actor: Actor) -> Program:
        actor.getppid()
        yield Sleep(10)

    actor = kernel.spawn(once)
    kernel.sleep(1)
    with pytest.raises(ActorExited, match=str(actor.pid)):
        actor.getppid()


def test_two_programs_on_one_cpu_share_it(kernel: SimKernel) -> None:
    def busy(_actor: Actor) -> Program:
        yield Spend(20_000_000)

    for _ in range(2):
        kernel.spawn(busy)
    kernel.sleep(0.039)
    during = len(kernel.machine.tasks)
    kernel.sleep(0.002)
    assert during - len(kernel.machine.tasks) >= 1


def test_two_programs_on_two_cpus_do_not_wait_for_each_other(kernel: SimKernel) -> None:
    def busy(_actor: Actor) -> Program:
        yield Spend(20_000_000)

    before = len(kernel.machine.tasks)
    for cpu in (0, 1):
        kernel.spawn(busy, cpu=cpu)
    kernel.sleep(0.021)
    assert len(kernel.machine.tasks) == before


def test_a_program_that_yields_nonsense_is_told(kernel: SimKernel) -> None:
    def wrong(_actor: Actor) -> Program:
        yield 5  # type: ignore[misc]

    kernel.spawn(wrong)
    with pytest.raises(SimulatorError, match="yielded 5"):
        kernel.sleep(1)


def test_an_actor_that_exited_takes_no_orders(kernel: SimKernel) -> None:
    actor = kernel.actor()
    actor.exit()
    with pytest.raises(ActorExited):
        actor.rename("ghost")


def test_the_program_under_test_cannot_exit(kernel: SimKernel) -> None:
    with pytest.raises(SimulatorError, match="under test"):
        kernel.me.exit()


# Waits that never end.


def test_waiting_with_nothing_to_happen_is_a_deadlock(kernel: SimKernel) -> None:
    fd, _ = open_ring(kernel)
    with pytest.raises(Deadlock, match="ring of 4096 bytes"):
        kernel.poll([(fd, POLLIN)])


def test_a_full_ring_below_its_watermark_is_a_deadlock_under_endless_load(kernel: SimKernel) -> None:
    fd, _ = open_ring(kernel, wakeup_watermark=4096)
    kernel.spawn(forever)
    with pytest.raises(Deadlock, match="refused all"):
        kernel.poll([(fd, POLLIN)])


def test_how_long_a_stall_may_last_is_settable(kernel: SimKernel) -> None:
    kernel.stall_after = 5.0
    fd, _ = open_ring(kernel, wakeup_watermark=4096)
    kernel.spawn(forever)
    with pytest.raises(Deadlock, match="for 5 virtual seconds"):
        kernel.poll([(fd, POLLIN)])


def test_a_stall_with_a_timeout_ends_with_the_timeout(kernel: SimKernel) -> None:
    fd, _ = open_ring(kernel, wakeup_watermark=4096)
    kernel.spawn(forever)
    assert kernel.poll([(fd, POLLIN)], 30.0) == []


def test_a_waker_set_by_a_program_ends_a_wait(kernel: SimKernel) -> None:
    waker, epoll = kernel.waker(), kernel.epoll()
    epoll.register(waker.fileno(), POLLIN)

    def program(_actor: Actor) -> Program:
        yield Sleep(10)
        waker.set()

    kernel.spawn(program)
    assert epoll.poll() == [(waker.fileno(), POLLIN)]


# Mappings.


def test_a_closed_mapping_is_misuse(kernel: SimKernel) -> None:
    _, mapping = open_ring(kernel)
    mapping.close()
    with pytest.raises(SimulatorError, match="SIGSEGV"):
        head(mapping)


def test_storing_into_a_read_only_mapping_is_misuse(kernel: SimKernel) -> None:
    fd = kernel.perf_event_open(getppid_attr(kernel), -1, 0)
    mapping = kernel.mmap(fd, 8192, writable=False)
    with pytest.raises(SimulatorError, match="K4"):
        mapping.store_u64(abi.MMAP_PAGE_DATA_TAIL, 8)


def test_writing_to_the_data_is_impossible(kernel: SimKernel) -> None:
    with pytest.raises(TypeError):
        open_ring(kernel)[1].data[0] = 1


def test_another_cpu_may_run_at_a_load(kernel: SimKernel) -> None:
    _, mapping = open_ring(kernel)
    actor = kernel.actor()
    kernel.at_access = lambda kind, offset: actor.getppid() if kind == "load" else None
    assert head(mapping) > 0


def test_an_interrupt_may_write_between_reserve_and_publish(kernel: SimKernel) -> None:
    _, mapping = open_ring(kernel)
    actor, seen = kernel.actor(), []
    kernel.perf.output.between = lambda ring: seen.append((ring.buffer.head, head(mapping)))
    actor.getppid()
    assert seen == [(24, 0), (24, 0)]


# Rules.


def rule(kind: str, answer: Answer) -> Callable[[Happening], Answer]:
    return lambda happening: answer if happening.kind == kind else PASS


def test_a_rule_refuses_a_system_call(kernel: SimKernel) -> None:
    with kernel.rules.installed(rule("syscall", Errno(errno.EMFILE))):
        refused(errno.EMFILE, lambda: open_ring(kernel))


def test_a_rule_is_gone_after_its_block(kernel: SimKernel) -> None:
    with kernel.rules.installed(rule("syscall", Errno(errno.EMFILE))):
        pass
    assert open_ring(kernel)


def test_the_first_rule_that_answers_wins(kernel: SimKernel) -> None:
    first, second = rule("syscall", Errno(errno.EINTR)), rule("syscall", Errno(errno.EIO))
    with kernel.rules.installed(first), kernel.rules.installed(second):
        refused(errno.EINTR, kernel.epoll)


def test_a_rule_delays_a_system_call(kernel: SimKernel) -> None:
    before = kernel.clock_ns(abi.CLOCK_MONOTONIC)
    with kernel.rules.installed(rule("syscall", Delay(500))):
        kernel.waker()
    assert kernel.clock_ns(abi.CLOCK_MONOTONIC) - before == 500


def test_a_rule_drops_a_record(kernel: SimKernel) -> None:
    _, mapping = open_ring(kernel)
    with kernel.rules.installed(rule("record", DROP)):
        kernel.actor().getppid()
    assert head(mapping) == 0


def test_a_rule_corrupts_a_record(kernel: SimKernel) -> None:
    _, mapping = open_ring(kernel)
    with kernel.rules.installed(rule("record", Replace(b"\0" * 24))):
        kernel.actor().getppid()
    assert bytes(mapping.data[:24]) == b"\0" * 24


def test_a_rule_delays_a_wakeup(kernel: SimKernel) -> None:
    fd, _ = open_ring(kernel)
    with kernel.rules.installed(rule("wakeup", Delay(1_000_000))):
        kernel.actor().getppid()
    assert kernel.poll([(fd, POLLIN)], 0) == []
    assert kernel.poll([(fd, POLLIN)]) == [(fd, POLLIN)]


# Rights.


def test_k31_whole_cpus_are_refused_by_default() -> None:
    user = SimKernel()
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, exclude_kernel=True)
    refused(errno.EACCES, lambda: user.perf_event_open(attr, -1, 0))


def test_k31_a_user_may_watch_himself_without_the_kernel() -> None:
    user = SimKernel()
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, exclude_kernel=True)
    assert user.perf_event_open(attr, 0, -1)


def test_k31_somebody_elses_task_is_refused() -> None:
    user = SimKernel(paranoid=-1)
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)
    refused(errno.EACCES, lambda: user.perf_event_open(attr, 1, -1))


def test_k32_pages_beyond_the_budget_are_refused() -> None:
    user = SimKernel(paranoid=1)
    user.settings.memlock = 0
    fd = user.perf_event_open(abi.PerfEventAttr(type=1, config=9), 0, -1)
    refused(errno.EPERM, lambda: user.mmap(fd, 4096 * 513))
    assert len(user.mmap(fd, 4096 * 257).data) == 4096 * 256


def test_tracefs_belongs_to_root() -> None:
    with pytest.raises(PermissionError):
        SimKernel().list_dir("/sys/kernel/tracing/events")


# Releases.


@pytest.mark.parametrize(
    ("release", "size"), [("5.10", 120), ("6.1.9", 128), ("6.12", 136), ("6.18.44", 136), ("7.2", 144)]
)
def test_k29_the_size_that_is_written_back(release: str, size: int) -> None:
    attr = abi.PerfEventAttr(type=1, config=9, size=10)
    refused(errno.E2BIG, lambda: SimKernel(release=release, capabilities=ROOT).perf_event_open(attr, 0, -1))
    assert attr.size == size


@pytest.mark.parametrize(("release", "shares"), [("6.12", True), ("6.18", False)])
def test_k27_mapping_a_redirected_event(release: str, shares: bool) -> None:
    kernel = SimKernel(release=release, capabilities=ROOT)
    leader, _ = open_ring(kernel)
    fd = kernel.perf_event_open(getppid_attr(kernel), -1, 0)
    kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_OUTPUT, leader)
    if shares:
        assert len(kernel.mmap(fd, 8192).data) == 4096
    else:
        refused(errno.EBUSY, lambda: kernel.mmap(fd, 8192))


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"cpus": 0}, "cpus is 0"),
        ({"cpus": (1, 1)}, r"cpus is \(1, 1\)"),
        ({"page_size": 1000}, "page_size is 1000"),
        ({"release": "new"}, "release is 'new'"),
        ({"release": "4.4"}, "release is '4.4'"),
        ({"paranoid": 7}, "paranoid is 7"),
        ({"capabilities": {"CAP_FLY"}}, "CAP_FLY"),
    ],
)
def test_arguments_without_a_meaning_are_named(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SimKernel(**arguments)  # type: ignore[arg-type]


def test_sparse_cpu_ids() -> None:
    kernel = SimKernel(cpus=(5, 0, 2))
    assert kernel.online_cpus() == (0, 2, 5)
    assert kernel.read_text("/sys/devices/system/cpu/online") == "0,2,5\n"


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_the_data_begins_behind_one_page(page_size: int) -> None:
    kernel = SimKernel(page_size=page_size, capabilities=ROOT)
    _, mapping = open_ring(kernel)
    assert (mapping.load_u64(abi.MMAP_PAGE_DATA_OFFSET), len(mapping.data)) == (page_size, page_size)


def test_what_is_not_modelled_is_named(kernel: SimKernel) -> None:
    with pytest.raises(NotImplementedError, match="PERF_TYPE_BREAKPOINT"):
        kernel.perf_event_open(abi.PerfEventAttr(type=abi.PERF_TYPE_BREAKPOINT), 0, -1)


# One seed, one trace.


def trace(seed: int) -> tuple[str, bytes]:
    kernel = SimKernel(cpus=4, capabilities=ROOT, seed=seed)
    kernel.preemption = 0.5
    _, mapping = open_ring(kernel)
    for cpu in (0, 0, 1, 3):
        kernel.spawn(forever, cpu=cpu)
    for _ in range(20):
        kernel.sleep(0.001)
        head(mapping)
    return str(kernel), bytes(mapping.data)


def test_the_same_seed_gives_the_same_trace() -> None:
    assert trace(7) == trace(7)


def test_another_seed_gives_another_trace() -> None:
    assert trace(7)[1] != trace(8)[1]


def test_str_shows_descriptors_rings_and_tasks(kernel: SimKernel) -> None:
    fd, _ = open_ring(kernel)
    actor = kernel.actor()
    text = str(kernel)
    assert all(part in text for part in (f"fd {fd} -> anon_inode:[perf_event]", "watermark 1", f"{actor.pid} S cpu 0"))


def record_types(mapping: SimMapping) -> list[int]:
    """Of everything in a ring that has not wrapped."""
    found, at = [], 0
    while at < head(mapping):
        found.append(int.from_bytes(mapping.data[at : at + 4], "little"))
        at += int.from_bytes(mapping.data[at + 6 : at + 8], "little")
    return found


def test_k24_a_timer_that_is_too_fast_is_throttled_until_the_next_tick(kernel: SimKernel) -> None:
    kernel.settings.max_sample_rate = 1_000  # 4 in a tick of 4 ms
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_CPU_CLOCK, sample_period=100_000)
    mapping = kernel.mmap(kernel.perf_event_open(attr, -1, 0), 8192)
    kernel.actor().spend(8_000_000)
    types = record_types(mapping)
    assert types[:6] == [9, 9, 9, 9, abi.PERF_RECORD_THROTTLE, 9]
    assert abi.PERF_RECORD_UNTHROTTLE in types


def test_a_follower_is_no_more_enabled_than_its_leader(kernel: SimKernel) -> None:
    shape = abi.PERF_FORMAT_TOTAL_TIME_ENABLED
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, read_format=shape)
    leader = kernel.perf_event_open(attr.copy(disabled=True), -1, 0)
    follower = kernel.perf_event_open(attr, -1, 0, leader)
    kernel.sleep(1)
    kernel.ioctl(leader, abi.PERF_EVENT_IOC_ENABLE)
    kernel.sleep(2)
    assert int.from_bytes(kernel.read(follower, 16)[8:], "little") == 2 * 10**9


MMAP2, FORK = abi.PERF_RECORD_MMAP2, abi.PERF_RECORD_FORK
DUMMY = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)


@pytest.mark.parametrize(
    ("flag", "heard"),
    [("mmap2", []), ("mmap", [MMAP2, FORK]), ("mmap_data", [MMAP2, FORK]), ("comm", [FORK]), ("task", [FORK])],
)
def test_mmap2_alone_hears_what_any_event_of_the_machine_asks_for(
    kernel: SimKernel, flag: str, heard: list[int]
) -> None:
    actor = kernel.actor()
    mapping = kernel.mmap(kernel.perf_event_open(DUMMY.copy(mmap2=True), actor.pid, -1), 8192)
    asking = DUMMY.copy(disabled=True)
    setattr(asking, flag, True)
    elsewhere = kernel.perf_event_open(asking, 0, -1)
    actor.map_executable("/usr/lib/library.so", 1)
    actor.fork()
    kernel.close(elsewhere)
    actor.map_executable("/usr/lib/silent.so", 1)
    actor.fork()
    assert record_types(mapping) == heard  # the same calls on 6.18, where nobody else was recording


@pytest.fixture
def emitter(kernel: SimKernel) -> Actor:
    return kernel.actor(cpu=0)


@pytest.fixture
def output(kernel: SimKernel, emitter: Actor) -> int:
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1)
    return kernel.perf_event_open(attr, emitter.pid, -1)


def test_k46_a_map_forgets_what_it_was_told_by_a_closed_file(kernel: SimKernel, emitter: Actor, output: int) -> None:
    first, second = kernel.bpf_map_fd(1), kernel.bpf_map_fd(1)
    kernel.bpf_map_update(first, 0, output)
    kernel.close(second)
    emitter.emit(b"told")
    kernel.close(first)
    with pytest.raises(OSError) as forgotten:
        emitter.emit(b"forgotten")
    assert forgotten.value.errno == errno.ENOENT


def test_k46_a_slot_belongs_to_who_filled_it_last(kernel: SimKernel, emitter: Actor, output: int) -> None:
    first, second = kernel.bpf_map_fd(1), kernel.bpf_map_fd(1)
    kernel.bpf_map_update(first, 0, output)
    kernel.bpf_map_update(second, 0, output)
    kernel.close(first)
    emitter.emit(b"still told")


def test_k46_a_map_that_forgets_lets_go_of_the_event(kernel: SimKernel, output: int) -> None:
    table = kernel.bpf_map_fd(1)
    kernel.bpf_map_update(table, 0, output)
    kernel.close(output)
    assert len(kernel.perf.events) == 1
    kernel.close(table)
    assert not kernel.perf.events
