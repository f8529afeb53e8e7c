"""docs/conformance/results.md is what the recordings give, and the runs reached what they had to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simkernel.contract.results import Held, Run, page, read_run
from simkernel.contract.trace import TraceError
from tests.conformance._recorded import RECORDINGS, machine, replay_of, traces

PAGE = Path(__file__).parents[2] / "docs" / "conformance" / "results.md"
RUNS = sorted((Path(__file__).parent / "runs").glob("*.json"))
AGAIN = "write it again: its first lines say how"


def held() -> list[Held]:
    return [
        Held(machine(release), traces(release), replay_of(release, list(traces(release)))) for release in RECORDINGS
    ]


def test_the_page_of_results_is_what_the_recordings_give() -> None:
    assert PAGE.read_text() == page(held(), [read_run(path) for path in RUNS]), AGAIN


def test_a_run_of_100000_steps_found_nothing() -> None:
    runs = [read_run(path) for path in RUNS]
    assert [run.differing for run in runs] == [0] * len(runs)
    assert max(run.steps for run in runs) >= 100_000


@pytest.mark.parametrize("release", RECORDINGS)
def test_each_recording_has_20000_random_steps(release: str) -> None:
    assert sum(len(trace.program.steps) for trace in traces(release) if trace.name.startswith("random/")) >= 20_000


def run_of(coverage: dict[str, dict[str, int]]) -> Run:
    return Run("6.18", 7, 1, 2, 0, coverage)


def test_a_refusal_that_was_seldom_reached_is_named() -> None:
    rare = run_of({"close": {"EBADF": 49}, "write": {"EBADF": 50}}).rare()
    assert "close: EBADF, 49" in rare
    assert not [each for each in rare if each.startswith("write: EBADF")]


def test_the_page_names_what_was_seldom_reached() -> None:
    assert "seed 7 has all but" in page([], [run_of({})])


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"release": "6.18", "differences": [{}]})])
def test_a_file_that_is_no_run_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(TraceError, match=r"run\.json: not what compare --json prints"):
        read_run(path)
