"""The first thing that README.md tells a newcomer to do, done to the letter in a copy of the project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.package._environments import succeed
from tests.quality.project import ROOT

COPIED = ("perfring", "simkernel", "docs", "pyproject.toml", "README.md", "LICENSE", "hatch_build.py")


def _commands() -> list[str]:
    section = (ROOT / "README.md").read_text().partition("## First green test\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (.+)$", section, re.MULTILINE)


@pytest.mark.timeout(300)
def test_the_first_test_of_a_newcomer_is_green(tmp_path: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    clone, *commands = _commands()
    assert clone.startswith("git clone ")
    said = [succeed("bash", "-ec", command, cwd=tmp_path) for command in commands]
    assert "1 passed" in said[-1]
