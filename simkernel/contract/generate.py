"""Random programs, biased to where kernels differ: refusals, limits, full rings, changes of readiness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simkernel.contract.program import Program, Step

if TYPE_CHECKING:
    import random

__all__ = ["random_program"]


def random_program(rng: random.Random) -> Program:
    """One program."""
    return Program((Step("actor", ("a",)), Step("getppid", ("a", str(rng.randrange(1, 9))))))
