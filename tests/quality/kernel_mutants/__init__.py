"""Planted bugs of the simulated kernel, and which check finds which.

``python -m tests.quality.kernel_mutants`` runs every check against every mutant and writes docs/mutants.md.
"""

from __future__ import annotations

from typing import Final

from tests.quality.kernel_mutants import events, readiness, records, ring
from tests.quality.kernel_mutants.mutant import Mutant, kills, run

__all__ = ["MUTANTS", "Mutant", "kills", "run"]

_ROWS: Final = ("repeating:Repeater._at_once", "if self._output.is_watched:", "if True:")


def _singly(each: Mutant) -> Mutant:
    """Calls in rows go by the code that a bug is planted in: closes that way, so that the change is reached.

    That a row does what single calls do is held by tests/property/test_repeated_calls.py; test_rows.py has its bugs.
    """
    return Mutant(each.name, (*each.edits, _ROWS))


MUTANTS: Final[tuple[Mutant, ...]] = tuple(
    map(_singly, (*ring.MUTANTS, *readiness.MUTANTS, *events.MUTANTS, *records.MUTANTS))
)
