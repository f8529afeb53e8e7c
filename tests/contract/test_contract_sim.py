"""Everything that the contract says of a kernel, on the simulated one: a test for each check, to name failures."""

from __future__ import annotations

import pytest

from simkernel import SimKernel
from simkernel.contract import SimArm, check_kernel
from simkernel.contract.suite import Check, kernel_checks


@pytest.mark.parametrize("check", kernel_checks(), ids=str)
def test_the_simulated_kernel_keeps_the_contract(check: Check) -> None:
    outcome = check.run(SimArm)
    assert outcome.verdict == "ok", outcome.text


def _with_larger_pages() -> SimArm:
    return SimArm(SimKernel(page_size=65536, capabilities=SimArm().kernel.settings.capabilities))


def test_the_checks_do_not_depend_on_the_size_of_a_page() -> None:
    report = check_kernel(_with_larger_pages)
    assert report.ok, str(report)


def test_a_check_that_needs_a_second_cpu_says_so_where_there_is_one() -> None:
    capabilities = SimArm().kernel.settings.capabilities
    report = check_kernel(lambda: SimArm(SimKernel(cpus=1, capabilities=capabilities)))
    assert report.ok, str(report)
    assert report.count("unavailable") > 0
