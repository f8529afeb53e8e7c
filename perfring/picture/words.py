"""What a picture says in words: numbers as people read them, and the sentences above and beside the picture."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from perfring.geometry import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.timeline import RingTimeline, Timeline

__all__ = [
    "VERDICTS",
    "banner",
    "counted",
    "duration",
    "key_numbers",
    "percentile",
    "ring_title",
    "short_size",
    "size",
    "status",
]

VERDICTS: Final = {
    Outcome.LIVE: "no stream of such records can leave a waiting reader asleep",
    Outcome.DEPENDS: "some streams wake a waiting reader; others do not, or not after a loss",
    Outcome.STALLS: "no stream of such records ever wakes a waiting reader",
}
"""What `watermark_verdict` means, in a sentence that follows its outcome."""

_UNITS: Final = (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000))


def duration(ns: int) -> str:
    """A time with its unit, to three or four figures: ``"1.235 ms"``."""
    for unit, scale in _UNITS:
        if abs(ns) >= scale:
            return f"{ns / scale:.4g} {unit}"
    return f"{ns} ns"


def size(count: int) -> str:
    """Bytes with their thousands apart: ``"4,096 bytes"``."""
    return counted(count, "byte")


def short_size(count: int) -> str:
    """Bytes in the largest unit that they fill, for an axis: ``"4 KiB"``."""
    for unit, scale in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return f"{count / scale:g} {unit}"
    return f"{count} B" if count else "0"


def counted(count: int, what: str) -> str:
    """A number and what it counts: ``"1 record"``, ``"2,000 records"``."""
    if count == 1:
        return f"1 {what}"
    return f"{count:,} {what[:-1] + 'ies' if what.endswith('y') else what + 's'}"


def percentile(values: Sequence[int], per_cent: float) -> int:
    """The smallest of the values that so many per cent are not above."""
    ranked = sorted(values)
    return ranked[max(ceil(len(ranked) * per_cent / 100), 1) - 1]


def ring_title(ring: RingTimeline) -> str:
    """Whose ring, and what shape it has."""
    owner = f"CPU {ring.cpu}" if ring.cpu >= 0 else "The task's ring"
    return f"{owner}: {size(ring.ring_bytes)}, watermark {ring.watermark:,}"


def status(timeline: Timeline) -> str:
    """What became of it, in two or three words."""
    if timeline.stalled:
        return "stalled"
    if timeline.trouble:
        return timeline.trouble
    lost = sum(ring.lost for ring in timeline.rings)
    return f"{counted(lost, 'record')} lost" if lost else "nothing lost"


def banner(ring: RingTimeline) -> str:
    """What is wrong with a stalled ring, in sentences; empty for one that is not."""
    since = ring.silent_since_ns
    if since is None:
        return ""
    woken = "It was never woken"
    if ring.wakes:
        which = f"The last of {len(ring.wakes):,} wakes" if len(ring.wakes) > 1 else "The only wake"
        woken = f"{which} was at {duration(ring.wakes[-1].at_ns)}"
    used = ring.fills[-1].used
    refused = f", and {counted(ring.lost, 'record')} found no room" if ring.lost else ""
    return (
        f"From {duration(since)} on nobody wakes the reader. {woken}. "
        f"{size(used)} of {ring.ring_bytes:,} wait in the ring{refused}.{_why(ring)}"
    )


def _why(ring: RingTimeline) -> str:
    last = ring.fills[-1]
    if last.wakeup is None:
        return ""
    needed = last.wakeup + ring.watermark - last.tail
    return f" The next wake needs more than {size(needed)} in it (watermark {ring.watermark:,})."


def key_numbers(ring: RingTimeline) -> dict[str, str]:
    """The numbers of a ring, by name: what somebody who sees no picture reads."""
    spurious = sum(wake.spurious for wake in ring.wakes)
    drained = sum(drain.bytes for drain in ring.drains)
    numbers = {
        "Ring": size(ring.ring_bytes),
        "Watermark": size(ring.watermark),
        "Fullest": size(max(fill.used for fill in ring.fills)),
        "Wakes": f"{len(ring.wakes):,}, {spurious:,} of them spurious" if spurious else f"{len(ring.wakes):,}",
        "Drains": f"{len(ring.drains):,}: {counted(sum(d.records for d in ring.drains), 'record')}, {size(drained)}",
        "Records lost": f"{ring.lost:,}" + (f", the first at {duration(ring.losses[0].at_ns)}" if ring.losses else ""),
    }
    if ring.latencies:
        waited = [latency.ns for latency in ring.latencies]
        figures = (percentile(waited, 50), percentile(waited, 99), max(waited))
        numbers["Latency p50, p99, longest"] = ", ".join(map(duration, figures))
    if ring.silent_since_ns is not None:
        numbers["Stalled since"] = duration(ring.silent_since_ns)
    return numbers
