"""Everything that the contract says of a kernel, on the real one: a test for each check, so that failures name it."""

from __future__ import annotations

import pytest

from simkernel.contract import LinuxArm
from simkernel.contract.suite import Check, kernel_checks


@pytest.mark.parametrize("check", kernel_checks(), ids=str)
def test_the_real_kernel_keeps_the_contract(check: Check) -> None:
    outcome = check.run(LinuxArm)
    if outcome.verdict == "unavailable":
        pytest.skip(outcome.text)
    assert outcome.ok, outcome.text
