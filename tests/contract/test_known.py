"""The table of known differences: what it covers, and that a comparison goes on behind them."""

from __future__ import annotations

import pytest

from simkernel.contract import known as table
from simkernel.contract.compare import NOT_SIMULATED, Difference
from simkernel.contract.known import ALL, KNOWN, Known, explained, release_label
from simkernel.contract.program import Program

PROGRAM = Program.parse("e = open type:5\nf = open software:dummy\nread f")
ENTRY = Known("some/*", (f"open: {NOT_SIMULATED}",), "it is so", releases=("5.10",))


def difference(at: int, where: str = NOT_SIMULATED) -> Difference:
    return Difference(PROGRAM, at, where, {"ok": None}, "no")


@pytest.fixture(autouse=True)
def _one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "KNOWN", (ENTRY,))


def test_a_known_difference_is_no_finding() -> None:
    findings = explained("some/thing", "5.10.223", [difference(0)])
    assert (findings.unexplained, findings.known) == (None, (ENTRY,))


def test_what_is_behind_a_known_difference_is_found() -> None:
    findings = explained("some/thing", "5.10.223", [difference(0), difference(2, "ok[0]")])
    assert findings.unexplained == difference(2, "ok[0]")


@pytest.mark.parametrize(
    ("name", "release", "where"),
    [("other/thing", "5.10", NOT_SIMULATED), ("some/thing", "6.1", NOT_SIMULATED), ("some/thing", "5.10", "errno")],
)
def test_another_program_release_or_place_is_unexplained(name: str, release: str, where: str) -> None:
    assert explained(name, release, [difference(0, where)]).unexplained is not None


@pytest.mark.parametrize(("release", "label"), [("5.15.0", "5.10"), ("6.18.44", "6.18"), ("9.1-rc3", "7.2")])
def test_a_release_is_simulated_by_the_newest_that_is_not_newer(release: str, label: str) -> None:
    assert release_label(release) == label


def test_every_entry_says_where_and_why() -> None:
    assert all(known.reason and known.kinds and set(known.releases) <= set(ALL) for known in KNOWN)
