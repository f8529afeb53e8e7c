"""A whole session on a simulated machine, side by side with what its documentation says it does."""

from __future__ import annotations

import errno
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count, islice
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import event as tell
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from perfring.abi import CLOCK_MONOTONIC
from perfring.batch import Batch
from perfring.builder import SessionBuilder
from perfring.errors import SessionBusy, SessionClosed, TargetNotFound, WatermarkError, WatermarkStallWarning
from perfring.events import BpfOutputEvents, EventGroup, KernelEvents, TracepointEvents
from perfring.records import Record
from perfring.session import Session
from simkernel import Deadlock, SimKernel
from simkernel.contract.arm import Actor, SimArm
from tests.property._machine_settings import (
    CALL_BYTES,
    CALLS,
    CPUS,
    KINDS,
    LATENCIES,
    LENGTHS,
    NAMES_OF_TASKS,
    OUTPUT,
    SELDOM,
    SETTINGS,
    SIDE_BAND,
    SPOILED,
    TIMEOUTS,
    TIMES,
    TOPICS,
    TYPES,
    as_modelled,
)
from tests.property._model import Event, Kind, Task
from tests.property._model_session import Asleep, Look, Reader, Side, Taken, World

__all__ = ["SessionMachine"]

Person: TypeAlias = tuple[Task, Actor]


class SessionMachine(RuleBasedStateMachine):
    """Builds sessions, has tasks do what they record, and reads in every way, with wrong turns.

    Attributes:
        outcomes: what was met how often, over all runs.
    """

    outcomes: ClassVar[Counter[str]] = Counter()
    actors: Bundle[Person] = Bundle("actors")

    def __init__(self) -> None:
        super().__init__()
        self.kernel = SimKernel(cpus=CPUS, capabilities={"CAP_SYS_ADMIN"}, paranoid=-1)
        self.arm = SimArm(self.kernel)
        self.world = World(self.kernel.page_size)
        self.people: list[Person] = []
        self.numbers = count(1)
        self.names: dict[int, str] = {}
        self.session: Session | None = None
        self.heard: dict[str, list[tuple[int, int]]] = {}
        self.failures: list[Exception] = []
        self.intruder: Callable[[], object] | None = None
        self.reader_errors = 0

    def teardown(self) -> None:
        if self.session is not None:
            self.session.close()

    def note(self, outcome: str) -> None:
        type(self).outcomes[outcome] += 1
        tell(outcome)

    # Tasks.

    @initialize(target=actors, settings=SETTINGS, recorded=st.sampled_from([0, 1, 2, 2]))
    def two_tasks_and_a_session(self, settings: dict[str, Any], recorded: int) -> Any:
        for cpu in CPUS:
            self._come(cpu)
        modest = min(settings["watermark"] or 1000, 4095)
        self._build(settings | {"watermark": modest}, self.people[:recorded], enabled=True)
        return multiple(*self.people)

    def _come(self, cpu: int) -> Person:
        actor = self.arm.actor(cpu)
        task = Task(actor.pid, self.arm.own_pid, cpu)
        self.world.tasks.append(task)
        self.people.append((task, actor))
        return self.people[-1]

    def _act(self, task: Task, act: Callable[[], object], modelled: Callable[[], object]) -> None:
        if task.alive:
            lost = self.lost
            assert self._refusal(act) == self._refusal(modelled)
            self.kernel.sleep(1e-6)  # no two things at the same time
            if self.lost > lost:
                self.note("lost")

    @staticmethod
    def _refusal(call: Callable[[], object]) -> str:
        try:
            call()
        except OSError as refused:
            return errno.errorcode[refused.errno or 0]
        return ""

    @property
    def lost(self) -> int:
        return sum(event.lost for event in self.world.events)

    @rule(who=actors, times=TIMES)
    def getppid(self, who: Person, times: int) -> None:
        self._act(who[0], lambda: who[1].getppid(times), lambda: self.world.getppid(who[0], times))

    @rule(who=actors, name=NAMES_OF_TASKS, times=st.integers(1, 3))
    def rename(self, who: Person, name: str, times: int) -> None:
        for _ in range(times):
            self._act(who[0], lambda: who[1].rename(name), lambda: self.world.rename(who[0], name))

    @rule(who=actors, length=LENGTHS, times=st.integers(1, 3))
    def emit(self, who: Person, length: int, times: int) -> None:
        for _ in range(times):
            self._act(who[0], lambda: who[1].emit(bytes(length)), lambda: self.world.emit(who[0], bytes(length)))

    @rule(who=actors, cpu=st.sampled_from(CPUS))
    def pin(self, who: Person, cpu: int) -> None:
        if who[0].alive:
            who[1].pin(cpu)
            who[0].cpu = cpu

    @rule(who=actors, target=actors)
    def fork(self, who: Person) -> Any:
        task, actor = who
        if not task.alive or sum(one[0].alive for one in self.people) > 4:
            return multiple()
        child = actor.fork()
        self.people.append((self.world.fork(task, child.pid), child))
        self.kernel.sleep(1e-6)
        self.note("forked")
        return self.people[-1]

    @rule(who=consumes(actors), target=actors)
    def exit(self, who: Person) -> Any:
        self._exit(who)
        return multiple() if any(task.alive for task, _ in self.people) else self._come(CPUS[0])

    def _exit(self, who: Person) -> None:
        task, actor = who
        if task.alive:
            actor.exit()
            self.world.exit(task)
            self.kernel.sleep(1e-6)
            for child in self.world.tasks:
                child.parent = 1 if child.parent == task.pid else child.parent

    # The session.

    @precondition(lambda self: self.session is None)
    @rule(settings=SETTINGS, who=st.lists(actors, max_size=2, unique=True), enabled=st.booleans())
    def build(self, settings: dict[str, Any], who: list[Person], enabled: bool) -> None:
        self._build(settings, who, enabled=enabled)

    def _build(self, settings: dict[str, Any], who: list[Person], *, enabled: bool) -> None:
        tasks = sorted((task for task, _ in who), key=lambda task: task.pid)
        if settings["watermark"] is not None:
            settings = settings | {"wakeup_events": 0}
        size = settings["pages"] * self.kernel.page_size
        refusal: type[Exception] | None = None
        if (settings["watermark"] or 0) >= size:
            refusal = WatermarkError
        elif not all(task.alive for task in tasks):
            refusal = TargetNotFound
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WatermarkStallWarning)
            if refusal is not None:
                with pytest.raises(refusal):
                    self._builder(settings, tasks).build(self.kernel)
                self.note(f"refused: {refusal.__name__}")
                assert not self.kernel.perf.rings
                return
            self.session = self._builder(settings, tasks).build(self.kernel)
        self._open_in_the_model(self.session, settings, tasks, size)
        self._listen(self.session)
        if enabled:
            self.switch(True)

    @staticmethod
    def _builder(settings: dict[str, Any], tasks: list[Task]) -> SessionBuilder:
        builder = SessionBuilder().with_page_count(settings["pages"])
        if settings["watermark"] is not None:
            builder = builder.with_wakeup_watermark(settings["watermark"])
        if settings["wakeup_events"]:
            builder = builder.with_wakeup_events(settings["wakeup_events"])
        if settings["latency"] is not None:
            builder = builder.with_max_latency(settings["latency"])
        if settings["inherit"] is not None:
            builder = builder.with_inherit(settings["inherit"])
        for task in tasks:
            builder = builder.with_target_pid(task.pid)
        for cpu in settings["cpus"]:
            builder = builder.with_target_cpu(cpu)
        groups: dict[str, EventGroup] = {
            SIDE_BAND: KernelEvents(mmap=None),
            CALLS: TracepointEvents(CALLS),
            OUTPUT: BpfOutputEvents(),
        }
        return builder.with_events(*(groups[name] for name in settings["names"]))

    def _open_in_the_model(self, session: Session, settings: dict[str, Any], tasks: list[Task], size: int) -> None:
        watermark = settings["watermark"]
        if watermark is None and not settings["wakeup_events"]:
            watermark = session.plan.wakeup_watermark  # its own choice
            assert watermark is not None
            assert 0 < watermark <= size // 4
        shared: dict[str, Any] = {"watermark": watermark or 0, "wakeup_events": settings["wakeup_events"]}
        shared |= {"stamped": True, "trailed": True, "enabled": False}
        self.inherit = bool(tasks) and settings["inherit"] is None
        sides = []
        for cpu in sorted(settings["cpus"]) or CPUS:
            leader = self._event("leader", Kind.NOTHING, tasks[0] if tasks else None, cpu, shared)
            ring = self.world.mmap(leader.id, settings["pages"])
            events = [leader]
            for name in [name for name in KINDS if name in settings["names"]]:
                watched: list[Task | None] = [*tasks] or [None]
                for task in watched:
                    events.append(self._event(name, KINDS[name], task, cpu, shared))
                    self.world.set_output(events[-1].id, leader.id)
                if name == OUTPUT:
                    self.world.output[cpu] = events[-1]
            sides.append(Side(cpu, ring, events, leader))
        if OUTPUT in settings["names"]:
            session.attach_to_bpf_map(path=self.kernel.bpf_map_path)
        self.reader = Reader(self.world, sides, settings["latency"])
        assert [cpu for cpu, _ in session.perf_fds()] == [side.cpu for side in sides]

    def _event(self, name: str, kind: Kind, task: Task | None, cpu: int, shared: dict[str, Any]) -> Event:
        number = next(self.numbers)
        event = Event(
            kind,
            number,
            task,
            cpu,
            **shared,
            inherit=self.inherit and kind is not Kind.OUTPUT,
            raw=bytes(CALL_BYTES),
            tasks=[] if task is None else [task],
            id=number,
        )
        self.names[number] = name
        self.world.events.append(event)
        return event

    def _topic_heard(self, topic: str, record: Record) -> None:
        self.heard[topic].append((record.cpu, record.position))

    def _listen(self, session: Session) -> None:
        self.heard = {topic: [] for topic in TOPICS}
        self.failures = []
        self.reader_errors = 0
        for topic in TOPICS:
            session.on(topic, partial(self._topic_heard, topic))
        session.on(SPOILED, self._fail)
        session.on("*", lambda record: self.intruder and self.intruder())
        session.on_error(lambda error, record: self.failures.append(error))

    @staticmethod
    def _fail(record: Record) -> None:
        raise LookupError(record.kind)

    @property
    def open(self) -> Session:
        assert self.session is not None
        self.reader.now = self.kernel.clock_ns(CLOCK_MONOTONIC)
        return self.session

    is_open = precondition(lambda self: self.session is not None)

    @is_open
    @rule(on=st.sampled_from([True, True, False]))
    def switch(self, on: bool) -> None:
        session = self.open
        (session.enable if on else session.disable)()
        self.reader.switch(on)

    @is_open
    @rule(paused=st.sampled_from([True, False, False]))
    def pause(self, paused: bool) -> None:
        session = self.open
        (session.pause if paused else session.resume)()
        for side in self.reader.sides:
            side.ring.paused = paused

    @is_open
    @rule(again=st.booleans(), sure=SELDOM)
    def close(self, again: bool, sure: bool) -> None:
        if not sure:
            return
        session = self.open
        unread = [side.ring.used for side in self.reader.sides]
        session.close()
        self.world.output.clear()  # with the session's fd of the map (K46)
        assert [ring.unread_bytes for ring in session.statistics().rings] == unread
        self.statistics_are_those_of_the_model()
        assert not self.kernel.perf.rings
        assert not self.kernel.perf.events
        self.note("closed with records unread" if any(unread) else "closed")
        for use in (session.enable, session.parse_all, session.next_batch, session.records, session.flush):
            with pytest.raises(SessionClosed):
                use()
        if again:
            session.close()
        self.session = None
        self.world.events.clear()

    # Reading.

    def _compare(self, got: list[Record], wanted: list[Taken]) -> None:
        assert [(record.cpu, *as_modelled(record)) for record in got] == [self._told(each) for each in wanted]
        if got:
            self.note("delivered")
        if len({each.cpu for each in wanted}) > 1:
            self.note("delivered from two cpus")
        if any(each.record.type == 2 for each in wanted):
            self.note("told of a loss")

    def _told(self, each: Taken) -> tuple[int, str, int, int, int, bytes]:
        kind, size, front = each.record
        name = self._writer(each)
        return each.cpu, name, each.position, kind, size, front[8:] if kind in (2, 9) else front

    def _writer(self, each: Taken) -> str:
        kind, _, front = each.record
        if kind in (2, 9):
            return self.names[int.from_bytes(front[:8], "little")]
        return SIDE_BAND

    def _compare_batch(self, got: Batch, wanted: Look) -> None:
        self._compare(list(got), wanted.taken)
        assert str(got.reason) == wanted.reason, f"{got.reason}, by the model {wanted.reason}"
        self.note(f"{'data' if wanted.taken else 'word'}: {wanted.reason}")

    @is_open
    @rule(timeout=TIMEOUTS, latency=LATENCIES)
    def next_batch(self, timeout: float, latency: float | None) -> None:
        got = self.open.next_batch(timeout=timeout, max_latency=latency)
        self._compare_batch(got, self.reader.next_batch(timeout=timeout, latency=latency))

    @is_open
    @rule()
    def wait_for_ever(self) -> None:
        """Or as long as its latency bound lets it, where that comes to something."""
        session = self.open
        if self.reader.latency is not None:
            return
        try:
            wanted = self.reader.next_batch(timeout=None)
        except Asleep:
            self.note("asleep")
            with pytest.raises(Deadlock):
                session.next_batch()
        else:
            self._compare_batch(session.next_batch(), wanted)

    @is_open
    @rule(seconds=TIMEOUTS, latency=LATENCIES)
    def batches(self, seconds: float, latency: float | None) -> None:
        got = list(self.open.batches(duration=seconds, max_latency=latency))
        looks = list(self.reader.batches(seconds, latency))
        wanted = [look for look in looks if look.taken or look.reason == "flush"]
        assert len(got) == len(wanted)
        for batch, look in zip(got, wanted, strict=True):
            self._compare_batch(batch, look)

    @is_open
    @rule(most=st.integers(0, 60), seconds=TIMEOUTS)
    def some_records(self, most: int, seconds: float) -> None:
        """What is left of a batch comes first the next time."""
        source = self.open.records(duration=seconds)
        got = list(islice(source, most))
        source.close()  # type: ignore[attr-defined]
        wanted: list[Taken] = []
        looks = self.reader.batches(seconds)
        while len(wanted) < most and (look := next(looks, None)) is not None:
            wanted += look.taken
        self.reader.outbox = wanted[most:] + self.reader.outbox
        self._compare(got, wanted[:most])
        if wanted[most:]:
            self.note("given back")

    @is_open
    @rule(busy=st.booleans())
    def parse_all(self, busy: bool) -> None:
        session = self.open
        self._hear(session.parse_all, self.reader.parse_all(), busy=busy)

    @is_open
    @rule(cpu=st.sampled_from(CPUS), busy=st.booleans())
    def parse_for_cpu(self, cpu: int, busy: bool) -> None:
        session = self.open
        side = next((side for side in self.reader.sides if side.cpu == cpu), None)
        if side is None:
            with pytest.raises(ValueError, match=f"cpu is {cpu}"):
                session.parse_for_cpu(cpu)
            self.note("no ring of that cpu")
        else:
            self._hear(lambda: session.parse_for_cpu(cpu), self.reader.parse_for_cpu(side), busy=busy)

    @is_open
    @rule(seconds=TIMEOUTS)
    def parse_for_duration(self, seconds: float) -> None:
        session = self.open
        wanted = [each for look in self.reader.batches(seconds) for each in look.taken]
        self._hear(lambda: session.parse_for_duration(seconds), wanted)

    def _hear(self, parse: Callable[[], int], wanted: list[Taken], *, busy: bool = False) -> None:
        """The callbacks get each record once, in order, by every topic of it, while no other may read."""
        for heard in self.heard.values():
            heard.clear()
        self.failures.clear()
        self.intruder = self._read_as_well if busy else None
        assert parse() == len(wanted)
        self.intruder = None
        for topic in TOPICS:
            mine = [(each.cpu, each.position) for each in wanted if topic in self._topics(each)]
            assert self.heard[topic] == mine, f"{topic}: {self.heard[topic]}, by the model {mine}"
        spoiled = [each for each in wanted if SPOILED in self._topics(each)]
        self.reader_errors += len(spoiled)
        assert len(self.failures) == len(spoiled)

    def _read_as_well(self) -> None:
        session = self.session
        assert session is not None
        for read in (session.parse_all, lambda: session.next_batch(timeout=0)):
            with pytest.raises(SessionBusy):
                read()
        self.note("a second reader was refused")

    def _topics(self, each: Taken) -> set[str]:
        kind = TYPES[each.record.type]
        if kind != "sample":
            return {"*", kind}
        name = self._writer(each)
        return {"*", kind, name, "tracepoint" if name == CALLS else name}

    # What others ask of the reader.

    @is_open
    @rule()
    def flush(self) -> None:
        self.open.flush()
        self.reader.flush()

    @is_open
    @rule(sure=SELDOM)
    def stop(self, sure: bool) -> None:
        if sure:
            self.open.stop()
            self.reader.stop()

    # Aims.

    @is_open
    @rule(rounds=st.lists(TIMES, min_size=1, max_size=4), how=st.integers(0, 4))
    def work_in_turns_and_read(self, rounds: list[int], how: int) -> None:
        """On one CPU after the other; then one of the ways of reading."""
        for number, times in enumerate(rounds):
            side = self.reader.sides[number % len(self.reader.sides)]
            who = self._caller(side)
            if who is not None:
                self.getppid(who, times)
                self.rename(who, "another", 1)
        reads: list[Callable[[], None]] = [lambda: self.parse_all(False), lambda: self.next_batch(0.0, None)]
        reads += [lambda: self.batches(0.004, 0.003), lambda: self.some_records(30, 0.004)]
        reads += [lambda: self.parse_for_duration(0.004)]
        reads[how]()

    @is_open
    @rule(number=st.integers(0, 3), extra=st.integers(0, 1))
    def fill_to_the_watermark(self, number: int, extra: int) -> None:
        """Up to where the next record wakes the reader, or one further; then wait for ever."""
        side = self.reader.sides[number % len(self.reader.sides)]
        who = self._caller(side)
        if who is None:
            return
        room = side.ring.watermark - (side.ring.head - side.ring.wakeup)
        self.getppid(who, max(min(room, side.ring.size - 1 - side.ring.used) // 56, 0) + extra)
        self.wait_for_ever()

    @is_open
    @rule(number=st.integers(0, 3), times=st.integers(1, 3))
    def wait_no_longer_than_the_bound(self, number: int, times: int) -> None:
        who = self._caller(self.reader.sides[number % len(self.reader.sides)])
        if who is not None:
            self.next_batch(0.0, None)
            self.next_batch(0.0, None)
            self.getppid(who, times)
            self.next_batch(0.02, 0.003)

    @is_open
    @rule(number=st.integers(0, 3), rounds=st.integers(1, 3))
    def overflow(self, number: int, rounds: int) -> None:
        side = self.reader.sides[number % len(self.reader.sides)]
        who = self._caller(side)
        for _ in range(rounds if who else 0):
            assert who is not None
            self.getppid(who, side.ring.size // 56 + 2)
            self.next_batch(0.0, None)

    def _caller(self, side: Side) -> Person | None:
        """Who is recorded in a ring, brought to its CPU, with nothing in the way."""
        events = [event for event in side.events if event.kind is Kind.CALLS]
        for who in self.people:
            if who[0].alive and any(event.target is None or who[0] in event.tasks for event in events):
                self.pin(who, side.cpu)
                self.switch(True)
                self.pause(False)
                return who
        return None

    @is_open
    @rule(sure=SELDOM)
    def all_targets_exit(self, sure: bool) -> None:
        """The session of tasks ends with the last of them, after its data (K19)."""
        if not sure:
            return
        tasks = {task for side in self.reader.sides for event in side.events for task in event.tasks}
        for who in self.people:
            if who[0] in tasks:
                self._exit(who)
        if tasks:
            self.batches(0.02, None)

    @is_open
    @rule()
    def the_leader_hangs_up(self) -> None:
        """The task of the mapped event exits, and another event of the ring stands for it from now on (K19)."""
        side = self.reader.sides[0]
        who = next((one for one in self.people if one[0] is side.stand.target), None)
        if who is None or not who[0].alive or len({event.target for event in side.events}) < 2:
            return
        self.switch(True)
        self.next_batch(0.0, None)
        self.getppid(who, 1)
        self._exit(who)
        self.next_batch(0.02, None)
        self.next_batch(0.02, None)
        self.fill_to_the_watermark(0, 1)

    # After every step.

    @invariant()
    def statistics_are_those_of_the_model(self) -> None:
        if self.session is None:
            return
        told, reader = self.session.statistics(), self.reader
        for ring, side in zip(told.rings, reader.sides, strict=True):
            got = Counter(wakeups=ring.wakeups, spurious=ring.spurious_wakeups, records=ring.records, bytes=ring.bytes)
            got += Counter(highest=ring.highest_fill, told=ring.lost_reported)
            assert got == +side.counts, f"cpu {ring.cpu}: {got}, by the model {+side.counts}"
            assert (ring.lost, ring.bad_records) == (side.lost, 0)
        got_all = (told.late, told.undelivered, told.callback_errors, told.timeouts)
        assert got_all == (0, len(reader.outbox), self.reader_errors, reader.timeouts)

    @invariant()
    def the_kernel_is_where_the_model_is(self) -> None:
        if self.session is None or self.session.closed:
            return
        for ring, side in zip(self.kernel.perf.rings, self.reader.sides, strict=True):
            buffer, wanted = ring.buffer, side.ring
            inside = (buffer.head, buffer.used, buffer.wakeup, bool(buffer.latch), buffer.lost)
            expected = (wanted.head, wanted.used, wanted.wakeup, wanted.latch, wanted.untold)
            assert inside == expected, f"head, used, wakeup, latch, lost: {inside}, by the model {expected}"
