"""What docs/kernel.md says, as a machine: rings of a deque and three integers, events, and one epoll.

Written from those statements alone. It imports neither the simulator nor perfring's reader or rule, so that an
agreement with them, and with the kernel underneath, is one between strangers. Memory is not modelled: a record is its
type, its size and the bytes that its body begins with.
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, NoReturn

__all__ = ["EDGE", "HUP", "IN", "ONESHOT", "Event", "Item", "Kind", "Machine", "Record", "Ring", "Task"]

IN, HUP = 0x01, 0x10
EDGE, ONESHOT = 1 << 31, 1 << 30
_LOST, _COMM, _EXIT, _FORK, _SAMPLE = 2, 3, 4, 7, 9
_NO_CPU: Final = -1


class Kind(Enum):
    """What an event writes."""

    CALLS = "a sample for each getppid(2)"
    NAMES = "COMM, and FORK and EXIT with it"
    TASKS = "FORK and EXIT"
    OUTPUT = "a sample for each BPF output"
    NOTHING = "nothing: it is there to be mapped"


class Record(NamedTuple):
    """One record: what it is, how long, and the beginning of its body."""

    type: int
    size: int
    front: bytes


def _eights(size: int) -> int:
    return -(-size // 8) * 8


@dataclass(eq=False)
class Ring:
    """A ring: the records that are not read yet, and three integers (K7).

    Attributes:
        told: losses that no LOST record has told of yet (K21).
        counted: samples since the last that signalled by their number (K9).
    """

    size: int
    watermark: int
    records: deque[Record] = field(default_factory=deque)
    head: int = 0
    tail: int = 0
    wakeup: int = 0
    latch: bool = False
    untold: int = 0
    counted: int = 0
    paused: bool = False
    maps: int = 0
    wakes: int = 0
    members: list[Event] = field(default_factory=list)

    @property
    def used(self) -> int:
        return self.head - self.tail

    def write(self, event: Event, record: Record) -> bool:
        """One record, and the LOST that is due before it; whether the reader is signalled (K6, K7, K9, K21, K23)."""
        lost = [Record(_LOST, 24 + event.trailer, struct.pack("=QQ", event.id, self.untold))] if self.untold else []
        need = sum(each.size for each in (*lost, record))
        if self.paused or self.used + need > self.size - 1:
            self.untold += 1
            event.lost += 1
            return False
        before = self.wakeup
        self.head += need
        self.records.extend((*lost, record))
        self.untold = 0
        if self.head - self.wakeup > self.watermark:
            self.wakeup += self.watermark
        if record.type == _SAMPLE and event.wakeup_events:
            self.counted += 1
            if self.counted >= event.wakeup_events:
                self.counted -= event.wakeup_events
                self.wakeup += 1
        if self.wakeup == before:
            return False
        self.latch = True
        self.wakes += 1
        return True

    def take(self, count: int) -> list[Record]:
        """The reader takes out so many of the oldest, and stores the tail."""
        taken = [self.records.popleft() for _ in range(min(count, len(self.records)))]
        self.tail += sum(record.size for record in taken)
        return taken


@dataclass(eq=False)
class Task:
    """A task: alive until it exits."""

    pid: int
    parent: int
    cpu: int
    alive: bool = True


@dataclass(eq=False)
class Event:
    """An event and the file behind its fd.

    Attributes:
        target: the task it was opened for; None is a whole CPU.
        tasks: those it records: the target, and with ``inherit`` what that has forked since.
        wakeup_events: 0 under the flag ``watermark`` (K9).
        fd: None once it is closed; a mapping or a BPF map may hold the file a while longer (K26).
        maps: how many mappings were made through it.
        raw: what a sample of a tracepoint has of it, if it was asked for.
    """

    kind: Kind
    fd: int | None
    target: Task | None
    cpu: int
    watermark: int
    wakeup_events: int
    stamped: bool
    trailed: bool
    inherit: bool
    enabled: bool
    raw: bytes | None = None
    id: int = 0
    lost: int = 0
    maps: int = 0
    held: bool = False
    ring: Ring | None = None
    tasks: list[Task] = field(default_factory=list)

    @property
    def trailer(self) -> int:
        """What all records but samples end with: tid, time, identifier (K35, K44)."""
        return (24 if self.stamped else 16) if self.trailed else 0

    @property
    def over(self) -> bool:
        """Its task has exited, and every child that inherited it (K19)."""
        return self.target is not None and not any(task.alive for task in self.tasks)

    @property
    def released(self) -> bool:
        """Nothing holds the file."""
        return self.fd is None and not self.maps and not self.held

    def sample(self, task: Task, payload: bytes | None) -> Record:
        """The fields in the order of their bits: identifier, tid, time, raw (K35)."""
        front = struct.pack("=QII", self.id, task.pid, task.pid)
        size = 8 + len(front) + (8 if self.stamped else 0)
        if payload is not None:
            size += _eights(4 + len(payload))
        return Record(_SAMPLE, size, front)

    def side_band(self, kind: int, front: bytes, rest: int = 0) -> Record:
        return Record(kind, 8 + len(front) + rest + self.trailer, front)


@dataclass(eq=False)
class Item:
    """A registration: the file, under the number that it had then."""

    event: Event
    fd: int
    mask: int

    @property
    def armed(self) -> bool:
        """Not disarmed by EPOLLONESHOT."""
        return bool(self.mask & ~(EDGE | ONESHOT))


def refuse(number: int) -> NoReturn:
    raise OSError(number, errno.errorcode[number])


class Machine:
    """Tasks, events, and the epoll. Methods named after system calls raise OSError with the errno of Linux."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.tasks: list[Task] = []
        self.events: list[Event] = []
        self.items: list[Item] = []
        self.ready: list[Item] = []
        self.output: dict[int, Event] = {}

    def at(self, fd: int) -> Event:
        """What an fd stands for. Raises OSError: EBADF."""
        return next((event for event in self.events if event.fd == fd), None) or refuse(errno.EBADF)

    @property
    def rings(self) -> list[Ring]:
        """Those that are mapped."""
        return list(dict.fromkeys(event.ring for event in self.events if event.ring is not None))

    # Rings and their events.

    def mmap(self, fd: int, pages: int) -> Ring:
        """mmap(2) (K1, K3, K8, K27, K28)."""
        event = self.at(fd)
        if (event.inherit and event.cpu == _NO_CPU) or pages & (pages - 1):
            refuse(errno.EINVAL)
        size = pages * self.page
        if event.ring is None:
            event.ring = Ring(size, min(event.watermark, size) or size // 2, members=[event])
        elif event.ring.size != size:
            refuse(errno.EINVAL)
        elif not event.maps:
            refuse(errno.EBUSY)
        event.maps += 1
        event.ring.maps += 1
        return event.ring

    def munmap(self, event: Event, ring: Ring) -> None:
        """The last one takes every event off the ring and wakes who waits for them (K26, K45)."""
        event.maps -= 1
        ring.maps -= 1
        if not ring.maps:
            members, ring.members = ring.members, []
            for member in members:
                member.ring = None
                self._wake(member)
        self._release(event)

    def set_output(self, fd: int, target_fd: int) -> None:
        """SET_OUTPUT (K25)."""
        event = self.at(fd)
        target = None if target_fd == -1 else self.at(target_fd)
        if target is not None and not self._may_redirect(event, target):
            refuse(errno.EINVAL)
        if event.maps or (target is not None and target.ring is None):
            refuse(errno.EINVAL)
        self._detach(event)
        if target is not None and target.ring is not None:
            event.ring = target.ring
            event.ring.members.append(event)

    @staticmethod
    def _may_redirect(event: Event, target: Event) -> bool:
        same_task = event.cpu != _NO_CPU or event.target is target.target
        return event is not target and event.cpu == target.cpu and same_task

    def _detach(self, event: Event) -> None:
        if event.ring is not None:
            event.ring.members.remove(event)
            event.ring = None
            self._wake(event)

    def pause(self, fd: int, paused: bool) -> None:
        """PAUSE_OUTPUT, of the ring that the event writes to (K23, K38)."""
        ring = self.at(fd).ring
        if ring is None:
            refuse(errno.EINVAL)
        ring.paused = paused

    def read(self, fd: int, size: int) -> bytes:
        """read(2), with PERF_FORMAT_LOST: a count that is not modelled, and the losses (K22, K41)."""
        event = self.at(fd)
        return bytes(8) + struct.pack("=Q", event.lost) if size >= 16 else refuse(errno.ENOSPC)

    def close(self, fd: int) -> None:
        """close(2): what is mapped lives on (K26)."""
        event = self.at(fd)
        event.fd = None
        self._release(event)

    def _release(self, event: Event) -> None:
        if event.released:
            self.items = [item for item in self.items if item.event is not event]
            self.ready = [item for item in self.ready if item.event is not event]
            self._detach(event)
            self.events.remove(event)

    # What tasks do.

    def listeners(self, task: Task, *kinds: Kind) -> list[Event]:
        """The events that record what a task does here and now, in the order in which they were opened (K40)."""
        return [
            event
            for event in self.events
            if event.kind in kinds
            and event.enabled
            and event.cpu in (_NO_CPU, task.cpu)
            and (event.target is None or task in event.tasks)
        ]

    def getppid(self, task: Task, times: int) -> None:
        for event in self.listeners(task, Kind.CALLS):
            for _ in range(times):
                self._write(event, event.sample(task, event.raw))

    def rename(self, task: Task, name: str) -> None:
        front = struct.pack("=II", task.pid, task.pid) + name.encode().ljust(_eights(len(name) + 1), b"\0")
        for event in self.listeners(task, Kind.NAMES):
            self._write(event, event.side_band(_COMM, front))

    def emit(self, task: Task, payload: bytes) -> None:
        """bpf_perf_event_output. Raises OSError: ENOENT nothing is connected, EOPNOTSUPP it does not run."""
        event = self.output.get(task.cpu) or refuse(errno.ENOENT)
        if event not in self.listeners(task, Kind.OUTPUT):
            refuse(errno.EOPNOTSUPP)
        self._write(event, event.sample(task, payload))

    def fork(self, task: Task, pid: int) -> Task:
        """The parent's events record it; those with ``inherit`` record the child from now on (K40)."""
        child = Task(pid, task.pid, task.cpu)
        self.tasks.append(child)
        for event in self.events:
            if event.inherit and task in event.tasks:
                event.tasks.append(child)
        self._report(_FORK, child, self.listeners(task, Kind.NAMES, Kind.TASKS))
        return child

    def exit(self, task: Task) -> None:
        """Its events record it, then they are over, and wake whoever waits for their rings (K19)."""
        self._report(_EXIT, task, self.listeners(task, Kind.NAMES, Kind.TASKS))
        task.alive = False
        for event in self.events:
            if task in event.tasks and event.ring is not None:
                self._wake(*event.ring.members)

    def _report(self, kind: int, task: Task, events: list[Event]) -> None:
        front = struct.pack("=IIII", task.pid, task.parent, task.pid, task.parent)
        # Measured on 6.18: of several events of one task, that which was opened last is the first to write.
        for event in reversed(events):
            self._write(event, event.side_band(kind, front, rest=8))

    def _write(self, event: Event, record: Record) -> None:
        if event.ring is not None and event.ring.write(event, record):
            self._wake(*event.ring.members)

    # Asking.

    def ask(self, event: Event) -> int:
        """POLLHUP for what is over or has no ring; else the latch, which is one per ring (K14, K17, K19)."""
        if event.over or event.ring is None:
            return HUP
        taken, event.ring.latch = event.ring.latch, False
        return IN if taken else 0

    def poll(self, fds: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """poll(2) asks one after the other, whatever each is asked for (K14)."""
        answers = [(fd, self.ask(self.at(fd)) & (mask | HUP)) for fd, mask in fds]
        return [(fd, answer) for fd, answer in answers if answer]

    def _wake(self, *events: Event) -> None:
        for item in self.items:
            if item.event in events and item.armed and item not in self.ready:
                self.ready.append(item)

    def _item(self, fd: int) -> Item | None:
        event = self.at(fd)
        return next((item for item in self.items if item.event is event and item.fd == fd), None)

    def epoll_add(self, fd: int, mask: int) -> None:
        """To register is to ask (K15)."""
        if self._item(fd):
            refuse(errno.EEXIST)
        item = Item(self.at(fd), fd, mask | HUP)
        self.items.append(item)
        self._look(item)

    def epoll_mod(self, fd: int, mask: int) -> None:
        item = self._item(fd) or refuse(errno.ENOENT)
        item.mask = mask | HUP
        self._look(item)

    def _look(self, item: Item) -> None:
        if self.ask(item.event) & item.mask and item not in self.ready:
            self.ready.append(item)

    def epoll_del(self, fd: int) -> None:
        item = self._item(fd) or refuse(errno.ENOENT)
        self.items.remove(item)
        if item in self.ready:
            self.ready.remove(item)

    def epoll_wait(self, seen: list[tuple[int, int]]) -> list[str]:
        """Follows what epoll_wait(2) reported, and says what was wrong with it.

        Which of a ring's events is asked first, and so takes the latch from the others, is the only thing left open.
        """
        left, complaints = list(seen), list[str]()
        reported: list[Item] = []
        candidates, self.ready = self.ready, []
        latched = {item.event.ring: item.event.ring.latch for item in candidates if item.event.ring is not None}
        asked = dict.fromkeys(latched, False)
        for item in candidates:
            ring = item.event.ring
            if item.event.over or ring is None:
                answer = HUP if (item.fd, HUP) in left else 0
                if not answer:
                    complaints.append(f"no HUP of fd {item.fd}")
            else:
                answer = IN if latched[ring] and item.mask & IN and (item.fd, IN) in left else 0
                latched[ring] = latched[ring] and not answer
                asked[ring] = True
            if answer:
                left.remove((item.fd, answer))
                reported.append(item)
        for ring, still in latched.items():
            askers = [item for item in candidates if item.event.ring is ring and not item.event.over]
            if still and askers and all(item.mask & IN for item in askers):
                complaints.append(f"no IN of any of the fds {[item.fd for item in askers]}")
            if asked[ring]:
                ring.latch = False
        self._rearm(reported)
        return complaints + [f"fd {fd} was reported with {events:#x}" for fd, events in left]

    def _rearm(self, reported: list[Item]) -> None:
        """What was reported is disarmed, forgotten until it is woken again, or asked anew next time."""
        for item in reported:
            if item.mask & ONESHOT:
                item.mask &= EDGE | ONESHOT
            elif not item.mask & EDGE:
                self.ready.append(item)
