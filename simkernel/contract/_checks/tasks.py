"""Side-band of tasks: fork, exit, exec, switches, and which events follow whom."""

from __future__ import annotations

from itertools import pairwise

from perfring import abi
from simkernel.contract.raw import RawRecord
from simkernel.contract.rig import Rig, expect, require, types
from simkernel.contract.suite import check

_OUT, _PREEMPT = abi.PERF_RECORD_MISC_SWITCH_OUT, abi.PERF_RECORD_MISC_SWITCH_OUT_PREEMPT


def _of(kind: int, records: list[RawRecord]) -> list[RawRecord]:
    return [record for record in records if record.type == kind]


@check("K40")
def check_fork_tells_child_and_parent(rig: Rig) -> None:
    ring = rig.ring(rig.software(task=True))
    child = rig.actor.fork()
    (record,) = ring.drain()
    pid, ppid, tid, ptid, time = record.unpack("IIIIQ")
    want = (abi.PERF_RECORD_FORK, child.pid, rig.actor.pid, child.pid, rig.actor.pid)
    expect((record.type, pid, ppid, tid, ptid), want, "type, pid, ppid, tid and ptid of a FORK")
    require(time, "the time of a FORK is 0")


@check("K40")
def check_exit_tells_the_task(rig: Rig) -> None:
    ring = rig.ring(rig.software(task=True))
    rig.actor.exit()
    (record,) = ring.drain()
    pid, _ppid, tid, _ptid, _time = record.unpack("IIIIQ")
    expect((record.type, pid, tid), (abi.PERF_RECORD_EXIT, rig.actor.pid, rig.actor.pid), "type, pid, tid of an EXIT")


@check("K40", flag=["comm", "mmap"])
def check_comm_and_mmap_bring_fork_as_well(rig: Rig, flag: str) -> None:
    ring = rig.ring(rig.software(**{flag: True}))
    rig.actor.fork()
    expect(types(ring.drain()), [abi.PERF_RECORD_FORK], f"records of a fork with {flag} and without task")


@check("K40")
def check_without_any_of_these_flags_a_fork_is_not_recorded(rig: Rig) -> None:
    ring = rig.ring(rig.software(context_switch=False))
    rig.ring(rig.software(task=True))  # another one that asks for it
    rig.actor.fork()
    expect(ring.drain(), [], "records of a fork without task, comm or mmap")


@check("K40")
def check_a_childs_renaming_is_not_its_parents(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True))
    child = rig.actor.fork()
    child.rename("child")
    expect(types(ring.drain()), [abi.PERF_RECORD_FORK], "records of a fork and of the child's renaming, no inherit")


@check("K40")
def check_with_inherit_a_childs_renaming_is_recorded(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, inherit=True), cpu=rig.cpus[0])
    child = rig.actor.fork()
    child.rename("child")
    records = ring.drain()
    expect(types(records), [abi.PERF_RECORD_FORK, abi.PERF_RECORD_COMM], "records of a fork and a child's renaming")
    expect(records[1].unpack("I"), (child.pid,), "pid in the COMM")


@check("K35")
def check_exec_is_a_comm_with_its_mark(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, comm_exec=True))
    rig.actor.exec(rig.arm.executable)
    record = _of(abi.PERF_RECORD_COMM, ring.drain())[0]
    name = rig.arm.executable.rsplit("/", 1)[-1][:15]
    mark = record.misc & abi.PERF_RECORD_MISC_COMM_EXEC
    got = bool(mark), record.unpack("I")[0], record.body[8:].rstrip(b"\0").decode()
    expect(got, (True, rig.actor.pid, name), "mark, pid and name of an exec's COMM")


@check("K35")
def check_a_renaming_does_not_have_the_mark_of_exec(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, comm_exec=True))
    rig.actor.rename("name")
    (record,) = ring.drain()
    expect(record.misc & abi.PERF_RECORD_MISC_COMM_EXEC, 0, "the mark of exec in the COMM of a renaming")


@check("K35")
def check_exec_maps_the_program(rig: Rig) -> None:
    ring = rig.ring(rig.software(mmap=True), pages=8)
    rig.actor.exec(rig.arm.executable)
    names = [record.body[32:].split(b"\0")[0].decode() for record in _of(abi.PERF_RECORD_MMAP, ring.drain())]
    require(rig.arm.executable in names, f"the MMAP records of an exec name {names}, not the program")


@check("K40")
def check_enable_on_exec_enables_on_exec(rig: Rig) -> None:
    ring = rig.ring(rig.samples(disabled=True, enable_on_exec=True))
    rig.actor.getppid()
    expect(ring.head, 0, "head before exec")
    rig.actor.exec(rig.arm.executable)
    rig.actor.getppid(2)
    expect(ring.head, 32, "head after exec and two calls")


@check("K40")
def check_remove_on_exec_removes_on_exec(rig: Rig) -> None:
    ring = rig.ring(rig.samples(remove_on_exec=True))
    rig.actor.getppid()
    rig.actor.exec(rig.arm.executable)
    rig.actor.getppid(2)
    expect(ring.head, 16, "head after one call, exec and two calls")


@check("K40")
def check_an_event_survives_exec_without_these_flags(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid()
    rig.actor.exec(rig.arm.executable)
    rig.actor.getppid(2)
    expect(ring.head, 48, "head after one call, exec and two calls")


@check("K35")
def check_each_switch_out_is_followed_by_a_switch_in(rig: Rig) -> None:
    ring = rig.ring(rig.software(context_switch=True), pages=4)
    for _ in range(3):
        rig.actor.switch()
    ways = [bool(record.misc & _OUT) for record in _of(abi.PERF_RECORD_SWITCH, ring.drain())]
    require(ways.count(True) >= 3, f"{ways.count(True)} switches out, and the task gave up its CPU three times")
    require(all(a != b for a, b in pairwise(ways)), f"a task's switches do not alternate: {ways}")


@check("K35")
def check_a_switch_of_a_task_is_a_bare_header(rig: Rig) -> None:
    ring = rig.ring(rig.software(context_switch=True), pages=4)
    rig.actor.switch()
    sizes = {record.size for record in _of(abi.PERF_RECORD_SWITCH, ring.drain())}
    expect(sizes, {8}, "sizes of SWITCH records without a trailer")


@check("K35")
def check_a_sleep_is_no_preemption(rig: Rig) -> None:
    ring = rig.ring(rig.software(context_switch=True), pages=4)
    rig.actor.switch()
    outs = [record.misc for record in _of(abi.PERF_RECORD_SWITCH, ring.drain()) if record.misc & _OUT]
    require(any(not misc & _PREEMPT for misc in outs), f"every switch out is said to be a preemption: {outs}")


@check("K35")
def check_switches_of_a_whole_cpu_tell_the_other_task(rig: Rig) -> None:
    ring = rig.ring(rig.software(context_switch=True, sample_type=abi.PERF_SAMPLE_TID, sample_id_all=True), pages=64,
                    pid=-1, cpu=rig.cpus[0])  # fmt: skip
    rig.actor.switch()
    records = _of(abi.PERF_RECORD_SWITCH_CPU_WIDE, ring.drain())
    pid = rig.actor.pid
    outs = [record for record in records if record.misc & _OUT and record.unpack("IIII")[2] == pid]
    require(outs, "no SWITCH_CPU_WIDE of the task that gave up its CPU")
    expect({record.size for record in records}, {24}, "sizes of SWITCH_CPU_WIDE with a trailer of pid and tid")
    named = [record.unpack("IIII") for record in records]
    require(all(names[:2] != names[2:] for names in named), "a switch names the task itself as the other")
    ins = [record for record in records if not record.misc & _OUT and record.unpack("IIII")[2] == pid]
    require(ins, "no SWITCH_CPU_WIDE of the task that came back")


@check("K40")
def check_an_event_of_a_cpu_hears_every_task_there(rig: Rig) -> None:
    other = rig.another_actor()
    ring = rig.ring(rig.samples(), pid=-1, cpu=rig.cpus[0])
    # Whatever else runs on that CPU calls getppid as it likes.
    ours = f"common_pid == {rig.actor.pid} || common_pid == {other.pid}\0"
    rig.control(ring.fd, abi.PERF_EVENT_IOC_SET_FILTER, ours.encode())
    ring.free()
    rig.actor.getppid(2)
    other.getppid()
    pids = [record.unpack("I")[0] for record in ring.drain() if record.type == abi.PERF_RECORD_SAMPLE]
    pids = [pid for pid in pids if pid in (rig.actor.pid, other.pid)]
    expect(pids, [rig.actor.pid, rig.actor.pid, other.pid], "pids of the samples of a whole CPU")


@check("K40")
def check_an_event_of_a_task_follows_it_to_another_cpu(rig: Rig) -> None:
    fields = abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_CPU
    ring = rig.ring(rig.samples(sample_type=fields))
    rig.actor.getppid()
    rig.actor.pin(rig.second_cpu)
    rig.actor.getppid()
    cpus = [record.unpack("III")[2] for record in ring.drain()]
    expect(cpus, [rig.cpus[0], rig.second_cpu], "CPUs of two samples of a task that moved between them")
