"""Formulas that run on numbers as well: every connective takes Python's bools and ints, or z3's terms.

The only file that imports z3. An answer of ``unknown`` is an error everywhere: it is no proof and no counterexample.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import z3  # type: ignore[import-untyped]

Number: TypeAlias = Any
"""An int, or z3's term for one."""
Truth: TypeAlias = Any
"""A bool, or z3's term for one."""

# A count of z3's own steps and not a time, so that a slow machine proves what a fast one does.
EFFORT = 200_000_000


class Undecided(AssertionError):
    """z3 answered ``unknown``."""


def all_of(*parts: Truth) -> Truth:
    return z3.And(*parts) if _symbolic(*parts) else all(parts)


def any_of(*parts: Truth) -> Truth:
    return z3.Or(*parts) if _symbolic(*parts) else any(parts)


def negation(part: Truth) -> Truth:
    return z3.Not(part) if _symbolic(part) else not part


def implies(condition: Truth, conclusion: Truth) -> Truth:
    return any_of(negation(condition), conclusion)


def choose(condition: Truth, yes: Any, no: Any) -> Any:
    if not _symbolic(condition):
        return yes if condition else no
    return z3.If(condition, yes, no)


def least(first: Number, second: Number) -> Number:
    return choose(first <= second, first, second)


def most(first: Number, second: Number) -> Number:
    return choose(first >= second, first, second)


def quotient(number: Number, divisor: Number) -> Number:
    """Rounded down, for a positive divisor: z3 writes / where Python writes //."""
    return number / divisor if _symbolic(number, divisor) else number // divisor


def _symbolic(*values: Any) -> bool:
    return any(isinstance(value, z3.ExprRef) for value in values)


def integer(name: str) -> Number:
    return z3.Int(name)


def truth(name: str) -> Truth:
    return z3.Bool(name)


def word(name: str) -> Any:
    """64 bits, as the kernel keeps its positions."""
    return z3.BitVec(name, 64)


def at_most_unsigned(first: Any, second: Any) -> Truth:
    return z3.ULE(first, second)


def same(term: Any, value: Any) -> Truth:
    return term == value


class Solver:
    """z3's solver, whose ``unknown`` cannot be taken for an answer.

    Args:
        effort: how many of z3's steps one question may take; None for `EFFORT`.
    """

    def __init__(self, *, effort: int | None = None) -> None:
        self._solver = z3.Solver()
        self._solver.set("rlimit", EFFORT if effort is None else effort)

    def add(self, *conditions: Truth) -> None:
        self._solver.add(*conditions)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is added inside is forgotten afterwards."""
        self._solver.push()
        yield
        self._solver.pop()

    def example(self) -> Example | None:
        """Values that make everything true, or None when there are none.

        Raises:
            Undecided: z3 does not know.
        """
        answer = self._solver.check()
        if answer == z3.unknown:
            raise Undecided(f"z3 gave up: {self._solver.reason_unknown()}")
        return Example(self._solver.model()) if answer == z3.sat else None


class Example:
    """What z3 found: `value` tells the value of any term in it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def value(self, term: Any) -> Any:
        """An int or a bool; what the example leaves open is 0 or False."""
        if not _symbolic(term):
            return term
        found = self._model.eval(term, model_completion=True)
        return z3.is_true(found) if z3.is_bool(found) else found.as_long()


def example_of(*conditions: Truth, effort: int | None = None) -> Example | None:
    """Values that make all conditions true; None proves that there are none."""
    solver = Solver(effort=effort)
    solver.add(*conditions)
    return solver.example()
