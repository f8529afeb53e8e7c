"""docs/reference/support.md says what the settings of the project say."""

from __future__ import annotations

import re
import tomllib

import pytest

import simkernel.releases
from tests.quality.project import ROOT

PAGE = (ROOT / "docs" / "reference" / "support.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOX = re.search(r"^env_list = (.*)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
CI = (ROOT / "ci" / "test").read_text()


def _table(title: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head, each cell without backticks."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{title}\n")]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


def test_the_pythons_are_those_of_the_classifiers() -> None:
    found = re.findall(r"Python :: (3\.[0-9]+)", " ".join(PROJECT["classifiers"]))
    assert [row[0] for row in _table("Python")] == found


@pytest.mark.parametrize("row", _table("Python"), ids=lambda row: row[0])
def test_each_python_has_an_environment(row: list[str]) -> None:
    version, environment = row
    name = f"py{version.replace('.', '')}"
    assert environment == f"tox -e {name}"
    assert TOX
    assert name in TOX[1].split(", ")
    assert version in CI


def test_the_oldest_python_is_the_one_that_is_required() -> None:
    assert PROJECT["requires-python"] == f">={_table('Python')[0][0]}"


def test_the_kernels_are_those_that_are_simulated() -> None:
    simulated = [".".join(map(str, version)) for version in simkernel.releases.RELEASES]
    assert [row[0] for row in _table("Kernels")] == simulated
    assert [row[2] for row in _table("Kernels")] == [f'SimKernel(release="{release}")' for release in simulated]


@pytest.mark.parametrize("row", _table("Kernels"), ids=lambda row: row[0])
def test_a_kernel_was_measured_as_it_is_said(row: list[str]) -> None:
    measured = row[1].removesuffix(" (Debian)")
    assert measured.startswith(f"{row[0]}.")
    assert measured in (simkernel.releases.__doc__ or "")


def test_every_extra_is_explained() -> None:
    assert sorted(row[0] for row in _table("Extras")) == sorted(["(none)", *PROJECT["optional-dependencies"]])


def test_what_comes_without_extras_is_what_is_required() -> None:
    required = [re.split(r"[<>=\[]", requirement)[0] for requirement in PROJECT["dependencies"]]
    assert _table("Extras")[0][1] == ", ".join(required)
