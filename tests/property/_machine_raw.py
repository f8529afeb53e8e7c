"""System calls on several rings, side by side with the model: the same steps for any kernel behind the seam."""

from __future__ import annotations

import contextlib
import errno
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, TypeVar

from hypothesis import event as tell
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from perfring import abi
from perfring.kernel import Mapping
from simkernel.contract.arm import Actor, Arm, SimArm
from simkernel.ringbuf import RingBuffer
from tests.property import _model as model
from tests.property._model import EDGE, HUP, IN, ONESHOT, Event, Kind

__all__ = ["RawMachine"]

T = TypeVar("T")
Person: TypeAlias = tuple[model.Task, Actor]

_HEAD, _TAIL = 1024, 1032
_CALLS_ID = "/sys/kernel/tracing/events/syscalls/sys_enter_getppid/id"
_HEADER = struct.Struct("=IHH")
_NOBODY = 4_000_000
_NO_FD = 900
_MASKS = st.sampled_from([IN, IN, IN, IN | EDGE, IN | EDGE, IN | ONESHOT, 0])
_WATERMARKS = st.sampled_from([1, 40, 500, 1000, 2048, 4000, 4040, 4072, 4088, 4096, 9000]) | st.integers(1, 4096)
_SETTINGS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([Kind.CALLS, Kind.CALLS, Kind.NAMES, Kind.TASKS, Kind.OUTPUT]),
        "cpu": st.sampled_from([0, 0, 0, -1, -1, 1]),
        "watermark": st.just(0) | _WATERMARKS | _WATERMARKS,
        "wakeup_events": st.sampled_from([0, 0, 1, 3, 20]),
        "stamped": st.booleans(),
        "trailed": st.booleans(),
        "inherit": st.sampled_from([False, False, True]),
        "enabled": st.sampled_from([True, True, True, False]),
    }
)
_NAMES = st.sampled_from(["a", "sevench", "eightchr", "fifteencharacte"])
_LENGTHS = st.sampled_from([1, 4, 5, 60, 700, 2000, 4030, 4060])
_MANY = st.sampled_from([1, 3, 20, 60, 90, 130, 180]) | st.integers(1, 180)


@dataclass(eq=False)
class Mapped:
    """One mapping, and what it shows according to the model."""

    event: Event
    ring: model.Ring
    mapping: Mapping
    fd: int


class RawMachine(RuleBasedStateMachine):
    """Opens, maps, redirects, produces, asks and drains, in any order, with wrong turns.

    Attributes:
        outcomes: what was met how often, over all runs.
        slowness: by how much the orders that actors take one by one are thinned.
    """

    outcomes: ClassVar[Counter[str]] = Counter()
    slowness: ClassVar[int] = 2
    opened: Bundle[int] = Bundle("opened")
    maps: Bundle[Mapped] = Bundle("maps")
    actors: Bundle[Person] = Bundle("actors")
    # Closed ones stay among them, and so do numbers that stand for another event by now.
    fds = maps.map(lambda each: each.fd) | opened

    def __init__(self) -> None:
        super().__init__()
        self.arm = self.make_arm()
        self.kernel = self.arm.kernel
        self.model = model.Machine(self.kernel.page_size)
        self.epoll = self.kernel.epoll()
        self.people: list[Person] = []
        self._new_actor()
        self._new_actor()
        self.mapped: list[Mapped] = []
        self.buffers: dict[model.Ring, RingBuffer] = {}
        self.checked: dict[model.Ring, int] = {}
        self.call_id = int(self.kernel.read_text(_CALLS_ID))

    def make_arm(self) -> Arm:
        """The kernel of one run."""
        return SimArm()

    def place(self, fd: int) -> int:
        """The number by which an event is known from now on."""
        return fd

    def teardown(self) -> None:
        with contextlib.ExitStack() as undo:
            undo.callback(self.arm.close)
            undo.callback(self.epoll.close)
            for event in self.model.events:
                if event.fd is not None:
                    undo.callback(self.kernel.close, event.fd)
            for each in self.mapped:
                undo.callback(each.mapping.close)

    def note(self, outcome: str) -> None:
        type(self).outcomes[outcome] += 1
        tell(outcome)

    def both(self, what: str, real: Callable[[], T], modelled: Callable[[], object]) -> T | None:
        """Makes the call here and there; the errno must be the same. None when both refuse."""
        result, got = self._answer(real)
        expected_result, expected = self._answer(modelled)
        assert got == expected, f"{what}: {got or 'taken'}, by the model {expected or 'taken'}"
        if expected:
            self.note(f"{what} {expected}")
            return None
        if expected_result is not None and isinstance(expected_result, list):
            assert result == expected_result, f"{what}: {result}, by the model {expected_result}"
        return result

    @staticmethod
    def _answer(call: Callable[[], T]) -> tuple[T | None, str]:
        try:
            return call(), ""
        except OSError as refused:
            return None, errno.errorcode[refused.errno or 0]

    # Events.

    @initialize(target=actors)
    def two_tasks(self) -> Any:
        return multiple(*self.people)

    @initialize(
        target=maps, kinds=st.permutations([Kind.CALLS, Kind.NAMES, Kind.OUTPUT]), settings=_SETTINGS, mask=_MASKS
    )
    def two_rings(self, kinds: list[Kind], settings: dict[str, Any], mask: int) -> Any:
        made = [
            self._map(self._open(self.people[0][0], settings | {"kind": kind, "cpu": 0, "enabled": True}), 1)
            for kind in kinds[:2]
        ]
        self.epoll_add(made[0].fd, mask)
        return multiple(*made)

    def _new_actor(self) -> Person:
        actor = self.arm.actor(0)
        task = model.Task(actor.pid, self.arm.own_pid, 0)
        self.model.tasks.append(task)
        self.people.append((task, actor))
        return task, actor

    @rule(target=opened, who=actors, settings=_SETTINGS)
    def open(self, who: Person, settings: dict[str, Any]) -> Any:
        return self._open(who[0], settings)

    @rule(target=maps, who=actors, settings=_SETTINGS)
    def open_and_map(self, who: Person, settings: dict[str, Any]) -> Any:
        fd = self._open(who[0], settings | {"inherit": settings["inherit"] and settings["cpu"] >= 0})
        return self._map(fd, 1) if isinstance(fd, int) else multiple()

    @rule(target=opened, leader=maps, who=actors, settings=_SETTINGS)
    def open_and_redirect(self, leader: Mapped, who: Person, settings: dict[str, Any]) -> Any:
        fd = self._open(who[0], settings | {"cpu": leader.event.cpu})
        if isinstance(fd, int) and leader.event.fd is not None:
            self._redirect(fd, leader.event.fd)
        return fd

    def _open(self, task: model.Task, settings: dict[str, Any]) -> Any:
        event = self._planned(task, **settings)
        if self._is_taken(event):
            return multiple()
        pid = -1 if event.target is None else task.pid
        result, refusal = self._answer(lambda: self.kernel.perf_event_open(self._attr(event), pid, event.cpu))
        expected = "" if event.target is None or task.alive else "ESRCH"
        assert refusal == expected, f"open: {refusal or 'taken'}, by the model {expected or 'taken'}"
        if result is None:
            self.note(f"open {refusal}")
            return multiple()
        result = self.place(result)
        event.fd = result
        event.id = self._id_of(result)
        self.model.events.append(event)
        if event.kind is Kind.OUTPUT:
            self.arm.connect_bpf_output(result, event.cpu)
            self.model.output[event.cpu], event.held = event, True
        return result

    def _planned(self, task: model.Task, *, kind: Kind, watermark: int, wakeup_events: int, **rest: Any) -> Event:
        whole = kind is Kind.OUTPUT
        rest["cpu"] = max(rest["cpu"], 0) if whole else rest["cpu"]
        rest["inherit"] = rest["inherit"] and not whole
        number = 0 if watermark else wakeup_events
        target = None if whole else task
        tasks = [] if whole else [task]
        return Event(kind, None, target, watermark=watermark, wakeup_events=number, tasks=tasks, **rest)

    def _is_taken(self, new: Event) -> bool:
        """Two of a kind for one task would write to one ring in an order that Linux leaves open."""
        taken = [(event.kind, event.target, event.cpu) for event in self.model.events]
        related = [event for event in self.model.events if event.kind is new.kind and event.cpu == new.cpu]
        shared = any(task in event.tasks for event in related for task in new.tasks)
        return (new.kind, new.target, new.cpu) in taken or shared

    def _attr(self, event: Event) -> abi.PerfEventAttr:
        attr = abi.PerfEventAttr(
            type=abi.PERF_TYPE_SOFTWARE,
            config=abi.PERF_COUNT_SW_BPF_OUTPUT if event.kind is Kind.OUTPUT else abi.PERF_COUNT_SW_DUMMY,
            sample_type=abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID,
            read_format=abi.PERF_FORMAT_LOST,
            sample_id_all=event.trailed,
            inherit=event.inherit,
            disabled=not event.enabled,
            comm=event.kind is Kind.NAMES,
            task=event.kind is Kind.TASKS,
            watermark=bool(event.watermark),
        )
        if event.watermark:
            attr.wakeup_watermark = event.watermark
        else:
            attr.wakeup_events = event.wakeup_events
        if event.stamped:
            attr.sample_type |= abi.PERF_SAMPLE_TIME
        if event.kind is Kind.CALLS:
            attr.type, attr.config, attr.sample_period = abi.PERF_TYPE_TRACEPOINT, self.call_id, 1
        if event.kind is Kind.OUTPUT:
            attr.sample_period, attr.sample_type = 1, attr.sample_type | abi.PERF_SAMPLE_RAW
        return attr

    def _id_of(self, fd: int) -> int:
        answer = bytearray(8)
        self.kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer)
        return int.from_bytes(answer, "little")

    @rule(fd=fds, on=st.booleans())
    def enable_or_disable(self, fd: int, on: bool) -> None:
        request = abi.PERF_EVENT_IOC_ENABLE if on else abi.PERF_EVENT_IOC_DISABLE
        self.both("enable", lambda: self.kernel.ioctl(fd, request), lambda: setattr(self.model.at(fd), "enabled", on))

    @rule(fd=fds)
    def close(self, fd: int) -> None:
        if any(event.fd == fd and event.maps for event in self.model.events):
            self.note("closed while mapped")
        self.both("close", lambda: self.kernel.close(fd), lambda: self.model.close(fd))

    @rule(wrong=st.sampled_from([(_NOBODY, -1, "ESRCH"), (0, 99, "EINVAL"), (-1, -1, "EINVAL")]))
    def take_a_wrong_turn(self, wrong: tuple[int, int, str]) -> None:
        pid, cpu, expected = wrong
        attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)
        assert self._answer(lambda: self.kernel.perf_event_open(attr, pid, cpu))[1] == expected
        self.note(f"open {expected}")
        self.close(_NO_FD)
        self.enable_or_disable(_NO_FD, True)
        self.map(_NO_FD, 1)
        self.redirect(_NO_FD, -1)
        self.pause(_NO_FD, True)
        self.epoll_add(_NO_FD, IN)
        self.epoll_mod(_NO_FD, IN)
        self.epoll_del(_NO_FD)
        self.read_the_losses(_NO_FD)

    # Rings.

    @rule(target=maps, fd=fds, pages=st.sampled_from([1, 1, 1, 1, 2, 3]))
    def map(self, fd: int, pages: int) -> Any:
        return self._map(fd, pages)

    def _map(self, fd: int, pages: int) -> Any:
        length = (1 + pages) * self.kernel.page_size
        mapping = self.both("mmap", lambda: self.kernel.mmap(fd, length), lambda: self.model.mmap(fd, pages))
        if mapping is None:
            return multiple()
        event = self.model.at(fd)
        assert event.ring is not None
        if event.ring.maps == 1 and isinstance(self.arm, SimArm):
            self.buffers[event.ring] = self.arm.kernel.perf.rings[-1].buffer
        mapped = Mapped(event, event.ring, mapping, fd)
        self.mapped.append(mapped)
        return mapped

    @rule(each=consumes(maps))
    def unmap(self, each: Mapped) -> None:
        self.mapped.remove(each)
        if len(each.ring.members) > 1 and each.ring.maps == 1:
            self.note("followers lost their ring")
        each.mapping.close()
        self.model.munmap(each.event, each.ring)

    @rule(fd=fds, other=fds | st.just(-1))
    def redirect(self, fd: int, other: int) -> None:
        self._redirect(fd, other)

    def _redirect(self, fd: int, target: int) -> None:
        request = abi.PERF_EVENT_IOC_SET_OUTPUT
        done = self.both(
            "redirect", lambda: self.kernel.ioctl(fd, request, target), lambda: self.model.set_output(fd, target)
        )
        if done is not None and target != -1:
            self.note("redirected")

    @rule(fd=fds, paused=st.sampled_from([True, False, False]))
    def pause(self, fd: int, paused: bool) -> None:
        request = abi.PERF_EVENT_IOC_PAUSE_OUTPUT
        self.both("pause", lambda: self.kernel.ioctl(fd, request, paused), lambda: self.model.pause(fd, paused))

    # What tasks do.

    def _act(self, task: model.Task, act: Callable[[], object], modelled: Callable[[], object]) -> None:
        if not task.alive:
            return
        lost, wakes = self._sums()
        self.both("emit", act, modelled)
        now_lost, now_wakes = self._sums()
        if now_lost > lost:
            self.note("lost")
            self.note("lost and nobody woken" if now_wakes == wakes else "lost and woken")
        if now_wakes > wakes:
            self.note("woken")

    def _sums(self) -> tuple[int, int]:
        return sum(event.lost for event in self.model.events), sum(ring.wakes for ring in self.model.rings)

    @rule(each=maps, number=st.integers(0, 5), times=_MANY, length=_LENGTHS, name=_NAMES, rounds=st.integers(1, 3))
    def read_a_stream(self, each: Mapped, number: int, times: int, length: int, name: str, rounds: int) -> None:
        """What most readers do: wait, and drain when woken."""
        for _ in range(rounds):
            self.fill(each, number, times, length, name)
            fd = each.event.fd
            if fd is None or self._is_ready(fd):
                self.drain(each, 10_000)

    def _is_ready(self, fd: int) -> bool:
        asked = [(fd, IN)]
        return bool(self.both("poll", lambda: self.kernel.poll(asked, 0), lambda: self.model.poll(asked)))

    @rule(each=maps, number=st.integers(0, 5), times=_MANY, length=_LENGTHS, name=_NAMES)
    def fill(self, each: Mapped, number: int, times: int, length: int, name: str) -> None:
        """Has somebody do what one of the ring's events records, where it records."""
        if not each.ring.members:
            return
        event = each.ring.members[number % len(each.ring.members)]
        who = next((one for one in self.people if one[0].alive and (not event.tasks or one[0] in event.tasks)), None)
        if who is None:
            return
        if event.cpu not in (-1, who[0].cpu):
            self.pin(who, event.cpu)
        if event.kind is Kind.OUTPUT:
            self.emit(who, length, 1 + times % 6)
        elif event.kind is Kind.CALLS:
            self.getppid(who, times)
        else:
            self.rename(who, times, name)

    @rule(who=actors, times=_MANY)
    def getppid(self, who: Person, times: int) -> None:
        task, actor = who
        self._act(task, lambda: actor.getppid(times), lambda: self.model.getppid(task, times))

    @rule(who=actors, times=_MANY, name=_NAMES)
    def rename(self, who: Person, times: int, name: str) -> None:
        task, actor = who
        for _ in range(-(-times // self.slowness)):
            self._act(task, lambda: actor.rename(name), lambda: self.model.rename(task, name))

    @rule(who=actors, length=_LENGTHS, times=st.integers(1, 4))
    def emit(self, who: Person, length: int, times: int) -> None:
        task, actor = who
        for _ in range(times):
            self._act(task, lambda: actor.emit(bytes(length)), lambda: self.model.emit(task, bytes(length)))

    @rule(who=actors, cpu=st.sampled_from([0, 0, 1]))
    def pin(self, who: Person, cpu: int) -> None:
        task, actor = who
        if task.alive:
            actor.pin(cpu)
            task.cpu = cpu

    @rule(who=actors, target=actors)
    def fork(self, who: Person) -> Any:
        task, actor = who
        if not task.alive or len(self.model.tasks) > 5:
            return multiple()
        child = actor.fork()
        self.note("forked")
        self.people.append((self.model.fork(task, child.pid), child))
        return self.people[-1]

    @rule(who=consumes(actors), target=actors)
    def exit(self, who: Person) -> Any:
        self._exit(who)
        return multiple() if any(one[0].alive for one in self.people) else self._new_actor()

    def _exit(self, who: Person) -> None:
        task, actor = who
        if task.alive:
            actor.exit()
            self.model.exit(task)
            self.note("exited")
            for child in self.model.tasks:
                if child.alive and child.parent == task.pid:
                    child.parent = self._parent_of(child)

    def _parent_of(self, task: model.Task) -> int:
        """Who reaps orphans is not perf's to say: init, or a subreaper."""
        status = self.kernel.read_text(f"/proc/{task.pid}/status")
        return int(status.partition("\nPPid:")[2].split()[0])

    # Asking.

    @rule(fds=st.lists(fds, min_size=1, max_size=3, unique=True), mask=st.sampled_from([IN, IN, 0]))
    def poll(self, fds: list[int], mask: int) -> None:
        asked = [(fd, mask) for fd in fds if any(event.fd == fd for event in self.model.events)]
        answers = self.both("poll", lambda: self.kernel.poll(asked, 0), lambda: self.model.poll(asked)) or []
        for _, events in answers:
            self.note({IN: "polled IN", HUP: "polled HUP"}[events])

    @rule(fd=fds, mask=_MASKS)
    def epoll_add(self, fd: int, mask: int) -> None:
        self.both("add", lambda: self.epoll.register(fd, mask), lambda: self.model.epoll_add(fd, mask))

    @rule(fd=fds, mask=_MASKS)
    def epoll_mod(self, fd: int, mask: int) -> None:
        self.both("mod", lambda: self.epoll.modify(fd, mask), lambda: self.model.epoll_mod(fd, mask))

    @rule(fd=fds)
    def epoll_del(self, fd: int) -> None:
        self.both("del", lambda: self.epoll.unregister(fd), lambda: self.model.epoll_del(fd))

    @rule()
    def epoll_wait(self) -> None:
        self._wait()

    def _wait(self) -> list[tuple[int, int]]:
        seen = self.epoll.poll(0, 1000)
        for _, events in seen:
            self.note({IN: "epoll IN", HUP: "epoll HUP"}.get(events, "epoll with other events"))
        complaints = self.model.epoll_wait(seen)
        assert not complaints, f"epoll_wait said {seen}: {complaints}"
        return seen

    # Reading.

    @rule(each=maps, records=st.integers(1, 60) | st.just(10_000))
    def drain(self, each: Mapped, records: int) -> None:
        start = each.ring.tail
        taken = each.ring.take(records)
        self._compare(each.mapping, start, taken)
        each.mapping.store_u64(_TAIL, each.ring.tail)
        if taken:
            self.note("drained")
        if any(record.type == 2 for record in taken):
            self.note("told of a loss")
        if taken and each.event.over:
            self.note("drained after HUP")

    def _compare(self, mapping: Mapping, start: int, records: list[model.Record]) -> None:
        data, size = bytes(mapping.data), len(mapping.data)
        for record in records:
            at = start % size
            piece = (data[at:] + data[:at])[: record.size] if at + record.size > size else data[at : at + record.size]
            kind, _, length = _HEADER.unpack_from(piece)
            front = piece[8 : 8 + len(record.front)]
            start, was = start + record.size, start
            assert (kind, length, front) == record, f"at {was} lies {(kind, length, front)}, by the model {record}"

    @rule(fd=fds)
    def read_the_losses(self, fd: int) -> None:
        self.read(fd, 16)

    def read(self, fd: int, size: int) -> None:
        """The losses behind the count, which nobody here looks at (K22, K41)."""
        self.both("read", lambda: [self.kernel.read(fd, size)[8:]], lambda: [self.model.read(fd, size)[8:]])

    # After every step.

    @invariant()
    def rings_are_those_of_the_model(self) -> None:
        for each in self.mapped:
            ring, mapping = each.ring, each.mapping
            assert (mapping.load_u64(_HEAD), mapping.load_u64(_TAIL)) == (ring.head, ring.tail), "head and tail"
            assert ring.wakeup <= ring.head, "the cursor is ahead of the head"
            if self.checked.get(ring, 0) != ring.head:
                self._compare(mapping, ring.tail, list(ring.records))
                self.checked[ring] = ring.head

    @invariant()
    def what_only_the_kernel_sees_is_that_of_the_model(self) -> None:
        for ring, buffer in self.buffers.items():
            if ring.maps:
                inside = (buffer.wakeup, bool(buffer.latch), buffer.lost, buffer.events, buffer.used, buffer.watermark)
                expected = (ring.wakeup, ring.latch, ring.untold, ring.counted, ring.used, ring.watermark)
                assert inside == expected, f"wakeup, latch, lost, events, used, watermark: {inside} not {expected}"
