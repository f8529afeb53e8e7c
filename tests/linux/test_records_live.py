"""What the real kernel writes, decoded, and compared with what is known of it from elsewhere."""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from perfring import abi, environment, procfs
from perfring.decoding import Decoder
from perfring.fields import parse_read
from perfring.layout import EventLayout
from perfring.records import Record, Sample
from perfring.sideband import Comm, Exit, Fork, Lost, Mmap, Mmap2, Namespaces, Read, Switch, SwitchCpuWide
from perfring.tracefs import read_format
from tests.linux._rings import mapped, opened, rename

if TYPE_CHECKING:
    from perfring.errors import BadRecord
    from perfring.kernel import Mapping
    from perfring.linux import LinuxKernel

T = TypeVar("T", bound=Record)

PLAIN = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME
DUMMY = abi.PerfEventAttr(
    type=abi.PERF_TYPE_SOFTWARE,
    config=abi.PERF_COUNT_SW_DUMMY,
    sample_type=PLAIN,
    sample_id_all=True,
    use_clockid=True,
    clockid=abi.CLOCK_MONOTONIC,
)
READ_FORMAT = abi.PERF_FORMAT_ID | abi.PERF_FORMAT_TOTAL_TIME_ENABLED | abi.PERF_FORMAT_TOTAL_TIME_RUNNING
# Register numbers of asm/perf_regs.h: enough to see them arrive, and the stack and instruction pointers.
REGISTERS = {"x86_64": 0b1_1100_0000, "aarch64": 0b11 << 31}.get(platform.machine(), 0b11)
ALL_OF_A_SOFTWARE_EVENT = (
    *(abi.PERF_SAMPLE_IP, abi.PERF_SAMPLE_ADDR, abi.PERF_SAMPLE_READ, abi.PERF_SAMPLE_CALLCHAIN, abi.PERF_SAMPLE_ID),
    *(abi.PERF_SAMPLE_CPU, abi.PERF_SAMPLE_PERIOD, abi.PERF_SAMPLE_STREAM_ID, abi.PERF_SAMPLE_RAW),
    *(abi.PERF_SAMPLE_REGS_USER, abi.PERF_SAMPLE_STACK_USER, abi.PERF_SAMPLE_WEIGHT, abi.PERF_SAMPLE_DATA_SRC),
    *(abi.PERF_SAMPLE_TRANSACTION, abi.PERF_SAMPLE_REGS_INTR, abi.PERF_SAMPLE_PHYS_ADDR, abi.PERF_SAMPLE_CGROUP),
    *(abi.PERF_SAMPLE_DATA_PAGE_SIZE, abi.PERF_SAMPLE_CODE_PAGE_SIZE, abi.PERF_SAMPLE_WEIGHT_STRUCT),
)
EVERYTHING = sum(ALL_OF_A_SOFTWARE_EVENT) & ~abi.PERF_SAMPLE_WEIGHT


class Live:
    """One event on this thread (or another task) with a ring of its own, and the decoder of that ring."""

    def __init__(self, kernel: LinuxKernel, fd: int, mapping: Mapping, layout: EventLayout) -> None:
        self._mapping = mapping
        self.read_format = layout.read_format
        self.id = parse_read(layout.read_format, kernel.read(fd, 256)).id
        assert self.id is not None
        self.decoder = Decoder({self.id: layout}, default=layout)

    def records(self) -> list[Record]:
        """All that is in the ring; nothing in it may be bad."""
        bad: list[BadRecord] = []
        tail = self._mapping.load_u64(abi.MMAP_PAGE_DATA_TAIL)
        head = self._mapping.load_u64(abi.MMAP_PAGE_DATA_HEAD)
        at = tail % len(self._mapping.data)
        image = (bytes(self._mapping.data[at:]) + bytes(self._mapping.data[:at]))[: head - tail]
        records, consumed = self.decoder.decode_run(image, cpu=-1, position=tail, on_bad=bad.append, final=True)
        assert (bad, consumed) == ([], len(image))
        self._mapping.store_u64(abi.MMAP_PAGE_DATA_TAIL, head)
        return records

    def only(self, kind: type[T]) -> list[T]:
        return [record for record in self.records() if isinstance(record, kind)]


@contextmanager
def watched(
    kernel: LinuxKernel, attr: abi.PerfEventAttr, *, pid: int = 0, cpu: int = -1, pages: int = 16
) -> Iterator[Live]:
    attr = attr.copy(read_format=attr.read_format | abi.PERF_FORMAT_ID)
    with opened(kernel, attr, pid, cpu) as fd, mapped(kernel, fd, data_pages=pages) as mapping:
        format = None
        if attr.type == abi.PERF_TYPE_TRACEPOINT:
            format = read_format(kernel, "syscalls:sys_enter_getppid")
        yield Live(kernel, fd, mapping, EventLayout(attr, name="watched", kind="custom", format=format))


def getppid_attr(kernel: LinuxKernel, **changes: Any) -> abi.PerfEventAttr:
    tracepoint = read_format(kernel, "syscalls:sys_enter_getppid")
    return DUMMY.copy(type=abi.PERF_TYPE_TRACEPOINT, config=tracepoint.id, sample_period=1, **changes)


def with_bits(bits: int) -> dict[str, Any]:
    """The changes of an attr that asks for these bits, and for something to put into them."""
    user = abi.PERF_SAMPLE_REGS_USER
    return {
        "sample_type": PLAIN | bits,
        "read_format": READ_FORMAT,
        "sample_regs_user": REGISTERS if bits & user else 0,
        "sample_regs_intr": REGISTERS if bits & abi.PERF_SAMPLE_REGS_INTR else 0,
        "sample_stack_user": 256 if bits & abi.PERF_SAMPLE_STACK_USER else 0,
    }


def one_getppid(kernel: LinuxKernel, bits: int) -> Sample:
    with watched(kernel, getppid_attr(kernel, **with_bits(bits))) as live:
        os.getppid()
        (made,) = live.only(Sample)
        assert made.id == live.id
    return made


def now(kernel: LinuxKernel) -> int:
    return kernel.clock_ns(abi.CLOCK_MONOTONIC)


@pytest.fixture
def first_cpu(kernel: LinuxKernel) -> Iterator[int]:
    """This thread runs there, and nowhere else, for as long as the test lasts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu := kernel.online_cpus()[0]})
    yield cpu
    os.sched_setaffinity(0, before)


def test_the_cpu_and_the_period_are_told(kernel: LinuxKernel, first_cpu: int) -> None:
    made = one_getppid(kernel, abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_PERIOD)
    assert (made.sample_cpu, made.period) == (first_cpu, 1)


def test_a_software_event_that_tells_its_period_samples_every_time(kernel: LinuxKernel) -> None:
    with watched(kernel, getppid_attr(kernel, **with_bits(abi.PERF_SAMPLE_PERIOD)).copy(sample_period=10)) as live:
        for _ in range(10):
            os.getppid()
        assert [made.period for made in live.only(Sample)] == [1] * 10


@pytest.mark.parametrize("bit", ALL_OF_A_SOFTWARE_EVENT, ids=hex)
def test_each_field_alone_is_decoded_to_the_end_of_the_record(kernel: LinuxKernel, bit: int) -> None:
    made = one_getppid(kernel, bit)
    assert (made.pid, made.tid) == (os.getpid(), threading.get_native_id())


def test_k35_all_fields_at_once_come_in_the_order_of_the_decoder(kernel: LinuxKernel) -> None:
    before = now(kernel)
    made = one_getppid(kernel, EVERYTHING)
    assert made.time is not None
    assert before < made.time < now(kernel)
    assert (made.pid, made.tid, made.period, made.stream_id) == (os.getpid(), threading.get_native_id(), 1, made.id)
    assert made.sample_cpu in kernel.online_cpus()
    assert made.fields is not None
    assert made.code_page_size in (0, kernel.page_size)
    assert made.to_dict()["kind"] == "sample"


def test_the_raw_data_of_getppid_holds_its_number(kernel: LinuxKernel) -> None:
    made = one_getppid(kernel, abi.PERF_SAMPLE_RAW)
    numbers = {"x86_64": 110, "aarch64": 173, "riscv64": 173, "ppc64le": 64, "s390x": 64}
    assert made.fields == {"__syscall_nr": numbers[platform.machine()]}


def test_the_call_chain_begins_in_code_behind_its_mark(kernel: LinuxKernel) -> None:
    chain = one_getppid(kernel, abi.PERF_SAMPLE_CALLCHAIN).callchain
    assert chain is not None
    # A system call's tracepoint hands over the registers of user space: there is no kernel part.
    mark, *user = chain
    assert mark == abi.PERF_CONTEXT_USER
    code = procfs.maps(kernel, os.getpid(), executable_only=True)
    assert any(entry.start <= user[0] < entry.end for entry in code)


def test_the_count_in_a_sample_is_that_of_the_event(kernel: LinuxKernel) -> None:
    with watched(kernel, getppid_attr(kernel, **with_bits(abi.PERF_SAMPLE_READ))) as live:
        for _ in range(3):
            os.getppid()
        reads = [made.read for made in live.only(Sample)]
    assert [values and values.value for values in reads] == [1, 2, 3]
    assert all(values and values.id == live.id for values in reads)


def test_the_user_registers_point_into_the_stack_that_was_copied(kernel: LinuxKernel) -> None:
    made = one_getppid(kernel, abi.PERF_SAMPLE_REGS_USER | abi.PERF_SAMPLE_STACK_USER)
    assert made.user_regs is not None
    assert made.user_regs.abi == abi.PERF_SAMPLE_REGS_ABI_64
    assert len(made.user_regs.values) == REGISTERS.bit_count()
    assert made.user_stack is not None
    assert len(made.user_stack.used) == len(made.user_stack.data) == 256


def test_a_page_fault_tells_address_page_size_and_cgroup(kernel: LinuxKernel) -> None:
    bits = abi.PERF_SAMPLE_ADDR | abi.PERF_SAMPLE_PHYS_ADDR | abi.PERF_SAMPLE_CGROUP
    bits |= abi.PERF_SAMPLE_DATA_PAGE_SIZE | abi.PERF_SAMPLE_CODE_PAGE_SIZE
    faults = DUMMY.copy(config=abi.PERF_COUNT_SW_PAGE_FAULTS, sample_period=1, sample_type=PLAIN | bits)
    with watched(kernel, faults) as live, mmap.mmap(-1, 4 * kernel.page_size) as memory:
        for page in range(4):
            memory[page * kernel.page_size] = 1
        samples = live.only(Sample)
    by_addr = {made.addr: made for made in samples if made.addr is not None}
    runs = [[by_addr.get(begin + page * kernel.page_size) for page in range(4)] for begin in by_addr]
    four = next(run for run in runs if all(run))
    # Told before the page is there: it has no size yet, and no physical address.
    told = {(made.phys_addr, made.data_page_size, made.code_page_size) for made in four if made}
    assert told == {(0, 0, kernel.page_size)}
    assert all(made.cgroup for made in samples)


def test_a_group_is_read_with_the_sample(kernel: LinuxKernel) -> None:
    grouped = getppid_attr(kernel, **with_bits(abi.PERF_SAMPLE_READ))
    grouped.read_format |= abi.PERF_FORMAT_GROUP
    with opened(kernel, grouped) as fd, mapped(kernel, fd) as mapping:
        member = kernel.perf_event_open(DUMMY.copy(read_format=grouped.read_format), 0, -1, fd)
        live = Live(kernel, fd, mapping, EventLayout(grouped, name="leader", kind="custom"))
        os.getppid()
        (made,) = live.only(Sample)
        kernel.close(member)
    assert made.read is not None
    assert [count.value for count in made.read.counts] == [1, 0]


def test_an_event_alone_needs_no_id(kernel: LinuxKernel) -> None:
    attr = getppid_attr(kernel, sample_id_all=False)
    attr.sample_type = abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_TID
    with opened(kernel, attr) as fd, mapped(kernel, fd) as mapping:
        os.getppid()
        image = bytes(mapping.data[: mapping.load_u64(abi.MMAP_PAGE_DATA_HEAD)])
    decoder = Decoder(default=EventLayout(attr, name="only", kind="custom"))
    made = decoder.decode(image, 0, cpu=0, position=0)
    assert (made.size, made.pid, made.tid) == (len(image), os.getpid(), threading.get_native_id())


def test_k21_a_loss_is_told_before_the_next_record(kernel: LinuxKernel) -> None:
    with watched(kernel, getppid_attr(kernel), pages=1) as live:
        for _ in range(1000):
            os.getppid()
        kept = len(live.only(Sample))
        os.getppid()
        lost, following = live.records()
    assert isinstance(lost, Lost)
    assert (lost.lost_id, lost.lost, lost.pid) == (live.id, 1000 - kept, os.getpid())
    assert lost.size == 48  # K44
    assert following.kind == "sample"


def test_a_renaming_is_a_comm(kernel: LinuxKernel) -> None:
    before = Path("/proc/thread-self/comm").read_bytes().removesuffix(b"\n")
    with watched(kernel, DUMMY.copy(comm=True)) as live:
        rename()
        (made,) = live.only(Comm)
        expected = Path("/proc/thread-self/comm").read_text().rstrip("\n")
    Path("/proc/thread-self/comm").write_bytes(before)
    assert (made.comm, made.exec, made.pid, made.tid) == (expected, False, os.getpid(), threading.get_native_id())
    assert made.event == "watched"


def map_executable() -> mmap.mmap:
    with open(sys.executable, "rb") as file:
        return mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC, offset=mmap.PAGESIZE)


def test_an_executable_mapping_is_an_mmap2(kernel: LinuxKernel) -> None:
    with watched(kernel, DUMMY.copy(mmap=True, mmap2=True)) as live:
        map_executable().close()
        made = live.only(Mmap2)[-1]
    file = os.stat(sys.executable)
    assert made.filename == os.path.realpath(sys.executable)
    assert (made.maj, made.min, made.ino) == (os.major(file.st_dev), os.minor(file.st_dev), file.st_ino)
    assert (made.length, made.pgoff, made.prot, made.flags) == (2 * mmap.PAGESIZE, mmap.PAGESIZE, 5, mmap.MAP_SHARED)
    assert (made.pid, made.data, made.build_id) == (os.getpid(), False, None)


def test_a_build_id_comes_when_asked_for(kernel: LinuxKernel) -> None:
    with watched(kernel, DUMMY.copy(mmap=True, mmap2=True, build_id=True)) as live:
        map_executable().close()
        made = live.only(Mmap2)[-1]
    assert made.build_id is None or 0 < len(made.build_id) <= 20
    assert made.filename == os.path.realpath(sys.executable)
    assert made.prot == 5


def test_without_mmap2_a_mapping_is_an_mmap(kernel: LinuxKernel) -> None:
    with watched(kernel, DUMMY.copy(mmap=True)) as live:
        map_executable().close()
        made = live.only(Mmap)[-1]
    assert (made.kind, made.filename, made.length) == ("mmap", os.path.realpath(sys.executable), 2 * mmap.PAGESIZE)


def test_a_data_mapping_without_a_file_is_called_anon(kernel: LinuxKernel) -> None:
    with watched(kernel, DUMMY.copy(mmap=True, mmap2=True, mmap_data=True)) as live:
        mmap.mmap(-1, 7 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        made = live.only(Mmap2)[-1]
    assert (made.filename, made.data, made.prot, made.ino) == ("//anon", True, 3, 0)
    assert made.length >= 7 * mmap.PAGESIZE  # a neighbour of the same kind is merged with it, and told as one


def run(*command: str) -> int:
    """Runs a program to its end; returns its pid."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        assert child.wait(20) == 0
    return child.pid


def test_a_new_process_is_a_fork(kernel: LinuxKernel) -> None:
    before = now(kernel)
    with watched(kernel, DUMMY.copy(task=True)) as live:
        pid = run("true")
        (made,) = live.only(Fork)
    assert (made.pid, made.tid, made.ppid, made.ptid) == (pid, pid, os.getpid(), threading.get_native_id())
    assert made.time is not None
    assert before < made.time < now(kernel)


def test_a_new_thread_is_a_fork_of_the_same_process(kernel: LinuxKernel) -> None:
    tids: list[int] = []
    with watched(kernel, DUMMY.copy(task=True)) as live:
        thread = threading.Thread(target=lambda: tids.append(threading.get_native_id()))
        thread.start()
        thread.join()
        (made,) = live.only(Fork)
    assert (made.pid, made.ppid, made.tid, made.ptid) == (os.getpid(), os.getpid(), tids[0], threading.get_native_id())


def test_the_end_of_a_process_is_an_exit(kernel: LinuxKernel) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        with watched(kernel, DUMMY.copy(task=True), pid=child.pid) as live:
            child.stdin.close()
            child.wait(20)
            (made,) = live.only(Exit)
    assert (made.pid, made.tid, made.ppid) == (child.pid, child.pid, os.getpid())


def test_an_exec_is_a_comm_that_says_so(kernel: LinuxKernel) -> None:
    with subprocess.Popen(["sh", "-c", "read line; exec true"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        with watched(kernel, DUMMY.copy(comm=True, comm_exec=True), pid=child.pid) as live:
            child.stdin.close()
            child.wait(20)
            made = live.only(Comm)[-1]
    assert (made.comm, made.exec, made.pid) == ("true", True, child.pid)


def switch() -> None:
    """Gives up the CPU: waits for another thread that first has to run."""
    thread = threading.Thread(target=os.getppid)
    thread.start()
    thread.join()


def test_waiting_is_a_switch_out_and_a_switch_in(kernel: LinuxKernel) -> None:
    with watched(kernel, DUMMY.copy(context_switch=True)) as live:
        switch()
        made = live.only(Switch)
    assert {record.tid for record in made} == {threading.get_native_id()}
    assert [record.out for record in made[:2]] == [True, False]


def test_a_whole_cpu_tells_who_comes_next(kernel: LinuxKernel) -> None:
    attr = DUMMY.copy(context_switch=True)
    chain: list[SwitchCpuWide] = []
    with watched(kernel, attr, pid=-1, cpu=kernel.online_cpus()[0], pages=64) as live:
        while len(chain) < 4:
            switch()
            chain += live.only(SwitchCpuWide)
    outs = {(record.tid, record.next_prev_tid) for record in chain if record.out}
    ins = {(record.next_prev_tid, record.tid) for record in chain if not record.out}
    assert outs & ins


def test_new_namespaces_are_told(kernel: LinuxKernel) -> None:
    with subprocess.Popen(["sh", "-c", "read line; exec unshare -u true"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        with watched(kernel, DUMMY.copy(namespaces=True), pid=child.pid) as live:
            child.stdin.close()
            assert child.wait(20) == 0
            made = live.only(Namespaces)[-1]
    mine = [os.stat(f"/proc/self/ns/{name}").st_ino for name in ("net", "uts", "ipc", "pid", "user", "mnt", "cgroup")]
    assert made.pid == child.pid
    assert [link.ino == own for link, own in zip(made.namespaces, mine, strict=True)] == [True, False, *[True] * 5]


def test_the_counts_of_a_task_that_ended_are_a_read(kernel: LinuxKernel) -> None:
    attr = getppid_attr(kernel, inherit=True, inherit_stat=True, read_format=READ_FORMAT)
    with subprocess.Popen(["sh", "-c", "read line; true | true"], stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        os.sched_setaffinity(child.pid, {cpu := kernel.online_cpus()[0]})
        with watched(kernel, attr, pid=child.pid, cpu=cpu) as live:
            child.stdin.close()
            child.wait(20)
            made = live.only(Read)[-1]
    # Which of the tasks tells it is the scheduler's choice: it exchanges the contexts of parent and child.
    assert made.values is not None
    assert made.values.id == live.id
    assert (made.values.time_enabled or 0) >= (made.values.time_running or 0) > 0


def test_capture_finds_what_the_kernel_told(kernel: LinuxKernel) -> None:
    with watched(kernel, DUMMY.copy(mmap=True, mmap2=True)) as live:
        memory = map_executable()
        told = live.only(Mmap2)[-1]
        found = [record for record in environment.capture(kernel, [os.getpid()]) if isinstance(record, Mmap2)]
        memory.close()
    (made,) = [record for record in found if record.addr == told.addr]
    names = ("pid", "addr", "length", "pgoff", "maj", "min", "ino", "prot", "flags", "filename", "cpu_mode", "data")
    assert {name: getattr(made, name) for name in names} == {name: getattr(told, name) for name in names}


def test_capture_names_every_thread_of_this_process(kernel: LinuxKernel) -> None:
    names = {
        record.tid: record.comm for record in environment.capture(kernel, [os.getpid()]) if isinstance(record, Comm)
    }
    expected = {int(task.name): (task / "comm").read_text().rstrip("\n") for task in Path("/proc/self/task").iterdir()}
    assert names == expected


def test_capture_of_everything_ends(kernel: LinuxKernel) -> None:
    assert any(record.pid == os.getpid() for record in environment.capture(kernel, time=now(kernel)))


@pytest.mark.parametrize("make", [os.getppid, rename, switch])
def test_k5_sizes_are_multiples_of_8(kernel: LinuxKernel, make: Callable[[], object]) -> None:
    attr = getppid_attr(kernel, **with_bits(EVERYTHING)).copy(comm=True, context_switch=True, mmap=True, task=True)
    with watched(kernel, attr) as live:
        make()
        records = live.records()
    assert records
    assert all(record.size % 8 == 0 for record in records)
