"""The lines and marks of a picture, as plotly's traces.

Each trace goes to the panel whose y axis it is given, and all of them share the axis of time. A trace tells its numbers
when it is hovered over; levels, which are the same everywhere, do not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

from perfring.picture.thinning import Level, marks, thin_fills, thin_latencies, thin_levels
from perfring.picture.words import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.picture.thinning import Mark
    from perfring.timeline import Fill, RingTimeline

__all__ = ["HEADROOM", "LANES", "TimeAxis", "Trace", "Traces", "is_wide", "smallest_ns"]

Trace = dict[str, Any]
"""What plotly draws: its own names, and values that JSON can say."""

LANES: Final = ("drained", "woken", "spurious", "lost")
"""The lanes of the panel of events, from the bottom up."""

HEADROOM: Final = 1.14
"""How high the panel of the fill is, in rings: above the size there must be room for losses and a label."""

_SYMBOLS: Final = {"drained": "triangle-down", "woken": "triangle-up", "spurious": "diamond-open", "lost": "x"}
_COLORS: Final = {"drained": "@drain", "woken": "@wake", "spurious": "@spurious", "lost": "@lost"}
_FEW: Final = 4  # so few marks have room for words
_CROWD: Final = 200  # so many stand too close for all of them to be seen
_TIME_UNITS: Final = (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000), ("ns", 1))


class TimeAxis:
    """Nanoseconds as numbers of a unit that suits the whole run.

    Args:
        duration_ns: of the run.

    Attributes:
        unit: such as ``"ms"``.
        end: where the run ends.
    """

    def __init__(self, duration_ns: int) -> None:
        suits = ((unit, scale) for unit, scale in _TIME_UNITS if duration_ns >= 2 * scale)
        self.unit, self._scale = next(suits, _TIME_UNITS[-1])
        self.end = self.at(duration_ns)

    def at(self, at_ns: int) -> float:
        """Where on the axis that is."""
        return at_ns / self._scale

    @property
    def hover(self) -> str:
        """The time of a point, in plotly's language of templates."""
        return f"%{{x:,.7~r}} {self.unit}"


@dataclass(frozen=True, slots=True)
class Traces:
    """What is drawn of one ring.

    Attributes:
        ring: what happened to it.
        time: the axis.
        duration_ns: of the run.
    """

    ring: RingTimeline
    time: TimeAxis
    duration_ns: int

    def fill(self, axis: str) -> list[Trace]:
        """The bytes in the ring and what they are held against: size, watermark, and where the next wake is due."""
        fills = thin_fills(self.ring.fills)
        fills.append(fills[-1]._replace(at_ns=max(self.duration_ns, fills[-1].at_ns)))
        traces = [self._band(axis)] if self.ring.stalled else []
        traces.append(self._level("ring size", self.ring.ring_bytes, "@ring", "solid", axis))
        traces.append(self._level("watermark", self.ring.watermark, "@watermark", "dash", axis))
        if fills[0].wakeup is not None:
            traces.append(self._next_wake(fills, axis))
        return [*traces, self._line(fills, axis), *self._points(axis)]

    def enlarged(self, axis: str) -> list[Trace]:
        """The same for a panel that shows the top of the ring, where an area down to 0 would mean nothing."""
        traces = (trace for trace in self.fill(axis) if trace["name"] != "lost")
        return [trace | {"fill": "none"} if trace["name"] == "fill" else trace for trace in traces]

    def lanes(self, axis: str) -> list[Trace]:
        """Every event of the ring, a lane for each kind."""
        spurious = [wake for wake in self.ring.wakes if wake.spurious]
        woken = [wake for wake in self.ring.wakes if not wake.spurious]
        lanes = (
            ("drained", marks(self.ring.drains), _drained),
            ("woken", marks(woken), _woken),
            ("spurious", marks(spurious), _spurious),
            ("lost", marks(self.ring.losses), _lost),
        )
        return [
            self._marks(lane, found, [lane] * len(found), [text(mark) for mark in found], axis)
            | self._counts(lane, found)
            for lane, found, text in lanes
            if found
        ]

    def _counts(self, lane: str, found: Sequence[Mark]) -> Trace:
        """A loss of a thousand records and one of a single record are the same mark: where there is room it is told."""
        if lane != "lost" or len(found) > _FEW:
            return {}
        middle = self.duration_ns / 2
        sides = ["middle right" if mark.first_ns < middle else "middle left" for mark in found]
        look = {"textposition": sides, "textfont": {"color": "@lost", "size": 11}}
        return {"mode": "markers+text", "text": [f"{mark.records:,}" for mark in found], **look}

    def latency(self, axis: str) -> Trace:
        """How long each record waited, at the time at which it was written."""
        written = sorted(latency._replace(at_ns=latency.at_ns - latency.ns) for latency in self.ring.latencies)
        shown = thin_latencies(written)
        # A logarithmic axis has no place for 0: such a record is drawn at its bottom, and the hover tells the truth.
        floor = smallest_ns(self.ring) / 2 if is_wide(self.ring) else 0
        return {
            "name": "latency",
            "type": "scatter",
            "mode": "markers",
            "marker": {"symbol": "circle", "size": 4, "color": "@latency"},
            "x": [self.time.at(latency.at_ns) for latency in shown],
            "y": [max(latency.ns, floor) for latency in shown],
            "text": [duration(latency.ns) for latency in shown],
            "hovertemplate": f"written at {self.time.hover}<br>waited %{{text}}<extra></extra>",
            "yaxis": axis,
        }

    def _line(self, fills: Sequence[Fill], axis: str) -> Trace:
        return {
            "name": "fill",
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hv", "width": 1.6 if len(self.ring.drains) <= _CROWD else 0.6, "color": "@fill"},
            "fill": "tozeroy",
            "fillcolor": "@fillarea",
            "x": [self.time.at(fill.at_ns) for fill in fills],
            "y": [fill.used for fill in fills],
            "customdata": [[fill.head, fill.tail, self._missing(fill)] for fill in fills],
            "hovertemplate": (
                f"{self.time.hover}<br>used %{{y:,}} of {self.ring.ring_bytes:,} bytes<br>head %{{customdata[0]:,}}"
                "<br>tail %{customdata[1]:,}<br>next wake %{customdata[2]}<extra></extra>"
            ),
            "yaxis": axis,
        }

    def _missing(self, fill: Fill) -> str:
        """The wake comes with the record that brings head beyond wakeup + watermark, strictly (K7)."""
        if fill.wakeup is None:
            return "not told by this kernel"
        missing = fill.wakeup + self.ring.watermark + 1 - fill.head
        return f"in {counted(missing, 'byte')}" if missing > 0 else "with the next record"

    def _next_wake(self, fills: Sequence[Fill], axis: str) -> Trace:
        levels = thin_levels(self._levels(fills))
        return {
            "name": "next wake",
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hv", "width": 1.4, "color": "@cursor", "dash": "dot"},
            # It leaps up at each wake until the drain: so often that it would hide everything, it goes to the back.
            "opacity": 1 if len(self.ring.wakes) <= _CROWD else 0.45,
            "x": [self.time.at(level.at_ns) for level in levels],
            "y": [level.bytes for level in levels],
            "hoverinfo": "skip",
            "yaxis": axis,
        }

    def _levels(self, fills: Sequence[Fill]) -> list[Level]:
        """Where the next wake is due: from when on, and for how long; at last at the end, for no time."""
        changes = groupby(fills, key=lambda fill: (fill.wakeup or 0) + self.ring.watermark - fill.tail)
        begun = [(next(same).at_ns, due) for due, same in changes] + [(fills[-1].at_ns, 0)]
        levels = [Level(at_ns, due, end - at_ns) for (at_ns, due), (end, _) in pairwise(begun)]
        return [*levels, Level(fills[-1].at_ns, levels[-1].bytes, 0)]

    def _level(self, name: str, level: int, color: str, dash: str, axis: str) -> Trace:
        return {
            "name": name,
            "type": "scatter",
            "mode": "lines",
            "line": {"width": 1.4, "color": color, "dash": dash},
            "x": [0, self.time.end],
            "y": [level, level],
            "hoverinfo": "skip",
            "yaxis": axis,
        }

    def _band(self, axis: str) -> Trace:
        """The time in which nobody wakes the reader: hatched, so that it is no matter of colour."""
        start, end, top = self.time.at(self.ring.silent_since_ns or 0), self.time.end, self.ring.ring_bytes * HEADROOM
        return {
            "name": "stalled",
            "type": "scatter",
            "mode": "lines",
            "line": {"width": 0},
            "fill": "toself",
            "fillcolor": "@bandarea",
            "fillpattern": {"shape": "/", "fgcolor": "@band", "bgcolor": "@bandarea", "size": 9, "solidity": 0.18},
            "x": [start, end, end, start, start],
            "y": [0, 0, top, top, 0],
            "hoverinfo": "skip",
            "yaxis": axis,
        }

    def _points(self, axis: str) -> list[Trace]:
        """On the line of the fill: where the reader was woken, and, above the ring's size, what found no room."""
        woken = marks([wake for wake in self.ring.wakes if not wake.spurious])
        starts = [fill.at_ns for fill in self.ring.fills]
        levels = [self._seen_by_wake(starts, mark.first_ns) for mark in woken]
        texts = [f"{_woken(mark)} at {size(level)}" for mark, level in zip(woken, levels, strict=True)]
        lost = marks(self.ring.losses)
        above = [self.ring.ring_bytes * (1 + HEADROOM) / 2] * len(lost)
        traces = (
            self._marks("woken", woken, levels, texts, axis),
            self._marks("lost", lost, above, [_lost(mark) for mark in lost], axis),
        )
        return [trace for trace in traces if trace["x"]]

    def _seen_by_wake(self, starts: Sequence[int], at_ns: int) -> int:
        """The fill before the drain, which virtual time may put at the same moment as the wake."""
        first, behind = bisect_left(starts, at_ns), bisect_right(starts, at_ns)
        return max(fill.used for fill in self.ring.fills[max(first - 1, 0) : max(behind, 1)])

    def _marks(self, lane: str, found: Sequence[Mark], y: Sequence[object], texts: Sequence[str], axis: str) -> Trace:
        hollow = _SYMBOLS[lane].endswith("-open")
        edge = {"width": 2, "color": _COLORS[lane]} if hollow else {"width": 0.6, "color": "@paper"}
        return {
            "name": lane,
            "type": "scatter",
            "mode": "markers",
            "marker": {
                "symbol": _SYMBOLS[lane],
                "size": 10 if len(found) <= _CROWD else 8,
                "color": _COLORS[lane],
                "line": edge,
            },
            "cliponaxis": False,
            "x": [self.time.at(mark.first_ns) for mark in found],
            "y": list(y),
            "customdata": list(texts),
            "hovertemplate": f"{self.time.hover}<br>%{{customdata}}<extra></extra>",
            "yaxis": axis,
        }


def smallest_ns(ring: RingTimeline) -> int:
    """The shortest latency above 0."""
    return min((latency.ns for latency in ring.latencies if latency.ns > 0), default=1)


def is_wide(ring: RingTimeline) -> bool:
    """Whether the latencies are so far apart that they need a logarithmic axis."""
    return max(latency.ns for latency in ring.latencies) >= 100 * smallest_ns(ring)


def _often(mark: Mark) -> str:
    if mark.events == 1:
        return ""
    return f"{mark.events:,} times within {duration(mark.last_ns - mark.first_ns)}: "


def _woken(mark: Mark) -> str:
    return f"{_often(mark)}woken"


def _spurious(mark: Mark) -> str:
    return f"{_often(mark)}woken for nothing, the ring was empty"


def _drained(mark: Mark) -> str:
    return f"{_often(mark)}drained {counted(mark.records, 'record')}, {size(mark.bytes)}"


def _lost(mark: Mark) -> str:
    return f"{_often(mark)}{counted(mark.records, 'record')} lost, for want of room"
