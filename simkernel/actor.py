"""Actors: tasks that do one observable thing at a time, on order."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from perfring.abi import (
    PERF_COUNT_SW_PAGE_FAULTS,
    PERF_COUNT_SW_PAGE_FAULTS_MAJ,
    PERF_COUNT_SW_PAGE_FAULTS_MIN,
)
from simkernel._arguments import check_count
from simkernel.event import State
from simkernel.misuse import ActorExited, SimulatorError
from simkernel.readiness import os_error
from simkernel.repeating import Pass, Repeater
from simkernel.sampling import MAX_SAMPLE_BYTES
from simkernel.tasks import VirtualMapping

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from simkernel.machine import Machine
    from simkernel.perf import Perf
    from simkernel.perffile import BpfMap
    from simkernel.tasks import Task

__all__ = ["Actor"]

# What things cost, in virtual nanoseconds: made up, but never nothing, so that records have different times.
_SYSCALL_NS: Final = 150
_FAULT_NS: Final = 600
_FORK_NS: Final = 60_000
_EXEC_NS: Final = 400_000
_SLEEP_NS: Final = 1_000

_HEAP: Final = 0x5555_5600_0000
_MAPPINGS: Final = 0x7F00_0000_0000
_PROGRAM: Final = 0x5555_5555_4000
_VDSO: Final = 0x7FFF_FFFF_C000
_PROGRAM_PAGES: Final = 4
_VDSO_PAGES: Final = 2
_READ_EXECUTE: Final = 5
_PRIVATE: Final = 2
_DEVICE: Final = (254, 0)
_COMM_BYTES: Final = 15
_NO_ARGUMENTS: Final = (0,) * 6


class Actor:
    """A simulated task that takes orders. `SimKernel.actor` and `SimKernel.spawn` make them.

    An order runs to its end in virtual time, on the actor's CPU, while whoever gives it waits; inside a program of
    `SimKernel.spawn`, orders to the program's own actor are what the program does.

    Attributes:
        pid: the process id: its only thread has the same.
    """

    def __init__(self, machine: Machine, perf: Perf, task: Task, bpf_map: BpfMap) -> None:
        self._machine = machine
        self._perf = perf
        self._activity = perf.activity
        self._task = task
        self._bpf_map = bpf_map
        self.pid = task.pid
        self._repeater = Repeater(machine, perf, task)
        self._next_page = _HEAP
        self._next_mapping = _MAPPINGS

    @property
    def machine(self) -> Machine:
        """The parts of the machine, for whoever builds on the simulator."""
        return self._machine

    def _order(self) -> AbstractContextManager[None]:
        if not self._task.alive:
            raise ActorExited(f"actor {self.pid} has exited and takes no orders any more")
        return self._machine.scheduler.running(self._task)

    def _take(self, ns: int) -> None:
        self._machine.clock.pass_time(ns)

    def pin(self, cpu: int) -> None:
        """Runs on this CPU from now on: sched_setaffinity(2). Another one than before makes a migration.

        Raises:
            OSError: EINVAL: there is no such CPU, or it is offline.
        """
        with self._order():
            target = self._machine.cpus.get(cpu)
            if target is None or not target.online:
                raise os_error(errno.EINVAL)
            self._machine.scheduler.move(self._task, target)
            self._take(_SYSCALL_NS)

    def getppid(self, times: int = 1) -> None:
        """Calls getppid(2) so often: a hit of raw_syscalls:sys_enter and syscalls:sys_enter_getppid each.

        A million at once are simulated much faster than one by one, and leave the same behind, record by record.
        """
        check_count("times", times)
        with self._order():
            if times == 1:
                self._getppid()
            else:
                self._repeater.run(times, self._passes(), _SYSCALL_NS, self._getppid)

    def _getppid(self) -> None:
        tracepoint, task, number = self._activity.tracepoint, self._task, self._machine.tracepoints.getppid_number
        # The general ones tell of the kernel's registers, not of the task's (measured on 6.18). Linux begins with what
        # somebody opened first; here it is always these.
        tracepoint(task, "raw_syscalls:sys_enter", id=number, args=_NO_ARGUMENTS)
        tracepoint(task, "syscalls:sys_enter_getppid", user=True, __syscall_nr=number)
        self._take(_SYSCALL_NS)
        tracepoint(task, "raw_syscalls:sys_exit", id=number, ret=task.ppid)
        tracepoint(task, "syscalls:sys_exit_getppid", user=True, __syscall_nr=number, ret=task.ppid)

    def _passes(self) -> tuple[Pass, ...]:
        """What `_getppid` passes, and when, for the repeater."""
        number, ppid = self._machine.tracepoints.getppid_number, self._task.ppid
        return (
            Pass("raw_syscalls:sys_enter", 0, {"id": number, "args": _NO_ARGUMENTS}, user=False),
            Pass("syscalls:sys_enter_getppid", 0, {"__syscall_nr": number}),
            Pass("raw_syscalls:sys_exit", _SYSCALL_NS, {"id": number, "ret": ppid}, user=False),
            Pass("syscalls:sys_exit_getppid", _SYSCALL_NS, {"__syscall_nr": number, "ret": ppid}),
        )

    def rename(self, comm: str) -> None:
        """prctl(PR_SET_NAME): one PERF_RECORD_COMM. At most 15 bytes are kept."""
        with self._order():
            self._take(_SYSCALL_NS)
            self._set_comm(comm)

    def _set_comm(self, comm: str, *, exec: bool = False) -> None:
        kept = comm.encode("utf-8", "surrogateescape").split(b"\0")[0][:_COMM_BYTES]
        new = kept.decode("utf-8", "surrogateescape")
        task = self._task
        self._activity.tracepoint(
            task, "task:task_rename", pid=task.pid, oldcomm=task.comm, newcomm=new, oom_score_adj=0
        )
        task.comm = new
        self._activity.comm(task, exec=exec)

    def map_executable(self, path: str, length: int) -> None:
        """Maps a file executable and private: one PERF_RECORD_MMAP or MMAP2; a length of 0 is EINVAL."""
        if length <= 0:
            raise os_error(errno.EINVAL)
        with self._order():
            self._take(_SYSCALL_NS)
            size = -(-length // self._machine.page_size) * self._machine.page_size
            self._map(self._next_mapping, size, path)
            self._next_mapping += size

    def load(self, path: str) -> None:
        """The program that the task has been running since before anybody looked: in /proc, and no record."""
        self._add_map(_PROGRAM, _PROGRAM_PAGES * self._machine.page_size, path)
        self._add_map(_VDSO, _VDSO_PAGES * self._machine.page_size, "[vdso]")

    def _map(self, start: int, length: int, path: str) -> None:
        self._activity.mapped(self._task, self._add_map(start, length, path))

    def _add_map(self, start: int, length: int, path: str) -> VirtualMapping:
        major, minor = _DEVICE if path.startswith("/") else (0, 0)
        inode = 1000 + sum(path.encode("utf-8", "surrogateescape")) if path.startswith("/") else 0
        mapping = VirtualMapping(start, length, _READ_EXECUTE, _PRIVATE, 0, major, minor, inode, path)
        self._task.maps.append(mapping)
        return mapping

    def touch_pages(self, n: int, *, major: bool = False) -> None:
        """Writes to so many new pages: a minor fault each, or a major one, as if they came from a disk."""
        if n < 0:
            raise ValueError(f"n is {n}: it must not be negative")
        kind = PERF_COUNT_SW_PAGE_FAULTS_MAJ if major else PERF_COUNT_SW_PAGE_FAULTS_MIN
        with self._order():
            for _ in range(n):
                address, self._next_page = self._next_page, self._next_page + self._machine.page_size
                self._take(_FAULT_NS)
                self._activity.software(self._task, PERF_COUNT_SW_PAGE_FAULTS, user=True, addr=address)
                self._activity.software(self._task, kind, user=True, addr=address)

    def emit(self, payload: bytes) -> None:
        """A BPF program on the actor's CPU puts this out, through the map of `SimKernel.bpf_map_path`.

        Raises:
            OSError: what the program is told: ENOENT: no event in the slot of this CPU; EOPNOTSUPP: the event
                does not count on this CPU at the moment; EINVAL: it is not a BPF output event; E2BIG: the payload
                does not fit a record.
        """
        with self._order():
            self._take(_SYSCALL_NS)
            file = self._bpf_map.find(self._task.cpu.id)
            if file is None:
                raise os_error(errno.ENOENT)
            event = file.event
            if not event.is_bpf_output:
                raise os_error(errno.EINVAL)
            if event.state is not State.ACTIVE or event.context.on is not self._task.cpu:
                raise os_error(errno.EOPNOTSUPP)
            if len(payload) > MAX_SAMPLE_BYTES - 8:
                raise os_error(errno.E2BIG)
            self._activity.bpf_output(event, self._task, bytes(payload))

    def spend(self, ns: int) -> None:
        """Keeps the CPU busy for so many nanoseconds of its own time."""
        if ns < 0:
            raise ValueError(f"ns is {ns}: time does not run backwards")
        with self._order():
            self._machine.clock.run_until(self._machine.clock.now + ns)

    def switch(self) -> None:
        """Gives up the CPU once: a context switch out and in."""
        with self._order():
            deadline = self._machine.clock.now + _SLEEP_NS
            self._machine.scheduler.wait(lambda: False, deadline, lambda: None)

    def fork(self) -> Actor:
        """fork(2): the child is an actor of its own."""
        machine, task = self._machine, self._task
        with self._order():
            self._take(_FORK_NS)
            child = machine.add_task(task.pid, task.comm, task.cpu.id, uid=task.uid)
            child.maps = list(task.maps)
            self._activity.inherit(task, child, self._perf.inherit)
            self._activity.forked(task, child)
            self._activity.tracepoint(
                task,
                "sched:sched_process_fork",
                parent_comm=task.comm,
                parent_pid=task.pid,
                child_comm=child.comm,
                child_pid=child.pid,
            )
            self._activity.wakeup(task, child, new=True)
        actor = Actor(machine, self._perf, child, self._bpf_map)
        actor._next_page, actor._next_mapping = self._next_page, self._next_mapping
        return actor

    def exec(self, path: str) -> None:
        """execve(2): another program in the same task, which goes on taking orders."""
        with self._order():
            self._take(_EXEC_NS)
            self._activity.execute(self._task)
            self._set_comm(path.rsplit("/", 1)[-1], exec=True)
            self._task.maps.clear()
            self._next_page, self._next_mapping = _HEAP, _MAPPINGS
            self._map(_PROGRAM, _PROGRAM_PAGES * self._machine.page_size, path)
            self._map(_VDSO, _VDSO_PAGES * self._machine.page_size, "[vdso]")
            self._activity.tracepoint(
                self._task, "sched:sched_process_exec", filename=path, pid=self.pid, old_pid=self.pid
            )

    def exit(self, status: int = 0) -> None:
        """_exit(2).

        Raises:
            SimulatorError: it is the program under test.
        """
        if self._task is self._machine.me:
            raise SimulatorError("the program under test cannot exit: nobody would be left to read the rings")
        with self._order():
            self._take(_SYSCALL_NS)
            self._end(status)

    def _end(self, status: int) -> None:
        task = self._task
        self._activity.tracepoint(
            task, "sched:sched_process_exit", comm=task.comm, pid=task.pid, prio=120, group_dead=1
        )
        self._activity.exited(task, status)

    def __repr__(self) -> str:
        """Which task it is."""
        return f"<Actor {self._task}>"
