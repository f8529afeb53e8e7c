"""``python -m benchmarks.plots FILE.json OUTDIR``: pictures of what ``python -m benchmarks --json FILE.json`` found.

One SVG and one PNG for each, so that a page can take the sharp one, and a viewer that has no SVG the other. A picture
whose figures are not in the file is left out, with a word.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.table import number

_OURS, _OTHERS, _LIMIT = "#1f6f8b", "#9aa5ad", "#b3422f"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "perfring",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
}


class Bar(NamedTuple):
    """One figure as a bar.

    Attributes:
        name: what stands beside it.
        value: its length: the median.
        low: the lowest round.
        high: the highest.
    """

    name: str
    value: float
    low: float
    high: float


class Found(NamedTuple):
    """What a file holds: figures as JSON has them."""

    figures: Sequence[dict[str, Any]]

    def bars(self, group: str, *, begin: str, end: str = "", unit: str | None = None) -> list[Bar]:
        """The figures of a group whose names have this beginning and end, named by what is between."""
        return [
            Bar(each["name"][len(begin) : len(each["name"]) - len(end)], each["value"], *each["spread"])
            for each in self.figures
            if each["group"] == group
            and each["name"].startswith(begin)
            and each["name"].endswith(end)
            and unit in (None, each["unit"])
        ]


def _by_reader(bar: Bar) -> str:
    return _OURS if "perfring" in bar.name else _OTHERS


def _by_limit(bar: Bar) -> str:
    return _LIMIT if bar.value > 1 else _OURS


def draw_bars(
    axes: Axes,
    bars: Sequence[Bar],
    *,
    title: str,
    label: str,
    log: bool = True,
    colour_of: Callable[[Bar], str] = _by_reader,
) -> None:
    """Horizontal bars, the shortest at the top, with their spread as a line and their value in words."""
    ordered = sorted(bars, key=lambda bar: -bar.value)
    colours = [colour_of(bar) for bar in ordered]
    reach = [[bar.value - bar.low for bar in ordered], [bar.high - bar.value for bar in ordered]]
    names, values = [bar.name for bar in ordered], [bar.value for bar in ordered]
    axes.barh(names, values, color=colours, xerr=reach, error_kw={"ecolor": "#444", "elinewidth": 1, "capsize": 2})
    for place, bar in enumerate(ordered):
        axes.annotate(
            number(bar.value), (bar.high, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    if log:
        axes.set_xscale("log")
        _name_decades(axes.xaxis)
        axes.set_xlim(_decade_below(values), max(bar.high for bar in ordered) * 4)
    axes.set_title(title)
    axes.set_xlabel(label)


def _name_decades(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _decade_below(values: Sequence[float]) -> float:
    """Where a logarithmic axis begins, so that the shortest bar has a length, and where it begins has a name."""
    return float(10 ** math.floor(math.log10(min(value for value in values if value > 0) / 1.5)))


def decode(found: Found) -> Canvas | None:
    """Nanoseconds for a record of an image, by reader."""
    images = {name: found.bars("decode", begin=f"{name}: ", unit="ns") for name in ("one layout", "mixed")}
    if not all(images.values()):
        return None
    canvas = Canvas(figsize=(8, 1.3 + 0.6 * max(map(len, images.values()))))
    for axes, (name, bars) in zip(canvas.subplots(2, 1), images.items(), strict=True):
        draw_bars(axes, bars, title=f"Decoding: {name}", label="CPU time per record, ns (logarithmic)")
    return canvas


def live(found: Found) -> Canvas | None:
    """Nanoseconds for a record of a live stream, and what was lost, by reader and ring."""
    pages = [each for each in (8, 64, 512) if found.bars("live", begin=f"{each} pages: ", end=", CPU per record")]
    if not pages:
        return None
    canvas = Canvas(figsize=(10, 1.6 * len(pages) + 0.6))
    for row, (left, right) in zip(pages, canvas.subplots(len(pages), 2, squeeze=False), strict=True):
        costs = found.bars("live", begin=f"{row} pages: ", end=", CPU per record")
        draw_bars(left, costs, title=f"Live, {row} pages", label="marginal CPU time per record, ns (logarithmic)")
        lost = found.bars("live", begin=f"{row} pages: ", end=", lost")
        draw_bars(right, lost, title="lost", label="% of what was produced", log=False)
        right.set_xlim(0, 115)
    return canvas


def watermark(found: Found) -> Canvas | None:
    """CPU time and latency against the watermark, of the first reader that the file has."""
    cost_end, latency_end = ": reader CPU per record", ": latency p50"
    costs = found.bars("watermark", begin="", end=cost_end)
    if not costs:
        return None
    reader = costs[0].name.rpartition(", ")[0]
    begin = f"{reader}, "
    panels = (
        (cost_end, "CPU per record, us"),
        (": wakeups per 1,000 records", "wakeups per 1,000 records"),
        (latency_end, "latency p50, ms"),
        (": latency p99", "latency p99, ms"),
    )
    canvas = Canvas(figsize=(9, 4))
    for axes, (end, label) in zip(canvas.subplots(2, 2).flat, panels, strict=True):
        bars = found.bars("watermark", begin=begin, end=end)
        axes.bar([bar.name for bar in bars], [bar.value for bar in bars], color=_OURS)
        for place, bar in enumerate(bars):
            axes.annotate(number(bar.value), (place, bar.value), ha="center", va="bottom", fontsize=8)
        axes.set_yscale("log")
        _name_decades(axes.yaxis)
        axes.set_ylim(_decade_below([bar.value for bar in bars]), max(bar.value for bar in bars) * 3)
        axes.set_title(label)
    canvas.suptitle(f"What the watermark is worth: {reader}", x=0.01, ha="left")
    return canvas


def scaling(found: Found) -> Canvas | None:
    """Records a second against the count of rings, by reader."""
    bars = [each for each in found.bars("scaling", begin="", unit="k/s") if ", rings: " in each.name]
    if not bars:
        return None
    lines: dict[str, list[tuple[int, Bar]]] = {}
    for bar in bars:
        reader, _, rings = bar.name.partition(", rings: ")
        lines.setdefault(reader, []).append((int(rings), bar))
    canvas = Canvas(figsize=(7, 3))
    axes = canvas.subplots()
    for reader, points in lines.items():
        values = [bar.value for _, bar in points]
        reach = [[bar.value - bar.low for _, bar in points], [bar.high - bar.value for _, bar in points]]
        axes.errorbar([count for count, _ in points], values, yerr=reach, marker="o", capsize=2, label=reader)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rings, fed from memory")
    axes.set_title("thousand records in a second of CPU time")
    axes.legend(frameon=False)
    return canvas


def limits(found: Found) -> Canvas | None:
    """How far each figure with a limit is from it: 1 is the limit itself."""
    bars = [Bar(f"{each['group']}: {each['name']}", *_shares(each)) for each in found.figures if _has_limit(each)]
    if not bars:
        return None
    canvas = Canvas(figsize=(10, 0.9 + 0.34 * len(bars)))
    axes = canvas.subplots()
    title = "Limits: what was measured, in times the limit"
    draw_bars(axes, bars, title=title, label="1 is the limit; less is better", colour_of=_by_limit)
    axes.axvline(1, color=_LIMIT, linewidth=1.5)
    return canvas


def _has_limit(each: dict[str, Any]) -> bool:
    return bool(each["at_most"] or each["at_least"]) and each["value"] > 0


def _shares(each: dict[str, Any]) -> tuple[float, float, float]:
    """Median and spread in times the limit, so that less is better for limits from below as well."""
    low, high = each["spread"]
    if each["at_most"]:
        return each["value"] / each["at_most"], low / each["at_most"], high / each["at_most"]
    return each["at_least"] / each["value"], each["at_least"] / high, each["at_least"] / low


PICTURES: dict[str, Callable[[Found], Canvas | None]] = {
    "decode": decode,
    "live": live,
    "watermark": watermark,
    "scaling": scaling,
    "limits": limits,
}


def main(arguments: Sequence[str]) -> int:
    """Draws all pictures that the file has figures for. Returns the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m benchmarks.plots FILE.json OUTDIR\n")
        return 2
    found = Found(json.loads(Path(arguments[0]).read_text())["figures"])
    directory = Path(arguments[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        with style.context(_STYLE):
            canvas = draw(found)
            if canvas is None:
                print(f"{name}: no figures for it in {arguments[0]}")
                continue
            for suffix in ("svg", "png"):
                # Without the date the same figures make the same file.
                metadata = {"Date": None} if suffix == "svg" else {}
                canvas.savefig(directory / f"{name}.{suffix}", dpi=130, metadata=metadata)
                print(directory / f"{name}.{suffix}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
