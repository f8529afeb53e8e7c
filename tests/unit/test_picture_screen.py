"""The picture in a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfring.picture import terminal
from perfring.picture.screen import NARROWEST
from perfring.timeline import Fill, RingTimeline, Timeline
from tests.unit.timelines import Story, healthy, late, stalled


def _lane(timeline: Timeline, name: str, width: int = 80) -> str:
    lines = terminal(timeline, width=width).splitlines()
    return next(line.partition("│")[2] for line in lines if line.strip().startswith(f"{name} │"))


def _chart(timeline: Timeline, width: int = 80) -> list[str]:
    return [line.partition("┤")[2] for line in terminal(timeline, width=width).splitlines() if "┤" in line]


@pytest.mark.parametrize("width", [NARROWEST, 80, 120])
@pytest.mark.parametrize("timeline", [healthy(), late(), stalled(), healthy(title="word " * 60)], ids=str)
def test_no_line_is_longer_than_the_terminal(timeline: Timeline, width: int) -> None:
    lines = terminal(timeline, width=width).splitlines()
    assert max(map(len, lines)) == width


def test_without_colour_there_is_nothing_that_a_file_should_not_hold() -> None:
    assert all(char.isprintable() or char == "\n" for char in terminal(late(), width=80))


def test_colour_adds_escapes_and_nothing_else() -> None:
    import re

    coloured = terminal(late(), width=80, colour=True)
    assert "\033[31;1m" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == terminal(late(), width=80)


def test_a_stalled_ring_is_said_in_words() -> None:
    text = terminal(stalled(), width=80)
    assert text.splitlines()[0].endswith("· stalled")
    assert "STALLED. From 740 µs on nobody wakes the reader." in text
    assert "╱ nobody wakes" in text


def test_the_stalled_lane_begins_with_the_first_loss() -> None:
    assert _lane(stalled(), "stalled").index("╱") == _lane(stalled(), "lost").index("✖")


def test_above_the_fill_the_picture_is_hatched_from_the_same_column_on() -> None:
    ring = RingTimeline(0, 4096, 4096, (Fill(0, 0, 0), Fill(5, 1024, 0)), stalled=True)
    timeline = replace(healthy(), duration_ns=10, rings=(ring,))
    assert _chart(timeline)[1] == _lane(timeline, "stalled")


def test_a_healthy_ring_has_neither_word_nor_lane_of_a_stall() -> None:
    text = terminal(healthy(), width=80)
    assert "╱" not in text
    assert "tall" not in text


def test_every_wake_and_every_drain_has_its_mark() -> None:
    assert (_lane(healthy(), "woken").count("▲"), _lane(healthy(), "drained").count("▼")) == (10, 10)


def test_spurious_wakes_have_a_lane_of_their_own() -> None:
    assert _lane(late(), "spurious").count("◇") == 2
    assert "◇ woken for nothing 2×" in terminal(late(), width=80)


def test_one_loss_among_many_records_is_seen() -> None:
    story = Story(2048).run(100_000)
    ring = replace(story.ring(), losses=stalled().rings[0].losses[:1])
    timeline = replace(healthy(records=100_000), rings=(ring,))
    assert _lane(timeline, "lost").count("✖") == 1
    assert "✖ 1 record lost" in terminal(timeline, width=80)


def test_the_watermark_is_a_line_where_the_ring_is_emptier() -> None:
    chart = _chart(healthy())
    (row,) = [line for line in chart if "╌" in line]
    assert chart.index(row) == 4  # half of ten rows, from above
    assert row.startswith("╌╌╌╌")


def test_a_full_ring_reaches_the_top() -> None:
    assert _chart(stalled())[0].endswith("█" * 40)


def test_a_fill_holds_until_the_next_one() -> None:
    ring = RingTimeline(0, 4096, 4096, (Fill(0, 0, 0), Fill(1, 4088, 0)))
    assert _chart(replace(healthy(), rings=(ring,)))[0] == "█" * 66


def test_a_drained_ring_is_empty_in_the_next_column() -> None:
    ring = RingTimeline(0, 4096, 1024, (Fill(0, 0, 0), Fill(1, 4088, 0), Fill(2, 4088, 4088)))
    assert set(_chart(replace(healthy(), rings=(ring,)))[0]) == {"█", " "}


def test_a_title_cannot_speak_to_the_terminal() -> None:
    text = terminal(healthy(title="\033[2Jgone\nnext"), width=80)
    assert text.startswith("\\x1b[2Jgone\\nnext · simkernel 6.18")


def test_every_ring_has_its_picture() -> None:
    rings = tuple(Story(2048).run(50).ring(cpu=cpu) for cpu in (0, 3))
    text = terminal(replace(healthy(), rings=rings), width=80)
    assert ("CPU 0: " in text, "CPU 3: " in text, text.count("└")) == (True, True, 2)


def test_a_terminal_too_narrow_is_refused_by_its_width() -> None:
    with pytest.raises(ValueError, match="width is 39: a picture needs 40 columns at least"):
        terminal(healthy(), width=39)
