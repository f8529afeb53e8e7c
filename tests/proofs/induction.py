"""Proof by induction, as questions to z3 whose answer must be no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from tests.proofs.logic import Example, Number, Truth, all_of, example_of, integer, negation, truth
from tests.proofs.model import TRUTHS, Args, Ring, State, initial, names_of
from tests.proofs.theorems import ALL_STEPS, Theorem

_Named = TypeVar("_Named", Ring, State, Args)


def symbols(kind: type[_Named], suffix: str = "") -> _Named:
    """A ring, a state or arguments of which nothing is known."""
    # The name of the kind as well: a ring's size and a record's must not be one unknown.
    return kind(**{name: _symbol(name)(f"{kind.__name__}.{name}{suffix}") for name in names_of(kind)})


def _symbol(name: str) -> Callable[[str], Number | Truth]:
    return truth if name in TRUTHS else integer


RING, STATE, ARGS = symbols(Ring), symbols(State), symbols(Args)
OTHER_ARGS = symbols(Args, "'")


class Refuted(AssertionError):
    """What should follow does not."""


def holds(theorem: Theorem, state: State) -> Truth:
    """The invariant, whole."""
    return all_of(*(part(RING, state) for part in theorem.invariant.values()))


def base(theorem: Theorem) -> None:
    """The invariant holds at first.

    Raises:
        Refuted: it does not, with an example.
    """
    for name, part in theorem.invariant.items():
        _deny(f"initial => {name}", theorem.hypothesis(RING), negation(part(RING, initial(RING))))


def keeps(theorem: Theorem, step: str) -> None:
    """Every part of the invariant survives the step.

    Raises:
        Refuted: one does not, with an example.
    """
    after = ALL_STEPS[step].effect(RING, STATE, ARGS)
    for name, part in theorem.invariant.items():
        _deny(f"{step} keeps {name}", *possible(theorem, step), negation(part(RING, after)))


def possible(theorem: Theorem, step: str) -> Iterator[Truth]:
    """The step may happen in a state that has the invariant."""
    yield theorem.hypothesis(RING)
    yield holds(theorem, STATE)
    yield ALL_STEPS[step].guard(RING, STATE, ARGS)


def concludes(theorem: Theorem) -> None:
    """The claim follows from the invariant, for every choice of arguments.

    Raises:
        Refuted: it does not, with an example.
    """
    claim = theorem.claim(RING, STATE, OTHER_ARGS)
    _deny("invariant => claim", theorem.hypothesis(RING), holds(theorem, STATE), negation(claim))


def _deny(question: str, *conditions: Truth) -> None:
    example = example_of(*conditions)
    if example is not None:
        raise Refuted(f"{question}: not where {_told(example)}")


def _told(example: Example) -> str:
    terms = [(name, term) for group in (RING, STATE, ARGS, OTHER_ARGS) for name, term in vars(group).items()]
    return ", ".join(f"{name} = {example.value(term)}" for name, term in terms)
