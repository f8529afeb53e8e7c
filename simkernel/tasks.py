"""Tasks and CPUs: who runs where, and what happens when that changes.

Every task is on one CPU and at most one task runs on each; where none does, the CPU's idle task does. Three kinds of
tasks differ only in who moves them:

* the *self* task is the program under test. It runs whenever Python code outside the simulator runs, and gives up its
  CPU inside a system call that blocks;
* an *actor* sleeps until it is given an order; the order runs at once, and whoever gave it waits meanwhile, as one who
  waits for an answer does;
* a *program* is a generator on a task of its own (`Scheduler.spawn`), which runs while others wait. It yields `Sleep`
  or `Spend`; between two yields it does what it likes with its actor.

Time passes only in `Clock`; a task that runs takes none unless it says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from simkernel.misuse import Deadlock, SimulatorError

if TYPE_CHECKING:
    from simkernel.clock import Clock, Timer
    from simkernel.event import Context

__all__ = ["Cpu", "Program", "Scheduler", "Sleep", "Spend", "SwitchWatcher", "Task", "VirtualMapping"]

_SLICE: Final = 4_000_000
"""Nanoseconds that a program may spend while another task wants its CPU."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """What a program yields to block for so many nanoseconds."""

    ns: int


@dataclass(frozen=True, slots=True)
class Spend:
    """What a program yields to keep its CPU busy for so many nanoseconds of its own time."""

    ns: int


Program = Iterator[Sleep | Spend]


@dataclass(slots=True)
class VirtualMapping:
    """A line of /proc/PID/maps."""

    start: int
    length: int
    prot: int
    flags: int
    pgoff: int
    major: int
    minor: int
    inode: int
    path: str


@dataclass(slots=True, eq=False)
class Task:
    """One task, which is a process of one thread.

    Attributes:
        pid: its id; 0 for the idle tasks.
        ppid: its parent's.
        comm: its name, 15 bytes at most.
        cpu: the CPU it is on, or was on last.
        context: the perf events that follow it.
        uid: whose it is.
        maps: what it has mapped.
        alive: it has not exited.
        on_cpu: it runs.
        migrated: it was moved, and nobody has counted that yet.
        spent: nanoseconds that it has run.
        program: what moves it, for one that `Scheduler.spawn` started.
        status: what it exited with.
    """

    pid: int
    ppid: int
    comm: str
    cpu: Cpu
    context: Context
    uid: int = 0
    maps: list[VirtualMapping] = field(default_factory=list)
    alive: bool = True
    on_cpu: bool = False
    migrated: bool = False
    spent: int = 0
    since: int = 0
    program: Program | None = None
    left: int = 0
    busy: Timer | None = None
    status: int | None = None

    def __str__(self) -> str:
        """Like a line of ps(1)."""
        state = "R" if self.on_cpu else "S" if self.alive else "X"
        return f"{self.pid:>6} {state} cpu {self.cpu.id} {self.comm}"


@dataclass(slots=True, eq=False)
class Cpu:
    """One CPU.

    Attributes:
        id: its number.
        context: the perf events of the whole CPU.
        idle: its idle task.
        current: who runs.
        queue: who wants to.
        online: it can run something.
    """

    id: int
    context: Context
    idle: Task = field(init=False)
    current: Task = field(init=False)
    queue: deque[Task] = field(default_factory=deque)
    online: bool = True


class SwitchWatcher(Protocol):
    """Who is told of switches: `simkernel.activity.Activity`."""

    def switched_out(self, task: Task, to: Task, *, preempted: bool) -> None:
        """``task`` is about to stop running."""
        ...

    def switched_in(self, task: Task, was: Task) -> None:
        """``task`` has begun to run."""
        ...

    def woken(self, task: Task, *, new: bool = False) -> None:
        """``task`` wants to run; ``new``: it never did before."""
        ...

    def finish(self, task: Task, status: int) -> None:
        """The program of ``task`` has come to its end."""
        ...


class Scheduler:
    """Decides who runs.

    Args:
        clock: the machine's.
        cpus: all of them, ascending.

    Attributes:
        executing: whose code runs at the moment: the last one is the innermost.
        watcher: who is told.
    """

    watcher: SwitchWatcher

    def __init__(self, clock: Clock, cpus: dict[int, Cpu]) -> None:
        self._clock = clock
        self.cpus = cpus
        self.executing: list[Task] = []

    @property
    def current(self) -> Task:
        """Whose system call it is."""
        return self.executing[-1]

    def switch(self, cpu: Cpu, task: Task, *, preempted: bool = False) -> None:
        """Lets ``task`` run on ``cpu`` instead of whoever does."""
        was = cpu.current
        if was is task:
            return
        if task is not cpu.idle and task.cpu is not cpu:
            raise SimulatorError(f"task {task.pid} is on cpu {task.cpu.id} and cannot run on cpu {cpu.id}")
        self.watcher.switched_out(was, task, preempted=preempted)
        was.on_cpu = False
        was.spent += self._clock.now - was.since
        cpu.current = task
        task.on_cpu = True
        task.since = self._clock.now
        self.watcher.switched_in(task, was)

    def move(self, task: Task, cpu: Cpu) -> None:
        """Puts a task on another CPU, from its next run on, or at once when it runs."""
        if task.cpu is cpu:
            return
        running, old = task.on_cpu, task.cpu
        if running:
            self.switch(old, old.idle, preempted=True)
        if task in old.queue:
            old.queue.remove(task)
            cpu.queue.append(task)
            self._look_soon(cpu)
        task.cpu, task.migrated = cpu, True
        if running:
            self._put_aside(cpu)
            self.switch(cpu, task, preempted=True)
            self._look_soon(old)

    # Orders from outside.

    @contextmanager
    def running(self, task: Task) -> Iterator[None]:
        """Lets ``task`` run for the length of a ``with`` block; whoever gives the order waits meanwhile."""
        if task is self.current:
            yield
            return
        caller, cpu = self.current, task.cpu
        if caller.on_cpu and caller.cpu is not cpu:
            self.switch(caller.cpu, caller.cpu.idle)
        if cpu.current is not caller:
            self._put_aside(cpu)
        self.switch(cpu, task, preempted=cpu.current is not caller and cpu.current is not cpu.idle)
        self.executing.append(task)
        try:
            yield
        finally:
            self.executing.pop()
            self._hand_back(task, caller)

    def _hand_back(self, task: Task, caller: Task) -> None:
        cpu = task.cpu
        if caller.cpu is cpu:
            self.switch(cpu, caller)
            return
        if cpu.current is task:
            self.switch(cpu, cpu.idle)
            self._look_soon(cpu)
        self._put_aside(caller.cpu)
        self.switch(caller.cpu, caller)

    def _put_aside(self, cpu: Cpu) -> None:
        """Takes the CPU away from a program that is spending: it goes on later where it was."""
        task = cpu.current
        if task.busy is not None:
            task.left = max(task.busy.when - self._clock.now, 0)
            task.busy.cancel()
            task.busy = None
            cpu.queue.appendleft(task)

    # Waiting.

    def wait(self, ready: Callable[[], bool], deadline: int | None, look: Callable[[], None]) -> bool:
        """Lets the world go on until something is ``ready`` or the deadline passes. True when it is ready.

        Args:
            ready: asked each time something has happened.
            deadline: absolute time in ns, or None.
            look: called each time as well; may raise `Deadlock`.

        Raises:
            Deadlock: nothing is going to happen any more.
        """
        task = self.current
        cpu = task.cpu
        self.switch(cpu, cpu.idle)
        self._look_soon(cpu)
        try:
            while not ready():
                if not self._clock.step(deadline):
                    if deadline is None:
                        raise Deadlock("nothing is runnable, and no timer is set")
                    return ready()
                look()
            return True
        finally:
            cpu = task.cpu  # it may have been moved meanwhile, as when a CPU went offline
            self._put_aside(cpu)
            preempted = cpu.current is not cpu.idle
            self.switch(cpu, task, preempted=preempted)

    # Programs.

    def spawn(self, task: Task, program: Program) -> None:
        """Lets a program run on a task, from the next moment that somebody waits or time passes."""
        task.program = program
        self.wake(task, new=True)

    def wake(self, task: Task, *, new: bool = False) -> None:
        """A sleeping program wants to run; a new one for the first time."""
        if not task.alive:
            return
        self.watcher.woken(task, new=new)
        task.cpu.queue.append(task)
        self._look_soon(task.cpu)

    def _look_soon(self, cpu: Cpu) -> None:
        """Looks for work as a thing of its own, and not deep inside whatever made the CPU free."""
        if cpu.queue:
            self._clock.at(self._clock.now, lambda: self._dispatch(cpu))

    def _dispatch(self, cpu: Cpu) -> None:
        if not cpu.online or cpu.current is not cpu.idle or not cpu.queue:
            return
        task = cpu.queue.popleft()
        self.switch(cpu, task)
        if task.left:
            self._spend(task, task.left)
        else:
            self._resume(task)

    def _resume(self, task: Task) -> None:
        """Runs a program up to its next yield."""
        program = task.program
        if program is None:
            raise SimulatorError(f"task {task.pid} was woken but has no program")
        self.executing.append(task)
        try:
            request = next(program, None)
            if request is None and task.alive:
                self.watcher.finish(task, 0)
        finally:
            self.executing.pop()
        self._carry_out(task, request)

    def _carry_out(self, task: Task, request: Sleep | Spend | None) -> None:
        if request is not None and not isinstance(request, Sleep | Spend):
            raise SimulatorError(f"the program of task {task.pid} yielded {request!r}: it must be Sleep or Spend")
        if request is not None and request.ns < 0:
            raise SimulatorError(f"the program of task {task.pid} yielded {request!r}: time does not run backwards")
        if isinstance(request, Spend) and task.alive:
            self._spend(task, request.ns)
            return
        self._leave(task)
        if isinstance(request, Sleep) and task.alive:
            self._clock.after(request.ns, lambda: self.wake(task))

    def _leave(self, task: Task) -> None:
        cpu = task.cpu
        if cpu.current is task:
            self.switch(cpu, cpu.idle)
        self._look_soon(cpu)

    def _spend(self, task: Task, ns: int) -> None:
        task.left = ns
        part = min(ns, _SLICE)
        task.busy = self._clock.after(part, lambda: self._spent(task, part))

    def _spent(self, task: Task, part: int) -> None:
        task.busy = None
        task.left -= part
        cpu = task.cpu
        if not task.alive:
            return
        if not task.left:
            self._resume(task)
        elif cpu.queue:
            self.switch(cpu, cpu.idle, preempted=True)
            cpu.queue.append(task)
            self._look_soon(cpu)
        else:
            self._spend(task, task.left)
