"""What a run came to, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from simkernel.simulate.durations import format_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfring.geometry import Verdict
    from simkernel.simulate.planning import Prepared
    from simkernel.simulate.scenario import Scenario
    from simkernel.simulate.watching import RingWatch, WatchedKernel

__all__ = ["Result", "Wait", "result_of", "stalled"]

_SECOND: Final = 1_000_000_000


class Wait(NamedTuple):
    """How long a record waited from when it was written until it was delivered.

    Attributes:
        ns: nanoseconds.
        at_least: it was not delivered: that is what it had waited in the end.
    """

    ns: int
    at_least: bool = False

    def __str__(self) -> str:
        """``1.25 ms``, or ``>= 1.25 ms``."""
        return f"{'>= ' if self.at_least else ''}{format_ns(self.ns)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a run came to. Counts are over all rings.

    Attributes:
        scenario: what was run.
        verdict: what the rule says of it.
        record_bytes: the smallest and the largest record.
        produced: records that were written, or tried to be.
        delivered: records that the reader took out.
        left: records that still lay in the rings in the end.
        lost: records that a ring refused.
        wakes: how often a ring woke the reader.
        spurious: how many of these found that ring empty (K18).
        looks: how often the reader looked because it was time.
        p50, p99, worst: how long records waited, those that were left among them; None when there was none.
        highest_fill: bytes, of the fullest ring.
        stalled: CPUs of the rings whose reader nothing would have woken any more.
    """

    scenario: Scenario
    verdict: Verdict
    record_bytes: tuple[int, int]
    produced: int
    delivered: int
    left: int
    lost: int
    wakes: int
    spurious: int
    looks: int
    p50: Wait | None
    p99: Wait | None
    worst: Wait | None
    highest_fill: int
    stalled: tuple[int, ...]

    @property
    def wakes_per_second(self) -> float:
        """By rings."""
        return self.wakes / self.scenario.duration

    @property
    def runs_per_second(self) -> float:
        """How often the reader had to run, woken by a ring or by the time: what a sweep keeps low."""
        return (self.wakes + self.looks) / self.scenario.duration

    @property
    def loss(self) -> float:
        """The share of the records that was lost, from 0 to 1."""
        return self.lost / self.produced if self.produced else 0.0

    @property
    def defeated(self) -> bool:
        """Whether the rings woke the reader far more often than their watermark does: another event does it (K10)."""
        written = (self.delivered + self.left) * self.record_bytes[1]
        expected = written / self.verdict.kernel_watermark + self.scenario.cpus
        return self.wakes > 2 * expected

    @property
    def settled(self) -> bool:
        """Whether the run was long enough to know `p99`: those who waited longest were delivered in it."""
        return self.p99 is None or not self.p99.at_least

    def meets(self, *, latency: float | None = None, loss: float = 0.0) -> bool:
        """Whether nothing is wrong: no ring stalled, the watermark held, and losses and latency are within the limits.

        Args:
            latency: seconds, for the 99th percentile; None for any.
            loss: share from 0 to 1.
        """
        late = latency is not None and self.p99 is not None and self.p99.ns > latency * _SECOND
        return not (self.stalled or self.defeated or late) and self.loss <= loss

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: times in nanoseconds, sizes in bytes."""
        waits = {name: _wait_dict(getattr(self, name)) for name in ("p50", "p99", "worst")}
        counts = ("produced", "delivered", "left", "lost", "wakes", "spurious", "looks", "highest_fill")
        return {
            **{name: getattr(self, name) for name in counts},
            "wakes_per_second": self.wakes_per_second,
            "runs_per_second": self.runs_per_second,
            "loss": self.loss,
            "latency": waits,
            "ring_bytes": self.verdict.ring_bytes,
            "watermark": self.verdict.kernel_watermark,
            "largest_safe": self.verdict.largest_safe,
            "record_bytes": list(self.record_bytes),
            "verdict": self.verdict.outcome.name,
            "stalled": list(self.stalled),
            "defeated": self.defeated,
        }


def _wait_dict(wait: Wait | None) -> dict[str, Any] | None:
    return None if wait is None else {"ns": wait.ns, "at_least": wait.at_least}


def stalled(watch: RingWatch, prepared: Prepared, *, gone: bool) -> bool:
    """Whether records lie in a ring, and nothing would have made its reader look any more.

    A reader that sleeps with the latch clear is woken by the next record that passes the watermark. That never comes
    where the ring has no room even for the smallest (K12), where no fill can get so high, or where the reader has given
    up. A record refused is not enough: it may be larger than the ring, and a smaller one come behind it.
    """
    verdict = prepared.verdict
    needed = prepared.record_bytes[0] + prepared.lost_bytes * watch.untold
    full = watch.used + needed >= verdict.ring_bytes  # one byte stays free (K6)
    # A LOST among the records may bring the fill to a level that they do not reach by themselves.
    highest = verdict.ring_bytes - 8 if watch.lost else verdict.fullest
    return watch.asleep and (gone or full or watch.due >= highest)


def result_of(scenario: Scenario, prepared: Prepared, kernel: WatchedKernel) -> Result:
    """Adds up what was seen."""
    rings = kernel.rings.values()
    waits = _all_waits(rings, round(scenario.duration * _SECOND))
    left = sum(len(watch.written) for watch in rings)
    delivered = sum(watch.delivered for watch in rings)
    lost = sum(watch.lost for watch in rings)
    return Result(
        scenario=scenario,
        verdict=prepared.verdict,
        record_bytes=prepared.record_bytes,
        produced=delivered + left + lost,
        delivered=delivered,
        left=left,
        lost=lost,
        wakes=sum(len(watch.wakes) for watch in rings),
        spurious=sum(wake.spurious for watch in rings for wake in watch.wakes),
        looks=kernel.looks,
        p50=_percentile(waits, 50),
        p99=_percentile(waits, 99),
        worst=waits[-1] if waits else None,
        highest_fill=max(watch.highest for watch in rings),
        stalled=tuple(watch.cpu for watch in rings if stalled(watch, prepared, gone=kernel.gone)),
    )


def _all_waits(rings: Iterable[RingWatch], end: int) -> list[Wait]:
    """Of all records, the shortest first."""
    waits = [Wait(latency.ns) for watch in rings for latency in watch.latencies]
    waits += [Wait(end - came, at_least=True) for watch in rings for came, _ in watch.written]
    return sorted(waits)


def _percentile(waits: list[Wait], percent: int) -> Wait | None:
    """The smallest wait that so many of 100 records did not exceed."""
    return waits[-(-len(waits) * percent // 100) - 1] if waits else None
