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
from perfring.picture.look import KEY, PALETTES, palette_css
from perfring.picture.words import VERDICTS, banner, counted, key_numbers, ring_title, status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfring.timeline import RingTimeline, Timeline

__all__ = ["Table", "render_page", "require_plotly", "write_page"]

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
            KEY,
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
        f"<style>\n{palette_css()}{_own('page.css')}</style>",
        "</head>",
    ]


def _hashes(scripts: Iterable[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


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
    kind = (
        "bad"
        if timeline.stalled or timeline.trouble
        else "doubt"
        if any(ring.lost for ring in timeline.rings)
        else "good"
    )
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
