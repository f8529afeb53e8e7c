"""One ring as a plotly figure: plain dictionaries, which plotly.js draws in the browser.

Up to four panels share one axis of time::

    Bytes in the ring       ── ring size      ▲ woken     ✖ lost, above the line that says why
                            -- watermark      ·· where the next wake is due: wakeup + watermark - tail
    The last N bytes        the same, enlarged, when the watermark is so near the size that one cannot tell them apart
    Events                  a lane each for lost, spurious, woken, drained: told apart by place and shape, not by colour
    Latency                 of each record, on a logarithmic scale when the values are far apart

Colours are names here, ``"@wake"``: the page knows what they are in the light and in the dark, and changes them without
drawing anew. No text of a user is in a figure, for plotly takes texts as a kind of HTML.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from perfring.picture.thinning import marks, thin_fills, thin_latencies
from perfring.picture.words import short_size, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.picture.thinning import Mark
    from perfring.timeline import Fill, RingTimeline

__all__ = ["LANES", "figure", "panels"]

_Trace = dict[str, Any]

LANES: Final = ("drained", "woken", "spurious", "lost")
"""The lanes of the panel of events, from the bottom up."""

_SYMBOLS: Final = {"drained": "triangle-down", "woken": "triangle-up", "spurious": "diamond-open", "lost": "x"}
_COLORS: Final = {"drained": "@drain", "woken": "@wake", "spurious": "@spurious", "lost": "@lost"}
_HEADROOM: Final = 1.14  # above the ring's size there must be room for losses and a label
_GAP: Final = 40  # pixels between two panels: the title of the lower one
_TOP: Final = 30
_BOTTOM: Final = 46
_TIME_UNITS: Final = (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000), ("ns", 1))


@dataclass(frozen=True, slots=True)
class _Panel:
    """A panel: its title, its height in pixels and what plotly calls its axis."""

    name: str
    title: str
    height: int
    axis: str


@dataclass(frozen=True, slots=True)
class _Time:
    """Nanoseconds as numbers of a unit that suits the whole run."""

    unit: str
    scale: int

    @classmethod
    def of(cls, duration_ns: int) -> _Time:
        return cls(*next(((unit, scale) for unit, scale in _TIME_UNITS if duration_ns >= 2 * scale), _TIME_UNITS[-1]))

    def __call__(self, at_ns: int) -> float:
        return at_ns / self.scale

    @property
    def hover(self) -> str:
        return f"%{{x:,.7~r}} {self.unit}"


def figure(ring: RingTimeline, duration_ns: int) -> dict[str, Any]:
    """The data and the layout of the picture of one ring.

    Args:
        ring: what happened to it.
        duration_ns: where the axis of time ends.
    """
    time, shown = _Time.of(duration_ns), panels(ring)
    by_name = {panel.name: panel for panel in shown}
    data = _fill_traces(ring, duration_ns, time, "y")
    if "top" in by_name:
        data += _enlarged(_fill_traces(ring, duration_ns, time, by_name["top"].axis))
    data += _lane_traces(ring, time, by_name["events"].axis)
    if "latency" in by_name:
        data.append(_latency_trace(ring, time, by_name["latency"].axis))
    return {"data": data, "layout": _layout(ring, duration_ns, time, shown)}


def panels(ring: RingTimeline) -> list[_Panel]:
    """The panels that this ring needs, from the top down."""
    wanted = [("fill", "Bytes in the ring", 220)]
    if _is_near(ring):
        wanted.append(("top", f"Enlarged: the last {_near_bytes(ring)} bytes of the ring", 120))
    wanted.append(("events", "What happened", 104))
    if ring.latencies:
        wanted.append(("latency", "Latency: how long a record written then had to wait", 140))
    return [_Panel(*panel, "y" if not index else f"y{index + 1}") for index, panel in enumerate(wanted)]


def _is_near(ring: RingTimeline) -> bool:
    """Whether the watermark is so near the size of the ring that the two lines would be one."""
    return ring.ring_bytes - ring.watermark <= ring.ring_bytes // 16


def _near_bytes(ring: RingTimeline) -> int:
    return min(max(192, 4 * (ring.ring_bytes - ring.watermark), ring.ring_bytes // 128), ring.ring_bytes // 2)


# The fill ---------------------------------------------------------------------------------------------------------


def _fill_traces(ring: RingTimeline, duration_ns: int, time: _Time, axis: str) -> list[_Trace]:
    fills = thin_fills(ring.fills)
    fills.append(fills[-1]._replace(at_ns=max(duration_ns, fills[-1].at_ns)))
    traces = [_band(ring, duration_ns, time, axis)] if ring.stalled else []
    traces += [
        _level("ring size", ring.ring_bytes, "@ring", "solid", duration_ns, time, axis),
        _level("watermark", ring.watermark, "@watermark", "dash", duration_ns, time, axis),
    ]
    if fills[0].wakeup is not None:
        traces.append(_next_wake(ring, fills, time, axis))
    return [*traces, _fill_line(ring, fills, time, axis), *_points(ring, time, axis)]


def _fill_line(ring: RingTimeline, fills: Sequence[Fill], time: _Time, axis: str) -> _Trace:
    return {
        "name": "fill",
        "type": "scatter",
        "mode": "lines",
        "line": {"shape": "hv", "width": 1.6, "color": "@fill"},
        "fill": "tozeroy",
        "fillcolor": "@fillarea",
        "x": [time(fill.at_ns) for fill in fills],
        "y": [fill.used for fill in fills],
        "customdata": [[fill.head, fill.tail, _to_next_wake(ring, fill)] for fill in fills],
        "hovertemplate": (
            f"{time.hover}<br>used %{{y:,}} of {ring.ring_bytes:,} bytes<br>head %{{customdata[0]:,}}"
            "<br>tail %{customdata[1]:,}<br>next wake %{customdata[2]}<extra></extra>"
        ),
        "yaxis": axis,
    }


def _to_next_wake(ring: RingTimeline, fill: Fill) -> str:
    """The wake comes with the record that brings head beyond wakeup + watermark, strictly (K7)."""
    if fill.wakeup is None:
        return "not told by this kernel"
    missing = fill.wakeup + ring.watermark + 1 - fill.head
    return f"in {missing:,} bytes" if missing > 0 else "with the next record"


def _next_wake(ring: RingTimeline, fills: Sequence[Fill], time: _Time, axis: str) -> _Trace:
    return {
        "name": "next wake",
        "type": "scatter",
        "mode": "lines",
        "line": {"shape": "hv", "width": 1.4, "color": "@cursor", "dash": "dot"},
        "x": [time(fill.at_ns) for fill in fills],
        "y": [(fill.wakeup or 0) + ring.watermark - fill.tail for fill in fills],
        "hoverinfo": "skip",
        "yaxis": axis,
    }


def _level(name: str, level: int, color: str, dash: str, duration_ns: int, time: _Time, axis: str) -> _Trace:
    return {
        "name": name,
        "type": "scatter",
        "mode": "lines",
        "line": {"width": 1.4, "color": color, "dash": dash},
        "x": [0, time(duration_ns)],
        "y": [level, level],
        "hoverinfo": "skip",
        "yaxis": axis,
    }


def _band(ring: RingTimeline, duration_ns: int, time: _Time, axis: str) -> _Trace:
    """The time in which nobody wakes the reader: hatched, so that it is no matter of colour."""
    start, end = time(ring.silent_since_ns or 0), time(duration_ns)
    top = ring.ring_bytes * _HEADROOM
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


def _points(ring: RingTimeline, time: _Time, axis: str) -> list[_Trace]:
    """On the line of the fill: where the reader was woken, and, above the ring's size, what found no room."""
    woken = marks([wake for wake in ring.wakes if not wake.spurious])
    starts = [fill.at_ns for fill in ring.fills]
    levels = [_fullest_at(ring, starts, mark.first_ns) for mark in woken]
    lost = marks(ring.losses)
    traces = [
        _marked(
            "woken",
            woken,
            levels,
            time,
            axis,
            [_woken(mark, level) for mark, level in zip(woken, levels, strict=True)],
            width=8,
        ),
        _marked(
            "lost", lost, [ring.ring_bytes * 1.05] * len(lost), time, axis, [_lost(mark) for mark in lost], width=11
        ),
    ]
    return [trace for trace in traces if trace["x"]]


def _fullest_at(ring: RingTimeline, starts: Sequence[int], at_ns: int) -> int:
    """The fill that a wake saw: the one before the drain, which virtual time may put at the same moment."""
    low, high = bisect_left(starts, at_ns), bisect_right(starts, at_ns)
    return max(fill.used for fill in ring.fills[max(low - 1, 0) : max(high, 1)])


def _enlarged(traces: list[_Trace]) -> list[_Trace]:
    """For the panel that shows the top of the ring: an area down to 0 has no meaning there."""
    return [
        trace | {"fill": "none"} if trace["name"] == "fill" else trace for trace in traces if trace["name"] != "lost"
    ]


# The lanes --------------------------------------------------------------------------------------------------------


def _lane_traces(ring: RingTimeline, time: _Time, axis: str) -> list[_Trace]:
    lanes = {
        "drained": marks(ring.drains),
        "woken": marks([wake for wake in ring.wakes if not wake.spurious]),
        "spurious": marks([wake for wake in ring.wakes if wake.spurious]),
        "lost": marks(ring.losses),
    }
    texts = {"drained": _drained, "woken": _woken, "spurious": _spurious, "lost": _lost}
    return [
        _marked(lane, found, [lane] * len(found), time, axis, [texts[lane](mark) for mark in found], width=9)
        for lane, found in lanes.items()
        if found
    ]


def _marked(
    lane: str, found: Sequence[Mark], y: Sequence[Any], time: _Time, axis: str, texts: list[str], *, width: int
) -> _Trace:
    return {
        "name": lane,
        "type": "scatter",
        "mode": "markers",
        "marker": {
            "symbol": _SYMBOLS[lane],
            "size": width,
            "color": _COLORS[lane],
            "line": {
                "width": 1.6 if lane == "spurious" else 0.6,
                "color": _COLORS[lane] if lane == "spurious" else "@paper",
            },
        },
        "cliponaxis": False,
        "x": [time(mark.first_ns) for mark in found],
        "y": list(y),
        "text": texts,
        "hovertemplate": f"{time.hover}<br>%{{text}}<extra></extra>",
        "yaxis": axis,
    }


def _times(mark: Mark) -> str:
    return "" if mark.events == 1 else f"{mark.events:,} times within {mark.last_ns - mark.first_ns:,} ns: "


def _woken(mark: Mark, level: int | None = None) -> str:
    return f"{_times(mark)}woken" + (f" at {size(level)}" if level is not None else "")


def _spurious(mark: Mark) -> str:
    return f"{_times(mark)}woken, but the ring was empty"


def _drained(mark: Mark) -> str:
    return f"{_times(mark)}drained {mark.records:,} records, {size(mark.bytes)}"


def _lost(mark: Mark) -> str:
    return f"{_times(mark)}lost {mark.records:,} records: no room"


# The latency ------------------------------------------------------------------------------------------------------


def _latency_trace(ring: RingTimeline, time: _Time, axis: str) -> _Trace:
    written = sorted(latency._replace(at_ns=latency.at_ns - latency.ns) for latency in ring.latencies)
    shown = thin_latencies(written)
    floor = _smallest(ring) / 2_000 if _is_wide(ring) else 0
    return {
        "name": "latency",
        "type": "scatter",
        "mode": "markers",
        "marker": {"symbol": "circle", "size": 4, "color": "@latency"},
        "x": [time(latency.at_ns) for latency in shown],
        # A logarithmic axis has no place for 0: such a record is drawn at the bottom, and its hover tells the truth.
        "y": [max(latency.ns / 1_000, floor) for latency in shown],
        "customdata": [latency.ns for latency in shown],
        "hovertemplate": f"written at {time.hover}<br>waited %{{customdata:,}} ns<extra></extra>",
        "yaxis": axis,
    }


def _smallest(ring: RingTimeline) -> int:
    return min((latency.ns for latency in ring.latencies if latency.ns > 0), default=1)


def _is_wide(ring: RingTimeline) -> bool:
    return max(latency.ns for latency in ring.latencies) >= 100 * _smallest(ring)


# The layout -------------------------------------------------------------------------------------------------------


def _layout(ring: RingTimeline, duration_ns: int, time: _Time, shown: list[_Panel]) -> dict[str, Any]:
    inner = sum(panel.height for panel in shown) + _GAP * (len(shown) - 1)
    layout: dict[str, Any] = {
        "height": inner + _TOP + _BOTTOM,
        "margin": {"t": _TOP, "b": _BOTTOM, "l": 66, "r": 14},
        "paper_bgcolor": "@paper",
        "plot_bgcolor": "@plot",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "@ink"},
        "showlegend": False,
        "hovermode": "closest",
        "hoverdistance": 40,
        "hoverlabel": {"bgcolor": "@paper", "bordercolor": "@ink", "font": {"color": "@ink"}, "align": "left"},
        "xaxis": _axis(
            anchor=shown[-1].axis, title={"text": f"time ({time.unit})", "standoff": 6}, exponentformat="none"
        )
        | {"range": [-0.01 * time(duration_ns), 1.01 * time(duration_ns) or 1]},
        "annotations": [],
    }
    top = inner
    for panel in shown:
        domain = [(top - panel.height) / inner, top / inner]
        layout[panel.axis.replace("y", "yaxis")] = _axis(domain=domain, **_AXES[panel.name](ring))
        layout["annotations"].append(_title(panel, domain[1]))
        top -= panel.height + _GAP
    layout["annotations"] += _labels(ring, duration_ns, time, shown)
    layout["shapes"] = _moment(ring, time)
    return layout


def _axis(**more: Any) -> dict[str, Any]:
    return {
        "gridcolor": "@grid",
        "linecolor": "@axis",
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "tickcolor": "@axis",
        **more,
    }


def _fill_axis(ring: RingTimeline) -> dict[str, Any]:
    quarters = [ring.ring_bytes * quarter // 4 for quarter in range(5)]
    return {
        "range": [0, ring.ring_bytes * _HEADROOM],
        "tickvals": quarters,
        "ticktext": [short_size(q) for q in quarters],
    }


def _top_axis(ring: RingTimeline) -> dict[str, Any]:
    near = _near_bytes(ring)
    return {"range": [ring.ring_bytes - near, ring.ring_bytes + near // 6], "nticks": 6, "tickformat": ",d"}


def _lane_axis(_: RingTimeline) -> dict[str, Any]:
    return {
        "type": "category",
        "categoryarray": list(LANES),
        "categoryorder": "array",
        "range": [-0.6, 3.6],
        "tickvals": list(LANES),
    }


def _latency_axis(ring: RingTimeline) -> dict[str, Any]:
    if _is_wide(ring):
        return {"type": "log", "ticksuffix": " µs", "exponentformat": "none", "dtick": 1}
    return {"rangemode": "tozero", "ticksuffix": " µs", "exponentformat": "none", "nticks": 5}


_AXES: Final = {"fill": _fill_axis, "top": _top_axis, "events": _lane_axis, "latency": _latency_axis}


def _title(panel: _Panel, top: float) -> dict[str, Any]:
    at = {"x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom"}
    return {
        **at,
        "text": f"<b>{panel.title}</b>",
        "showarrow": False,
        "yshift": 4,
        "font": {"size": 12.5, "color": "@ink"},
    }


def _labels(ring: RingTimeline, duration_ns: int, time: _Time, shown: list[_Panel]) -> list[dict[str, Any]]:
    """The names of the lines, on the lines: in the enlarged panel where there is one, for there they are apart."""
    axis = next((panel.axis for panel in shown if panel.name == "top"), "y")
    end = {"x": time(duration_ns), "xanchor": "right", "yref": axis, "showarrow": False}
    labels = [
        {
            **end,
            "y": ring.ring_bytes,
            "yanchor": "bottom",
            "text": f"ring {ring.ring_bytes:,}",
            "font": {"color": "@ring", "size": 11},
        },
        {
            **end,
            "y": ring.watermark,
            "yanchor": "top",
            "text": f"watermark {ring.watermark:,}",
            "font": {"color": "@watermark", "size": 11},
        },
    ]
    for label in labels:
        label["bgcolor"] = "@label"
    return labels


def _moment(ring: RingTimeline, time: _Time) -> list[dict[str, Any]]:
    if ring.silent_since_ns is None:
        return []
    at = time(ring.silent_since_ns)
    return [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": at,
            "x1": at,
            "y0": 0,
            "y1": 1,
            "line": {"color": "@lost", "width": 2, "dash": "longdash"},
            "label": {
                "text": "from here on nobody wakes",
                "textposition": "end",
                "textangle": 0,
                "font": {"color": "@lost", "size": 12},
            },
        }
    ]
