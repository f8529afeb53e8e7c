"""What to change, in plain words."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from perfring.advice import MANY_WAKEUPS, power_of_two_pages
from perfring.geometry import Outcome
from simkernel.simulate.readers import READERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simkernel.simulate.result import Result

__all__ = ["advice"]

_WORTH_IT: Final = 4
_FULL: Final = 0.98
_WORK_TOO: Final = 1.25
"""What comes while the reader works, and chance."""


def advice(result: Result) -> tuple[str, ...]:
    """What to change about a run's setting; one entry at least, which may say that nothing needs to change."""
    found = tuple(_found(result))
    return found or ("Nothing needs to change: no record is lost, and the watermark cannot stall.",)


def _found(result: Result) -> Iterator[str]:
    kind = READERS[result.scenario.reader]
    if kind.mend:
        yield kind.mend
        return
    yield from _about_the_rule(result)
    if result.lost and not result.stalled:
        yield _about_loss(result)
    yield from _about_waiting(result)


def _about_the_rule(result: Result) -> Iterator[str]:
    verdict, scenario = result.verdict, result.scenario
    if scenario.latency is not None or scenario.period is not None or verdict.outcome is Outcome.LIVE:
        return
    if verdict.largest_safe:
        mend = f"Lower the watermark to {verdict.largest_safe} bytes or less, or bound the wait by a latency."
    else:
        mend = "Give the ring more pages: no watermark of this one is safe; or bound the wait by a latency."
    says = {Outcome.STALLS: "perfring's build() does not open such a ring.", Outcome.DEPENDS: "It may stall yet."}
    yield f"{mend} {says[verdict.outcome]}"


def _about_loss(result: Result) -> str:
    """Where the reader comes late, or is too slow at all."""
    scenario = result.scenario
    busy = scenario.work * scenario.rate * scenario.cpus
    if busy >= _FULL:
        return (
            f"The reader needs {busy:.0%} of its CPU for {scenario.rate * scenario.cpus:,.0f} records per second at "
            f"{scenario.work * 1e6:g} us each: larger rings only lose later. Do less for each record, or record less."
        )
    if scenario.start * scenario.rate * result.record_bytes[0] >= result.verdict.ring_bytes:
        return (
            f"Records are lost in the {scenario.start:g} s before the reader first looks: enable the events last, or "
            f"give each ring {_pages_for(result, scenario.start)} pages."
        )
    late = scenario.delay if scenario.period is None else scenario.period
    text = f"Records are lost before the reader comes to drain: give each ring {_pages_for(result, late)} pages"
    lower = result.verdict.largest_safe - _arriving(result, late)
    if scenario.period is None and 0 < lower < result.verdict.kernel_watermark:
        text += f", or lower the watermark to {lower} bytes so that the reader is woken earlier"
    return text + "."


def _arriving(result: Result, seconds: float) -> int:
    """Bytes that come into a ring while its reader does not."""
    scenario = result.scenario
    records = max(seconds * scenario.rate, scenario.burst or 1)
    return ceil(records * _WORK_TOO * result.record_bytes[1])


def _pages_for(result: Result, seconds: float) -> int:
    """A power of two, and more than there are."""
    needed = result.verdict.kernel_watermark + _arriving(result, seconds)
    return power_of_two_pages(max(needed, result.verdict.ring_bytes) + 1, result.scenario.page_size)


def _about_waiting(result: Result) -> Iterator[str]:
    scenario, verdict = result.scenario, result.verdict
    waits = scenario.latency is None and scenario.period is None
    low = result.highest_fill <= verdict.kernel_watermark
    if waits and low and not result.stalled and result.worst is not None and result.worst.at_least:
        yield (
            f"No ring was ever filled to its watermark in {scenario.duration:g} s: lower it, or bound the wait by a "
            "latency, for a record below the watermark waits as long as nothing follows."
        )
    elif waits and not result.stalled and _rests_between_bursts(result):
        yield (
            "Between two bursts the end of a burst lies below the watermark and waits: a latency bound (latency = "
            "'10ms', with_max_latency(0.01)) delivers it."
        )
    if result.wakes_per_second > MANY_WAKEUPS * scenario.cpus and not result.stalled:
        raised = min(verdict.kernel_watermark * _WORTH_IT, verdict.largest_safe)
        if raised > verdict.kernel_watermark:
            fewer = result.wakes_per_second * verdict.kernel_watermark / raised
            yield f"A watermark of {raised} bytes would wake the reader some {fewer:,.0f} times per second."


def _rests_between_bursts(result: Result) -> bool:
    """Some records wait for the next burst."""
    scenario = result.scenario
    return (
        scenario.burst is not None and result.p99 is not None and result.p99.ns > scenario.burst / scenario.rate * 5e8
    )
