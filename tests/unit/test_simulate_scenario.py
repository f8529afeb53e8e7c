"""Scenarios: what is refused, in which words, and what a file may say."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from simkernel.foreign import shown
from simkernel.simulate import BUILT_IN, Scenario, ScenarioError, check, parse_setting, read_scenario, with_settings

REFUSED: list[tuple[str, Any]] = [
    ("pages", 0),
    ("pages", 2.0),
    ("pages", True),
    ("watermark", 0),
    ("watermark", "largest"),
    ("watermark", 1 << 32),
    ("page_size", 8192),
    ("cpus", 0),
    ("event", "sched_switch"),
    ("pattern", "sawtooth"),
    ("rate", -5),
    ("rate", 0),
    ("rate", float("nan")),
    ("rate", "fast"),
    ("rate", 10**400),
    ("duration", 10**400),
    ("reader", "mine"),
    ("start", -1),
    ("latency", 0),
    ("latency", "10 minutes"),
    ("period", 0),
    ("delay", "-1ms"),
    ("duration", 0),
    ("duration", 1e9),
    ("seed", -1),
    ("seed", 0.5),
    ("kernel", "2.6"),
    ("kernel", 6.18),
    ("name", 3),
]


def _error(**settings: Any) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        Scenario(**settings)
    return caught.value


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_a_value_without_meaning_is_refused_with_its_key_and_value(key: str, value: object) -> None:
    error = _error(**{key: value})
    assert error.key == key
    assert str(error).startswith(f"{key} is {shown(value)}: ")


@pytest.mark.parametrize("payload", [-1, 65_001, {}, {"many": 1}, {64: 0}, {64: 10**400}, {64: "often"}, [64]])
def test_a_payload_that_no_program_puts_out_is_refused(payload: object) -> None:
    assert _error(event="bpf", payload=payload).key == "payload"


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("payload", {"payload": 64}),
        ("payload", {"event": "bpf"}),
        ("burst", {"burst": 10}),
        ("burst", {"pattern": "bursty"}),
        ("lifetime", {"event": "bpf", "payload": 64, "lifetime": 1}),
        ("latency", {"period": 1, "latency": 1}),
        ("delay", {"period": 1, "delay": 1}),
        ("rate", {"rate": 1e9}),
        ("start", {"start": 1, "duration": 1}),
        ("period", {"period": 1, "duration": 1}),
        ("period", {"period": "1ns"}),
        ("latency", {"latency": "1ms", "duration": 20_000, "rate": 100}),
    ],
)
def test_settings_that_do_not_go_together_are_refused(key: str, settings: dict[str, Any]) -> None:
    assert _error(**settings).key == key


@pytest.mark.parametrize(
    ("written", "seconds"), [("10ms", 0.01), ("2.5 us", 2.5e-6), ("1s", 1.0), ("7ns", 7e-9), (3, 3.0)]
)
def test_a_time_is_a_number_of_seconds_or_has_a_unit(written: object, seconds: float) -> None:
    assert with_settings(Scenario(), {"delay": written}).delay == seconds


def test_the_sizes_in_a_mix_of_payloads_may_be_texts_as_in_toml() -> None:
    assert Scenario(event="bpf", payload={"64": 9, "4096": 1}).payload == {64: 9.0, 4096: 1.0}  # type: ignore[dict-item]


def test_a_watermark_that_build_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(ScenarioError, match=r"watermark is 4096: .* not below the 4096 data bytes") as caught:
        check(Scenario(pages=1, watermark=4096))
    assert caught.value.key == "watermark"


def test_a_reader_that_does_not_ask_build_takes_it() -> None:
    assert check(Scenario(pages=1, watermark=4096, reader="bare")).outcome == "STALLS"


def test_auto_is_the_largest_safe_watermark() -> None:
    verdict = check(Scenario(pages=1))
    assert verdict.kernel_watermark == verdict.largest_safe == 4095 - 56 - 48


def test_auto_is_about_the_very_payloads_of_a_scenario() -> None:
    verdict = check(Scenario(event="bpf", payload={64: 1, 1000: 1}, pages=1))
    assert verdict.largest_safe == 4095 - (8 + 8 + 8 + 8 + 1008) - 48


def test_auto_is_refused_where_no_watermark_is_safe() -> None:
    with pytest.raises(ScenarioError, match="watermark is 'auto': no watermark of a ring of 4096 bytes is safe"):
        check(Scenario(event="bpf", payload=5000, pages=1))


def test_an_error_survives_the_way_back_from_a_worker() -> None:
    error = _error(rate=-5).at("file.toml")
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.key, twin.value, twin.source) == (str(error), "rate", -5, "file.toml")


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_scenario_is_what_its_name_says(name: str) -> None:
    assert {scenario.name for scenario in BUILT_IN[name]} == {name}
    assert BUILT_IN[name][-1].reader == "perfring"


def _file(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_is_named_after_itself_and_has_the_defaults(tmp_path: Path) -> None:
    scenario = read_scenario(_file(tmp_path, 'pages = 4\nlatency = "10ms"\n'))
    assert scenario == Scenario(name="mine", pages=4, latency=0.01)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 3", "mine.toml: colour is 3: there is no such key; there are name, "),
        ("pagez = 3", "mine.toml: pagez is 3: there is no such key; do you mean pages?"),
        ("rate = -5", "mine.toml: rate is -5: it must be a number of events per second above 0"),
        ("rate = 'fast'", "mine.toml: rate is 'fast': it must be a number"),
        ("pages = 1\nwatermark = 4096", "mine.toml: watermark is 4096: a wakeup watermark of 4096 bytes is not below"),
        ("pages = ", "mine.toml: it is not TOML: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_file_key_and_value(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(_file(tmp_path, text))
    assert words in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="it is not TOML"):
        read_scenario(path)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("pages=4", ("pages", 4)),
        ("watermark = auto", ("watermark", "auto")),
        ("latency=10ms", ("latency", "10ms")),
        ("payload={64 = 9, 4096 = 1}", ("payload", {"64": 9, "4096": 1})),
        ("name=", ("name", "")),
        ("kernel=6.18", ("kernel", "6.18")),
        ("kernel='6.18'", ("kernel", "6.18")),
    ],
)
def test_a_setting_is_a_key_and_a_toml_value_or_a_word(text: str, setting: tuple[str, object]) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["pages", "=4", "", "pages=4\nrate=3"])
def test_a_setting_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="write KEY=VALUE"):
        parse_setting(text)


def _page() -> str:
    return (Path(__file__).resolve().parents[2] / "docs" / "simulate.md").read_text()


def test_the_file_in_the_documentation_is_a_scenario(tmp_path: Path) -> None:
    shown = _page().partition("```toml\n")[2].partition("```")[0]
    assert read_scenario(_file(tmp_path, shown)).payload == {64: 9, 4096: 1}


def test_the_documentation_has_every_key_and_scenario() -> None:
    keys = {field.name for field in fields(Scenario)} - {"name", "about"}
    assert not {name for name in {*keys, *BUILT_IN} if f"`{name}`" not in _page()}
