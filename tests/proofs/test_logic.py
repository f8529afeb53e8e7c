"""What the proofs stand on: z3 that does not know fails them, and false claims are refuted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.proofs import logic
from tests.proofs.bounded import counterexample, execute
from tests.proofs.induction import Refuted, base, concludes, keeps
from tests.proofs.logic import Undecided, all_of, any_of, choose, example_of, implies, integer, negation, quotient
from tests.proofs.model import Args, Ring
from tests.proofs.theorems import LIVE, NEVER, Theorem, Twin


def test_what_z3_does_not_know_is_an_error() -> None:
    x, y, z = integer("x"), integer("y"), integer("z")
    with pytest.raises(Undecided, match="z3 gave up: "):
        example_of(x > 1, y > 1, z > 1, x * x * x + y * y * y == z * z * z, effort=10_000)


def test_a_theorem_that_z3_cannot_decide_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "EFFORT", 1)
    with pytest.raises(Undecided):
        keeps(LIVE, "reserve")


def test_a_counterexample_that_z3_cannot_decide_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "EFFORT", 1)
    with pytest.raises(Undecided):
        counterexample(LIVE, LIVE.twins[0])


@pytest.mark.parametrize("twin", NEVER.twins, ids=lambda twin: str(twin.name))
def test_a_false_theorem_is_not_proved(twin: Twin) -> None:
    false = replace(NEVER, hypothesis=twin.hypothesis, steps=twin.steps or NEVER.steps)
    with pytest.raises(Refuted, match="keeps"):
        _prove(false)


def test_an_invariant_that_is_false_at_first_is_refuted() -> None:
    with pytest.raises(Refuted, match="initial => latch: not where size = "):
        base(replace(NEVER, invariant={"latch": lambda ring, state: state.latch}))


def test_a_claim_that_does_not_follow_is_refuted() -> None:
    with pytest.raises(Refuted, match="invariant => claim"):
        concludes(replace(NEVER, claim=lambda ring, state, args: state.head == 0))


def _prove(theorem: Theorem) -> None:
    base(theorem)
    concludes(theorem)
    for step in theorem.steps:
        keeps(theorem, step)


def test_a_run_that_cannot_happen_is_refused() -> None:
    ring = Ring(64, 64, 8, 8, 24, 0, overwrite=False)
    with pytest.raises(ValueError, match="publish with Args"):
        execute(ring, [("publish", Args())], Args())


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_a_connective_says_of_terms_what_it_says_of_bools(first: bool, second: bool) -> None:
    for connective in (all_of, any_of, implies):
        told = connective(logic.truth("a"), logic.truth("b"))
        fixed = (logic.same(logic.truth("a"), first), logic.same(logic.truth("b"), second))
        assert (example_of(told, *fixed) is not None) == connective(first, second)


@pytest.mark.parametrize("number", range(0, 40, 7))
@pytest.mark.parametrize("divisor", [1, 3, 8])
def test_a_number_says_of_terms_what_it_says_of_ints(number: int, divisor: int) -> None:
    n, d = integer("n"), integer("d")
    told = all_of(
        logic.same(quotient(n, d), quotient(number, divisor)),
        logic.same(logic.least(n, d), min(number, divisor)),
        logic.same(logic.most(n, d), max(number, divisor)),
        logic.same(choose(n > d, n, 5), number if number > divisor else 5),
    )
    assert example_of(n == number, d == divisor, negation(told)) is None
