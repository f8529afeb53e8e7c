"""What ``perfring top`` shows: a table of rings, as wide and as high as the screen, and the advice below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from perfring.advice import Setting
    from perfring.cli._top_meter import Interval, RingInterval

__all__ = ["Screen"]

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
_FILL: Final = 3
_FULL: Final = 0.9
_LINES_AROUND: Final = 12
"""Of a screen: title, heading, totals, the rings that are left out, advice."""
_FEWEST_ROWS: Final = 4


class Screen:
    """Draws intervals.

    Args:
        what: the events, for the title.
        width: cells in a line.
        height: lines; None for a page that can be as long as it likes.
        ascii_only: the terminal has nothing but ASCII.
    """

    def __init__(self, what: str, *, width: int, height: int | None, ascii_only: bool = False) -> None:
        self._what = what
        self._bar_cells = min(max(width - sum(_COLUMNS.values()) - len(_COLUMNS), _BAR[0]), _BAR[1])
        self._rows = None if height is None else max(height - _LINES_AROUND, _FEWEST_ROWS)
        self._now, self._once, self._free, self._mark = "#=.|" if ascii_only else "█▒·│"

    def draw(self, interval: Interval, *, fills: Sequence[int] | None = None, hint: str = "") -> RenderableType:
        """One interval.

        Args:
            interval: the last one that is over.
            fills: what lies in each ring since then, if it is known.
            hint: how to leave.
        """
        now = [ring.fill for ring in interval.rings] if fills is None else fills
        parts: list[RenderableType] = [self._title(interval, hint), self._table(interval, now)]
        hidden = len(interval.rings) - len(self._shown(interval))
        if hidden:
            parts.append(Text(f"and {hidden} more CPUs, which do less", "dim"))
        parts.append(_advice(interval))
        return Group(*parts)

    def _title(self, interval: Interval, hint: str) -> Text:
        text = Text("perfring top", "bold").append(f"  {self._what}", "not bold")
        text.append(f"  {interval.since_begin:.0f} s", "not bold")
        text.append(f"  {hint}\n" if hint else "\n", "dim not bold")
        return text.append(_how(interval.setting), "dim not bold")

    def _shown(self, interval: Interval) -> list[tuple[int, RingInterval]]:
        """The rings that there is room for, with their places: those that lose, then the busiest; by CPU."""
        numbered = list(enumerate(interval.rings))
        if self._rows is None or len(numbered) <= self._rows:
            return numbered
        busiest = sorted(numbered, key=lambda each: (-each[1].lost_so_far, -each[1].bytes, each[0]))
        return sorted(busiest[: self._rows])

    def _table(self, interval: Interval, fills: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for name, width in _COLUMNS.items():
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
        table.columns[_FILL].justify = "left"
        table.columns[_FILL].width = self._bar_cells
        for place, ring in self._shown(interval):
            table.add_row(*self._cells(interval, ring, fills[place]))
        if len(interval.rings) > 1:
            table.add_row(*_totals(interval), style="bold")
        return table

    def _cells(self, interval: Interval, ring: RingInterval, fill: int) -> list[Text]:
        seconds, size = interval.seconds, interval.setting.ring_bytes
        return [
            Text(str(ring.cpu)),
            Text(_short(ring.records / seconds)),
            Text(_short(ring.bytes / seconds)),
            self._bar(interval.setting, fill, ring.highest_fill),
            Text(_share(fill, size)),
            Text(_share(ring.highest_fill, size), "yellow" if ring.highest_fill >= _FULL * size else ""),
            Text(_short(ring.wakeups / seconds)),
            Text(_share(ring.spurious_wakeups, ring.wakeups)),
            _loss(_short(ring.lost / seconds), ring.lost),
            _loss(_short(ring.lost_so_far), ring.lost_so_far),
        ]

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


def _how(setting: Setting) -> str:
    """One line about the rings."""
    text = f"rings of {setting.page_count} pages, {setting.ring_bytes:,} bytes, "
    text += "woken by samples" if setting.watermark is None else f"watermark {setting.watermark:,}"
    bound = "no latency bound" if setting.max_latency is None else f"drained every {setting.max_latency:g} s at least"
    return f"{text}, {bound}"


def _totals(interval: Interval) -> list[Text]:
    seconds, wakeups = interval.seconds, interval.total("wakeups")
    return [
        Text("all"),
        Text(_short(interval.total("records") / seconds)),
        Text(_short(interval.total("bytes") / seconds)),
        Text("" if interval.busy is None else f"busy {interval.busy:.0%}"),
        Text(),
        Text(),
        Text(_short(wakeups / seconds)),
        Text(_share(interval.total("spurious_wakeups"), wakeups)),
        _loss(_short(interval.total("lost") / seconds), interval.total("lost")),
        _loss(_short(interval.total("lost_so_far")), interval.total("lost_so_far")),
    ]


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
