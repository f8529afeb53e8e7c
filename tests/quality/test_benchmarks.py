"""The benchmarks run; what they measure is no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import groups
from benchmarks.__main__ import main
from benchmarks.compiling import build
from benchmarks.groups import GROUPS
from benchmarks.measuring import Figure, Outcome, Skipped
from tests.quality.project import ROOT

MET = Figure("met", 1.0, (0.5, 2.0), "x", at_most=2.0)
MISSED = Figure("cost of a walk", 3.0, (2.5, 4.0), "x", at_most=2.0)
SKIPPED = Skipped("libbpf's reader", "not installed")


def _find(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome) -> None:
    """The group "decode" finds these."""
    monkeypatch.setitem(groups.GROUPS, "decode", lambda _: iter(outcomes))


def _draw(file: Path, directory: Path) -> str:
    """What the command says. In a process of its own: matplotlib keeps its fonts open."""
    command = [sys.executable, "-m", "benchmarks.plots", str(file), str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_the_short_form_measures_every_group(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert main(["--short", "--json", str(file)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    assert {each["group"] for each in found["figures"] + found["skipped"]} == set(GROUPS)
    assert {each["group"] for each in found["figures"]} >= {"decode", "scaling", "memory", "simulator"}
    printed = capsys.readouterr().out
    assert [each["name"] for each in found["figures"] + found["skipped"] if each["name"] not in printed] == []
    _draw(file, tmp_path)
    assert {"decode.svg", "decode.png", "scaling.svg", "scaling.png"} <= {path.name for path in tmp_path.iterdir()}


def test_without_the_real_kernel_its_figures_are_skipped_with_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFRING_LINUX", "0")
    assert main(["--short", "--only", "live", "watermark"]) == 0
    printed = capsys.readouterr().out
    for group in ("live", "watermark"):
        assert f"skipped: {group}: PERFRING_LINUX=0 leaves the real kernel alone" in printed


def test_without_a_compiler_what_needs_c_is_skipped_with_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    build.cache_clear()
    assert main(["--short", "--only", "decode", "live", "watermark"]) == 0
    printed = capsys.readouterr().out
    assert "skipped: mixed: C loop, a callback per record: no C compiler" in printed
    assert "mixed: perfring records" in printed
    assert {"skipped: live", "skipped: watermark"} <= {line[: line.find(":", 9)] for line in printed.splitlines()}


def test_a_missed_limit_is_marked_and_the_status_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _find(monkeypatch, MET, MISSED)
    assert main(["--only", "decode"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("met")).split()[-1] == "met"
    assert next(line for line in lines if line.startswith("cost of a walk")).split()[-1] == "MISSED"
    assert lines[-1] == "1 limits missed: cost of a walk"


def test_the_short_form_judges_no_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _find(monkeypatch, MISSED)
    assert main(["--short", "--only", "decode"]) == 0
    assert "MISSED" not in capsys.readouterr().out


def test_what_is_skipped_misses_no_limit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _find(monkeypatch, MET, SKIPPED)
    assert main(["--only", "decode"]) == 0
    assert "skipped: libbpf's reader: not installed" in capsys.readouterr().out


def test_json_on_standard_output_comes_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _find(monkeypatch, MISSED, SKIPPED)
    assert main(["--json", "--only", "decode"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["figures"] == [{"group": "decode", **MISSED._asdict(), "spread": [2.5, 4.0]}]
    assert found["skipped"] == [{"group": "decode", **SKIPPED._asdict()}]
    assert {"cpu", "cores", "kernel", "python", "compiler", "engine"} <= set(found["machine"])


@pytest.mark.parametrize("wrong", [["--fast"], ["--only", "decoding"], ["--rounds", "0"]])
def test_an_unknown_option_is_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert wrong[-1] in capsys.readouterr().err


def test_pictures_whose_figures_are_missing_are_left_out_with_a_word(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"figures": [{"group": "decode", **MISSED._asdict()}]}))
    assert f"live: no figures for it in {file}" in _draw(file, tmp_path / "pictures")
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"limits.svg", "limits.png"}
