"""Each check of the contract finds a planted bug, and each planted bug is found: docs/mutants.md, held row by row."""

from __future__ import annotations

import pytest

from simkernel.contract.suite import kernel_checks
from tests.quality.kernel_mutants import MUTANTS, Mutant, kills, run
from tests.quality.kernel_mutants.table import pairs
from tests.quality.project import ROOT

TOLD = pairs((ROOT / "docs" / "mutants.md").read_text())
CHECKS = {check.name: check for check in kernel_checks()}
ANEW = "run `python -m tests.quality.kernel_mutants`"


@pytest.mark.parametrize("mutant", [pytest.param(mutant, id=mutant.name) for mutant in MUTANTS])
def test_a_mutant_is_found_by_the_checks_that_the_page_names(mutant: Mutant) -> None:
    with mutant.planted():
        passed = [name for name in TOLD[mutant.name] if name not in CHECKS or not kills(run(CHECKS[name]))]
    assert not passed, f"the page says that these find {mutant.name!r}; {ANEW}"


def test_every_check_finds_a_mutant() -> None:
    assert set(CHECKS) == set().union(*TOLD.values()), f"plant a bug for each new check, and {ANEW}"


def test_the_page_has_all_mutants_and_no_other() -> None:
    assert set(TOLD) == {mutant.name for mutant in MUTANTS}, ANEW


def test_nothing_is_left_planted() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "every record wakes")
    with mutant.planted():
        pass
    assert run(CHECKS["a_ring_below_its_watermark_is_not_readable"]).ok


def test_a_mutant_whose_place_is_gone_says_so() -> None:
    gone = Mutant("gone", (("ringbuf:RingBuffer.pause", "no such text", ""),))
    with pytest.raises(LookupError, match="no such text"), gone.planted():
        pass
