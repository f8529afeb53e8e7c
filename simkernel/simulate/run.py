"""Runs a scenario: the real session, or a reader written by hand, on a simulated kernel in virtual time."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from perfring.picture.thinning import thin_fills
from perfring.timeline import RingTimeline, Timeline
from simkernel.simulate.advice import advice
from simkernel.simulate.planning import prepare, spawn_writers
from simkernel.simulate.readers import READERS
from simkernel.simulate.result import Result, result_of
from simkernel.simulate.watching import WatchedKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfring.geometry import Verdict
    from perfring.statistics import SessionStatistics
    from perfring.timeline import Latency
    from simkernel.simulate.scenario import Scenario
    from simkernel.simulate.watching import RingWatch

__all__ = ["Run", "check", "run"]

_SECOND: Final = 1_000_000_000
_MOST_POINTS: Final = 2000
"""Of each kind and ring in a timeline: a picture has no more columns."""


class Run(NamedTuple):
    """What came of a scenario.

    Attributes:
        result: in numbers.
        timeline: what happened when, for a picture; fills and latencies are a fair choice where there are many.
        advice: what to change, in words; one entry at least.
        statistics: what the session counted by itself, its last look after the end included; None of other readers.
    """

    result: Result
    timeline: Timeline
    advice: tuple[str, ...]
    statistics: SessionStatistics | None


def check(scenario: Scenario) -> Verdict:
    """What `SessionBuilder.build` and the rule say of a scenario, without running it.

    Raises:
        ScenarioError: its reader would be refused this watermark.
    """
    return prepare(scenario, WatchedKernel(scenario)).verdict


def run(scenario: Scenario, *, on_progress: Callable[[float], None] | None = None) -> Run:
    """Runs it to its end. The same scenario always comes to the same.

    Args:
        scenario: what to run.
        on_progress: called now and then with the share that is done, from 0 to 1.

    Raises:
        ScenarioError: its reader is refused this watermark.
    """
    kernel = WatchedKernel(scenario, on_progress)
    writers = spawn_writers(scenario, kernel)
    pids = [writer.pid for writer in writers] if scenario.lifetime is not None else []
    prepared = prepare(scenario, kernel, pids=pids)
    with closing(READERS[scenario.reader].make(kernel, prepared.plan)) as reader:
        with kernel.watched():
            reader.enable()
            kernel.sleep(min(scenario.start, kernel.left))
            reader.read(scenario)
            if not kernel.over:  # it has given up, or found that nothing more will come
                kernel.gone = True
                kernel.sleep(kernel.left)
        statistics = reader.statistics()
    result = result_of(scenario, prepared, kernel)
    words = advice(result)
    return Run(result, _timeline(result, words, kernel), words, statistics)


def _timeline(result: Result, words: tuple[str, ...], kernel: WatchedKernel) -> Timeline:
    scenario = result.scenario
    return Timeline(
        title=f"{scenario.name}, read by {scenario.reader}",
        kernel=f"simkernel {scenario.kernel}",
        duration_ns=round(scenario.duration * _SECOND),
        rings=tuple(_ring_timeline(kernel.rings[cpu], result) for cpu in sorted(kernel.rings)),
        outcome=result.verdict.outcome,
        facts=_facts(result, words),
        trouble="watermark defeated" if result.defeated else "",
    )


def _ring_timeline(watch: RingWatch, result: Result) -> RingTimeline:
    return RingTimeline(
        cpu=watch.cpu,
        ring_bytes=watch.ring.buffer.data_size,
        watermark=watch.ring.buffer.watermark,
        fills=tuple(thin_fills(watch.fills, limit=_MOST_POINTS)),
        wakes=tuple(watch.wakes),
        drains=tuple(watch.drains),
        losses=tuple(watch.losses),
        latencies=_fair_choice(watch.latencies),
        stalled=watch.cpu in result.stalled,
    )


def _fair_choice(latencies: Sequence[Latency]) -> tuple[Latency, ...]:
    """Each as likely as any other, so that they have the percentiles of all, and the longest.

    At random, for what repeats itself with every wakeup must not meet a choice that repeats itself; the same each time.
    """
    if len(latencies) <= _MOST_POINTS:
        return tuple(latencies)
    longest = max(range(len(latencies)), key=lambda index: latencies[index].ns)
    chosen = Random(0).sample(range(len(latencies)), _MOST_POINTS)
    return tuple(latencies[index] for index in sorted({longest, *chosen}))


def _facts(result: Result, words: tuple[str, ...]) -> dict[str, str]:
    facts = {
        "wakes": f"{result.wakes_per_second:,.0f}/s",
        "latency": "no record" if result.p50 is None else f"p50 {result.p50}, p99 {result.p99}, max {result.worst}",
        "lost": f"{result.lost} of {result.produced} records",
    }
    numbered = len(words) > 1
    return facts | {f"what to change{f' ({number})' * numbered}": text for number, text in enumerate(words, 1)}
