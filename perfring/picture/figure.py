"""One ring as a plotly figure: plain dictionaries, which plotly.js draws in the browser.

Up to four panels share one axis of time::

    Bytes in the ring    ── size of the ring    ▲ woken    ✖ lost, above the line that says why
                         -- watermark           ·· where the next wake is due: wakeup + watermark - tail
    Its last N bytes     the same enlarged, where watermark and size are so near each other that they look like one
    What happened        a lane each for lost, spurious, woken, drained: told apart by place and shape
    Latency              of each record, on a logarithmic axis where they are far apart

Colours are names here, ``"@wake"``: the page knows what they are in the light and in the dark. No text of a user is in
a figure, for plotly takes texts as a kind of HTML.
"""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perfring.picture.traces import HEADROOM, LANES, TimeAxis, Traces, is_wide, smallest_ns
from perfring.picture.words import duration, short_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.timeline import RingTimeline

__all__ = ["figure"]

_GAP: Final = 40  # pixels between two panels: the title of the lower one
_TOP: Final = 30
_BOTTOM: Final = 46


class _Panel(NamedTuple):
    """A panel: what it shows, its height in pixels and what plotly calls its axis."""

    name: str
    title: str
    height: int
    axis: str


def figure(ring: RingTimeline, duration_ns: int) -> dict[str, Any]:
    """The data and the layout of the picture of one ring.

    Args:
        ring: what happened to it.
        duration_ns: where the axis of time ends.
    """
    time, panels = TimeAxis(duration_ns), _panels(ring)
    traces = Traces(ring, time, duration_ns)
    axes = {panel.name: panel.axis for panel in panels}
    data = traces.fill(axes["fill"])
    if "top" in axes:
        data += traces.enlarged(axes["top"])
    data += traces.lanes(axes["events"])
    if "latency" in axes:
        data.append(traces.latency(axes["latency"]))
    return {"data": data, "layout": _layout(ring, time, panels)}


def _panels(ring: RingTimeline) -> list[_Panel]:
    """The panels that this ring needs, from the top down."""
    wanted = [("fill", "Bytes in the ring", 220)]
    if ring.ring_bytes - ring.watermark <= ring.ring_bytes // 16:
        wanted.append(("top", f"Its last {_last_bytes(ring)} bytes, enlarged", 120))
    wanted.append(("events", "What happened", 104))
    if ring.latencies:
        wanted.append(("latency", "Latency, by when a record was written", 140))
    return [_Panel(*panel, f"y{number}" if number > 1 else "y") for number, panel in enumerate(wanted, 1)]


def _last_bytes(ring: RingTimeline) -> int:
    """How much of the ring is enlarged: enough for several records and the whole way to the watermark."""
    return min(max(192, 4 * (ring.ring_bytes - ring.watermark), ring.ring_bytes // 128), ring.ring_bytes // 2)


def _layout(ring: RingTimeline, time: TimeAxis, panels: Sequence[_Panel]) -> dict[str, Any]:
    inner = sum(panel.height for panel in panels) + _GAP * (len(panels) - 1)
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
        "xaxis": _time_axis(time, panels[-1].axis),
        "annotations": _line_names(ring, time, panels),
    }
    top = inner
    for panel in panels:
        domain = [(top - panel.height) / inner, top / inner]
        layout[panel.axis.replace("y", "yaxis")] = _axis(domain=domain, **_AXES[panel.name](ring))
        layout["annotations"].append(_title(panel, domain[1]))
        top -= panel.height + _GAP
    return layout | _moment(ring, time, layout["annotations"], panels)


def _axis(**more: Any) -> dict[str, Any]:
    look = {"gridcolor": "@grid", "linecolor": "@axis", "tickcolor": "@axis", "ticks": "outside"}
    return {**look, "zeroline": False, "showline": True, **more}


def _time_axis(time: TimeAxis, anchor: str) -> dict[str, Any]:
    title = {"text": f"time ({time.unit})", "standoff": 6}
    ends = [-0.01 * time.end, 1.01 * time.end or 1]
    return _axis(anchor=anchor, title=title, range=ends, exponentformat="none", nticks=8)


def _fill_axis(ring: RingTimeline) -> dict[str, Any]:
    quarters = [ring.ring_bytes * quarter // 4 for quarter in range(5)]
    names = [short_size(quarter) for quarter in quarters]
    return {"range": [0, ring.ring_bytes * HEADROOM], "tickvals": quarters, "ticktext": names}


def _top_axis(ring: RingTimeline) -> dict[str, Any]:
    last = _last_bytes(ring)
    return {"range": [ring.ring_bytes - last, ring.ring_bytes + last // 6], "nticks": 6, "tickformat": ",d"}


def _lane_axis(_: RingTimeline) -> dict[str, Any]:
    lanes = list(LANES)
    return {"type": "category", "categoryarray": lanes, "tickvals": lanes, "range": [-0.6, len(lanes) - 0.4]}


def _latency_axis(ring: RingTimeline) -> dict[str, Any]:
    longest = max(latency.ns for latency in ring.latencies)
    if not is_wide(ring):
        steps = _steps(longest)
        return {"range": [0, longest * 1.08 or 1], "tickvals": steps, "ticktext": [duration(step) for step in steps]}
    low, high = floor(log10(smallest_ns(ring) / 2)), log10(longest) + 0.1
    decades = [10**power for power in range(max(low, 0), ceil(high), 1 if high - low <= 5 else 2)]
    names = [duration(decade) for decade in decades]
    return {"type": "log", "range": [log10(smallest_ns(ring) / 2) - 0.1, high], "tickvals": decades, "ticktext": names}


def _steps(longest_ns: int) -> list[int]:
    """Three to six round numbers from 0 up to that."""
    power = 10 ** max(floor(log10(max(longest_ns, 1))), 0)
    step = next((part for part in (power // 5, power // 2, power, 2 * power) if part and longest_ns <= 5 * part), power)
    return list(range(0, longest_ns + 1, step))


_AXES: Final = {"fill": _fill_axis, "top": _top_axis, "events": _lane_axis, "latency": _latency_axis}


def _title(panel: _Panel, top: float) -> dict[str, Any]:
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom", "yshift": 4}
    return {**place, "text": f"<b>{panel.title}</b>", "showarrow": False, "font": {"size": 12.5, "color": "@ink"}}


def _line_names(ring: RingTimeline, time: TimeAxis, panels: Sequence[_Panel]) -> list[dict[str, Any]]:
    """The lines say themselves what they are: in the enlarged panel where there is one, for there they are apart."""
    axis = next((panel.axis for panel in panels if panel.name == "top"), "y")
    place = {"x": time.end, "xanchor": "right", "yref": axis, "showarrow": False, "bgcolor": "@label", "borderpad": 1}
    size, watermark = f"ring {ring.ring_bytes:,}", f"watermark {ring.watermark:,}"
    # A watermark of the whole ring is the same line; the wake needs more than either.
    return [
        {**place, "y": ring.ring_bytes, "yanchor": "bottom", "text": size, "font": {"color": "@ring", "size": 11}},
        {
            **place,
            "y": ring.watermark,
            "yanchor": "top",
            "text": watermark,
            "font": {"color": "@watermark", "size": 11},
        },
    ]


def _moment(
    ring: RingTimeline, time: TimeAxis, annotations: list[dict[str, Any]], panels: Sequence[_Panel]
) -> dict[str, Any]:
    """The line at which a ring falls silent, in each panel and not through the titles between them, and its words."""
    if ring.silent_since_ns is None:
        return {}
    at = time.at(ring.silent_since_ns)
    anchor = "left" if at <= time.end / 2 else "right"
    place = {"x": at, "xanchor": anchor, "xshift": 5 if anchor == "left" else -5, "y": ring.ring_bytes / 2, "yref": "y"}
    words = {"text": "<b>from here on<br>nobody wakes</b>", "font": {"color": "@lost", "size": 13}}
    label = {**place, **words, "showarrow": False, "bgcolor": "@paper", "bordercolor": "@lost", "borderpad": 4}
    line = {"color": "@lost", "width": 2, "dash": "longdash"}
    ends = {"xref": "x", "x0": at, "x1": at, "y0": 0, "y1": 1}
    shapes = [{"type": "line", **ends, "yref": f"{panel.axis} domain", "line": line} for panel in panels]
    return {"annotations": [*annotations, label], "shapes": shapes}
