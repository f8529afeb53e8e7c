"""`SimKernel`: the system calls, with the signatures of `perfring.LinuxKernel`."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Any, Final

from perfring.abi import PERF_FLAG_FD_CLOEXEC, PERF_FLAG_PID_CGROUP
from perfring.kernel import Signal
from simkernel import validation
from simkernel.actor import Actor
from simkernel.descriptors import Descriptors
from simkernel.fcntl import Fcntl
from simkernel.files import Files
from simkernel.ioctls import Argument, PerfIoctls
from simkernel.machine import Machine, Settings, build_machine
from simkernel.mapping import SimMapping
from simkernel.misuse import Deadlock, SimulatorError
from simkernel.perf import Perf
from simkernel.perffile import BpfMap, BpfMapFile, PerfFile
from simkernel.readformat import read_values
from simkernel.readiness import EpollFile, EventFile, File, os_error
from simkernel.rules import PASS, Delay, Errno
from simkernel.stalls import StallWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from perfring.abi import PerfEventAttr
    from simkernel.event import PerfEvent
    from simkernel.rules import Rules
    from simkernel.tasks import Program

__all__ = ["SimEpoll", "SimKernel", "SimWaker"]

_KNOWN_FLAGS: Final = 15
_NOT_A_FILE: Final = 0x20
_ERR_HUP: Final = 0x18
_SI_KERNEL: Final = 128
_SECOND: Final = 1_000_000_000
_PREEMPTION_NS: Final = 2_000
_MOST_EVENTS: Final = (1 << 20) - 1


class SimKernel:
    """A simulated machine, seen through the seam of `perfring.kernel`.

    The program under test is one of its tasks: the Python code that calls these methods. Time is virtual and stands
    still while that code runs; it passes inside calls that block, in `sleep`, and in what actors do.

    Args:
        cpus: how many, or their ids, which may have gaps.
        page_size: 4096, 16384 or 65536.
        release: what ``uname -r`` says; decides what differs between releases (`simkernel.releases`).
        paranoid: /proc/sys/kernel/perf_event_paranoid: at the default of 2 whole CPUs and the kernel are refused (K31).
        capabilities: what the program under test has, such as "CAP_PERFMON".
        seed: decides whatever Linux leaves open; the same seed, the same trace.

    Attributes:
        settings: sysctls, limits and rights; may be changed between two calls.
        rules: where faults are installed (`simkernel.rules`).
        me: the program under test, as an actor.
        preemption: how likely (0 to 1) it is that another CPU runs for a moment at each access to a metadata page.
        at_access: called instead, with "load" or "store" and the offset, by whoever explores what may come between.
        stall_after: virtual seconds after which a wait without timeout on rings that refuse everything is a `Deadlock`.

    Raises:
        ValueError: an argument that has no meaning, with its value.
    """

    bpf_map_path: Final = "/sys/fs/bpf/simkernel"
    """The pin of the one BPF map there is, a perf event array with id 1, which `Actor.emit` puts out through."""

    def __init__(
        self,
        cpus: int | Collection[int] = 2,
        page_size: int = 4096,
        release: str = "6.18",
        paranoid: int = 2,
        capabilities: Collection[str] = frozenset(),
        seed: int = 0,
    ) -> None:
        self._machine = build_machine(
            cpus, page_size=page_size, release=release, paranoid=paranoid, capabilities=capabilities, seed=seed
        )
        self.page_size = page_size
        self.release = release
        self.seed = seed
        self.preemption = 0.0
        self.stall_after = 1.0
        self.at_access: Callable[[str, int], None] | None = None
        self._descriptors = Descriptors()
        self._perf = Perf(self._machine, self._signal)
        self._ioctls = PerfIoctls(self._machine, self._perf, self._descriptors.find)
        self._files = Files(self._machine)
        self._fcntl = Fcntl(self._descriptors, self._machine.tasks.__contains__)
        self._bpf_map = BpfMap(1, self.bpf_map_path, max(self._machine.cpus) + 1)
        self._signals: list[Signal] = []
        self._plain_sigio = False
        self.me = Actor(self._machine, self._perf, self._machine.me, self._bpf_map)

    @property
    def settings(self) -> Settings:
        """Sysctls, limits and rights."""
        return self._machine.settings

    @property
    def rules(self) -> Rules:
        """The faults that are installed."""
        return self._machine.rules

    @property
    def machine(self) -> Machine:
        """The parts of the machine, for whoever builds on the simulator."""
        return self._machine

    @property
    def perf(self) -> Perf:
        """The perf subsystem, for whoever builds on the simulator."""
        return self._perf

    # The world.

    def actor(self, cpu: int = 0) -> Actor:
        """A new task that takes orders, asleep on ``cpu``.

        Raises:
            ValueError: there is no such CPU.
        """
        return self._new_actor(cpu, "actor")

    def spawn(self, program: Callable[[Actor], Program], *, cpu: int = 0, comm: str = "program") -> Actor:
        """A new task that runs by itself whenever somebody waits or time passes.

        Args:
            program: is given the actor, and returns a generator that yields `Sleep` and `Spend`; between two yields it
                gives orders to the actor. When it returns, the task exits.
            cpu: where it runs.
            comm: its name.
        """
        actor = self._new_actor(cpu, comm)
        self._machine.scheduler.spawn(self._machine.tasks[actor.pid], program(actor))
        return actor

    def _new_actor(self, cpu: int, comm: str) -> Actor:
        if cpu not in self._machine.online():
            raise ValueError(f"cpu is {cpu}: online are {list(self._machine.online())}")
        task = self._machine.add_task(self._machine.me.pid, comm, cpu)
        actor = Actor(self._machine, self._perf, task, self._bpf_map)
        actor.load("/usr/bin/" + comm)
        return actor

    def sleep(self, seconds: float) -> None:
        """nanosleep(2) of the program under test: lets the world go on for so long."""
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds}: time does not run backwards")
        deadline = self._machine.clock.now + round(seconds * _SECOND)
        self._machine.scheduler.wait(lambda: False, deadline, lambda: None)

    # The seam.

    def online_cpus(self) -> tuple[int, ...]:
        """The CPUs that are online, ascending."""
        return self._machine.online()

    def perf_event_open(self, attr: PerfEventAttr, pid: int, cpu: int, group_fd: int = -1, flags: int = 0) -> int:
        """perf_event_open(2). Raises OSError as Linux does (K29 to K31); on E2BIG ``attr.size`` is the kernel's."""
        self._enter("perf_event_open", attr=attr, pid=pid, cpu=cpu, group_fd=group_fd, flags=flags)
        if flags & ~_KNOWN_FLAGS:
            raise os_error(errno.EINVAL)
        copy = validation.copy_attr(self._machine, attr)
        validation.check_attr(self._machine, copy)
        validation.check_rights(self._machine, copy)
        if flags & PERF_FLAG_PID_CGROUP and (pid == -1 or cpu == -1):
            raise os_error(errno.EINVAL)
        group = None if group_fd == -1 else self._perf_file(group_fd)
        file = self._perf.open(copy, pid, cpu, group, flags)
        return self._descriptors.add(file, close_on_exec=bool(flags & PERF_FLAG_FD_CLOEXEC))

    def mmap(self, fd: int, length: int, *, writable: bool = True, shared: bool = True, offset: int = 0) -> SimMapping:
        """mmap(2) of a perf fd: one metadata page and 2**n data pages (K1); not writable is overwrite mode (K4)."""
        self._enter("mmap", fd=fd, length=length, writable=writable, shared=shared, offset=offset)
        if offset % self.page_size:
            raise os_error(errno.EINVAL)
        file = self._descriptors.get(fd)
        if offset < 0:
            raise os_error(errno.EOVERFLOW)
        if length <= 0:
            raise os_error(errno.EINVAL)
        if not isinstance(file, PerfFile):
            raise os_error(errno.ENODEV)
        event = file.event
        if (event.cpu == -1 and event.attr.inherit) or not shared or offset:
            raise os_error(errno.EINVAL)
        ring = self._perf.map(file, -(-length // self.page_size) - 1, writable=writable)
        return SimMapping(
            ring.buffer, writable=writable, on_access=self._accessed, on_close=lambda: self._perf.unmap(file, ring)
        )

    def ioctl(self, fd: int, request: int, argument: Argument = 0) -> int:
        """ioctl(2) of a perf fd (K38)."""
        self._enter("ioctl", fd=fd, request=request, argument=argument)
        file = self._descriptors.get(fd)
        if not isinstance(file, PerfFile):
            raise os_error(errno.ENOTTY)
        return self._ioctls(file.event, request, argument)

    def fcntl(self, fd: int, command: int, argument: int = 0) -> int:
        """fcntl(2), as far as descriptors and SIGIO go (K20)."""
        self._enter("fcntl", fd=fd, command=command, argument=argument)
        return self._fcntl(fd, command, argument)

    def read(self, fd: int, size: int) -> bytes:
        """read(2) of the counts. Raises OSError: ENOSPC below what read_format needs (K41)."""
        self._enter("read", fd=fd, size=size)
        file = self._descriptors.get(fd)
        if not isinstance(file, PerfFile):
            raise NotImplementedError(f"simkernel has no read(2) of {file.describe()}")
        values = read_values(file.event)
        if size < len(values):
            raise os_error(errno.ENOSPC)
        return values

    def write(self, fd: int, data: bytes) -> int:
        """write(2): EINVAL on every perf fd (K38)."""
        self._enter("write", fd=fd, data=data)
        file = self._descriptors.get(fd)
        if not isinstance(file, PerfFile):
            raise NotImplementedError(f"simkernel has no write(2) of {file.describe()}")
        raise os_error(errno.EINVAL)

    def close(self, fd: int) -> None:
        """close(2). What is mapped lives on (K26); nobody is woken (K45)."""
        self._enter("close", fd=fd)
        self._descriptors.remove(fd)

    def poll(self, fds: Sequence[tuple[int, int]], timeout: float | None = None) -> list[tuple[int, int]]:
        """poll(2): takes the latch of each perf fd that it asks, whatever it asks for (K14).

        Raises:
            ValueError: the timeout is negative, or an fd is given twice.
            Deadlock: nothing that is going to happen can end the wait.
        """
        _check_timeout(timeout)
        if len({fd for fd, _ in fds}) != len(fds):
            raise ValueError(f"an fd is given twice: {[fd for fd, _ in fds]}")
        self._enter("poll", fds=fds, timeout=timeout)
        files = [(fd, events, self._descriptors.find(fd)) for fd, events in fds]
        found: list[tuple[int, int]] = []

        def ask() -> bool:
            found.extend((fd, got) for fd, events, file in files if (got := _asked(file, events)))
            return bool(found)

        self._wait(ask, timeout, [file for _, _, file in files if file is not None])
        return found

    def epoll(self) -> SimEpoll:
        """epoll_create1(2)."""
        self._enter("epoll_create1")
        file = EpollFile()
        return SimEpoll(self, file, self._descriptors.add(file, close_on_exec=True))

    def waker(self) -> SimWaker:
        """eventfd(2)."""
        self._enter("eventfd")
        file = EventFile()
        return SimWaker(self, file, self._descriptors.add(file, close_on_exec=True))

    def take_signals(self) -> list[Signal]:
        """The SIGIO deliveries since last asked (K20); those without F_SETSIG are merged, with fd -1 and SI_KERNEL."""
        taken, self._signals = self._signals, []
        if self._plain_sigio:
            taken.insert(0, Signal(-1, _SI_KERNEL))  # the lowest number first, and realtime signals are above SIGIO
            self._plain_sigio = False
        return taken

    def bpf_map_fd(self, map_id_or_path: int | str) -> int:
        """bpf(2): a new fd of the map with id 1, pinned at `bpf_map_path`. Raises OSError: ENOENT, EPERM."""
        self._enter("bpf", map=map_id_or_path)
        held = self._machine.settings.capabilities
        needed = {"CAP_SYS_ADMIN"} if isinstance(map_id_or_path, int) else {"CAP_SYS_ADMIN", "CAP_BPF"}
        if not needed & held:
            raise os_error(errno.EPERM)
        if map_id_or_path not in (self._bpf_map.map_id, self._bpf_map.path):
            raise os_error(errno.ENOENT)
        return self._descriptors.add(BpfMapFile(self._bpf_map), close_on_exec=True)

    def bpf_map_update(self, map_fd: int, key: int, value_fd: int) -> None:
        """bpf(2) BPF_MAP_UPDATE_ELEM: the event of ``value_fd`` gets what is put out on CPU ``key``.

        Until the last descriptor of the file behind ``map_fd`` is closed (K46).
        """
        self._enter("bpf", map_fd=map_fd, key=key, value_fd=value_fd)
        opened = self._descriptors.get(map_fd)
        if not isinstance(opened, BpfMapFile):
            raise os_error(errno.EINVAL)
        if not 0 <= key < opened.map.size:
            raise os_error(errno.E2BIG)
        file = self._perf_file(value_fd)
        if file.event.attr.inherit:
            raise os_error(errno.EOPNOTSUPP)
        opened.map.put(key, file, opened)

    def clock_ns(self, clock_id: int) -> int:
        """clock_gettime(2) in virtual nanoseconds. Raises OSError: EINVAL."""
        now = self._machine.clock.read(clock_id)
        if now is not None:
            return now
        if clock_id in range(12):
            raise NotImplementedError(f"simkernel has no clock {clock_id}")
        raise os_error(errno.EINVAL)

    def read_bytes(self, path: str) -> bytes:
        """A whole file of the simulated /proc, /sys and tracefs."""
        return self._files.read(path)

    def read_text(self, path: str) -> str:
        """The same as UTF-8 with ``surrogateescape``."""
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def list_dir(self, path: str) -> list[str]:
        """The names in a directory, in no particular order."""
        return self._files.names(path)

    # What is underneath.

    def _enter(self, name: str, **arguments: Any) -> None:
        """Every system call begins here: a rule may refuse or delay it."""
        rules = self._machine.rules
        if not rules:
            return
        answer = rules.ask("syscall", name, **arguments)
        if isinstance(answer, Errno):
            raise os_error(answer.errno)
        if isinstance(answer, Delay):
            self.sleep(answer.ns / _SECOND)
        elif answer is not PASS:
            raise SimulatorError(f"a rule answered {answer!r} to the system call {name}: PASS, Delay or Errno")

    def _perf_file(self, fd: int) -> PerfFile:
        file = self._descriptors.find(fd)
        if not isinstance(file, PerfFile):
            raise os_error(errno.EBADF)
        return file

    def _wait(self, ready: Callable[[], bool], timeout: float | None, files: Iterable[File]) -> None:
        """Blocks the task that calls until it is ready, or the timeout passes; the timeout is rounded up to ms."""
        if ready() or timeout == 0:
            return
        clock = self._machine.clock
        deadline = None if timeout is None else clock.now + math.ceil(timeout * 1000) * 1_000_000
        rings = dict.fromkeys(event.ring for event in _events(files) if event.ring is not None)
        watch = StallWatch(clock, [ring.buffer for ring in rings], round(self.stall_after * _SECOND))
        look = watch.look if timeout is None else _look_away
        try:
            self._machine.scheduler.wait(ready, deadline, look)
        except Deadlock as deadlock:
            raise Deadlock(f"{deadlock}\n{self}") from None

    def _accessed(self, kind: str, offset: int) -> None:
        """A load or store of a metadata page: another CPU may run for a moment."""
        if self._machine.rules:
            answer = self._machine.rules.ask("access", kind, offset=offset)
            if answer is not PASS:
                raise SimulatorError(f"a rule answered {answer!r} to a {kind} of the metadata page: it can only watch")
        if self.at_access is not None:
            self.at_access(kind, offset)
        elif self.preemption and self._machine.rng.random() < self.preemption:
            span = self._machine.rng.randrange(_PREEMPTION_NS)
            self._machine.clock.run_until(self._machine.clock.now + span)

    def _signal(self, file: PerfFile, code: int) -> None:
        if not file.is_async or file.owner != self._machine.me.pid:
            return
        if file.signal:
            self._signals.append(Signal(file.signal_fd, code))
        else:
            self._plain_sigio = True

    def __str__(self) -> str:
        """The state of the machine: descriptors, rings, tasks, as /proc would show them."""
        clock = self._machine.clock
        lines = [f"SimKernel {self.release}, seed {self.seed}, at {clock.now / _SECOND:.9f} s"]
        for fd, file in self._descriptors.items():
            event = f" {file.event}" if isinstance(file, PerfFile) else ""
            lines.append(f"  fd {fd} -> {file.describe()}{event}")
        for ring in self._perf.rings:
            writers = ", ".join(str(event.id) for event in ring.events)
            lines.append(f"  {ring.buffer}; events {writers or 'none'}; mapped {ring.maps} times")
        lines += [f"  {task}" for task in self._machine.tasks.values()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """How to make it again."""
        return f"<SimKernel release={self.release!r} cpus={tuple(self._machine.cpus)} seed={self.seed}>"


class SimEpoll:
    """The seam's Epoll."""

    def __init__(self, kernel: SimKernel, file: EpollFile, fd: int) -> None:
        self._kernel = kernel
        self._file = file
        self._fd = fd

    def _open(self) -> EpollFile:
        if self._fd < 0:
            raise ValueError("I/O operation on closed epoll object")
        return self._file

    def register(self, fd: int, eventmask: int) -> None:
        """EPOLL_CTL_ADD: asks the fd, and so takes its latch (K15). Raises OSError: EEXIST, EBADF, EPERM, ELOOP."""
        self._kernel._enter("epoll_ctl", operation="add", fd=fd, eventmask=eventmask)
        self._open().add(fd, self._kernel._descriptors.get(fd), eventmask)

    def modify(self, fd: int, eventmask: int) -> None:
        """EPOLL_CTL_MOD: asks, too. Raises OSError: ENOENT, EBADF."""
        self._kernel._enter("epoll_ctl", operation="mod", fd=fd, eventmask=eventmask)
        self._open().modify(fd, self._kernel._descriptors.get(fd), eventmask)

    def unregister(self, fd: int) -> None:
        """EPOLL_CTL_DEL. Raises OSError: ENOENT, EBADF."""
        self._kernel._enter("epoll_ctl", operation="del", fd=fd)
        self._open().remove(fd, self._kernel._descriptors.get(fd))

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """epoll_wait(2).

        Raises:
            ValueError: the timeout is negative, ``maxevents`` is 0, or it is closed.
            Deadlock: nothing that is going to happen can end the wait.
        """
        file = self._open()
        _check_timeout(timeout)
        if not maxevents or maxevents < -1:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        self._kernel._enter("epoll_wait", fd=self._fd, timeout=timeout, maxevents=maxevents)
        most = _MOST_EVENTS if maxevents == -1 else maxevents
        found: list[tuple[int, int]] = []

        def collect() -> bool:
            if file.may_be_ready:
                found.extend(file.collect(most))
            return bool(found)

        self._kernel._wait(collect, timeout, [file])
        return found

    def fileno(self) -> int:
        """The fd of the epoll instance. Raises ValueError once closed."""
        self._open()
        return self._fd

    def close(self) -> None:
        """Closes it. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._kernel.close(fd)


class SimWaker:
    """The seam's Waker: set by a simulated program, by a callback, or before the wait."""

    def __init__(self, kernel: SimKernel, file: EventFile, fd: int) -> None:
        self._kernel = kernel
        self._file = file
        self._fd = fd

    def fileno(self) -> int:
        """The fd to wait for. Raises ValueError once closed."""
        if self._fd < 0:
            raise ValueError("the waker is closed")
        return self._fd

    def set(self) -> None:
        """Makes it readable."""
        self.fileno()
        self._file.add(1)

    def clear(self) -> None:
        """Makes it unreadable; harmless when it is."""
        self.fileno()
        self._file.count = 0

    def close(self) -> None:
        """Closes it. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._kernel.close(fd)


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout={timeout} must be None (for ever) or at least 0 seconds")


def _look_away() -> None:
    """Who waits with a timeout will find out himself."""


def _asked(file: File | None, events: int) -> int:
    return _NOT_A_FILE if file is None else file.ask() & (events | _ERR_HUP)


def _events(files: Iterable[File]) -> Iterable[PerfEvent]:
    """The perf events behind files, also behind those that an epoll waits for."""
    for file in files:
        if isinstance(file, PerfFile):
            yield file.event
        elif isinstance(file, EpollFile):
            yield from _events(tuple(file.files()))
