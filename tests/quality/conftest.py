"""The table of planted bugs at the end of a run: which layer found each of them, after how many examples."""

from __future__ import annotations

import pytest

PLANTED = "planted bug"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table: bug, layer, examples."""
    told = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == PLANTED and report.when == "call"
    ]
    if told:
        terminalreporter.section("planted bugs: the layer that finds each first, and the examples it needs")
    for bug, layer, examples in told:
        terminalreporter.write_line(f"{bug:66} {layer:9}{examples:6}")
