"""The table of docs/mutants.md: made from a run of everything, and read by the test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from simkernel.contract.suite import kernel_checks
from tests.quality.kernel_mutants.mutant import Mutant, kills, run

__all__ = ["matrix", "page", "pairs", "survivors"]

_SHOWN: Final = 3
_ROW: Final = re.compile(r"^\| `(.+)` \| (.+) \|$", re.MULTILINE)
_HEAD: Final = """# Mutants of the simulated kernel

Each check of `simkernel.contract` fails on at least one kernel with a planted bug: a change of a few characters in the
simulated kernel. Written by `python -m tests.quality.kernel_mutants`; `tests/quality/test_kernel_mutants.py` plants the
bugs and holds every row.
"""

Matrix = Mapping[str, tuple[str, ...]]
"""Mutant: the checks that fail on it."""


def matrix(mutants: Iterable[Mutant]) -> Matrix:
    """Every check against every mutant: minutes."""
    found: dict[str, tuple[str, ...]] = {}
    for each in mutants:
        with each.planted():
            found[each.name] = tuple(check.name for check in kernel_checks() if kills(run(check)))
    return found


def survivors(found: Matrix) -> list[str]:
    """Checks that fail on no mutant, and mutants on which no check fails."""
    failed = {check for checks in found.values() for check in checks}
    return [check.name for check in kernel_checks() if check.name not in failed] + [
        name for name, checks in found.items() if not checks
    ]


def page(found: Matrix) -> str:
    """docs/mutants.md. The mutants of a check are those on which the fewest checks fail."""
    killed_by = _by_check(found)
    lines = [f"{_HEAD}\n{len(found)} mutants, {len(killed_by)} checks.\n\n## Checks\n"]
    lines += ["| check | fails when |", "|---|---|"]
    for check, mutants in killed_by.items():
        narrowest = sorted(mutants, key=lambda name: len(found[name]))[:_SHOWN]
        lines.append(f"| `{_escaped(check)}` | {'; '.join(narrowest)} |")
    lines += ["\n## Mutants\n", "| a check that fails | when | checks that fail |", "|---|---|---:|"]
    # The check that has the fewest other mutants says most about this one.
    for name, checks in found.items():
        telling = min(checks, key=lambda check: len(killed_by[check]))
        lines.append(f"| `{_escaped(telling)}` | {name} | {len(checks)} |")
    return "\n".join(lines) + "\n"


def _by_check(found: Matrix) -> dict[str, list[str]]:
    killed_by: dict[str, list[str]] = {check.name: [] for check in kernel_checks()}
    for name, checks in found.items():
        for check in checks:
            killed_by[check].append(name)
    return killed_by


def pairs(text: str) -> dict[str, set[str]]:
    """What the page says: mutant, and the checks that it names for it."""
    told: dict[str, set[str]] = {}
    for check, rest in _ROW.findall(text):
        for name in rest.split(" | ")[0].split("; "):
            told.setdefault(name, set()).add(check.replace("\\|", "|"))
    return told


def _escaped(check: str) -> str:
    return check.replace("|", "\\|")
