"""The two kernels as the contract sees them: system calls, and actors that make things happen.

An *arm* is one kernel behind the seam together with what the checks need of its machine. Whoever has a kernel of his
own writes an arm for it, and `check_kernel` tells how it differs from Linux.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self

from simkernel.contract.linux_actor import LinuxActor
from simkernel.contract.linux_bpf import LinuxBpfOutput
from simkernel.kernel import SimKernel
from simkernel.tasks import Sleep

if TYPE_CHECKING:
    from collections.abc import Callable

    import simkernel.actor
    from perfring.kernel import Kernel
    from simkernel.tasks import Program

__all__ = ["Actor", "Arm", "LinuxArm", "SimArm"]

_PATIENCE: Final = 60.0
"""Seconds until something that must happen is believed not to: a bound for a fault, not a measure."""


class Actor(Protocol):
    """A task that does one observable thing at a time, and is back when it is done."""

    @property
    def pid(self) -> int:
        """The task's id: its process has no other task."""
        ...

    def pin(self, cpu: int) -> None:
        """Runs on this CPU from now on."""
        ...

    def getppid(self, times: int = 1) -> None:
        """Calls getppid(2): the tracepoint syscalls:sys_enter_getppid, so often."""
        ...

    def rename(self, comm: str) -> None:
        """Takes another name of at most 15 bytes: one COMM."""
        ...

    def map_executable(self, path: str, length: int) -> None:
        """Maps a file from its beginning, private, readable and executable: one MMAP or MMAP2."""
        ...

    def touch_pages(self, n: int) -> None:
        """Writes to so many new pages: a minor fault each."""
        ...

    def emit(self, payload: bytes) -> None:
        """BPF output: one sample of PERF_COUNT_SW_BPF_OUTPUT, see `Arm.connect_bpf_output`."""
        ...

    def spend(self, ns: int) -> None:
        """Keeps its CPU busy for so many nanoseconds of its own time."""
        ...

    def switch(self) -> None:
        """Gives up its CPU once: a context switch out and in."""
        ...

    def fork(self) -> Actor:
        """fork(2): the child is an actor as well."""
        ...

    def exec(self, path: str) -> None:
        """execve(2); the program goes on taking orders."""
        ...

    def exit(self, status: int = 0) -> None:
        """Ends; what is closed with a task is closed when this returns, where the task was not forked by another."""
        ...


class Arm(Protocol):
    """One kernel under test. A check gets a fresh one; `close` ends what it made."""

    @property
    def name(self) -> str:
        """As people call it: ``"linux 6.18.44"``."""
        ...

    @property
    def kernel(self) -> Kernel:
        """The system calls, with all capabilities."""
        ...

    @property
    def own_pid(self) -> int:
        """The process that makes these system calls, for F_SETOWN."""
        ...

    @property
    def executable(self) -> str:
        """A file without links in its path that actors can map and execute."""
        ...

    def actor(self, cpu: int = 0) -> Actor:
        """A new task on this CPU."""
        ...

    def connect_bpf_output(self, fd: int, cpu: int) -> None:
        """What actors emit on this CPU goes to this event from now on.

        Raises:
            OSError: EINVAL, the event is of another kind or has ``inherit``.
        """
        ...

    def soon(self, action: Callable[[], object]) -> None:
        """Does something while the caller waits in its next blocking system call."""
        ...

    def settle(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until something comes true that another task is about to do.

        Raises:
            AssertionError: it does not; ``what`` says what it was.
        """
        ...

    def close(self) -> None:
        """Ends the actors, forked ones too, and undoes what the arm did to this process. Idempotent."""
        ...


class LinuxArm:
    """The kernel underneath; needs the privileges of root. Use it as a context manager, or call `close`.

    Raises:
        Unsupported: this is not Linux.
    """

    def __init__(self) -> None:
        from perfring.linux import LinuxKernel

        self.kernel = LinuxKernel()
        self.name = f"linux {self.kernel.release}"
        self.own_pid = os.getpid()
        self.executable = os.path.realpath(sys.executable)
        self._actors: list[LinuxActor] = []
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._bpf: LinuxBpfOutput | None = None
        # The kernel blocks the signals that it collects; they stay blocked until `close`.
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def actor(self, cpu: int = 0) -> LinuxActor:
        """A new process; see `Arm`."""
        actor = LinuxActor(cpu, bpf_output=self._bpf_output)
        self._actors.append(actor)
        return actor

    def _bpf_output(self) -> LinuxBpfOutput:
        if self._bpf is None:
            self._bpf = LinuxBpfOutput(self.kernel.online_cpus()[-1] + 1)
        return self._bpf

    def connect_bpf_output(self, fd: int, cpu: int) -> None:
        """Puts the event into a perf event array; see `Arm`."""
        self._bpf_output().connect(fd, cpu)

    def soon(self, action: Callable[[], object]) -> None:
        """Starts a thread that watches the caller go to sleep; see `Arm`."""
        waiter = threading.get_native_id()
        thread = threading.Thread(target=self._act_when_asleep, args=(waiter, action))
        self._threads.append(thread)
        thread.start()

    def _act_when_asleep(self, waiter: int, action: Callable[[], object]) -> None:
        try:
            self.settle(lambda: _sleeps_in_poll(waiter), "the caller waits in poll or epoll_wait")
            action()
        except BaseException as failure:
            self._failures.append(failure)

    def settle(self, condition: Callable[[], bool], what: str) -> None:
        """Asks again and again; see `Arm`."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"within {_PATIENCE:.0f} s it never came about that {what}")
            os.sched_yield()

    def close(self) -> None:
        """See `Arm`. Raises what an action of `soon` raised."""
        for thread in self._threads:
            thread.join()
        for actor in self._actors:
            actor.close()
        if self._bpf is not None:
            self._bpf.close()
        self.kernel.take_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        failures, self._failures = self._failures, []
        if failures:
            raise failures[0]


def _sleeps_in_poll(thread: int) -> bool:
    task = Path(f"/proc/self/task/{thread}")
    where = (task / "wchan").read_text()
    if where != "0":
        return "poll" in where
    # It runs; or this is Linux 5.10, where x86-64 says 0 of sleepers too, and the stack is for root to see.
    asleep = (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
    return asleep and "poll" in (task / "stack").read_text()


_CAPABILITIES: Final = frozenset({"CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF", "CAP_IPC_LOCK", "CAP_SYS_PTRACE"})
_F_DUPFD_CLOEXEC: Final = 1030  # linux/fcntl.h
_OUT_OF_THE_WAY: Final = 1 << 20
_MOMENT: Final = 1_000
"""Virtual nanoseconds until `SimArm.soon` acts: any time at all, as the caller waits until then."""


class SimArm:
    """The simulated kernel; the program under test has every capability.

    Args:
        kernel: another one than ``SimKernel(capabilities=...)``.
    """

    def __init__(self, kernel: SimKernel | None = None) -> None:
        self.kernel = SimKernel(capabilities=_CAPABILITIES) if kernel is None else kernel
        self.name = f"simkernel {self.kernel.release}"
        self.own_pid = self.kernel.me.pid
        self.executable = "/usr/bin/actor"
        self._map_fd = -1

    def actor(self, cpu: int = 0) -> simkernel.actor.Actor:
        """A new simulated task; see `Arm`."""
        return self.kernel.actor(cpu)

    def connect_bpf_output(self, fd: int, cpu: int) -> None:
        """Puts the event into the one map of the simulated machine; see `Arm`."""
        if self._map_fd < 0:  # it stays open, or the map forgets (K46); with a number that is in nobody's way
            opened = self.kernel.bpf_map_fd(self.kernel.bpf_map_path)
            self._map_fd = self.kernel.fcntl(opened, _F_DUPFD_CLOEXEC, opened + _OUT_OF_THE_WAY)
            self.kernel.close(opened)
        self.kernel.bpf_map_update(self._map_fd, cpu, fd)

    def soon(self, action: Callable[[], object]) -> None:
        """Starts a program that does it; see `Arm`."""

        def program(_: simkernel.actor.Actor) -> Program:
            yield Sleep(_MOMENT)
            action()

        self.kernel.spawn(program, cpu=self.kernel.online_cpus()[-1], comm="soon")

    def settle(self, condition: Callable[[], bool], what: str) -> None:
        """Lets virtual time pass; see `Arm`."""
        for _ in range(1000):
            if condition():
                return
            self.kernel.sleep(0.001)
        raise AssertionError(f"within a virtual second it never came about that {what}")

    def close(self) -> None:
        """Nothing to undo: the machine goes with the arm."""
