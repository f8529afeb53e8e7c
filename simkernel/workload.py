"""Programs that run on simulated tasks while the reader waits.

A workload says *when*, an act says *what*::

    kernel.spawn(constant(50_000, count=1_000_000), cpu=0)
    kernel.spawn(poisson(200, act=Emit({64: 9, 4096: 1}), duration=60), cpu=1)

Every workload plans its events ahead of time, from a random stream of its own that the kernel's seed decides: what the
reader does, and how long an act takes, moves no later event. A task that cannot keep up does the next thing at once,
until it has caught up.

Between two events the task sleeps, which costs it two context switches, as it would on Linux. With ``between=Spend``
it computes instead, and keeps its CPU: quicker to simulate, and what a busy CPU looks like. Many calls of getppid at
one instant are quicker still: ``bursty(1000, 0.01)`` costs a tenth of ``constant(100_000)`` for as many events.
"""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from simkernel._arguments import SECOND, check_callable, check_count, check_seconds, check_weight
from simkernel.sampling import MAX_SAMPLE_BYTES
from simkernel.tasks import Sleep, Spend

if TYPE_CHECKING:
    from simkernel.actor import Actor
    from simkernel.kernel import SimKernel
    from simkernel.tasks import Program

__all__ = [
    "Act",
    "Emit",
    "Mixed",
    "Plan",
    "RandomAct",
    "Workload",
    "bursty",
    "constant",
    "crowd",
    "getppid",
    "poisson",
    "replay",
]

Act = Callable[["Actor"], object]
"""One event: does something with the actor that the workload runs on. What it returns is not looked at."""

_MOST_PAYLOAD: Final = MAX_SAMPLE_BYTES - 8
_UNHEARD: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP})


@runtime_checkable
class RandomAct(Protocol):
    """An act that draws lots: it is given the random stream of the workload that it becomes part of."""

    def bind(self, random: Random) -> Act:
        """The act itself, drawing from ``random``."""
        ...


def getppid(actor: Actor) -> None:
    """One getppid(2): a sample of syscalls:sys_enter_getppid, 56 bytes in a session that asks for nothing special."""
    actor.getppid()


class Emit:
    """An act: BPF output, of payloads of one length or of a mix of lengths.

    The first 8 bytes of a payload, as far as it has them, count the payloads of this act, little-endian from 0; zeros
    follow. Where nobody listens (no event in the map's slot, or it does not count at the moment) nothing happens, as to
    a BPF program that ignores what bpf_perf_event_output returns; `unheard` tells how often.

    Args:
        sizes: bytes of a payload, or a mix as ``{bytes: weight}``; 0 to 65520.

    Attributes:
        emitted: payloads that an event took, whether or not its ring had room.
        unheard: how often nobody listened, by errno.

    Raises:
        TypeError, ValueError: a size or a weight that there is not, with its value.
    """

    def __init__(self, sizes: int | Mapping[int, float]) -> None:
        table = {sizes: 1.0} if isinstance(sizes, int) else dict(sizes)
        if not table:
            raise ValueError("sizes is empty: it must have at least one size of a payload")
        for size, weight in table.items():
            _check_payload_bytes("sizes", size)
            check_weight(f"the weight of {size} bytes", weight)
        self._sizes = tuple(table)
        self._bounds = tuple(itertools.accumulate(table.values()))
        self.emitted = 0
        self.unheard: Counter[int] = Counter()

    def bind(self, random: Random) -> Act:
        """The act, drawing its sizes from ``random``."""

        def act(actor: Actor) -> None:
            (size,) = random.choices(self._sizes, cum_weights=self._bounds)
            mark = (self.emitted + self.unheard.total()).to_bytes(8, "little")
            self.payload(actor, mark[:size].ljust(size, b"\0"))

        return act

    def payload(self, actor: Actor, payload: bytes) -> None:
        """Puts out one payload of the caller's.

        Raises:
            OSError: EINVAL, E2BIG: see `Actor.emit`.
        """
        try:
            actor.emit(payload)
        except OSError as error:
            if error.errno not in _UNHEARD:
                raise
            self.unheard[error.errno] += 1
        else:
            self.emitted += 1


class Mixed:
    """An act that is each time one of several, by weight: ``Mixed((9, getppid), (1, Emit(4096)))``.

    Args:
        weighted: pairs of a weight and an act.

    Raises:
        TypeError, ValueError: nothing to choose from, or a weight that is not above 0.
    """

    def __init__(self, *weighted: tuple[float, Act | RandomAct]) -> None:
        if not weighted:
            raise ValueError("Mixed() has nothing to choose from: give it pairs of a weight and an act")
        for weight, act in weighted:
            check_weight(f"the weight of {act!r}", weight)
            _check_act(act)
        self._acts = tuple(act for _, act in weighted)
        self._bounds = tuple(itertools.accumulate(weight for weight, _ in weighted))

    def bind(self, random: Random) -> Act:
        """The act, choosing by ``random``."""
        acts = [_bound(act, random) for act in self._acts]

        def choose(actor: Actor) -> None:
            (act,) = random.choices(acts, cum_weights=self._bounds)
            act(actor)

        return choose


Plan = Iterator[tuple[int, Act]]
"""What happens: nanoseconds since the task first ran, not descending, and an act."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A program for `SimKernel.spawn`; may be spawned several times, and runs anew each time.

    Made by `constant`, `poisson`, `bursty` and `replay`.

    Attributes:
        plan: given a random stream, yields what happens, and when.
        count: so many events at most; None for no limit.
        duration_ns: events only so long, and the task exits then and not before; None for no limit.
        between: what the task does between two events: `Sleep` or `Spend`.
    """

    plan: Callable[[Random], Plan]
    count: int | None = None
    duration_ns: int | None = None
    between: type[Sleep | Spend] = Sleep

    def __call__(self, actor: Actor) -> Program:
        """The program, on this actor's task. The task exits when it is over."""
        # Drawn when it is spawned and not when it first runs: so nothing that the reader does can change it.
        return self._run(actor, Random(actor.machine.rng.getrandbits(64)))

    def _run(self, actor: Actor, random: Random) -> Program:
        clock, between, end = actor.machine.clock, self.between, self.duration_ns
        begun, before = clock.now, 0
        for offset, act, times in _rows(itertools.islice(self.plan(random), self.count)):
            if end is not None and offset >= end:
                break
            # What is planned for the same instant is done without a pause; everything else lets others run, also when
            # it is late.
            if offset > before:
                before = offset
                yield between(max(begun + offset - clock.now, 0))
            if times > 1:
                actor.getppid(times)
            else:
                act(actor)
        if end is not None:
            yield between(max(begun + end - clock.now, 0))


def _rows(plan: Plan) -> Iterator[tuple[int, Act, int]]:
    """The same plan, with calls of `getppid` at the same instant taken together: a row is simulated much faster.

    Only these: another act may draw lots from the plan's own stream, and must do so before the plan goes on.
    """
    at, calls = 0, 0
    for offset, act in plan:
        if calls and (act is not getppid or offset != at):
            yield at, getppid, calls
            calls = 0
        if act is getppid:
            at, calls = offset, calls + 1
        else:
            yield offset, act, 1
    if calls:
        yield at, getppid, calls


def constant(
    rate: float,
    *,
    act: Act | RandomAct = getppid,
    count: int | None = None,
    duration: float | None = None,
    between: type[Sleep | Spend] = Sleep,
) -> Workload:
    """An event every 1/rate seconds; the first after so long.

    Args:
        rate: events per virtual second.
        act: what an event is.
        count: so many events, then the task exits; None for no end.
        duration: for so many virtual seconds, then the task exits; None for no end.
        between: `Sleep` or `Spend`, see `Workload`.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    gap = SECOND / _check_rate(rate)

    def plan(random: Random) -> Plan:
        bound = _bound(act, random)
        return ((round(number * gap), bound) for number in itertools.count(1))

    return _workload(plan, act, count, duration, between)


def poisson(
    rate: float,
    *,
    act: Act | RandomAct = getppid,
    count: int | None = None,
    duration: float | None = None,
    between: type[Sleep | Spend] = Sleep,
) -> Workload:
    """Events that know nothing of each other: exponential gaps, ``rate`` of them per virtual second on average.

    Args and errors are those of `constant`.
    """
    _check_rate(rate)

    def plan(random: Random) -> Plan:
        now, bound = 0.0, _bound(act, random)
        while True:
            now += random.expovariate(rate) * SECOND
            yield round(now), bound

    return _workload(plan, act, count, duration, between)


def bursty(
    burst: int,
    pause: float,
    *,
    spacing: float = 0.0,
    act: Act | RandomAct = getppid,
    count: int | None = None,
    duration: float | None = None,
    between: type[Sleep | Spend] = Sleep,
) -> Workload:
    """Bursts of events with pauses between them; a pause comes first.

    Args:
        burst: events in one burst, 1 or more.
        pause: virtual seconds, above 0, from the last event of a burst to the first of the next, as planned.
        spacing: seconds between two events of a burst; at 0 the task does them in one go.
        act, count, duration, between: as for `constant`; ``count`` counts events, not bursts.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    check_count("burst", burst, least=1)
    check_weight("pause", pause, what="a number of seconds above 0")
    check_seconds("spacing", spacing)

    def plan(random: Random) -> Plan:
        bound = _bound(act, random)
        length = pause + (burst - 1) * spacing
        for number in itertools.count():
            first = number * length + pause
            for place in range(burst):
                yield round((first + place * spacing) * SECOND), bound

    return _workload(plan, act, count, duration, between)


def replay(
    recording: Iterable[tuple[int, int | bytes]],
    *,
    act: Callable[[Actor, bytes], object] | None = None,
    speed: float = 1.0,
    start: int | None = None,
    between: type[Sleep | Spend] = Sleep,
) -> Workload:
    """What was recorded once, again: ``replay((sample.time, sample.raw) for sample in samples)``.

    A perf.data file is played with its sizes and times, CPU by CPU::

        traffic = perfring.perfdata.read_traffic("yesterday.data")
        for cpu in traffic.cpus:
            kernel.spawn(replay(traffic.payloads(cpu), start=traffic.start), cpu=cpu)

    Args:
        recording: times in nanoseconds of any clock, not descending (sort what came from several CPUs), each with
            a payload, or the bytes that one is to have. Read once, when this is called.
        act: what to do with a payload; None puts it out as BPF output, as `Emit` does.
        speed: 2.0 is twice as fast.
        start: the time at which the playing begins, by the recording's clock, for several that belong together; None:
            the first event comes at once.
        between: `Sleep` or `Spend`, see `Workload`.

    Raises:
        TypeError, ValueError: an entry that has no meaning, with its place and value.
    """
    check_weight("speed", speed)
    if act is not None:
        check_callable("act", act)
    do = act or Emit(0).payload
    if start is not None:
        check_count("start", start)
    events = list(_checked_recording(recording, start))
    _check_between(between)

    def plan(_: Random) -> Plan:
        for since, payload in events:
            yield round(since / speed), partial(_play, do, payload)

    return Workload(plan, between=between)


def _play(do: Callable[[Actor, bytes], object], payload: int | bytes, actor: Actor) -> None:
    do(actor, bytes(payload))


def crowd(
    kernel: SimKernel, *, events: int = 1_000_000, rate: float = 100_000.0, act: Act | RandomAct = getppid
) -> list[Actor]:
    """A scenario: on every online CPU a steady, a random and a bursty task, ``events`` events in all.

    Args:
        kernel: where they are spawned; call this before building the session, for these are its targets.
        events: in all, exactly: each task has its share.
        rate: of each task, events per virtual second; the bursty one does 100 at a time.
        act: what an event is.

    Returns:
        the tasks, by CPU.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    check_count("events", events)
    _check_rate(rate)
    places = [(cpu, kind) for cpu in kernel.online_cpus() for kind in ("steady", "random", "bursty")]
    actors = []
    for number, (cpu, kind) in enumerate(places):
        share = (events * (number + 1)) // len(places) - events * number // len(places)
        program = {
            "steady": constant(rate, act=act, count=share),
            "random": poisson(rate, act=act, count=share),
            "bursty": bursty(100, 100 / rate, act=act, count=share),
        }[kind]
        actors.append(kernel.spawn(program, cpu=cpu, comm=kind))
    return actors


def _workload(
    plan: Callable[[Random], Plan],
    act: Act | RandomAct,
    count: int | None,
    duration: float | None,
    between: type[Sleep | Spend],
) -> Workload:
    _check_act(act)
    _check_between(between)
    if count is not None:
        check_count("count", count)
    return Workload(plan, count, None if duration is None else check_seconds("duration", duration), between)


def _bound(act: Act | RandomAct, random: Random) -> Act:
    return act.bind(random) if isinstance(act, RandomAct) else act


_LEAST_RATE: Final = 1e-9
"""Events per second; the time between two of fewer ends up as infinite."""


def _check_rate(rate: float) -> float:
    check_weight("rate", rate, what="a number of events per second above 0")
    if rate < _LEAST_RATE:
        raise ValueError(f"rate is {rate!r}: it must be {_LEAST_RATE:g} or more, one event in 30 years")
    return rate


def _check_act(act: Act | RandomAct) -> None:
    if not isinstance(act, RandomAct):
        check_callable("act", act)


def _check_between(between: type[Sleep | Spend]) -> None:
    if between not in (Sleep, Spend):
        raise ValueError(f"between is {between!r}: it must be Sleep or Spend")


def _check_payload_bytes(name: str, size: int) -> None:
    if check_count(name, size) > _MOST_PAYLOAD:
        raise ValueError(f"{name} is {size}: a payload of BPF output has {_MOST_PAYLOAD} bytes at most")


def _checked_recording(
    recording: Iterable[tuple[int, int | bytes]], start: int | None
) -> Iterator[tuple[int, int | bytes]]:
    """Nanoseconds since the start, which is the first entry where it is None, and the payload or its size."""
    first, last = start, None
    for place, (time, payload) in enumerate(recording):
        check_count(f"the time of entry {place}", time)
        if first is None:
            first = time
        if last is not None and time < last:
            raise ValueError(f"the time of entry {place} is {time}, before {last}: sort the recording by time")
        if time < first:
            raise ValueError(f"start is {first}, and entry {place} was at {time}: begin with it, or before")
        last = time
        yield time - first, _checked_payload(place, payload)


def _checked_payload(place: int, payload: int | bytes) -> int | bytes:
    if isinstance(payload, (bytes, bytearray, memoryview)):
        _check_payload_bytes(f"the length of entry {place}", len(payload))
        return bytes(payload)
    _check_payload_bytes(f"the payload of entry {place}", payload)
    return payload
