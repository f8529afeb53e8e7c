"""What ``perfring top`` shows: a table of rings, as wide and as high as the screen, and the advice below it."""

from __future__ import annotations

from itertools import accumulate
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import JustifyMethod, RenderableType

    from perfring.advice import Setting
    from perfring.cli._top_meter import Interval, RingInterval

__all__ = ["Screen", "named"]

_BAR: Final = (10, 50)
"""Cells of the bar, least and most."""
_COLUMNS: Final = {
    "cpu": 4,
    "records/s": 9,
    "bytes/s": 7,
    "fill": 0,
    "now": 4,
    "most": 4,
    "wakes/s": 7,
    "spurious": 8,
    "lost/s": 6,
    "lost": 5,
}
"""And their cells; the bar has what is left."""
_DISPENSABLE: Final = ("spurious", "bytes/s", "fill", "wakes/s", "now", "records/s", "most", "lost/s")
"""What goes first where there is no room for all; which ring it is and what it lost stay in any case."""
_FULL: Final = 0.9
_LINES_AROUND: Final = 12
"""Of a screen at least: title, heading, totals, the rings that are left out, advice."""
_LINES_OF_TABLE: Final = 3
"""Heading, totals, the rings that are left out."""
_FEWEST_ROWS: Final = 4
_BESIDE_EVENTS: Final = 38
"""Cells of the title without them: name, seconds, how to leave."""
_MORE: Final = len(" and 9999 more")


class Screen:
    """Draws intervals.

    Args:
        events: their names, for the title; those that there is no room for are counted.
        width: cells in a line.
        height: lines; None for a page that can be as long as it likes.
        ascii_only: the terminal has nothing but ASCII.
    """

    def __init__(self, events: Sequence[str], *, width: int, height: int | None, ascii_only: bool = False) -> None:
        self._what = named(events, max(width - _BESIDE_EVENTS, _BESIDE_EVENTS // 2))
        self._width = width
        self._height = height
        self._columns = _columns_of(width)
        self._bar_cells = min(_BAR[0] + max(width - _cells_of(self._columns), 0), _BAR[1])
        self._now, self._once, self._free, self._mark = "#=.|" if ascii_only else "█▒·│"

    def draw(self, interval: Interval, *, fills: Sequence[int] | None = None, hint: str = "") -> RenderableType:
        """One interval.

        Args:
            interval: the last one that is over.
            fills: what lies in each ring since then, if it is known.
            hint: how to leave.
        """
        now = [ring.fill for ring in interval.rings] if fills is None else fills
        title, advice = self._title(interval, hint), _advice(interval)
        shown = _shown(interval, self._rows_beside(title, advice))
        parts: list[RenderableType] = [title, self._table(interval, shown, now)]
        hidden = len(interval.rings) - len(shown)
        if hidden:
            parts.append(Text(f"and {hidden} more CPUs, which do less", "dim"))
        return Group(*parts, advice)

    def _title(self, interval: Interval, hint: str) -> Text:
        text = Text("perfring top", "bold").append(f"  {self._what}", "not bold")
        text.append(f"  {interval.since_begin:.0f} s", "not bold")
        if "fill" not in self._columns and interval.busy is not None:
            text.append(f"  busy {interval.busy:.0%}", "not bold")
        text.append(f"  {hint}\n" if hint else "\n", "dim not bold")
        return text.append(_how(interval.setting), "dim not bold")

    def _rows_beside(self, *texts: Text) -> int | None:
        """How many rings there is room for; None for any number. A long advice in a narrow window takes many lines."""
        if self._height is None:
            return None
        lines = sum(len(wrap(line, self._width)) for text in texts for line in text.plain.split("\n"))
        return max(self._height - max(lines + _LINES_OF_TABLE, _LINES_AROUND), _FEWEST_ROWS)

    def _table(self, interval: Interval, shown: Sequence[tuple[int, RingInterval]], fills: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for name in self._columns:
            justify: JustifyMethod = "left" if name == "fill" else "right"
            width = self._bar_cells if name == "fill" else None
            table.add_column(name, justify=justify, no_wrap=True, min_width=_COLUMNS[name], width=width)
        for place, ring in shown:
            cells = self._cells(interval, ring, fills[place])
            table.add_row(*(cells[name] for name in self._columns))
        if len(interval.rings) > 1:
            cells = _totals(interval)
            table.add_row(*(cells[name] for name in self._columns), style="bold")
        return table

    def _cells(self, interval: Interval, ring: RingInterval, fill: int) -> dict[str, Text]:
        seconds, size = interval.seconds, interval.setting.ring_bytes
        return {
            "cpu": Text(str(ring.cpu)),
            "records/s": Text(_short(ring.records / seconds)),
            "bytes/s": Text(_short(ring.bytes / seconds)),
            "fill": self._bar(interval.setting, fill, ring.highest_fill),
            "now": Text(_share(fill, size)),
            "most": Text(_share(ring.highest_fill, size), "yellow" if ring.highest_fill >= _FULL * size else ""),
            "wakes/s": Text(_short(ring.wakeups / seconds)),
            "spurious": Text(_share(ring.spurious_wakeups, ring.wakeups)),
            "lost/s": _loss(_short(ring.lost / seconds), ring.lost),
            "lost": _loss(_short(ring.lost_so_far), ring.lost_so_far),
        }

    def _bar(self, setting: Setting, fill: int, highest: int) -> Text:
        """Now, the most so far, and where the watermark is."""
        cells = self._bar_cells
        now, most = (-(-amount * cells // setting.ring_bytes) for amount in (fill, max(highest, fill)))
        text = Text(self._now * now, "cyan").append(self._once * (most - now), "blue")
        text.append(self._free * (cells - most), "dim")
        if setting.watermark is None:
            return text
        at = min(setting.watermark * cells // setting.ring_bytes, cells - 1)
        return Text.assemble(text[:at], (self._mark, "bold"), text[at + 1 :])


def named(events: Sequence[str], cells: int) -> str:
    """As many names as so many cells have room for, the first one at least, and how many more there are."""
    whole = ", ".join(events)
    if len(whole) <= cells:
        return whole
    ends = accumulate(len(name) + 2 for name in events)
    shown = max(sum(end - 2 + _MORE <= cells for end in ends), 1)
    hidden = len(events) - shown
    return ", ".join(events[:shown]) + (f" and {hidden} more" if hidden else "")


def _cells_of(columns: Sequence[str]) -> int:
    """With a bar of the least width, and a blank behind each."""
    return sum(_COLUMNS[name] + 1 for name in columns) + (_BAR[0] if "fill" in columns else 0)


def _columns_of(width: int) -> list[str]:
    """Those that fit, the most important ones."""
    columns = list(_COLUMNS)
    for name in _DISPENSABLE:
        if _cells_of(columns) <= width:
            break
        columns.remove(name)
    return columns


def _shown(interval: Interval, rows: int | None) -> list[tuple[int, RingInterval]]:
    """The rings that there is room for, with their places: those that lose, then the busiest; by CPU."""
    numbered = list(enumerate(interval.rings))
    if rows is None or len(numbered) <= rows:
        return numbered
    busiest = sorted(numbered, key=lambda each: (-each[1].lost_so_far, -each[1].bytes, each[0]))
    return sorted(busiest[:rows])


def _how(setting: Setting) -> str:
    """One line about the rings."""
    pages = "1 page" if setting.page_count == 1 else f"{setting.page_count} pages"
    text = f"rings of {pages}, {setting.ring_bytes:,} bytes, "
    text += "woken by samples" if setting.watermark is None else f"watermark {setting.watermark:,}"
    bound = "no latency bound" if setting.max_latency is None else f"drained every {setting.max_latency:g} s at least"
    return f"{text}, {bound}"


def _totals(interval: Interval) -> dict[str, Text]:
    seconds, wakeups = interval.seconds, interval.total("wakeups")
    return {
        "cpu": Text("all"),
        "records/s": Text(_short(interval.total("records") / seconds)),
        "bytes/s": Text(_short(interval.total("bytes") / seconds)),
        "fill": Text("" if interval.busy is None else f"busy {interval.busy:.0%}"),
        "now": Text(),
        "most": Text(),
        "wakes/s": Text(_short(wakeups / seconds)),
        "spurious": Text(_share(interval.total("spurious_wakeups"), wakeups)),
        "lost/s": _loss(_short(interval.total("lost") / seconds), interval.total("lost")),
        "lost": _loss(_short(interval.total("lost_so_far")), interval.total("lost_so_far")),
    }


def _advice(interval: Interval) -> Text:
    if interval.advice:
        return Text("\n").join(Text("! ", "bold yellow").append(each.text, "default") for each in interval.advice)
    if not interval.total("bytes"):
        return Text("Nothing has come, so there is nothing to say of the watermark.", "dim")
    return Text("The watermark does well.", "green")


def _loss(text: str, lost: int) -> Text:
    return Text(text, "bold red" if lost else "dim")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _short(number: float) -> str:
    """In five cells: 9999, 12.3k, 4.56M."""
    if number < 10:
        return f"{number:.1f}".removesuffix(".0")
    for unit in ("", "k", "M", "G"):
        if number < 9999.5 or unit == "G":
            return f"{number:.0f}{unit}" if not unit or number >= 100 else f"{number:.3g}{unit}"
        number /= 1000
    raise AssertionError
