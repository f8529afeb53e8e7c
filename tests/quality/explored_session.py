"""perfring's own reader for `simkernel.explore`: waiting, sweeping, time order, draining, decoding."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING, NoReturn, cast

from perfring.abi import (
    CLOCK_MONOTONIC,
    HEADER,
    PERF_COUNT_SW_DUMMY,
    PERF_SAMPLE_IDENTIFIER,
    PERF_SAMPLE_TIME,
    PERF_TYPE_SOFTWARE,
    PerfEventAttr,
)
from perfring.decoding import Decoder
from perfring.draining import RingDrain
from perfring.errors import BadRecord
from perfring.guard import Guard
from perfring.layout import EventLayout
from perfring.opening import OpenEvent, OpenRing
from perfring.reading import Reader
from perfring.sideband import Lost
from perfring.sweeping import Sweeper
from simkernel.explore import ExploredMapping, View

if TYPE_CHECKING:
    from perfring.kernel import Epoll, Kernel, Waker
    from perfring.plan import EventSpec
    from perfring.records import Record

IN = 0x1
FIRST_FD = 100
LATER = 1 << 40
"""Nanoseconds: after every record."""

ATTR = PerfEventAttr(
    type=PERF_TYPE_SOFTWARE,
    config=PERF_COUNT_SW_DUMMY,
    sample_type=PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TIME,
    sample_id_all=True,
)
LAYOUT = EventLayout(ATTR, name="explored", kind="custom")
DECODER = Decoder(default=LAYOUT)


class ExploredEpoll:
    """An epoll of explored rings; the waker is never set."""

    def __init__(self, view: View) -> None:
        self.view = view

    def register(self, fd: int, eventmask: int) -> None:
        if fd >= FIRST_FD:
            self.view.register(fd - FIRST_FD)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        assert timeout is None
        return [(FIRST_FD + cpu, IN) for cpu in self.view.wait()]

    def close(self) -> None:
        """Nothing is to be done."""


class ExploredKernel:
    """As much of the seam as a reader needs that neither ends nor loses patience."""

    def __init__(self, view: View) -> None:
        self.view = view

    def epoll(self) -> Epoll:
        return cast("Epoll", ExploredEpoll(self.view))

    def clock_ns(self, clock_id: int) -> int:
        return LATER


class SilentWaker:
    def fileno(self) -> int:
        return 3

    def set(self) -> None:
        """Nobody asks for it."""


def complain(error: BadRecord) -> NoReturn:
    raise error


def encoded(record: Record) -> bytes:
    """The bytes that a record was made from: an encoder of the test's own."""
    words = (
        [record.lost_id, record.lost, record.time, record.id] if isinstance(record, Lost) else [record.id, record.time]
    )
    return HEADER.pack(record.type, record.misc, record.size) + b"".join(
        (word or 0).to_bytes(8, "little") for word in words
    )


def drain_of(ring: ExploredMapping) -> RingDrain:
    event = OpenEvent(cast("EventSpec", None), FIRST_FD + ring.cpu, 0x10 + ring.cpu, -1, 0)
    return RingDrain(OpenRing(ring.cpu, mapping=ring, events=[event]), DECODER, complain)


def session_reader(view: View, kept: Hashable) -> Hashable:
    """One turn that never ends: a session's loop, from the first look on."""
    kernel, drains = cast("Kernel", ExploredKernel(view)), [drain_of(ring) for ring in view.rings]
    sweeper = Sweeper(kernel, drains, Guard(lambda: None), clock_id=CLOCK_MONOTONIC, budget=1)
    reader = Reader(kernel, drains, sweeper, cast("Waker", SilentWaker()), disable=lambda: None)
    next_batch = partial(reader.next_batch, timeout=None, max_latency=None)
    while True:
        batch = next_batch()
        sweeper.order.outbox, reader.announcement = [], None
        for record in batch:
            view.deliver(record.cpu, encoded(record))
