"""The programs that the documentation shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.quality.project import ROOT


@pytest.mark.parametrize("example", ["switches.py"])
def test_an_example_runs_and_counts_its_records(example: str) -> None:
    command = [sys.executable, str(ROOT / "docs" / "examples" / example), "0.2"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert " records, " in done.stdout.splitlines()[-1]
