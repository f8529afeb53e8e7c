"""The programs that the documentation shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.project import ROOT


@pytest.mark.parametrize("example", ["switches.py", "collector.py"])
def test_an_example_runs_and_counts_its_records(example: str) -> None:
    command = [sys.executable, str(ROOT / "docs" / "examples" / example), "0.2"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert " records, " in done.stdout.splitlines()[-1]


def test_the_test_of_two_kernels_passes_on_this_one(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "examples" / "test_both_kernels.py", tmp_path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "--perf-kernel=linux",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "real-kernel tests: 1 ran, 0 skipped" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
