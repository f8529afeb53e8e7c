"""`perfring watermark`: the verdict, the figures, bad input."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from perfring.cli import main

RING = ("--pages", "1", "--page-size", "4096", "--record-bytes", "56", "--lost-bytes", "24")


def _answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["watermark", *words, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def _text(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["watermark", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("watermark", "outcome"),
    [("4088", "STALLS"), ("4087", "DEPENDS"), ("4039", "DEPENDS"), ("4016", "DEPENDS"), ("4015", "LIVE")],
)
def test_outcome_of_56_byte_records_in_a_page(capsys: pytest.CaptureFixture[str], watermark: str, outcome: str) -> None:
    answer = _answer(capsys, *RING, "--bytes", watermark)
    assert (answer["outcome"], answer["largest_safe"]) == (outcome, 4015)


def test_json_holds_the_levels_of_the_ring(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(capsys, *RING, "--bytes", "5000")
    levels = {key: answer[key] for key in ("watermark", "kernel_watermark", "fullest", "ring_bytes")}
    assert levels == {"watermark": 5000, "kernel_watermark": 4096, "fullest": 4088, "ring_bytes": 4096}
    assert "4088" in answer["reason"]


def test_json_without_a_rate_says_nothing_of_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert not {"rate", "flows"} & _answer(capsys, *RING, "--bytes", "4015").keys()


def test_rate_gives_wakeups_and_latency_of_the_smallest_and_the_largest_record(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes = ("--pages", "4", "--page-size", "4096", "--record-bytes", "32-64", "--bytes", "6400", "--rate", "1000")
    small, large = _answer(capsys, *sizes)["flows"]
    assert (small["record_bytes"], small["wakeups_per_second"], small["latency_seconds"]) == (32, 5.0, 0.2)
    assert (large["record_bytes"], large["wakeups_per_second"], large["latency_seconds"]) == (64, 10.0, 0.1)


def test_records_larger_than_the_watermark_wake_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    (flow,) = _answer(capsys, *RING, "--bytes", "8", "--rate", "100")["flows"]
    assert flow["wakeups_per_second"] == 100.0


def test_headroom_is_the_time_in_which_the_rest_of_the_ring_fills(capsys: pytest.CaptureFixture[str]) -> None:
    (flow,) = _answer(capsys, *RING, "--bytes", "2048", "--rate", "36")["flows"]
    assert flow["headroom_seconds"] == 1.0  # woken at 2072 of 4095: 36 more records of 56 bytes


def test_a_stream_that_stalls_has_no_wakeups_and_no_latency(capsys: pytest.CaptureFixture[str]) -> None:
    (flow,) = _answer(capsys, *RING, "--bytes", "4088", "--rate", "100")["flows"]
    assert (flow["wakeups_per_second"], flow["latency_seconds"], flow["headroom_seconds"]) == (0.0, None, None)


def test_zero_is_judged_as_half_a_ring(capsys: pytest.CaptureFixture[str]) -> None:
    assert _answer(capsys, *RING, "--bytes", "0")["kernel_watermark"] == 2048
    assert "the kernel makes 2048 of it" in _text(capsys, *RING, "--bytes", "0")


def test_an_overwrite_ring_wakes_at_its_own_size(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(capsys, *RING, "--bytes", "4096", "--overwrite", "--rate", "4096")
    assert (answer["outcome"], answer["flows"][0]["wakeups_per_second"]) == ("LIVE", 56.0)


def test_text_begins_with_the_outcome_and_gives_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    text = _text(capsys, *RING, "--bytes", "4087")
    assert text.startswith("DEPENDS")
    assert "K42" in text
    assert re.search(r"largest safe +4015 bytes", text)


def test_text_shows_no_picture_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert "not to scale" not in _text(capsys, *RING, "--bytes", "4087")


def test_picture_marks_the_watermark_in_the_zone_of_its_outcome(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in _text(capsys, *RING, "--bytes", "4087").splitlines()]
    below = next(index for index, line in enumerate(lines) if line.strip() == "^ 4087")
    assert lines[below - 1][lines[below].index("^")] == "?"


@pytest.mark.parametrize(("watermark", "status"), [("4015", 0), ("4016", 1), ("4088", 1)])
def test_check_fails_unless_live(watermark: str, status: int) -> None:
    assert main(["watermark", *RING, "--bytes", watermark, "--check"]) == status


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--pages", "0"),
        ("--bytes", "-1"),
        ("--bytes", "4294967296"),
        ("--record-bytes", "57"),
        ("--record-bytes", "56-24"),
        ("--record-bytes", "some"),
        ("--lost-bytes", "-24"),
        ("--page-size", "4095"),
        ("--rate", "0.0"),
        ("--rate", "nan"),
    ],
)
def test_bad_input_is_refused_with_its_value(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    words = dict(zip((*RING, "--bytes")[::2], (*RING, "--bytes", "64")[1::2], strict=True)) | {option: value}
    assert main(["watermark", *(word for pair in words.items() for word in pair)]) == 2
    refusal = capsys.readouterr().err
    assert all(number in refusal for number in re.findall(r"\w+", value)), refusal
