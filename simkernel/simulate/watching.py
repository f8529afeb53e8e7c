"""A simulated kernel that is watched while it works: who writes what into which ring, when, and who takes it out.

Being watched changes nothing: the rules of the simulator are asked about every record and every access before it
happens (`simkernel.rules`), and what came of the one before is looked up then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from perfring.abi import MMAP_PAGE_DATA_TAIL
from perfring.timeline import Drain, Fill, Latency, Loss, Wake
from simkernel.kernel import SimEpoll, SimKernel
from simkernel.machine import CAPABILITIES
from simkernel.perffile import PerfFile
from simkernel.readiness import EpollFile
from simkernel.rules import PASS

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.mapping import Ring
    from simkernel.readiness import File
    from simkernel.rules import Answer, Happening
    from simkernel.simulate.scenario import Scenario

__all__ = ["RingWatch", "WatchedKernel"]

_IN: Final = 0x1
_SECOND: Final = 1_000_000_000
_MOMENT: Final = 1e-9
"""Seconds: what ends so long after the end is not before it, whatever else is due at that very moment."""
_REPORT_EVERY: Final = 1024


class RingWatch:
    """What happened to one ring. Times are nanoseconds since the beginning.

    Attributes:
        ring: the simulator's own.
        cpu: whose.
        fills, wakes, drains, losses, latencies: as in `perfring.timeline.RingTimeline`, and complete.
        written: records that lie in the ring: when each came, and the position behind it.
        delivered: records that were taken out.
        highest: the most bytes that ever waited.
        asleep: in the end records lay in the ring, and nothing but a further wakeup would have made the reader look.
        due: what the ring had to be filled above, in the end, for the next wakeup (K7).
        untold: in the end the next record had to bring a LOST with it (K21).
        attempted: when something was last written, or tried to be.
    """

    def __init__(self, ring: Ring, cpu: int) -> None:
        self.ring = ring
        self.cpu = cpu
        self.fills = [Fill(0, 0, 0, 0)]
        self.wakes: list[Wake] = []
        self.drains: list[Drain] = []
        self.losses: list[Loss] = []
        self.latencies: list[Latency] = []
        self.written: deque[tuple[int, int]] = deque()
        self.delivered = 0
        self.highest = 0
        self.asleep = self.untold = False
        self.due = 0
        self.attempted = 0
        self._head = self._tail = self._refused = 0
        self._losing = False

    @property
    def lost(self) -> int:
        """Records refused in all."""
        return self._refused

    @property
    def used(self) -> int:
        """Bytes that wait for the reader."""
        return self._head - self._tail

    def settle(self, accessed: int) -> None:
        """Notes what has changed: by a store of the reader, at that time, or by the last attempt to write."""
        buffer = self.ring.buffer
        tail = buffer.load_u64(MMAP_PAGE_DATA_TAIL)
        if tail != self._tail:
            self._drained(accessed, tail)
        if buffer.refused != self._refused:
            self._refused += 1
            self._lose()
        elif buffer.head != self._head:
            self._losing = False
            self._head = buffer.head
            self.written.append((self.attempted, buffer.head))
            self.highest = max(self.highest, buffer.head - tail)
            self.fills.append(Fill(self.attempted, buffer.head, tail, buffer.wakeup))

    def _lose(self) -> None:
        if self._losing:
            first = self.losses[-1]
            self.losses[-1] = Loss(first.at_ns, first.records + 1)
        else:
            self.losses.append(Loss(self.attempted, 1))
        self._losing = True

    def _drained(self, at: int, tail: int) -> None:
        taken = 0
        while self.written and self.written[0][1] <= tail:
            came, _ = self.written.popleft()
            self.latencies.append(Latency(at, at - came))
            taken += 1
        self.drains.append(Drain(at, taken, tail - self._tail))
        self.fills.append(Fill(at, self._head, tail, self.ring.buffer.wakeup))
        self.delivered += taken
        self._losing = False
        self._tail = tail

    def finish(self, *, idle: bool, gone: bool) -> None:
        """Notes what the ring has come to; what its reader does later changes nothing of it."""
        buffer = self.ring.buffer
        self.asleep = idle and bool(self.written) and (gone or not buffer.latch)
        self.due = buffer.wakeup + buffer.watermark - self._tail
        self.untold = bool(buffer.lost)


class WatchedKernel(SimKernel):
    """The machine of a scenario, and what is seen of it until the scenario is over.

    The reader, which is the program under test, has the CPU behind the last one of the scenario to itself.

    Args:
        scenario: what to simulate.
        on_progress: called now and then with the share that is done, from 0 to 1.

    Attributes:
        rings: what happened, by CPU; filled by `watched`.
        looks: how often the reader looked into the rings because of the time, and not because it was woken.
        gone: the reader has given up; to be set by the reader.
        over: the scenario has come to its end; from then on nothing is seen.
    """

    def __init__(self, scenario: Scenario, on_progress: Callable[[float], None] | None = None) -> None:
        super().__init__(
            cpus=scenario.cpus + 1,
            page_size=scenario.page_size,
            release=scenario.kernel,
            capabilities=frozenset(CAPABILITIES),
            seed=scenario.seed,
        )
        self.me.pin(scenario.cpus)
        self.rings: dict[int, RingWatch] = {}
        self.looks = 0
        self.gone = self.over = False
        self._waits = False
        self._keeps_time = scenario.latency is not None or scenario.period is not None
        self._delay, self._work_ns = scenario.delay, round(scenario.work * _SECOND)
        self._duration = round(scenario.duration * _SECOND)
        self._on_progress = on_progress
        self._began = self.machine.clock.now
        self._by_ring: dict[Ring, RingWatch] = {}
        self._stored_at = self._attempts = self._worked_off = 0

    @property
    def now(self) -> int:
        """Nanoseconds since the beginning."""
        return self.machine.clock.now - self._began

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(self._duration - self.now, 0) / _SECOND

    @contextmanager
    def watched(self) -> Iterator[None]:
        """From here on everything is seen, until the end, which comes by itself."""
        self._began = self.machine.clock.now
        for ring in self.perf.rings:
            watch = RingWatch(ring, ring.events[0].cpu)
            self.rings[watch.cpu] = self._by_ring[ring] = watch
        self.machine.clock.at(self._began + self._duration, self._end)
        with self.rules.installed(self._see):
            yield

    def _end(self) -> None:
        # At its very moment, whatever the reader does: what it drains because the time is over does not count.
        self._settle_all()
        self.over = True
        idle = self.gone or (self._waits and not self._keeps_time)
        for watch in self.rings.values():
            watch.finish(idle=idle, gone=self.gone)

    def epoll(self) -> SimEpoll:
        """epoll_create1(2), of an instance that is watched."""
        return _WatchedEpoll(self, super().epoll())

    # What the reader tells.

    def looked(self) -> None:
        """It looks into the rings because it is time."""
        if not self.over:
            self.looks += 1

    def work(self) -> None:
        """It does with what it took out what it takes out records for."""
        if self.over:
            return
        self._settle_all()
        delivered = sum(watch.delivered for watch in self.rings.values())
        records, self._worked_off = delivered - self._worked_off, delivered
        if self._work_ns and records:
            self.me.spend(min(records * self._work_ns, self._duration - self.now + 1))

    # What is seen.

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The reader sleeps."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def waited(self, found: list[tuple[int, int]], timeout: float | None) -> None:
        """A wait of the reader is over, and has told this."""
        if not found and timeout:
            self.looked()
        at, woken = self.now, [] if self.over else self._woken_by(found)
        if found and self._delay:
            self.sleep(min(self._delay, self.left + _MOMENT))  # the reader could run, and something else does
        for watch in woken:
            watch.wakes.append(Wake(at, spurious=not watch.ring.buffer.used))

    def _woken_by(self, found: list[tuple[int, int]]) -> list[RingWatch]:
        """Of what lies behind an epoll in an epoll nobody can tell which it was: all of it has woken the reader."""
        files = [self._descriptors.get(fd) for fd, events in found if events & _IN]
        return [self._by_ring[ring] for ring in dict.fromkeys(ring for file in files for ring in _rings_behind(file))]

    def _see(self, happening: Happening) -> Answer:
        """The rule: before something happens it notes what came of the last thing."""
        if self.over:
            return PASS
        if happening.kind == "record":
            watch = self._by_ring[happening.details["ring"]]
            watch.settle(self._stored_at)
            watch.attempted = self.now
            self._attempts += 1
            if self._on_progress is not None and not self._attempts % _REPORT_EVERY:
                self._on_progress(self.now / self._duration)
        elif happening.kind == "access":
            self._settle_all()
            self._stored_at = self.now
        return PASS

    def _settle_all(self) -> None:
        for watch in self.rings.values():
            watch.settle(self._stored_at)


class _WatchedEpoll(SimEpoll):
    """Another hand on an epoll instance, whose waits are the reader's."""

    def __init__(self, kernel: WatchedKernel, plain: SimEpoll) -> None:
        super().__init__(kernel, plain._file, plain._fd)
        self._watched = kernel

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """epoll_wait(2)."""
        with self._watched.waiting():
            found = super().poll(timeout, maxevents)
        self._watched.waited(found, timeout)
        return found


def _rings_behind(file: File) -> Iterator[Ring]:
    if isinstance(file, PerfFile) and file.event.ring is not None:
        yield file.event.ring
    elif isinstance(file, EpollFile):
        for inner in file.files():
            yield from _rings_behind(inner)
