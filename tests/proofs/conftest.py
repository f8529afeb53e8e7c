"""The table of theorems at the end of a run: how long each took to prove, and what its twins look like."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.proofs.theorems import Theorem

PROOF, TWIN = "proof", "twin"


@pytest.fixture
def part_of_proof(theorem: Theorem, record_property: Callable[[str, object], None]) -> None:
    """Counts the test's time for its theorem."""
    record_property(PROOF, theorem.name)


@pytest.fixture
def tell_twin(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
    """Puts a theorem's twin and its counterexample into the table."""

    def tell(theorem: str, twin: str, counterexample: str) -> None:
        record_property(TWIN, (theorem, twin, counterexample))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table: theorem, result, seconds, counterexamples."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, [])]
    seconds: dict[str, float] = {}
    failed: set[str] = set()
    twins: dict[str, list[str]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == PROOF and report.when == "call":
                seconds[value] = seconds.get(value, 0.0) + report.duration
                failed |= {value} if report.failed else set()
            elif name == TWIN and report.when == "call":
                twins.setdefault(value[0], []).append(f"{value[1]}: {value[2]}")
    if seconds:
        terminalreporter.section("theorems")
    for name, spent in seconds.items():
        terminalreporter.write_line(f"{name:34} {'NOT PROVED' if name in failed else 'proved'}  {spent:6.2f} s")
        for twin in twins.get(name, []):
            terminalreporter.write_line(f"    not with {twin}")
