"""A row of calls leaves what as many single calls leave, whoever listens and whatever comes between.

Twin kernels run the same program. On one of them a rule watches every record and answers nothing: so it makes each call
by itself. What the two can be asked for must be equal.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perfring.abi import (
    MMAP_PAGE_DATA_HEAD,
    MMAP_PAGE_DATA_TAIL,
    PERF_COUNT_SW_CPU_CLOCK,
    PERF_EVENT_IOC_PAUSE_OUTPUT,
    PERF_EVENT_IOC_REFRESH,
    PERF_EVENT_IOC_SET_FILTER,
    PERF_EVENT_IOC_SET_OUTPUT,
    PERF_FORMAT_GROUP,
    PERF_FORMAT_LOST,
    PERF_SAMPLE_CALLCHAIN,
    PERF_SAMPLE_CPU,
    PERF_SAMPLE_IDENTIFIER,
    PERF_SAMPLE_IP,
    PERF_SAMPLE_PERIOD,
    PERF_SAMPLE_RAW,
    PERF_SAMPLE_READ,
    PERF_SAMPLE_TID,
    PERF_SAMPLE_TIME,
    PERF_TYPE_SOFTWARE,
    PERF_TYPE_TRACEPOINT,
    PerfEventAttr,
)
from simkernel import SimKernel
from simkernel.actor import Actor
from simkernel.mapping import SimMapping
from simkernel.ringbuf import Writer
from simkernel.rules import PASS
from simkernel.tasks import Program, Sleep

EVERYTHING = frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"})
POINTS = ("syscalls:sys_enter_getppid", "syscalls:sys_exit_getppid")
EVENT = ("count", "period_left", "last_period", "sample_period", "limit", "stopped", "pending", "state")
BUFFER = ("head", "wakeup", "latch", "lost", "refused", "events", "paused")
POLLIN = 1
F_SETSIG = 10


@dataclass(frozen=True)
class Event:
    """One perf event of the program, and what is done to it before the calls.

    Attributes:
        attr: its attr, without what every event of its kind has.
        pages: of its own ring; 0 to write into the first ring there is; None for no ring at all.
    """

    attr: dict[str, Any]
    exit: bool
    whole_cpu: bool
    pages: int | None
    writable: bool
    is_async: bool
    refresh: int
    filter: bytes | None


BITS = (
    *(PERF_SAMPLE_IDENTIFIER, PERF_SAMPLE_IP, PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_CPU),
    *(PERF_SAMPLE_PERIOD, PERF_SAMPLE_RAW, PERF_SAMPLE_CALLCHAIN),
)
Pick = Callable[[int, int], int]
"""A whole number from the first to the second."""


def any_attr(pick: Pick) -> dict[str, Any]:
    def one_of(*values: int) -> int:
        return values[pick(0, len(values) - 1)]

    attr: dict[str, Any] = {
        "sample_type": sum(bit for bit in BITS if pick(0, 1)) | one_of(*(0,) * 7, PERF_SAMPLE_READ),
        "read_format": one_of(0, PERF_FORMAT_LOST, PERF_FORMAT_GROUP),
        "sample_id_all": one_of(0, 1),
        "exclude_user": one_of(*(0,) * 9, 1),
        "exclude_kernel": one_of(*(0,) * 9, 1),
    }
    if pick(0, 5):
        attr["sample_period"] = one_of(1, 1, 1, 1, 1, 0, 2, 7, 100)
    else:
        attr |= {"freq": True, "sample_freq": pick(1, 1000)}
    if pick(0, 1):
        return attr | {"watermark": True, "wakeup_watermark": pick(0, 5000)}
    return attr | {"wakeup_events": one_of(0, 1, 2, 50)}


def any_event(pick: Pick) -> Event:
    return Event(
        attr=any_attr(pick),
        exit=not pick(0, 2),
        whole_cpu=bool(pick(0, 1)),
        pages=(0, 0, 0, 1, 1, 2, None)[pick(0, 6)],
        writable=bool(pick(0, 4)),
        is_async=not pick(0, 5),
        refresh=(0, 0, 0, 1, 5, 200)[pick(0, 5)],
        filter=(None, None, None, b"common_pid > 0", b"common_pid == 0")[pick(0, 4)],
    )


def any_act(pick: Pick) -> tuple[str, int]:
    kind = pick(0, 5)
    if kind < 4:
        return "calls", (0, 1, 9, 30, 100, 300, 400, 600)[pick(0, 7)]
    return ("sleep", pick(0, 50_000)) if kind == 4 else ("pause", pick(0, 1))


def any_world(pick: Pick) -> dict[str, Any]:
    return {
        "listening": [any_event(pick) for _ in range(pick(1, 3))],
        "acts": [any_act(pick) for _ in range(pick(1, 5))],
        "frees": pick(0, 8),
        "other": bool(pick(0, 1)),
    }


@dataclass
class World:
    """A kernel, the program on it, and a reader that looks now and then.

    Attributes:
        log: what the reader saw, and every wakeup: when, at which head.
    """

    listening: list[Event]
    acts: list[tuple[str, int]]
    frees: int
    other: bool
    watched: bool
    log: list[Any] = field(default_factory=list)

    def run(self) -> list[Any]:
        self.kernel = SimKernel(cpus=2, capabilities=EVERYTHING)
        self.clock = self.kernel.machine.clock
        with self.kernel.rules.installed(lambda _: PASS) if self.watched else nullcontext():
            return self._run()

    def _run(self) -> list[Any]:
        kernel = self.kernel
        actor = kernel.spawn(self._program, cpu=0)
        self.maps: list[tuple[SimMapping, bool]] = []
        self.fds: list[int] = []
        self.mapped: list[int] = []
        for event in self.listening:
            self._open(event, actor)
        if self.other:
            self._clock_event()
        epoll = kernel.epoll()
        for fd in self.fds:
            epoll.register(fd, POLLIN)
        for _ in range(30):
            self.log.append((epoll.poll(20e-6), self.clock.now, kernel.take_signals()))
            for mapping, writable in self.maps:
                self._read(mapping, writable)
        self.log.append(str(kernel))
        self.log.append([[getattr(event, name) for name in EVENT] for event in kernel.perf.events])
        self.log.append([kernel.read(fd, 256) for fd in self.fds])
        return self.log

    def _program(self, actor: Actor) -> Program:
        yield Sleep(1000)
        for what, value in self.acts:
            if what == "calls":
                actor.getppid(value)
            elif what == "sleep":
                yield Sleep(value)
            else:
                for fd in self.mapped[:1]:
                    self.kernel.ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, int(value))
            self.log += [self._state(), self.clock.now]

    def _state(self) -> list[Any]:
        buffers = [ring.buffer for ring in self.kernel.perf.rings]
        return [([getattr(buffer, name) for name in BUFFER], bytes(buffer.memory)) for buffer in buffers]

    def _open(self, event: Event, actor: Actor) -> None:
        kernel = self.kernel
        text = kernel.read_text(f"/sys/kernel/tracing/events/{POINTS[event.exit].replace(':', '/')}/id")
        attr = PerfEventAttr(type=PERF_TYPE_TRACEPOINT, config=int(text), **event.attr)
        fd = kernel.perf_event_open(attr, -1 if event.whole_cpu else actor.pid, 0)
        self.fds.append(fd)
        if event.filter is not None:
            kernel.ioctl(fd, PERF_EVENT_IOC_SET_FILTER, bytearray(event.filter + b"\0"))
        if event.pages or (event.pages == 0 and not self.mapped):
            self._map(fd, event)
        elif event.pages == 0:
            kernel.ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, self.mapped[0])
        if event.refresh and (attr.sample_period or attr.freq):
            kernel.ioctl(fd, PERF_EVENT_IOC_REFRESH, event.refresh)
        if event.is_async:
            kernel.fcntl(fd, fcntl.F_SETOWN, kernel.me.pid)
            kernel.fcntl(fd, F_SETSIG, 40)  # realtime signals are queued, each one
            kernel.fcntl(fd, fcntl.F_SETFL, fcntl.FASYNC)

    def _map(self, fd: int, event: Event) -> None:
        length = (1 + (event.pages or 1)) * self.kernel.page_size
        self.mapped.append(fd)
        self.maps.append((self.kernel.mmap(fd, length, writable=event.writable), event.writable))
        buffer = self.kernel.perf.rings[-1].buffer
        signal = buffer.on_wakeup

        def note(writer: Writer) -> None:
            self.log.append((writer.id, self.clock.now, buffer.head))
            signal(writer)

        buffer.on_wakeup = note

    def _clock_event(self) -> None:
        """Something that happens by itself in the midst of the calls, into the same ring where there is one."""
        attr = PerfEventAttr(
            type=PERF_TYPE_SOFTWARE, config=PERF_COUNT_SW_CPU_CLOCK, sample_period=17_000, sample_type=PERF_SAMPLE_TIME
        )
        fd = self.kernel.perf_event_open(attr, -1, 0)
        for first in self.mapped[:1]:
            self.kernel.ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, first)
        self.fds.append(fd)

    def _read(self, mapping: SimMapping, writable: bool) -> None:
        head, tail = (mapping.load_u64(at) for at in (MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL))
        if self.frees and writable:
            step = (head - tail) * self.frees // 8 // 8 * 8
            mapping.store_u64(MMAP_PAGE_DATA_TAIL, tail + step)


def compare(pick: Pick) -> None:
    world = any_world(pick)
    in_rows, singly = (World(**world, watched=watched).run() for watched in (False, True))
    assert in_rows == singly


@given(st.data())
def test_a_row_of_calls_is_as_many_single_calls(data: st.DataObject) -> None:
    compare(lambda low, high: data.draw(st.integers(low, high)))


def compare_many(count: int) -> None:
    for seed in range(count):
        compare(Random(seed).randint)


def test_so_it_is_in_hundreds_of_worlds() -> None:
    compare_many(400)
