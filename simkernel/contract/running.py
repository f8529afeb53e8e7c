"""Running a program on a kernel: each step gives an outcome that two kernels must agree on.

An outcome is plain data: ``{"ok": value}``, ``{"errno": "EINVAL"}``, ``{"absent": "m"}`` when a step needs something
that was never made, ``{"gone": "a"}`` when the actor has exited.
"""

from __future__ import annotations

import contextlib
import errno
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from perfring import abi
from simkernel.contract.linux_actor import ActorGone
from simkernel.contract.normal import Names, Writer, decode, identified, is_noisy, lower_bound, read_counts
from simkernel.contract.raw import DATA_TAIL, RawRing
from simkernel.contract.symbols import (
    EPOLL_EVENTS,
    FCNTL,
    FCNTL_FLAGS,
    IOCTLS,
    OPEN_FLAGS,
    POLL_EVENTS,
    TRACEPOINTS,
    attr_of,
    number_in,
    spelled,
    tracepoint_id,
)
from simkernel.misuse import ActorExited, SimulatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.kernel import Epoll, Mapping
    from simkernel.contract.arm import Actor, Arm
    from simkernel.contract.program import Program, Step
    from simkernel.contract.raw import RawRecord

__all__ = ["BAD_FD", "Noise", "Outcome", "run"]

_T = TypeVar("_T")

Outcome = dict[str, Any]
"""What came of a step, as plain data."""

BAD_FD: Final = 1 << 29
"""The first of the descriptors that are open on no kernel: what names stand for once they are closed."""

_DEAD_PID: Final = (1 << 22) - 3
_U64: Final = (1 << 64) - 1
_ALWAYS_NOISE: Final = frozenset(
    {
        abi.PERF_RECORD_SWITCH,
        abi.PERF_RECORD_SWITCH_CPU_WIDE,
        abi.PERF_RECORD_THROTTLE,
        abi.PERF_RECORD_UNTHROTTLE,
        abi.PERF_RECORD_MMAP,
        abi.PERF_RECORD_MMAP2,
        abi.PERF_RECORD_AUX,
    }
)

_WITH_SLACK: Final = frozenset({"SAMPLE", "SWITCH", "SWITCH_CPU_WIDE"})
"""Types that switches bring: see `lower_bound`."""


class Noise:
    """Which names of a program a noisy event may reach, judged from its text alone, so alike on every kernel."""

    def __init__(self, program: Program) -> None:
        links: dict[str, set[str]] = {}
        noisy: set[str] = set()
        asynchronous: set[str] = set()
        for step in program.steps:
            if step.verb == "open":
                noisy |= {step.result} if _may_be_noisy(step) else set()
                _link(links, step.result, step.option("group"))
            elif step.verb in ("redirect", "map"):
                _link(links, step.words[0], step.word(1) if step.verb == "redirect" else step.result)
            elif step.verb == "fcntl":
                asynchronous.add(step.words[0])
        self.events = frozenset(noisy)
        self.reached = _closure(links, noisy)
        self.signals = bool(self.reached & asynchronous)


def _may_be_noisy(step: Step) -> bool:
    with contextlib.suppress(ValueError, TypeError):
        attr, tracepoint = attr_of(step, len)
        return is_noisy(attr, tracepoint, whole_cpu=step.option("pid") == "-1")
    return False


def _link(links: dict[str, set[str]], one: str, other: str) -> None:
    if other and not other.lstrip("-").isdigit():
        links.setdefault(one, set()).add(other)
        links.setdefault(other, set()).add(one)


def _closure(links: dict[str, set[str]], start: set[str]) -> frozenset[str]:
    reached, waiting = set(start), list(start)
    while waiting:
        new = links.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return frozenset(reached)


class _Absent(Exception):
    """A step needs something that was never made."""


@dataclass(slots=True)
class _Event:
    fd: int
    writer: Writer
    ring: _Ring | None = None


@dataclass(slots=True)
class _Ring:
    name: str
    raw: RawRing
    mapping: Mapping
    backward: bool
    writable: bool
    writers: list[Writer] = field(default_factory=list)
    open: bool = True


def run(program: Program, arm: Arm, *, executable: str | None = None, raw: bool = False) -> list[Outcome]:
    """Runs a program on a fresh arm, or on one that was reset; closes what it opened, not the arm.

    Args:
        program: what to do.
        arm: where.
        executable: the path that actors map and execute; by default the arm's.
        raw: keep the bytes of records as well, in hexadecimal.

    Returns:
        An outcome for each step.
    """
    runner = _Runner(program, arm, executable or arm.executable, raw)
    try:
        return [runner.outcome(step) for step in program.steps]
    finally:
        runner.close()


class _Runner:
    def __init__(self, program: Program, arm: Arm, executable: str, raw: bool) -> None:
        self.arm = arm
        self.kernel = arm.kernel
        self.executable = executable
        self.keep_bytes = raw
        self.noise = Noise(program)
        self.names = Names()
        self.actors: dict[str, Actor] = {}
        self.events: dict[str, _Event] = {}
        self.rings: dict[str, _Ring] = {}
        self.epolls: dict[str, Epoll] = {}
        self.fd_names: dict[int, str] = {}
        # What an epoll reports it calls by the number of back then, which may be another's by now.
        self.watched: dict[tuple[str, int], str] = {}
        made = [step.made for step in program.steps if step.made]
        self.bad_fds = {name: BAD_FD + 1 + number for number, name in enumerate(dict.fromkeys(made))}

    def close(self) -> None:
        for ring in self.rings.values():
            ring.mapping.close()
        for epoll in self.epolls.values():
            epoll.close()
        for event in self.events.values():
            if event.fd >= 0:
                self.kernel.close(event.fd)
        self.kernel.take_signals()

    def outcome(self, step: Step) -> Outcome:
        action: Callable[[Step], Any] = getattr(self, "_" + step.verb)
        try:
            return {"ok": action(step)}
        except _Absent as absent:
            return {"absent": str(absent)}
        except (ActorGone, ActorExited):
            return {"gone": step.words[0]}
        except OSError as refused:
            return {"errno": _errno_name(refused.errno or 0)} | _size_of(refused)
        except (NotImplementedError, SimulatorError) as unsupported:
            return {"unsupported": str(unsupported)}
        except (ValueError, OverflowError) as wrong:
            return {"error": str(wrong)}

    # Names.

    def _fd(self, word: str) -> int:
        """The descriptor that a word means: a name, or a number."""
        if re.fullmatch(r"-?\d+", word):
            return int(word)
        if word in self.events and self.events[word].fd >= 0:
            return self.events[word].fd
        if word in self.epolls:
            return self.epolls[word].fileno()
        return self.bad_fds.get(word, BAD_FD)

    def _number(self, word: str, default: int = 0) -> int:
        return int(word, 0) if word else default

    def _pid(self, word: str) -> int:
        if word in self.actors:
            return self.actors[word].pid
        return {"me": self.arm.own_pid, "dead": _DEAD_PID}.get(word) or int(word)

    def _actor_of(self, step: Step) -> Actor:
        return self._there(self.actors, step.words[0])

    def _ring_of(self, step: Step) -> _Ring:
        ring = self._there(self.rings, step.words[0])
        if not ring.open:
            raise _Absent(step.words[0])
        return ring

    @staticmethod
    def _there(table: dict[str, _T], name: str) -> _T:
        if name not in table:
            raise _Absent(name)
        return table[name]

    # Actors.

    def _actor(self, step: Step) -> None:
        self._add_actor(step.made, self.arm.actor(self._number(step.option("cpu"), self.kernel.online_cpus()[0])))

    def _add_actor(self, name: str, actor: Actor) -> None:
        self.actors[name] = actor
        self.names.give("pid", actor.pid, name)

    def _fork(self, step: Step) -> None:
        self._add_actor(step.result, self._actor_of(step).fork())

    def _pin(self, step: Step) -> None:
        self._actor_of(step).pin(self._number(step.words[1]))

    def _getppid(self, step: Step) -> None:
        self._actor_of(step).getppid(self._number(step.word(1), 1))

    def _rename(self, step: Step) -> None:
        self._actor_of(step).rename(step.words[1])

    def _map_executable(self, step: Step) -> None:
        self._actor_of(step).map_executable(self.executable, self._number(step.words[1]))

    def _touch_pages(self, step: Step) -> None:
        self._actor_of(step).touch_pages(self._number(step.words[1]))

    def _emit(self, step: Step) -> None:
        self._actor_of(step).emit(bytes(at & 0xFF for at in range(self._number(step.words[1]))))

    def _spend(self, step: Step) -> None:
        self._actor_of(step).spend(self._number(step.words[1]))

    def _switch(self, step: Step) -> None:
        self._actor_of(step).switch()

    def _exec(self, step: Step) -> None:
        self._actor_of(step).exec(self.executable)

    def _exit(self, step: Step) -> None:
        self._actor_of(step).exit()

    # Events.

    def _tracepoint_id(self, name: str) -> int:
        return tracepoint_id(self.kernel, TRACEPOINTS.get(name, name))

    def _open(self, step: Step) -> None:
        attr, tracepoint = attr_of(step, self._tracepoint_id)
        if attr.clockid == 0 and attr.use_clockid and not step.option("clockid"):
            attr.clockid = 1
        pid, cpu = self._pid(step.option("pid", "me")), self._number(step.option("cpu"), -1)
        group = self._fd(step.option("group", "-1"))
        flags = number_in(step.option("open_flags", "0"), OPEN_FLAGS)
        try:
            fd = self.kernel.perf_event_open(attr, pid, cpu, group, flags | abi.PERF_FLAG_FD_CLOEXEC)
        except OSError as refused:
            refused.attr_size = attr.size  # type: ignore[attr-defined]
            raise
        self._add_event(step, fd, Writer(step.result, attr, tracepoint, whole_cpu=pid == -1))
        if flags & abi.PERF_FLAG_FD_OUTPUT and step.option("group", "-1") in self.events:
            self._attach(self.events[step.result], self.events[step.option("group")].ring)

    def _add_event(self, step: Step, fd: int, writer: Writer) -> None:
        answer = bytearray(8)
        self.kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer)
        writer.id = int.from_bytes(answer, sys.byteorder)
        self.names.give("id", writer.id, step.result)
        self.events[step.result] = _Event(fd, writer)
        self.fd_names[fd] = step.result

    def _attach(self, event: _Event, ring: _Ring | None) -> None:
        event.ring = ring
        if ring is not None and event.writer not in ring.writers:
            ring.writers.append(event.writer)

    def _map(self, step: Step) -> dict[str, int]:
        pages = self._number(step.option("pages"), 1)
        length = self._number(step.option("length"), (1 + pages) * self.kernel.page_size)
        writable = bool(self._number(step.option("writable"), 1))
        shared = bool(self._number(step.option("shared"), 1))
        offset = self._number(step.option("offset"))
        fd = self._fd(step.words[0])
        mapping = self.kernel.mmap(fd, length, writable=writable, shared=shared, offset=offset)
        event = self.events.get(step.words[0])
        raw = RawRing(self.kernel, fd, mapping)
        ring = _Ring(step.result, raw, mapping, bool(event and event.writer.attr.write_backward), writable)
        self.rings[step.result] = ring
        if event is not None:
            ring.writers = event.ring.writers if event.ring is not None and event.ring.open else ring.writers
            self._attach(event, ring)
        return {"bytes": raw.size}

    def _munmap(self, step: Step) -> None:
        ring = self._ring_of(step)
        ring.open = False
        ring.mapping.close()

    def _close(self, step: Step) -> None:
        fd = self._fd(step.words[0])
        name = self.fd_names.get(fd, step.words[0])  # a number may be that of something we have
        if name in self.epolls:
            self.fd_names.pop(fd, None)
            self.epolls.pop(name).close()
            return
        self.kernel.close(fd)
        self.events[name].fd = -1
        self.fd_names.pop(fd, None)

    def _redirect(self, step: Step) -> int:
        answer = self.kernel.ioctl(self._fd(step.words[0]), abi.PERF_EVENT_IOC_SET_OUTPUT, self._fd(step.words[1]))
        event, target = self.events.get(step.words[0]), self.events.get(step.words[1])
        if event is not None:
            self._attach(event, target.ring if target else None)
        return answer

    def _ioctl(self, step: Step) -> Any:
        request = number_in(step.words[1], IOCTLS)
        text = step.word(2, "0")
        if text == "null":
            return self.kernel.ioctl(self._fd(step.words[0]), request, 0)
        return self._pointed(step, request, text)

    def _pointed(self, step: Step, request: int, text: str) -> Any:
        fd, kernel = self._fd(step.words[0]), self.kernel
        if request == abi.PERF_EVENT_IOC_PERIOD:
            return kernel.ioctl(fd, request, int(text, 0).to_bytes(8, sys.byteorder))
        if request == abi.PERF_EVENT_IOC_SET_FILTER:
            return kernel.ioctl(fd, request, text.encode() + b"\0")
        if request == abi.PERF_EVENT_IOC_ID:
            answer = bytearray(8)
            kernel.ioctl(fd, request, answer)
            return self.names.of("id", int.from_bytes(answer, sys.byteorder))
        if request == abi.PERF_EVENT_IOC_PAUSE_OUTPUT:
            return kernel.ioctl(fd, request, int(text, 0))
        if request == abi.PERF_EVENT_IOC_QUERY_BPF:
            buffer = bytearray(int(text, 0).to_bytes(4, sys.byteorder) + bytes(4 + 4 * 64))
            return [kernel.ioctl(fd, request, buffer), int.from_bytes(buffer[4:8], sys.byteorder)]
        return kernel.ioctl(fd, request, self._fd(text) if text in self.bad_fds else int(text, 0))

    def _fcntl(self, step: Step) -> Any:
        command, text = step.words[1], step.word(2, "0")
        argument = self._pid(text) if command == "SETOWN" else number_in(text, FCNTL_FLAGS)
        answer = self.kernel.fcntl(self._fd(step.words[0]), number_in(command, FCNTL), argument)
        if command == "GETOWN" and answer == self.arm.own_pid:
            return "me"
        return spelled(answer, FCNTL_FLAGS) if command == "GETFL" else answer

    def _connect(self, step: Step) -> None:
        self.arm.connect_bpf_output(self._fd(step.words[0]), self._number(step.words[1]))

    def _read(self, step: Step) -> Any:
        name = step.words[0]
        data = self.kernel.read(self._fd(name), self._number(step.word(1), 4096))
        return read_counts(
            data, self._there(self.events, name).writer.attr, self.names, noisy=name in self.noise.reached
        )

    def _write(self, step: Step) -> int:
        return self.kernel.write(self._fd(step.words[0]), bytes(self._number(step.word(1), 8)))

    # Rings.

    def _look(self, step: Step) -> Any:
        ring = self._ring_of(step)
        records, _ = self._records(ring, None)
        return self._seen(ring, records)

    def _drain(self, step: Step) -> Any:
        ring = self._ring_of(step)
        count = self._number(step.words[1]) if len(step.words) > 1 else None
        records, to = self._records(ring, count)
        seen = self._seen(ring, records, partial=count is not None)
        if ring.writable and records is not None:
            ring.mapping.store_u64(DATA_TAIL, to)
        return seen

    def _records(self, ring: _Ring, count: int | None) -> tuple[list[RawRecord] | None, int]:
        """The records of a ring, oldest first, and where the tail goes behind them."""
        raw = ring.raw
        head, tail = raw.head, raw.tail
        if not raw.size:
            return [], tail
        start, end = (head, tail) if ring.backward else (tail, head)
        if not ring.writable:
            start, end = (head, 0) if ring.backward else (0, head)
        overwritten = (end - start) & _U64 > raw.size
        if overwritten and (ring.writable or not ring.backward):
            return None, tail
        try:
            # Of an overwritten ring the newest are left, and only backward they begin where the head is (K34).
            records = raw.newest() if overwritten else raw.walk(start, end)
        except AssertionError:
            return None, tail
        if ring.backward:  # the newest is first in memory
            return records[::-1], head
        if count is None:
            return records, head
        records = records[:count]
        return records, (tail + sum(record.size for record in records)) & _U64

    def _seen(self, ring: _Ring, records: list[RawRecord] | None, *, partial: bool = False) -> Any:
        raw, noisy = ring.raw, ring.name in self.noise.reached
        state: dict[str, Any] = {"head": raw.head, "tail": raw.tail}
        if noisy:
            state = {"head": {"at_least": 0}}
        if records is None:
            return {"garbled": True} if not noisy else {"unsure": "garbled"}
        if noisy and (partial or raw.used > raw.size // 2 or any(r.type == abi.PERF_RECORD_LOST for r in records)):
            return {"unsure": "noise and loss"}
        for writer in ring.writers:
            writer.last_time = 0
        shown = [self._shown(record, ring) for record in records]
        if self.keep_bytes:
            state["bytes"] = [(record.type, record.misc, record.body.hex()) for record in records]
        return state | (_without_noise(shown) if noisy else {"records": [each for each, _ in shown]})

    def _shown(self, record: RawRecord, ring: _Ring) -> tuple[dict[str, Any], bool]:
        writer = identified(record, ring.writers) if ring.writers else None
        noisy = record.type in _ALWAYS_NOISE or writer is None or self._is_noise(writer, record.type)
        return decode(record, writer, self.names, executable=self.executable), noisy

    def _is_noise(self, writer: Writer, kind: int) -> bool:
        return writer.name in self.noise.events and (writer.whole_cpu or kind == abi.PERF_RECORD_SAMPLE)

    def _free(self, step: Step) -> Any:
        ring = self._ring_of(step)
        raw = ring.raw
        if not ring.writable:
            raise _Absent(f"a tail of {ring.name}")
        to = raw.head if len(step.words) < 2 else (raw.tail + self._number(step.words[1])) & _U64
        raw.free(to=to)
        return None if ring.name in self.noise.reached else to

    def _page(self, step: Step) -> Any:
        mapping = self._ring_of(step).mapping
        return {str(offset): mapping.load_u64(offset) for offset in (0, 1040, 1048)}

    # Asking.

    def _poll(self, step: Step) -> Any:
        names = step.words[0].split(",")
        asked = {self._fd(name): name for name in names}
        events = number_in(step.word(1, "IN"), POLL_EVENTS)
        answers = self.kernel.poll([(fd, events) for fd in asked], 0)
        return self._answers([(asked[fd], got) for fd, got in answers])

    def _answers(self, answers: list[tuple[str, int]]) -> dict[str, str]:
        quiet = [(name, got & ~65 if name in self.noise.reached else got) for name, got in answers]
        return {name: spelled(got, POLL_EVENTS) for name, got in sorted(quiet) if got}

    def _epoll(self, step: Step) -> None:
        epoll = self.epolls[step.result] = self.kernel.epoll()
        self.fd_names[epoll.fileno()] = step.result

    def _epoll_of(self, step: Step) -> Epoll:
        return self._there(self.epolls, step.words[0])

    def _add(self, step: Step) -> None:
        fd = self._fd(step.words[1])
        self._epoll_of(step).register(fd, number_in(step.word(2, "IN"), EPOLL_EVENTS))
        self.watched[step.words[0], fd] = step.words[1]

    def _mod(self, step: Step) -> None:
        self._epoll_of(step).modify(self._fd(step.words[1]), number_in(step.word(2, "IN"), EPOLL_EVENTS))

    def _del(self, step: Step) -> None:
        self._epoll_of(step).unregister(self._fd(step.words[1]))

    def _wait(self, step: Step) -> Any:
        answers = self._epoll_of(step).poll(0, self._number(step.option("maxevents"), -1))
        return self._answers([(self.watched.get((step.words[0], fd), "?"), got) for fd, got in answers])

    def _signals(self, _: Step) -> Any:
        signals = self.kernel.take_signals()
        if self.noise.signals:
            return {"unsure": "noise"}
        return [[self.fd_names.get(signal.fd, "?") if signal.fd >= 0 else "-", signal.code] for signal in signals]


def _errno_name(number: int) -> str:
    # One number, two names on Linux: the manual pages of perf say EOPNOTSUPP.
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def _size_of(refused: OSError) -> dict[str, int]:
    """With E2BIG, the size that the kernel knows (K29)."""
    size = getattr(refused, "attr_size", None)
    return {"size": size} if refused.errno == errno.E2BIG and size is not None else {}


def _without_noise(shown: list[tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for record, noisy in shown:
        if noisy:
            counts[record["type"]] = counts.get(record["type"], 0) + 1
    noise = {kind: lower_bound(count, slack=kind in _WITH_SLACK) for kind, count in sorted(counts.items())}
    return {"noise": noise, "records": [record for record, noisy in shown if not noisy]}
