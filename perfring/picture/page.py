"""Timelines as one page of HTML: words, figures and numbers, and nothing that has to be fetched.

The page is whole: plotly.js is in it, and a content security policy allows its own two scripts, by their hashes, and no
connection at all. Whatever came from outside (titles, names of kernels, facts) is escaped where it is put in.

Runs of one title stand side by side, such as the same stream on two kernels. Each ring has its picture, the marks that
occur in it with their counts, and its numbers in a table; a stalled one has a banner that says what happened.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from importlib import import_module
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perfring.errors import Unsupported
from perfring.geometry import Outcome
from perfring.picture.figure import figure
from perfring.picture.words import VERDICTS, banner, counted, key_numbers, ring_title, status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfring.timeline import RingTimeline, Timeline

__all__ = ["PALETTES", "Table", "render_page", "require_plotly", "write_page"]

PALETTES: Final[dict[str, dict[str, str]]] = {
    "light": {
        "paper": "#ffffff",
        "plot": "#fbfbfc",
        "ink": "#1c1e21",
        "faint": "#5b6067",
        "grid": "#e4e6ea",
        "axis": "#a6abb3",
        "ring": "#454a52",
        "watermark": "#9a4b00",
        "cursor": "#7a3fa0",
        "fill": "#2b5c8a",
        "fillarea": "rgba(70,130,180,0.25)",
        "wake": "#0061b5",
        "spurious": "#a0378a",
        "drain": "#00714f",
        "lost": "#c40d1e",
        "latency": "#3d6b8f",
        "band": "rgba(196,13,30,0.55)",
        "bandarea": "rgba(196,13,30,0.10)",
        "label": "rgba(255,255,255,0.8)",
    },
    "dark": {
        "paper": "#16181c",
        "plot": "#1b1e23",
        "ink": "#e8eaed",
        "faint": "#a5abb4",
        "grid": "#30343b",
        "axis": "#666c76",
        "ring": "#c3c8d0",
        "watermark": "#ffb35c",
        "cursor": "#cfa2f2",
        "fill": "#8cc0ee",
        "fillarea": "rgba(120,175,230,0.25)",
        "wake": "#6db9ff",
        "spurious": "#f08fd8",
        "drain": "#4fd1a1",
        "lost": "#ff6b70",
        "latency": "#9cc7e8",
        "band": "rgba(255,107,112,0.6)",
        "bandarea": "rgba(255,107,112,0.14)",
        "label": "rgba(22,24,28,0.8)",
    },
}
"""The colours by name, for a light and a dark page. On either, texts have a contrast of 4.5 and more."""

_BADGES: Final = {Outcome.LIVE: "good", Outcome.DEPENDS: "doubt", Outcome.STALLS: "bad"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text below the pictures.

    Attributes:
        caption: what it shows.
        columns: their headings.
        rows: as many cells each as there are columns; a column with a number in it stands to the right.
        folded: the reader opens it, when it is long.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


def write_page(
    timelines: Sequence[Timeline],
    path: str | Path,
    *,
    title: str,
    intro: Sequence[str] = (),
    tables: Sequence[Table] = (),
) -> None:
    """Writes timelines as one page of HTML that needs no network.

    Args:
        timelines: in the order of the page; those with one title that follow each other stand side by side.
        path: the file, made or replaced.
        title: of the page.
        intro: paragraphs of text above the pictures.
        tables: to stand below them.

    Raises:
        ValueError: no timelines.
        Unsupported: plotly is not installed.
        OSError: the file cannot be written.
    """
    Path(path).write_text(render_page(timelines, title=title, intro=intro, tables=tables), encoding="utf-8")


def render_page(
    timelines: Sequence[Timeline], *, title: str, intro: Sequence[str] = (), tables: Sequence[Table] = ()
) -> str:
    """The page of `write_page` as text; the same arguments, and raises the same."""
    if not timelines:
        raise ValueError("timelines is empty: a page shows one at least")
    drawn: dict[str, object] = {}
    sections = [
        _section(f"run{number}", list(runs), drawn)
        for number, (_, runs) in enumerate(groupby(timelines, key=lambda timeline: timeline.title))
    ]
    scripts = (_plotly(), _own("page.js"))
    data = json.dumps({"palettes": PALETTES, "figures": drawn}, separators=(",", ":")).replace("<", "\\u003c")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            *_head(title, scripts),
            "<body>",
            "<header>",
            f"<h1>{escape(title)}</h1>",
            *(f"<p>{escape(text)}</p>" for text in (_summary(timelines), *intro)),
            *_chooser(timelines),
            _KEY,
            "</header>",
            "<main>",
            *sections,
            *(_table(table) for table in tables),
            "</main>",
            "<footer>Times begin with the run. Sizes are in bytes. Drawn by perfring with plotly.js.</footer>",
            "<noscript><p>The pictures need JavaScript. The words and the numbers are all here.</p></noscript>",
            f'<script type="application/json" id="figures">{data}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body>",
            "</html>",
            "",
        ]
    )


def _head(title: str, scripts: Iterable[str]) -> list[str]:
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src {_hashes(scripts)}"
    return [
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_palette_css()}{_own('page.css')}</style>",
        "</head>",
    ]


def _hashes(scripts: Iterable[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _palette_css() -> str:
    light, dark = (";".join(f"--{name}:{value}" for name, value in PALETTES[theme].items()) for theme in PALETTES)
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _own(name: str) -> str:
    return files("perfring.picture").joinpath(name).read_text(encoding="utf-8")


def require_plotly() -> None:
    """Says now, and not after a long run, that a page cannot be drawn.

    Raises:
        Unsupported: plotly is not installed.
    """
    _plotly()


def _plotly() -> str:
    try:
        plotly = import_module("plotly.offline")
    except ImportError as error:
        raise Unsupported(
            "a page of HTML is drawn by plotly, which is missing: pip install 'perfring[plots]'"
        ) from error
    return str(plotly.get_plotlyjs())


# What the page says -----------------------------------------------------------------------------------------------


def _summary(timelines: Sequence[Timeline]) -> str:
    rings = [ring for timeline in timelines for ring in timeline.rings]
    stalled = sum(ring.stalled for ring in rings)
    shown = f"{counted(len(timelines), 'run')} with {counted(len(rings), 'ring')}"
    lost = counted(sum(ring.lost for ring in rings), "record")
    return f"{shown}: {stalled:,} stalled, {lost} lost." if stalled else f"{shown}: none stalled, {lost} lost."


def _chooser(timelines: Sequence[Timeline]) -> list[str]:
    titles = [(title, list(runs)) for title, runs in groupby(timelines, key=lambda timeline: timeline.title)]
    if len(titles) == 1:
        return []
    items = (
        f'<li><a href="#run{number}">{escape(title)}</a> {" ".join(_status_badge(run) for run in _unlike(runs))}</li>'
        for number, (title, runs) in enumerate(titles)
    )
    return ['<nav aria-label="Runs"><ul>', *items, "</ul></nav>"]


def _unlike(runs: list[Timeline]) -> list[Timeline]:
    """One run for each way it ended."""
    return list({status(run): run for run in runs}.values())


def _status_badge(timeline: Timeline) -> str:
    kind = "bad" if timeline.stalled else "doubt" if any(ring.lost for ring in timeline.rings) else "good"
    return f'<span class="badge {kind}">{escape(status(timeline))}</span>'


def _section(anchor: str, runs: list[Timeline], drawn: dict[str, object]) -> str:
    articles = (_article(f"{anchor}-{number}", timeline, drawn) for number, timeline in enumerate(runs))
    several = " several" if len(runs) > 1 else ""
    heading = f'<h2 id="{anchor}-title">{escape(runs[0].title)}</h2>'
    body = "\n".join(articles)
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-title">{heading}\n'
        f'<div class="sides{several}">\n{body}\n</div></section>'
    )


def _article(anchor: str, timeline: Timeline, drawn: dict[str, object]) -> str:
    outcome = timeline.outcome
    verdict = f'<span class="badge {_BADGES[outcome]}">{outcome}</span> {VERDICTS[outcome]}.{_not_to_blame(timeline)}'
    rings = (_ring(f"{anchor}-{number}", ring, timeline, drawn) for number, ring in enumerate(timeline.rings))
    return "\n".join(
        [
            f"<article><h3>On {escape(timeline.kernel)} {_status_badge(timeline)}</h3>",
            f"<p>Verdict on the watermark: {verdict}</p>",
            _facts(timeline.facts),
            *rings,
            "</article>",
        ]
    )


def _not_to_blame(timeline: Timeline) -> str:
    """A verdict is about readers that wait as they should; one that stalls beside it wants a word."""
    blameless = timeline.stalled and timeline.outcome is Outcome.LIVE
    return " So it is not the watermark that stalls this reader, but the way it waits." if blameless else ""


def _facts(facts: dict[str, str]) -> str:
    if not facts:
        return ""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{items}</dl>"


def _ring(anchor: str, ring: RingTimeline, timeline: Timeline, drawn: dict[str, object]) -> str:
    drawn[anchor] = picture = figure(ring, timeline.duration_ns)
    numbers = key_numbers(ring)
    spoken = "; ".join(f"{name}: {value}" for name, value in numbers.items())
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in numbers.items()
    )
    stalled = f'<p class="banner"><strong>STALLED.</strong> {escape(banner(ring))}</p>' if ring.stalled else ""
    return "\n".join(
        [
            f"<figure><h4>{escape(ring_title(ring))}</h4>",
            stalled,
            f'<div class="plot" id="{anchor}" role="img" style="min-height:{picture["layout"]["height"]}px"',
            f' aria-label="{escape(f"Picture of {ring_title(ring)}. {spoken}")}"></div>',
            f"<figcaption><details><summary>Its numbers</summary><table>{rows}</table></details></figcaption></figure>",
        ]
    )


def _table(table: Table) -> str:
    numeric = [any(map(_is_number, column)) for column in zip(*table.rows, strict=True)] or [False] * len(table.columns)
    head = "".join(
        f'<th scope="col"{_class(name, number=number)}>{escape(name)}</th>'
        for name, number in zip(table.columns, numeric, strict=True)
    )
    rows = ("".join(map(_cell, row, numeric)) for row in table.rows)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    caption = escape(table.caption)
    shown = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
    if table.folded:
        shown = f"<details><summary>{caption}: {counted(len(table.rows), 'row')}</summary>{shown}</details>"
    return f"<section>{shown}</section>"


def _cell(text: str, number: bool) -> str:
    return f"<td{_class(text, number=number)}>{escape(text)}</td>"


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").isdecimal()


def _class(cell: str, *, number: bool) -> str:
    return ' class="number"' if number else ' class="wrong"' if cell == "NO" else ""


def _symbol(shape: str, text: str) -> str:
    return f'<li><svg viewBox="0 0 24 16" aria-hidden="true">{shape}</svg>{text}</li>'


def _line(color: str, dash: str) -> str:
    return f'<path d="M0 8H24" stroke="var(--{color})" stroke-width="2" stroke-dasharray="{dash}"/>'


_KEY: Final = "\n".join(
    [
        '<ul class="key" aria-label="What the marks mean">',
        _symbol(
            '<path d="M0 14H9V4H24" fill="none" stroke="var(--fill)" stroke-width="2"/>', "bytes that wait in the ring"
        ),
        _symbol(_line("ring", ""), "size of the ring"),
        _symbol(_line("watermark", "7 3"), "watermark"),
        _symbol(_line("cursor", "2 3"), "the next wake comes above this: wakeup cursor + watermark"),
        _symbol('<path d="M12 1L20 15H4Z" fill="var(--wake)"/>', "reader woken"),
        _symbol(
            '<path d="M12 1L19 8L12 15L5 8Z" fill="none" stroke="var(--spurious)" stroke-width="2"/>',
            "woken for nothing",
        ),
        _symbol('<path d="M12 15L20 1H4Z" fill="var(--drain)"/>', "ring drained"),
        _symbol('<path d="M5 1L19 15M19 1L5 15" stroke="var(--lost)" stroke-width="4"/>', "records lost"),
        _symbol(
            '<path d="M0 0H24V16H0Z" fill="var(--bandarea)"/><path d="M2 16L14 0M10 16L22 0" stroke="var(--lost)"/>',
            "stalled: nobody wakes the reader",
        ),
        "</ul>",
    ]
)
