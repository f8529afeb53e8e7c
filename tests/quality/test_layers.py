"""Each planted bug is found by the layer that docs/layers.md names, and without a bug the same test passes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from perfring.engine import is_built
from tests.engines import NOT_BUILT
from tests.quality.conftest import PLANTED
from tests.quality.layers import BUGS, Bug
from tests.quality.layers.hunt import Find
from tests.quality.layers.suite import LAYERS, layer_of
from tests.quality.layers.table import rows
from tests.quality.project import ROOT

TOLD = rows((ROOT / "docs" / "layers.md").read_text())
ANEW = "run `python -m tests.quality.layers`"
PARTS = {"reader", "session", "columns", "verdict", "ring", "readiness"}

# The first test that asks for it pays for the whole hunt.
pytestmark = pytest.mark.timeout(600)


def hunted(folder: Path, bugs: Sequence[str], tests: Mapping[str, Sequence[str]] | None) -> list[Find]:
    """In a process of its own: bugs are planted in copies of it, which the threads of other tests would not survive."""
    answer = folder / "finds.json"
    command = [sys.executable, "-m", "tests.quality.layers.hunt", str(answer)]
    request = json.dumps({"bugs": list(bugs), "tests": tests})
    ran = subprocess.run(command, cwd=ROOT, input=request, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(answer.read_text())
    assert not told["problems"], "\n".join(told["problems"])
    return [Find(**find) for find in told["finds"]]


@pytest.fixture(scope="session")
def finds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Find]:
    """By bug: what the test that the page names made of it. By "": tests that fail without any."""
    tests = {name: [row.test] for name, row in TOLD.items()}
    everything = sorted({row.test for row in TOLD.values()})
    found = hunted(tmp_path_factory.mktemp("hunt"), ["", *TOLD], {"": everything, **tests})
    return {find.bug: find for find in found}


def test_every_file_of_a_layer_is_there() -> None:
    assert [name for layer in LAYERS for name in layer.files if not (ROOT / name).is_file()] == []


def test_without_a_bug_all_those_tests_pass(finds: dict[str, Find]) -> None:
    assert "" not in finds


@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.name) for bug in BUGS])
def test_a_bug_is_found_by_the_test_that_the_page_names(
    bug: Bug, finds: dict[str, Find], record_property: Callable[[str, Any], None]
) -> None:
    if "[compiled" in TOLD[bug.name].test and not is_built():
        pytest.skip(NOT_BUILT)
    assert bug.name in finds, f"the page says that {TOLD[bug.name].test} finds {bug.name!r}; {ANEW}"
    find = finds[bug.name]
    record_property(PLANTED, (bug.name, find.layer, find.examples))


def test_the_page_has_all_bugs_and_no_other() -> None:
    assert list(TOLD) == [bug.name for bug in BUGS], ANEW
    assert [row.part for row in TOLD.values()] == [bug.part for bug in BUGS], ANEW


def test_each_test_belongs_to_the_layer_that_the_page_says() -> None:
    assert not [row for row in TOLD.values() if getattr(layer_of(row.test), "name", None) != row.layer]


def test_there_are_at_least_five_bugs_of_each_part() -> None:
    counts = Counter(bug.part for bug in BUGS)
    assert set(counts) == PARTS
    assert min(counts.values()) >= 5


def test_a_test_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no_such_test"):
        hunted(tmp_path, [""], {"": ["tests/unit/test_ring.py::no_such_test"]})


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_cheaper_layer_finds_it_and_this_one_does(tmp_path: Path) -> None:
    found = {find.bug: find.layer for find in hunted(tmp_path, ["", *TOLD], None)}
    assert found == {name: row.layer for name, row in TOLD.items()}, ANEW
