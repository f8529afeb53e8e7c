"""What mutmut leaves alive of the rule, the ring's reader and the simulated ring is listed, and argued for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.quality.mutation import Survivor, listed, survivors
from tests.quality.project import ROOT

PAGE = (ROOT / "docs" / "survivors.md").read_text()
TOLD = listed(PAGE)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_exactly_the_listed_mutants_survive(tmp_path: Path) -> None:
    pytest.importorskip("mutmut", reason="mutmut is not installed: pip install -e '.[mutation]'")
    alive = set(survivors(tmp_path))
    assert not alive - set(TOLD), "these survive, and docs/survivors.md does not say why they may: kill or argue"
    assert not set(TOLD) - alive, "these are dead by now: take them off docs/survivors.md"


def test_every_line_of_the_page_is_read_and_none_twice() -> None:
    lines = re.findall(r"^- `.*→.*$", PAGE, re.MULTILINE)
    assert len(lines) == len(TOLD) == len(set(TOLD)) > 0


def test_what_a_survivor_changes_is_still_there() -> None:
    for survivor in TOLD:
        module = ".".join(survivor.function.split(".")[:2])
        source = " ".join((ROOT / (module.replace(".", "/") + ".py")).read_text().split())
        assert " ".join(survivor.old.split()) in source, survivor


def test_every_list_of_survivors_has_an_argument_before_it() -> None:
    for part in PAGE.split("\n## ")[1:]:
        _, _, rest = part.partition("\n\n")
        assert not rest.startswith("- "), part


def test_a_line_is_read_back_as_it_was_written() -> None:
    survivor = Survivor("perfring.ring.RingReader.copy", "if end <= self.size:", "if end < self.size:")
    assert listed(f"{survivor}\n") == [survivor]
