"""The machine under the simulated kernel: what it is, who may do what, and the parts that everything shares."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from simkernel.clock import Clock
from simkernel.event import Context
from simkernel.releases import Release, release_named
from simkernel.rules import Rules
from simkernel.tasks import Cpu, Scheduler, Task
from simkernel.tracepoints import Tracepoints

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["CAPABILITIES", "Machine", "Settings", "build_machine"]

CAPABILITIES: Final[dict[str, int]] = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_IPC_LOCK": 14,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_NICE": 23,
    "CAP_SYS_RESOURCE": 24,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
"""The capabilities that have a meaning somewhere near perf events, with their numbers (linux/capability.h)."""

_USER: Final = 1000
_SELF_PID: Final = 1000
_INIT: Final = 1
"""Who takes over the children of a task that exits."""


@dataclass
class Settings:
    """What /proc/sys and the limits say: change it between two system calls.

    Attributes:
        paranoid: perf_event_paranoid (K31).
        capabilities: what the program under test has.
        mlock_kb: perf_event_mlock_kb, per CPU (K32).
        max_sample_rate: perf_event_max_sample_rate (K30).
        max_stack: perf_event_max_stack.
        memlock: RLIMIT_MEMLOCK in bytes, None for unlimited (K32).
        uid: whose the program under test is, and its actors.
    """

    paranoid: int = 2
    capabilities: frozenset[str] = frozenset()
    mlock_kb: int = 516
    max_sample_rate: int = 100_000
    max_stack: int = 127
    max_contexts_per_stack: int = 8
    memlock: int | None = 8 << 20
    uid: int = _USER


@dataclass
class Machine:
    """The parts that everything shares.

    Attributes:
        page_size: bytes in a page.
        release: uname -r, and what it means.
        settings: see `Settings`.
        rng: what the seed decides.
        clock, cpus, scheduler, tracepoints, rules: the parts.
        tasks: all that are alive, by pid.
        me: the program under test.
    """

    page_size: int
    release: str
    settings: Settings
    rng: random.Random
    cpus: dict[int, Cpu]
    clock: Clock
    scheduler: Scheduler
    features: Release
    rules: Rules = field(default_factory=Rules)
    tracepoints: Tracepoints = field(default_factory=Tracepoints)
    tasks: dict[int, Task] = field(default_factory=dict)
    me: Task = field(init=False)
    next_pid: int = _SELF_PID

    def __post_init__(self) -> None:
        init = self.add_task(0, "init", min(self.cpus), uid=0, pid=1)
        # The program under test is where an actor of cpu 0 disturbs it least: on the last CPU.
        self.me = self.add_task(init.pid, "python", max(self.cpus))
        cpu = self.me.cpu
        cpu.current, self.me.on_cpu = self.me, True
        self.me.context.arrive(cpu)
        self.scheduler.executing.append(self.me)

    def add_task(self, ppid: int, comm: str, cpu: int, *, uid: int | None = None, pid: int | None = None) -> Task:
        """Makes a task, which sleeps."""
        if pid is None:
            pid, self.next_pid = self.next_pid, self.next_pid + 1
        context = Context(self.clock)
        uid = self.settings.uid if uid is None else uid
        task = Task(pid, ppid, comm[:15], self.cpus[cpu], context, uid=uid)
        context.task = task
        self.tasks[pid] = task
        return task

    def forget_task(self, task: Task, status: int) -> None:
        """A task has exited."""
        self.tasks.pop(task.pid, None)
        for other in self.tasks.values():
            if other.ppid == task.pid:
                other.ppid = _INIT
        if task in task.cpu.queue:
            task.cpu.queue.remove(task)
        if task.busy is not None:
            task.busy.cancel()
            task.busy = None
        task.status = status

    @property
    def perfmon(self) -> bool:
        """CAP_PERFMON or CAP_SYS_ADMIN (K31)."""
        return bool({"CAP_SYS_ADMIN", "CAP_PERFMON"} & set(self.settings.capabilities))

    def online(self) -> tuple[int, ...]:
        """The CPUs that are online, ascending."""
        return tuple(number for number, cpu in self.cpus.items() if cpu.online)


def build_machine(
    cpus: int | Collection[int],
    *,
    page_size: int,
    release: str,
    paranoid: int,
    capabilities: Collection[str],
    seed: int,
) -> Machine:
    """Checks the arguments of `SimKernel` and makes the machine.

    Raises:
        ValueError: one of them has no meaning, with its value.
    """
    numbers = _cpu_numbers(cpus)
    if page_size not in (4096, 16384, 65536):
        raise ValueError(f"page_size is {page_size}: Linux has pages of 4096, 16384 and 65536 bytes")
    if not -1 <= paranoid <= 4:
        raise ValueError(f"paranoid is {paranoid}: it must be from -1 to 4 (K31)")
    unknown = sorted(set(capabilities) - CAPABILITIES.keys())
    if unknown:
        raise ValueError(f"capabilities has {unknown}: known are {sorted(CAPABILITIES)}")
    rng = random.Random(seed)
    clock = Clock(rng)
    table = {number: Cpu(number, Context(clock)) for number in numbers}
    for number, cpu in table.items():
        cpu.idle = cpu.current = Task(0, 0, f"swapper/{number}", cpu, Context(clock), on_cpu=True, since=clock.now)
        cpu.context.arrive(cpu)
    settings = Settings(paranoid=paranoid, capabilities=frozenset(capabilities))
    features = release_named(release)
    return Machine(page_size, release, settings, rng, table, clock, Scheduler(clock, table), features)


def _cpu_numbers(cpus: int | Collection[int]) -> list[int]:
    numbers = list(range(cpus)) if isinstance(cpus, int) else sorted(cpus)
    if not numbers or numbers[0] < 0 or len(set(numbers)) != len(numbers):
        raise ValueError(f"cpus is {cpus!r}: a count of at least 1, or ids that are different and not negative")
    return numbers
