"""The picture for a terminal: block characters, whose meaning is in place and shape, with or without colour.

::

    a late reader · linux 6.18.44 · 93 records lost
    CPU 0: 4,096 bytes, watermark 2,048
       4 KiB ┤      ▃████▂       ▃████      each column is the fullest moment of its span of time
     W 2,048 ┤╌╌╌╌▃███████╌╌╌╌╌▃███████     the watermark, wherever the fill is lower
           0 ┤▁▃▆█████████▁▃▆██████████
        lost │       ✖✖✖✖       ✖✖✖✖        a lane for each kind of event
       woken │    ▲      ▲    ▲      ▲
     drained │           ▼           ▼
     latency │▇▆▅▄▃▃▂▂▂▁▁▇▆▅▄▃▃▂▂▂▁▁        the longest wait of the records written in that span
             └──────────────────────────
              0                     4 ms
"""

from __future__ import annotations

from math import log
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from perfring.picture.words import VERDICTS, banner, counted, duration, key_numbers, ring_title, short_size, status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfring.timeline import Fill, Latency, RingTimeline, Timeline

__all__ = ["NARROWEST", "terminal"]

NARROWEST: Final = 40
"""The fewest columns that a picture needs."""

_ROWS: Final = 10
_LABELS: Final = 12  # columns to the left of the axis
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_SYMBOLS: Final = {"lost": "✖", "spurious": "◇", "woken": "▲", "drained": "▼", "stalled": "╱"}
_WATERMARK: Final = "╌"
_ANSI: Final = {
    "lost": "31;1",
    "stalled": "31",
    "spurious": "35",
    "woken": "34;1",
    "drained": "32",
    "fill": "36",
    "watermark": "33",
    "latency": "36",
    "title": "1",
}


def terminal(timeline: Timeline, *, width: int, colour: bool = False) -> str:
    """A timeline as lines of text.

    Args:
        timeline: what happened.
        width: columns of the terminal, at least `NARROWEST`; words are broken to fit, the picture fills it.
        colour: with ANSI escape sequences; without, nothing in it is invisible or needs a terminal.

    Raises:
        ValueError: a width below `NARROWEST`.
    """
    if width < NARROWEST:
        raise ValueError(f"width is {width}: a picture needs {NARROWEST} columns at least")
    paint = _Paint(on=colour)
    heading = " · ".join((timeline.title, timeline.kernel, status(timeline)))
    verdict = f"verdict: {timeline.outcome}, {VERDICTS[timeline.outcome]}"
    facts = (f"{name}: {value}" for name, value in timeline.facts.items())
    lines = [paint("title", line) for line in _wrapped(heading, width)]
    lines += [line for text in (verdict, *facts) for line in _wrapped(text, width)]
    for ring in timeline.rings:
        lines += ["", *_ring(ring, timeline.duration_ns, width, paint)]
    return "\n".join(lines) + "\n"


class _Paint:
    """Wraps text into the escape sequence of what it stands for."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def __call__(self, what: str, text: str) -> str:
        return f"\033[{_ANSI[what]}m{text}\033[0m" if self._on and text.strip() else text


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of that width; what a terminal would obey, such as an escape in a title, is spelled out."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return wrap(shown, width) or [""]


def _ring(ring: RingTimeline, duration_ns: int, width: int, paint: _Paint) -> list[str]:
    columns = _Columns(width - _LABELS - 2, max(duration_ns, ring.fills[-1].at_ns, 1))
    lines = [paint("title", line) for line in _wrapped(ring_title(ring), width)]
    if ring.stalled:
        lines += [paint("lost", line) for line in _wrapped(f"STALLED. {banner(ring)}", width)]
    lines += _chart(ring, columns, paint)
    lines += _lanes(ring, columns, paint)
    lines += _axis(columns)
    numbers = [f"{name[0].lower()}{name[1:]} {value}" for name, value in key_numbers(ring).items()]
    return (
        lines + _items(_legend(ring), width) + _items([f"{number} ·" for number in numbers[:-1]] + numbers[-1:], width)
    )


def _items(items: list[str], width: int) -> list[str]:
    """As many to a line as fit; none is broken unless it is longer than a line."""
    glued = " ".join(item.replace(" ", "\xa0") for item in items)
    return [line for text in wrap(glued, width) for line in wrap(text.replace("\xa0", " "), width)]


class _Columns:
    """Equal spans of time, one for each column."""

    def __init__(self, count: int, duration_ns: int) -> None:
        self.count = count
        self.duration_ns = duration_ns

    def of(self, at_ns: int) -> int:
        return min(max(at_ns, 0) * self.count // (self.duration_ns + 1), self.count - 1)

    def marks(self, times: Iterable[int], symbol: str) -> str:
        hit = {self.of(at_ns) for at_ns in times}
        return "".join(symbol if column in hit else " " for column in range(self.count))

    def fullest(self, fills: Sequence[Fill]) -> list[int]:
        """The highest fill of each span, the one that it begins with among them."""
        highest = [-1] * self.count
        for fill in fills:
            column = self.of(fill.at_ns)
            highest[column] = max(highest[column], fill.used)
        return self._carried(fills, highest)

    def _carried(self, fills: Sequence[Fill], highest: list[int]) -> list[int]:
        """A fill holds until the next one: what a span ends with is what the next begins with."""
        ends = {self.of(fill.at_ns): fill.used for fill in fills}
        level = fills[0].used
        for column, found in enumerate(highest):
            # A drain in this span begins from the level before it, which that level is.
            highest[column] = max(found, level)
            level = ends.get(column, level)
        return highest

    def longest(self, latencies: Sequence[Latency]) -> list[int]:
        """The longest wait of the records written in each span, -1 for none."""
        found = [-1] * self.count
        for latency in latencies:
            column = self.of(latency.at_ns - latency.ns)
            found[column] = max(found[column], latency.ns)
        return found


def _chart(ring: RingTimeline, columns: _Columns, paint: _Paint) -> list[str]:
    # The fullest ring holds less than its size (K6): any fill shows, and only a full ring reaches the top.
    eighths = [-(-level * _ROWS * 8 // ring.ring_bytes) for level in columns.fullest(ring.fills)]
    silent = columns.count if ring.silent_since_ns is None else columns.of(ring.silent_since_ns)
    marked = min(ring.watermark * _ROWS // ring.ring_bytes, _ROWS - 1)
    lines = []
    for row in reversed(range(_ROWS)):
        cells = []
        for column, level in enumerate(eighths):
            block = _EIGHTHS[min(max(level - row * 8, 0), 8)]
            empty = _WATERMARK if row == marked else _SYMBOLS["stalled"] if column >= silent else " "
            cells.append(block if block != " " else empty)
        lines.append(f"{_level_name(ring, row, marked):>{_LABELS}} ┤" + _painted(cells, paint))
    return lines


def _painted(cells: list[str], paint: _Paint) -> str:
    from itertools import groupby

    kinds = {_WATERMARK: "watermark", _SYMBOLS["stalled"]: "stalled"}
    runs = groupby(cells, key=lambda cell: kinds.get(cell, "fill"))
    return "".join(paint(kind, "".join(run)) for kind, run in runs)


def _level_name(ring: RingTimeline, row: int, marked: int) -> str:
    if row == marked:
        return f"W {ring.watermark:,}"
    if row == _ROWS - 1:
        return short_size(ring.ring_bytes)
    return "0" if row == 0 else ""


def _lanes(ring: RingTimeline, columns: _Columns, paint: _Paint) -> list[str]:
    times = {
        "lost": [loss.at_ns for loss in ring.losses],
        "spurious": [wake.at_ns for wake in ring.wakes if wake.spurious],
        "woken": [wake.at_ns for wake in ring.wakes if not wake.spurious],
        "drained": [drain.at_ns for drain in ring.drains],
    }
    lanes = {lane: columns.marks(found, _SYMBOLS[lane]) for lane, found in times.items() if found or lane == "woken"}
    if ring.silent_since_ns is not None:
        silent = columns.of(ring.silent_since_ns)
        lanes["stalled"] = " " * silent + _SYMBOLS["stalled"] * (columns.count - silent)
    if ring.latencies:
        lanes["latency"] = _waits(columns.longest(ring.latencies))
    return [f"{lane:>{_LABELS}} │{paint(lane, text)}" for lane, text in lanes.items()]


def _waits(longest: list[int]) -> str:
    """Taller is longer: by the logarithm where the waits are far apart."""
    waits = [max(ns, 1) for ns in longest if ns >= 0]
    low, high = min(waits), max(waits)
    wide = high >= 100 * low

    def tall(ns: int) -> float:
        return log(max(ns, 1) / low) / log(high / low) if wide else ns / high

    return "".join(" " if ns < 0 else _EIGHTHS[1 + round(7 * tall(ns))] for ns in longest)


def _axis(columns: _Columns) -> list[str]:
    end = duration(columns.duration_ns)
    margin = " " * _LABELS
    return [f"{margin} └{'─' * columns.count}", f"{margin}  0{end:>{columns.count - 1}}"]


def _legend(ring: RingTimeline) -> list[str]:
    spurious = sum(wake.spurious for wake in ring.wakes)
    parts = [
        "█ fullest fill",
        f"{_WATERMARK} W: watermark",
        f"{_SYMBOLS['woken']} woken {len(ring.wakes) - spurious:,}×",
        f"{_SYMBOLS['drained']} drained {len(ring.drains):,}×",
    ]
    if spurious:
        parts.append(f"{_SYMBOLS['spurious']} woken for nothing {spurious:,}×")
    if ring.losses:
        parts.append(f"{_SYMBOLS['lost']} {counted(ring.lost, 'record')} lost")
    if ring.stalled:
        parts.append(f"{_SYMBOLS['stalled']} nobody wakes")
    return [f"{part} " for part in parts]
