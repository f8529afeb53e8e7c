"""Timelines for the tests of pictures, from the arithmetic of K6, K7 and K12 in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfring.geometry import Outcome
from perfring.timeline import Drain, Fill, Latency, Loss, RingTimeline, Timeline, Wake

RING = 4096
STEP_NS = 10_000


@dataclass
class Story:
    """A ring of 4096 bytes into which a record of 56 goes every 10 microseconds.

    Args:
        watermark: in bytes.
        react_ns: how long the reader takes from the wake to the drain.
        every_ns: the reader also drains that often; 0 for one that only waits.
    """

    watermark: int
    react_ns: int = 0
    every_ns: int = 0
    record: int = 56
    head: int = 0
    tail: int = 0
    wakeup: int = 0
    due_ns: int | None = None
    fills: list[Fill] = field(default_factory=lambda: [Fill(0, 0, 0, 0)])
    wakes: list[Wake] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def run(self, records: int) -> Story:
        for number in range(1, records + 1):
            self._record(number * STEP_NS)
        return self

    def _record(self, at_ns: int) -> None:
        if self.due_ns is not None and at_ns >= self.due_ns:
            self._drain(self.due_ns)
        if self.head + self.record - self.tail > RING - 1:
            self.losses.append(Loss(at_ns, 1))
        else:
            self.head += self.record
            self.written.append(at_ns)
            if self.head - self.wakeup > self.watermark:
                self.wakeup += self.watermark
                self.wakes.append(Wake(at_ns, spurious=self.head == self.tail))
                self.due_ns = at_ns + self.react_ns
            self.fills.append(Fill(at_ns, self.head, self.tail, self.wakeup))
        if self.every_ns and at_ns % self.every_ns == 0:
            self._drain(at_ns)

    def _drain(self, at_ns: int) -> None:
        self.drains.append(Drain(at_ns, len(self.written), self.head - self.tail))
        self.latencies += [Latency(at_ns, at_ns - since) for since in self.written]
        self.tail, self.written, self.due_ns = self.head, [], None
        self.fills.append(Fill(at_ns, self.head, self.tail, self.wakeup))

    def ring(self, *, cpu: int = 0, stalled: bool = False) -> RingTimeline:
        return RingTimeline(
            cpu=cpu,
            ring_bytes=RING,
            watermark=self.watermark,
            fills=tuple(self.fills),
            wakes=tuple(self.wakes),
            drains=tuple(self.drains),
            losses=tuple(self.losses),
            latencies=tuple(self.latencies),
            stalled=stalled,
        )


def healthy(*, title: str = "half a ring", records: int = 400) -> Timeline:
    """A run that is woken at every half ring."""
    ring = Story(2048, react_ns=4 * STEP_NS).run(records).ring()
    return Timeline(title, "simkernel 6.18", records * STEP_NS, (ring,), Outcome.LIVE, {"Wakes per second": "2,720"})


def stalled(*, title: str = "a watermark of the whole ring", watermark: int = RING, records: int = 200) -> Timeline:
    """A run that nobody ever wakes."""
    ring = Story(watermark).run(records).ring(stalled=True)
    return Timeline(title, "simkernel 6.18", records * STEP_NS, (ring,), Outcome.STALLS)


def late(*, title: str = "a reader that is late", records: int = 400) -> Timeline:
    """A run that loses records and goes on; with spurious wakes."""
    story = Story(2048, react_ns=60 * STEP_NS).run(records)
    story.wakes = sorted([*story.wakes, Wake(55 * STEP_NS, spurious=True), Wake(1_555_000, spurious=True)])
    return Timeline(title, "linux 6.18.44", records * STEP_NS, (story.ring(),), Outcome.LIVE)
