"""What ``perfring top`` measures: the counts of a session from one look to the next."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfring.abi import CLOCK_MONOTONIC
from perfring.advice import Advice, RingUse, Setting, advise
from perfring.record_sizes import RecordSizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.kernel import Kernel
    from perfring.session import Session
    from perfring.statistics import RingStatistics

__all__ = ["Interval", "Meter", "RingInterval", "awake_seconds"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RingInterval:
    """One ring, in one interval. Counts are of the interval unless they say otherwise.

    Attributes:
        cpu: whose ring.
        records: came out of it.
        bytes: came into it, without what was lost: what came out, and what lies there now and did not before.
        wakeups, spurious_wakeups: of the reader, by this ring.
        lost: records that the kernel dropped.
        lost_so_far: since the beginning.
        fill: bytes that lay in it at the end of the interval.
        highest_fill: the most that the reader ever found in it.
    """

    cpu: int
    records: int
    bytes: int
    wakeups: int
    spurious_wakeups: int
    lost: int
    lost_so_far: int
    fill: int
    highest_fill: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """All rings, in one interval.

    Attributes:
        since_begin: seconds from the beginning to the end of the interval.
        seconds: its length.
        setting: of the rings.
        rings: by CPU.
        timeouts: how often the reader looked because its latency bound was over.
        busy: the share of the time in which the reader ran, or waited for a CPU; None where nobody can tell.
        advice: what to change, the worst first.
    """

    since_begin: float
    seconds: float
    setting: Setting
    rings: tuple[RingInterval, ...]
    timeouts: int
    busy: float | None
    advice: tuple[Advice, ...]

    def total(self, name: str) -> int:
        """The sum of a count over all rings."""
        return sum(getattr(ring, name) for ring in self.rings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: rates are for the reader to divide by ``seconds``."""
        setting = self.setting
        return {
            "time": round(self.since_begin, 6),
            "seconds": round(self.seconds, 6),
            "watermark": setting.watermark,
            "ring_bytes": setting.ring_bytes,
            "max_latency": setting.max_latency,
            "timeouts": self.timeouts,
            "busy": None if self.busy is None else round(self.busy, 4),
            "rings": [asdict(ring) for ring in self.rings],
            "advice": [asdict(advice) for advice in self.advice],
        }


class Meter:
    """Measures a session interval by interval.

    Args:
        kernel: its kernel, whose clock counts.
        session: what to measure.
        awake_seconds: how long the reader has not slept so far; None where that is not the kernel's time.
    """

    def __init__(self, kernel: Kernel, session: Session, *, awake_seconds: Callable[[], float] | None) -> None:
        self._kernel = kernel
        self._session = session
        self._awake_seconds = awake_seconds
        self._setting = _setting(session, kernel)
        self._counts = session.statistics()
        self._began = self._then = self.now()
        self._awake_then = awake_seconds() if awake_seconds is not None else 0.0

    @property
    def setting(self) -> Setting:
        """Of the rings."""
        return self._setting

    def now(self) -> float:
        """Seconds on the kernel's clock."""
        return self._kernel.clock_ns(CLOCK_MONOTONIC) / 1e9

    def is_past(self, moment: float) -> bool:
        """Whether it is that late."""
        return self.now() >= moment

    def take(self) -> Interval:
        """Ends an interval, and begins the next one."""
        now, counts = self.now(), self._session.statistics()
        # Two looks at one instant, as when everything ends at once, must not divide by nothing.
        seconds = max(now - self._then, 1e-9)
        rings = tuple(map(_between, self._counts.rings, counts.rings))
        busy = self._busy(seconds)
        interval = Interval(
            since_begin=now - self._began,
            seconds=seconds,
            setting=self._setting,
            rings=rings,
            timeouts=counts.timeouts - self._counts.timeouts,
            busy=busy,
            advice=advise(self._setting, [_use(ring, seconds) for ring in rings], busy=busy),
        )
        self._counts, self._then = counts, now
        return interval

    def _busy(self, seconds: float) -> float | None:
        if self._awake_seconds is None:
            return None
        awake = self._awake_seconds()
        share, self._awake_then = (awake - self._awake_then) / seconds, awake
        return share


def awake_seconds() -> float:
    """How long the main thread has run or waited for a CPU, by /proc/self/schedstat; CPU time where there is none.

    A reader that has to share its CPU falls behind long before it has used one up.
    """
    try:
        ran, waited = Path("/proc/self/schedstat").read_text().split()[:2]
    except OSError:  # a kernel without CONFIG_SCHED_INFO
        return time.process_time()
    return (int(ran) + int(waited)) / 1e9


def _setting(session: Session, kernel: Kernel) -> Setting:
    plan = session.plan
    sizes = RecordSizes.of(plan.events, kernel)
    return Setting(
        page_count=plan.page_count,
        page_size=kernel.page_size,
        watermark=plan.wakeup_watermark,
        record_bytes=(sizes.smallest, sizes.largest),
        lost_bytes=sizes.lost,
        max_latency=plan.max_latency,
    )


def _between(before: RingStatistics, after: RingStatistics) -> RingInterval:
    return RingInterval(
        cpu=after.cpu,
        records=after.records - before.records,
        # What was skipped because it made no sense went without being counted.
        bytes=max(after.bytes - before.bytes + after.fill - before.fill, 0),
        wakeups=after.wakeups - before.wakeups,
        spurious_wakeups=after.spurious_wakeups - before.spurious_wakeups,
        lost=after.lost - before.lost,
        lost_so_far=after.lost,
        fill=after.fill,
        highest_fill=after.highest_fill,
    )


def _use(ring: RingInterval, seconds: float) -> RingUse:
    return RingUse(
        cpu=ring.cpu,
        seconds=seconds,
        bytes=ring.bytes,
        wakeups=ring.wakeups,
        spurious_wakeups=ring.spurious_wakeups,
        lost=ring.lost,
        highest_fill=ring.highest_fill,
    )
