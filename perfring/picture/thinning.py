"""Fewer points for the same picture: a run of a million records is not drawn as a million points.

Time is cut into equal slots, and of each slot the picture keeps what it would be wrong without:

* of fills the first and the last, the lowest and the highest, so that no peak gets lower, and no drain shallower;
* of wakes, drains and losses everything: those of one slot become one mark that says how many they are;
* of latencies the shortest, the one in the middle and the longest;
* of the levels at which the next wake is due those that hold for a slot. Between a wake and the drain behind it that
  level is a whole watermark higher: no longer than a line is wide, that would be a needle at each wake.

Every point that is kept is one that was measured, at its own time. What has no more points
than the limit is kept whole.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from perfring.timeline import Drain, Fill, Latency, Loss, Wake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "FILLS",
    "LATENCIES",
    "LEVELS",
    "MARKS",
    "Level",
    "Mark",
    "marks",
    "thin_fills",
    "thin_latencies",
    "thin_levels",
]

_Event = TypeVar("_Event", Fill, Latency, Wake | Drain | Loss, "Level")

FILLS: Final = 4000
"""Points of a line of fills, at most."""
MARKS: Final = 1000
"""Marks of one kind for one ring, at most: more than a screen has columns for."""
LATENCIES: Final = 1500
"""Points of latencies for one ring, at most."""
LEVELS: Final = 1000
"""Points of the line of the next wake, at most."""


class Level(NamedTuple):
    """How full a ring has to get for the next wake, from a moment on, and for how long."""

    at_ns: int
    bytes: int
    holds_ns: int


class Mark(NamedTuple):
    """Events of one kind that are drawn as one.

    Attributes:
        first_ns: when the first of them was.
        last_ns: when the last of them was; often the same.
        events: how many they are.
        records: records lost or drained by all of them, 0 for wakes.
        bytes: drained by all of them, else 0.
    """

    first_ns: int
    last_ns: int
    events: int
    records: int = 0
    bytes: int = 0


def thin_fills(fills: Sequence[Fill], *, limit: int = FILLS) -> list[Fill]:
    """At most so many fills, in order, with the first, the last, and every extreme that a picture could show."""
    if len(fills) <= limit:
        return list(fills)
    kept: list[Fill] = []
    for slot in _slots(fills, limit // 4):
        used = [fill.used for fill in slot]
        chosen = {0, len(slot) - 1, used.index(min(used)), used.index(max(used))}
        kept += [slot[index] for index in sorted(chosen)]
    return kept


def thin_latencies(latencies: Sequence[Latency], *, limit: int = LATENCIES) -> list[Latency]:
    """At most so many latencies, in order: of each slot the shortest, the middle one and the longest."""
    if len(latencies) <= limit:
        return list(latencies)
    kept: list[Latency] = []
    for slot in _slots(latencies, limit // 3):
        ranked = sorted(range(len(slot)), key=lambda index: slot[index].ns)
        chosen = {ranked[0], ranked[len(ranked) // 2], ranked[-1]}
        kept += [slot[index] for index in sorted(chosen)]
    return kept


def thin_levels(levels: Sequence[Level], *, limit: int = LEVELS) -> list[Level]:
    """Those that hold for a slot and more, and the longest of those that only do together; the last is kept."""
    if len(levels) < 2:
        return list(levels)
    slot = max((levels[-1].at_ns - levels[0].at_ns) // limit, 1)
    kept: list[Level] = []
    short: list[Level] = []
    for level in levels[:-1]:
        short.append(level)
        if level.holds_ns >= slot or level.at_ns + level.holds_ns - short[0].at_ns >= slot:
            kept.append(max(short, key=lambda each: each.holds_ns))
            short = []
    return [*kept, levels[-1]]


def marks(events: Sequence[Wake | Drain | Loss], *, limit: int = MARKS) -> list[Mark]:
    """One mark for each event, or, where they are more than the limit, one for all that share a slot."""
    if len(events) <= limit:
        return [_mark([event]) for event in events]
    return [_mark(slot) for slot in _slots(events, limit)]


def _mark(events: Sequence[Wake | Drain | Loss]) -> Mark:
    records = sum(getattr(event, "records", 0) for event in events)
    return Mark(events[0].at_ns, events[-1].at_ns, len(events), records, sum(getattr(e, "bytes", 0) for e in events))


def _slots(items: Sequence[_Event], count: int) -> Iterator[list[_Event]]:
    """The items of each of so many equal spans of time, without the empty ones."""
    start = items[0].at_ns
    span = items[-1].at_ns - start + 1
    for _, group in groupby(items, key=lambda item: (item.at_ns - start) * count // span):
        yield list(group)
