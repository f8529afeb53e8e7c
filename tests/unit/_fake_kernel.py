"""Readiness, a clock and a waker on paper: enough of the seam to run the reader without a kernel.

Asking takes the latch of a ring (K14), registering asks (K15), a hangup is told for ever, instead of readiness (K19).
Time passes only in waits. A wait without an end fails the test: nothing else could end it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from perfring.abi import (
    PERF_COUNT_SW_DUMMY,
    PERF_SAMPLE_IDENTIFIER,
    PERF_SAMPLE_TID,
    PERF_SAMPLE_TIME,
    PERF_TYPE_SOFTWARE,
    PerfEventAttr,
)
from perfring.batch import Batch
from perfring.decoding import Decoder
from perfring.draining import RingDrain
from perfring.guard import Guard
from perfring.layout import EventLayout
from perfring.opening import OpenEvent, OpenRing
from perfring.plan import EventSpec
from perfring.reading import Reader
from perfring.sweeping import Sweeper
from tests.unit.rings import BytesRing, comm

if TYPE_CHECKING:
    from perfring.kernel import Kernel
    from perfring.records import Record

__all__ = ["FakeKernel", "Rings", "names"]

IN, HUP = 0x1, 0x10
_WAKER = 7


class FakeKernel:
    """Descriptors that are ready or gone.

    Attributes:
        now: nanoseconds.
        latches: by fd, the latch of its ring: a list of one, which the fds of that ring share.
        gone: fds whose task has exited.
        asked: every fd that was asked, in order.
        on_wait: called before each wait, as the world that goes on meanwhile.
    """

    def __init__(self) -> None:
        self.now = 1000
        self.latches: dict[int, list[bool]] = {_WAKER: [False]}
        self.gone: set[int] = set()
        self.asked: list[int] = []
        self.on_wait: Callable[[], object] = lambda: None
        self.epolls: list[FakeEpoll] = []

    def as_kernel(self) -> Kernel:
        """Itself, as the code under test knows it."""
        return cast("Kernel", self)

    def clock_ns(self, clock_id: int) -> int:
        return self.now

    def poll(self, fds: Sequence[tuple[int, int]], timeout: float | None = None) -> list[tuple[int, int]]:
        assert timeout == 0
        return [(fd, events) for fd, _ in fds if (events := self.ask(fd))]

    def ask(self, fd: int) -> int:
        self.asked.append(fd)
        if fd in self.gone:
            return HUP
        latch = self.latches[fd]
        ready, latch[0] = latch[0], fd == _WAKER and latch[0]  # an eventfd stays ready
        return IN if ready else 0

    def epoll(self) -> FakeEpoll:
        self.epolls.append(FakeEpoll(self))
        return self.epolls[-1]

    def waker(self) -> FakeWaker:
        return FakeWaker(self)


class FakeEpoll:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self.fds: list[int] = []
        self.closed = False

    def register(self, fd: int, eventmask: int) -> None:
        assert fd not in self.fds
        self._kernel.ask(fd)
        self.fds.append(fd)

    def unregister(self, fd: int) -> None:
        self.fds.remove(fd)

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        assert not self.closed
        self._kernel.on_wait()
        ready = [(fd, events) for fd in self.fds if (events := self._kernel.ask(fd))]
        if not ready:
            assert timeout is not None, "this would wait for ever"
            self._kernel.now += round(timeout * 1e9)
        return ready

    def close(self) -> None:
        self.closed = True


class FakeWaker:
    def __init__(self, kernel: FakeKernel) -> None:
        self._latch = kernel.latches[_WAKER]
        self.closed = False

    def fileno(self) -> int:
        return _WAKER

    def set(self) -> None:
        assert not self.closed
        self._latch[0] = True

    def clear(self) -> None:
        self._latch[0] = False

    def close(self) -> None:
        self.closed = True


class Rings:
    """Rings of 128 KiB, one for each CPU, and a reader of them.

    Args:
        cpus: how many.
        events: how many events write into each ring: on cpu 1 their fds are 110, 111 ...
        budget: bytes a ring may deliver in one round; 64 KiB at least are taken.
    """

    def __init__(self, cpus: int = 1, *, events: int = 1, budget: int = 1) -> None:
        self.kernel = FakeKernel()
        self.rings = [BytesRing(1 << 17) for _ in range(cpus)]
        attr = PerfEventAttr(
            type=PERF_TYPE_SOFTWARE,
            config=PERF_COUNT_SW_DUMMY,
            sample_type=PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
            sample_id_all=True,
        )
        layout = EventLayout(attr, name="seven", kind="custom")
        decoder = Decoder({7: layout}, default=layout)
        spec = cast("EventSpec", None)
        self.drains = []
        for cpu, ring in enumerate(self.rings):
            fds = [100 + 10 * cpu + number for number in range(events)]
            latch = [False]
            self.kernel.latches |= dict.fromkeys(fds, latch)
            opened = OpenRing(cpu, [OpenEvent(spec, fd, fd, -1, 0) for fd in fds], ring)
            self.drains.append(RingDrain(opened, decoder, lambda bad: None))
        self.released = 0
        self.disabled = 0
        self.guard = Guard(self._release)
        kernel = self.kernel.as_kernel()
        self.sweeper = Sweeper(kernel, self.drains, self.guard, clock_id=4, budget=budget)
        self.waker = self.kernel.waker()
        self.reader = Reader(kernel, self.drains, self.sweeper, self.waker, disable=self._disable)

    def write(self, *times: int, cpu: int = 0, wake: bool = False) -> None:
        """Records of 48 bytes, named after their times."""
        for time in times:
            self.rings[cpu].write(comm(str(time), time=time))
        if wake:
            self.wake(cpu)

    def wake(self, cpu: int = 0) -> None:
        self.kernel.latches[100 + 10 * cpu][0] = True

    def next(self, *, timeout: float | None = None, max_latency: float | None = None) -> Batch:
        """The next batch, in the hands of the caller."""
        batch = self.reader.next_batch(timeout=timeout, max_latency=max_latency)
        self.sweeper.order.outbox, self.reader.announcement = [], None
        return batch

    def sweep(self, *, everything: bool = False) -> list[list[str]]:
        """The names in each piece of a whole sweep."""
        pieces = []
        for records in self.sweeper.sweep(everything=everything):
            self.sweeper.order.outbox = []
            pieces.append(names(records))
        return pieces

    def sweep_one(self) -> list[list[str]]:
        """The same of the first ring alone."""
        pieces = []
        for records in self.sweeper.sweep_one(self.drains[0]):
            self.sweeper.order.outbox = []
            pieces.append(names(records))
        return pieces

    def _release(self) -> None:
        self.released += 1

    def _disable(self) -> None:
        self.disabled += 1


def names(records: Sequence[Record]) -> list[str]:
    """The names that `Rings.write` gave them."""
    return [record.to_dict()["comm"] for record in records]
