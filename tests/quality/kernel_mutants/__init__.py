"""Planted bugs of the simulated kernel, and which check finds which.

``python -m tests.quality.kernel_mutants`` runs every check against every mutant and writes docs/mutants.md.
"""

from __future__ import annotations

from typing import Final

from tests.quality.kernel_mutants import events, readiness, records, ring
from tests.quality.kernel_mutants.mutant import Mutant, kills, run

__all__ = ["MUTANTS", "Mutant", "kills", "run"]

MUTANTS: Final[tuple[Mutant, ...]] = (*ring.MUTANTS, *readiness.MUTANTS, *events.MUTANTS, *records.MUTANTS)
