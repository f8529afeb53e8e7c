"""The benchmarks run; what they measure is no test's business."""

from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import main


def test_the_short_form_measures_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--short", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert [figure["name"] for figure in figures if not figure["value"] > 0] == []
    assert len(figures) == 7


def test_an_unknown_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--fast"]) == 2
    assert "--fast" in capsys.readouterr().err
