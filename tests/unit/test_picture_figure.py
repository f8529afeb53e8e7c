"""The figure of a ring, before any browser draws it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from perfring.picture.figure import figure
from perfring.picture.look import PALETTES
from perfring.timeline import Fill, Latency, Loss, RingTimeline, Timeline, Wake
from tests.unit.timelines import RING, STEP_NS, Story, healthy, late, stalled

RUNS = [healthy(), late(), stalled(), stalled(watermark=4088)]


def _figure(timeline: Timeline) -> dict[str, Any]:
    return figure(timeline.rings[0], timeline.duration_ns)


def _traces(timeline: Timeline, name: str, axis: str = "y") -> list[dict[str, Any]]:
    return [trace for trace in _figure(timeline)["data"] if (trace["name"], trace["yaxis"]) == (name, axis)]


def _titles(timeline: Timeline) -> list[str]:
    return [note["text"] for note in _figure(timeline)["layout"]["annotations"]]


def _colours(node: object, key: str = "") -> set[str]:
    if isinstance(node, dict):
        return set().union(*(_colours(value, name) for name, value in node.items()))
    if isinstance(node, list):
        return set().union(*map(_colours, node))
    return {node} if key.endswith("color") and isinstance(node, str) else set()


@pytest.mark.parametrize("timeline", RUNS, ids=str)
def test_plotly_knows_every_name_and_value(timeline: Timeline) -> None:
    painted = re.sub(r'"@[a-z]+"', '"#123456"', json.dumps(_figure(timeline)))
    assert import_module("plotly.graph_objects").Figure(json.loads(painted))


@pytest.mark.parametrize("timeline", RUNS, ids=str)
def test_every_colour_is_a_name_of_both_palettes(timeline: Timeline) -> None:
    names = {colour.removeprefix("@") for colour in _colours(_figure(timeline))}
    assert names <= PALETTES["light"].keys()
    assert PALETTES["light"].keys() == PALETTES["dark"].keys()


def test_the_fill_is_a_step_line_to_the_end_of_the_run() -> None:
    (line,) = _traces(healthy(records=10), "fill")
    assert (line["line"]["shape"], line["x"][-1], line["y"]) == ("hv", 100, [*range(0, 561, 56), 560])


def test_the_hover_has_head_tail_and_what_is_missing_to_the_next_wake() -> None:
    (line,) = _traces(healthy(records=10), "fill")
    assert line["customdata"][1] == [56, 0, "in 1,993 bytes"]  # 2049 is the first head that wakes (K7)


def test_a_kernel_that_hides_its_cursor_has_no_line_of_it() -> None:
    ring = RingTimeline(0, RING, 2048, (Fill(0, 0, 0), Fill(5, 56, 0)))
    timeline = replace(healthy(), rings=(ring,))
    assert not _traces(timeline, "next wake")
    assert _traces(timeline, "fill")[0]["customdata"][1][2] == "not told by this kernel"


def test_the_next_wake_is_due_at_cursor_plus_watermark() -> None:
    (line,) = _traces(healthy(), "next wake")
    assert line["y"][0] == 2048
    assert line["y"][-1] == healthy().rings[0].fills[-1].wakeup - 20664 + 2048  # type: ignore[operator]


def test_a_next_wake_that_is_put_off_for_a_moment_only_is_no_needle() -> None:
    late_reader, quick = Story(2048, react_ns=4 * STEP_NS), Story(2048, react_ns=STEP_NS // 100)
    highest = []
    for story in (late_reader, quick):
        (line,) = _traces(replace(healthy(), rings=(story.run(400).ring(),)), "next wake")
        highest.append(max(line["y"][:-1]))
    assert highest == [4096, 2048]


def test_lines_of_size_and_watermark_say_which_they_are() -> None:
    assert {"ring 4,096", "watermark 2,048"} <= set(_titles(healthy()))
    assert [trace["y"] for trace in _traces(healthy(), "watermark")] == [[2048, 2048]]


def test_a_wake_stands_where_the_fill_was() -> None:
    (woken,) = _traces(healthy(), "woken")
    assert woken["y"][0] == 37 * 56
    assert woken["customdata"][0] == "woken at 2,072 bytes"


def test_a_wake_whose_drain_takes_no_time_stands_where_the_fill_was() -> None:
    ring = Story(2048).run(40).ring()
    again = replace(ring, fills=(*ring.fills[:38], Fill(37 * STEP_NS, 2072, 2072, 2048), *ring.fills[38:]))
    (woken,) = _traces(replace(healthy(), rings=(again,)), "woken")
    assert woken["y"] == [2072]


def test_a_wake_between_two_fills_stands_where_the_first_of_them_is() -> None:
    fills = (Fill(0, 0, 0), Fill(10, 2072, 0), Fill(30, 2072, 2072))
    ring = RingTimeline(0, RING, 2048, fills, wakes=(Wake(20),))
    (woken,) = _traces(replace(healthy(), rings=(ring,)), "woken")
    assert woken["y"] == [2072]


def test_spurious_wakes_look_unlike_wakes() -> None:
    marks = {trace["name"]: trace["marker"]["symbol"] for trace in _figure(late())["data"] if "marker" in trace}
    assert len({marks[lane] for lane in ("woken", "spurious", "drained", "lost")}) == 4


def test_losses_stand_above_the_ring_and_in_their_lane() -> None:
    (above,) = _traces(late(), "lost")
    (lane,) = _traces(late(), "lost", "y2")
    assert min(above["y"]) > RING
    assert len(above["x"]) == len(lane["x"]) == 93


def test_few_losses_say_how_many_records_they_are() -> None:
    ring = replace(late().rings[0], losses=(Loss(740_000, 1234), Loss(3_000_000, 1)))
    (lane,) = _traces(replace(late(), rings=(ring,)), "lost", "y2")
    assert (lane["text"], lane["textposition"]) == (["1,234", "1"], ["middle right", "middle left"])


def test_a_watermark_near_the_size_is_enlarged() -> None:
    assert "<b>Its last 192 bytes, enlarged</b>" in _titles(stalled(watermark=4088))
    assert not [title for title in _titles(healthy()) if "enlarged" in title]


@pytest.mark.parametrize(("watermark", "enlarged"), [(3839, False), (3840, True)])
def test_near_is_a_sixteenth_of_the_ring(watermark: int, enlarged: bool) -> None:
    assert any("enlarged" in title for title in _titles(stalled(watermark=watermark))) is enlarged


def test_a_stalled_ring_has_a_hatched_band_from_the_first_loss_to_the_end() -> None:
    (band,) = _traces(stalled(), "stalled")
    assert band["fillpattern"]["shape"] == "/"
    assert band["x"] == [0.74, 2, 2, 0.74, 0.74]


def test_a_stalled_ring_has_a_line_and_words_at_the_moment() -> None:
    shapes = _figure(stalled())["layout"]["shapes"]
    assert [(shape["x0"], shape["yref"]) for shape in shapes] == [
        (0.74, f"{axis} domain") for axis in ("y", "y2", "y3")
    ]
    assert "<b>from here on<br>nobody wakes</b>" in _titles(stalled())


def test_a_healthy_ring_has_no_band() -> None:
    assert not _traces(healthy(), "stalled")
    assert "shapes" not in _figure(healthy())["layout"]


def test_latency_stands_at_the_time_of_writing() -> None:
    (trace,) = _traces(healthy(), "latency", "y3")
    assert (trace["x"][0], trace["text"][0]) == (0.01, "400 µs")


@pytest.mark.parametrize(("longest", "kind"), [(99, None), (100, "log")])
def test_the_axis_of_latency_is_logarithmic_where_they_are_far_apart(longest: int, kind: str | None) -> None:
    ring = replace(healthy().rings[0], latencies=(Latency(500, 1), Latency(500, longest)))
    assert figure(ring, 1000)["layout"]["yaxis3"].get("type") == kind


def test_a_record_that_did_not_wait_is_on_a_logarithmic_axis_too() -> None:
    ring = replace(healthy().rings[0], latencies=(Latency(5, 0), Latency(900, 10), Latency(1000, 1000)))
    trace = next(trace for trace in figure(ring, 1000)["data"] if trace["name"] == "latency")
    assert min(trace["y"]) > 0
    assert "0 ns" in trace["text"]


def test_records_that_never_waited_have_an_axis() -> None:
    ring = replace(healthy().rings[0], latencies=(Latency(5, 0),))
    assert figure(ring, 1000)["layout"]["yaxis3"]["range"] == [0, 1]


@pytest.mark.parametrize("longest", [1, 3, 9, 42, 99, 12_345, 7_000_000_001])
def test_the_axis_of_latency_has_few_round_steps(longest: int) -> None:
    ring = replace(healthy().rings[0], latencies=(Latency(longest, longest),))
    steps = figure(ring, longest)["layout"]["yaxis3"]["tickvals"]
    assert 2 <= len(steps) <= 7
    assert steps[0] == 0
    assert steps[-1] <= longest


def test_a_run_of_no_time_is_drawn() -> None:
    ring = RingTimeline(0, RING, 2048, (Fill(0, 0, 0, 0),))
    assert figure(ring, 0)["layout"]["xaxis"]["range"] == [0, 1]


def test_a_long_run_is_not_drawn_point_by_point() -> None:
    story = Story(2048, react_ns=4 * STEP_NS).run(100_000)
    picture = figure(story.ring(), 100_000 * STEP_NS)
    assert len(json.dumps(picture)) < 1_000_000


def test_a_crowd_of_wakes_does_not_hide_the_fill() -> None:
    crowd = replace(healthy(records=10_000), rings=(Story(2048, react_ns=STEP_NS).run(10_000).ring(),))
    (few,), (many,) = _traces(healthy(), "next wake"), _traces(crowd, "next wake")
    assert few["opacity"] > many["opacity"] > 0
