"""The page as text; tests/browser looks at it in a browser."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from perfring.errors import Unsupported
from perfring.geometry import Outcome
from perfring.picture import Table, render_page, write_page
from perfring.picture.look import PALETTES
from tests.unit.timelines import Story, healthy, late, stalled

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'so'"


class _Page(HTMLParser):
    """What an HTML parser sees: elements with their attributes, and text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        self.text += data if self._inside not in ("script", "style") else ""

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def _figures(page: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    figures: dict[str, Any] = json.loads(data)["figures"]
    return figures


def test_every_text_from_outside_is_text() -> None:
    run = replace(healthy(title=NASTY), kernel=NASTY, facts={NASTY: NASTY})
    table = Table(NASTY, (NASTY,), ((NASTY,),), folded=True)
    page = _Page(render_page([run, late()], title=NASTY, intro=[NASTY], tables=[table]))
    plain = _Page(
        render_page([healthy(), late()], title="x", intro=["x"], tables=[Table("x", ("x",), (("x",),), True)])
    )
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.text.count(NASTY) == 12


def test_figures_hold_no_text_of_a_user() -> None:
    run = replace(healthy(title=NASTY), kernel=NASTY, facts={NASTY: NASTY})
    assert "alert" not in json.dumps(_figures(render_page([run], title=NASTY)))


def test_the_data_cannot_end_its_script() -> None:
    (data,) = re.findall(r'id="figures">(.*?)</script>', render_page([stalled()], title="x"), re.DOTALL)
    assert "<" not in data
    assert "\\u003cbr>" in data


def test_nothing_is_fetched() -> None:
    page = _Page(render_page([healthy()], title="x"))
    assert not [attrs for _, attrs in page.elements if {"src", "srcset", "data"} & attrs.keys()]
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "embed", "base")]


def test_the_policy_allows_the_two_scripts_of_the_page_by_their_hashes() -> None:
    page = _Page(render_page([healthy()], title="x"))
    (policy,) = (a["content"] or "" for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert policy.count("'sha256-") == 2
    assert "connect-src" not in policy


def test_runs_of_one_title_stand_side_by_side() -> None:
    runs = [healthy(title="a"), late(title="a"), stalled(title="b")]
    page = _Page(render_page(runs, title="x"))
    assert (page.count("section"), page.count("article")) == (2, 3)
    assert sum(attrs.get("class") == "sides several" for _, attrs in page.elements) == 1


def test_every_ring_of_every_run_has_a_figure() -> None:
    rings = tuple(Story(2048).run(50).ring(cpu=cpu) for cpu in range(3))
    page = render_page([replace(healthy(), rings=rings), late()], title="x")
    assert len(_figures(page)) == _Page(page).count("figure") == 4


def test_one_run_needs_no_chooser_and_two_have_one() -> None:
    assert "<nav" not in render_page([healthy()], title="x")
    assert '<a href="#run1">a reader that is late</a> <span class="badge doubt">93 records lost</span>' in render_page(
        [healthy(), late()], title="x"
    )


def test_a_stalled_run_is_said_in_words_before_its_picture() -> None:
    page = render_page([stalled()], title="x")
    assert page.index("<strong>STALLED.</strong> From 740 µs on nobody wakes the reader.") < page.index('class="plot"')
    assert "1 run with 1 ring: 1 stalled, 127 records lost." in page


def test_a_healthy_run_has_no_banner() -> None:
    page = render_page([healthy()], title="x")
    assert 'class="banner"' not in page
    assert "1 run with 1 ring: none stalled, 0 records lost." in page


def test_the_verdict_and_the_facts_stand_above_the_picture() -> None:
    page = render_page([healthy()], title="x")
    verdict = page.index('<span class="badge good">LIVE</span> no stream of such records')
    assert verdict < page.index("<dt>Wakes per second</dt><dd>2,720</dd>") < page.index('class="plot"')


def test_a_reader_that_stalls_at_a_safe_watermark_is_to_blame_itself() -> None:
    words = "it is not the watermark that stalls this reader"
    assert words in render_page([replace(stalled(), outcome=Outcome.LIVE)], title="x")
    assert words not in render_page([stalled(), healthy()], title="x")


def test_who_sees_no_picture_hears_its_numbers() -> None:
    page = _Page(render_page([late()], title="x"))
    (label,) = (attrs["aria-label"] or "" for _, attrs in page.elements if attrs.get("role") == "img")
    assert "CPU 0: 4,096 bytes, watermark 2,048" in label
    assert "Records lost: 93, the first at 740 µs" in label


def test_headings_go_down_one_level_at_a_time() -> None:
    page = _Page(render_page([healthy(), stalled()], title="x"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 3, 4, 2, 3, 4]


def test_a_column_of_numbers_stands_to_the_right_and_a_disagreement_stands_out() -> None:
    table = Table("t", ("woke at", "agrees"), (("4,088", "NO"), ("never", "yes")))
    page = render_page([healthy()], title="x", tables=[table])
    assert '<th scope="col" class="number">woke at</th><th scope="col">agrees</th>' in page
    assert '<td class="number">4,088</td><td class="wrong">NO</td>' in page
    assert '<td class="number">never</td><td>yes</td>' in page


def test_a_table_without_rows_has_its_columns() -> None:
    assert '<th scope="col">a</th>' in render_page([healthy()], title="x", tables=[Table("t", ("a",), ())])


def test_a_page_weighs_little_more_than_plotly_itself() -> None:
    assert len(render_page([healthy(), late(), stalled()], title="x")) < 5_200_000


def test_the_page_is_written_as_utf_8(tmp_path: Path) -> None:
    write_page([healthy(title="Ринг ▲")], str(tmp_path / "page.html"), title="x")
    assert "Ринг ▲" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_no_timelines_are_refused() -> None:
    with pytest.raises(ValueError, match="timelines is empty"):
        render_page([], title="x")


def test_without_plotly_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(Unsupported, match=r"pip install 'perfring\[plots\]'"):
        render_page([healthy()], title="x")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "faint", "ring", "watermark", "wake", "drain", "lost", "spurious", "cursor"])
def test_text_and_lines_can_be_told_from_the_paper(theme: str, name: str) -> None:
    palette = PALETTES[theme]
    assert _contrast(palette[name], palette["paper"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    """WCAG 2: the ratio of relative luminances."""
    low, high = sorted(_luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
