"""Scenarios as enemies write them: found by the fuzzer of tests/property, or beside it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from simkernel.simulate import Run, Scenario, ScenarioError, parse_setting, read_scenario, run
from simkernel.simulate.watching import WatchedKernel
from simkernel.workload import constant

LONGEST = 400
"""Characters of an error that is one line."""


def refusal(folder: Path, text: str) -> str:
    """What is said of a file."""
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_scenario(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("rate = " + "9" * 5000, "it is not TOML: ", id="more digits than Python reads"),
        pytest.param("rate = 0x" + "f" * 5000, "rate is a number of 20000 bits: ", id="more than it writes"),
        pytest.param("payload = { 64 = 0x" + "f" * 5000 + " }", "payload is ", id="more than it writes, in a table"),
        pytest.param("pages = " + "[" * 5000, "it is not TOML that makes sense: ", id="nested lists"),
        pytest.param("a." * 5000 + "b = 1", "a is {", id="nested tables"),
        pytest.param("x" * 5000 + " = 1", "'xxxx", id="a long key"),
        pytest.param("name = '" + "x" * 5000 + "'", "name is 'xxxx", id="a long text"),
        pytest.param("name = " + "x" * 5000, "it is not TOML: ", id="a long word"),
        pytest.param("# " + "x" * 100_000, "it is not TOML: it is larger than 65,536 bytes", id="a long file"),
    ],
)
def test_what_is_far_too_large_is_refused_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    said = refusal(tmp_path, text)
    assert said.startswith(words)
    assert len(said) < LONGEST


@pytest.mark.parametrize(
    "text", ['name = "\\u001b[2J"', 'about = "\\u202e"', 'kernel = "6.18\\u0000"', '"\\u001b" = 1']
)
def test_what_does_things_to_a_terminal_is_refused_and_spelled(tmp_path: Path, text: str) -> None:
    said = refusal(tmp_path, text)
    assert said.isprintable()
    assert "\\x" in said or "\\u202e" in said


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(ScenarioError, match="larger than 65,536 bytes"):
        read_scenario("/dev/zero")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_recording_that_is_the_name_of_no_file_is_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match="recording is "):
        Scenario(event="bpf", pattern="recorded", recording=name)


def test_rings_that_take_more_memory_than_there_is_are_refused() -> None:
    with pytest.raises(ScenarioError, match=r"pages is 4096: rings of 68,719,476,736 bytes in all are more than"):
        Scenario(pages=4096, page_size=65536, cpus=256)


@pytest.mark.parametrize("rate", [5e-324, 1e-300])
def test_a_rate_whose_inverse_is_infinite_is_refused(rate: float) -> None:
    with pytest.raises(ScenarioError, match=r"rate is .*: it must be 1e-09 events per second or more"):
        Scenario(rate=rate)
    with pytest.raises(ValueError, match=r"rate is .*: it must be 1e-09 or more"):
        constant(rate)


def test_a_mix_of_more_sizes_than_anybody_writes_is_refused() -> None:
    with pytest.raises(ScenarioError, match="from one to 1000 sizes"):
        Scenario(event="bpf", payload=dict.fromkeys(range(1001), 1.0))


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000])
def test_a_setting_that_is_no_toml_is_a_word(value: str) -> None:
    assert parse_setting(f"rate={value}") == ("rate", value)


@pytest.mark.parametrize("slow", [{"work": 1}, {"delay": 1}])
def test_a_reader_that_is_slow_for_days_does_not_keep_the_world_going(
    monkeypatch: pytest.MonkeyPatch, slow: dict[str, Any]
) -> None:
    made: list[WatchedKernel] = []

    def make(scenario: Scenario, on_progress: None = None) -> WatchedKernel:
        made.append(WatchedKernel(scenario, on_progress))
        return made[-1]

    monkeypatch.setattr(import_module("simkernel.simulate.run"), "WatchedKernel", make)
    assert isinstance(run(Scenario(duration=0.1, rate=1000, pages=1, **slow)), Run)
    assert made[0].now <= 100_001_000


def test_a_day_with_few_events_does_not_take_as_long() -> None:
    few = Scenario(duration=86_400, rate=0.001, cpus=16)
    assert run(few).result.produced == 16 * 86
