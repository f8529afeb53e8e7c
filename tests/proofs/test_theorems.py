"""The theorems hold: by induction, for every size, watermark and stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from tests.proofs.induction import ARGS, OTHER_ARGS, RING, STATE, Refuted, base, concludes, keeps, possible
from tests.proofs.logic import Truth, example_of, same
from tests.proofs.machine import any_ring, walk
from tests.proofs.model import STEPS, Args, Ring, State, initial
from tests.proofs.theorems import ALL_STEPS, THEOREMS, Theorem, spelled_out

EACH = pytest.mark.parametrize("theorem", [pytest.param(theorem, id=theorem.name) for theorem in THEOREMS])
EACH_STEP = pytest.mark.parametrize(
    ("theorem", "step"),
    [pytest.param(theorem, step, id=f"{theorem.name}-{step}") for theorem in THEOREMS for step in theorem.steps],
)


@EACH
def test_the_invariant_holds_at_first(theorem: Theorem, part_of_proof: None) -> None:
    base(theorem)


@EACH_STEP
def test_a_step_keeps_the_invariant(theorem: Theorem, step: str, part_of_proof: None) -> None:
    keeps(theorem, step)


@EACH
def test_the_claim_follows_from_the_invariant(theorem: Theorem, part_of_proof: None) -> None:
    concludes(theorem)


# What a proof would not tell by itself: that it is one of something.


@EACH_STEP
def test_a_step_can_happen_in_a_state_that_has_the_invariant(theorem: Theorem, step: str) -> None:
    example = example_of(*possible(theorem, step))
    if (theorem.name, step) in CANNOT:
        assert example is None
    else:
        assert example is not None


# A reader that nothing wakes never comes to read: that is what these theorems say.
CANNOT = {
    (theorem.name, step)
    for theorem in THEOREMS
    if theorem.name.startswith(("a:", "c: STALLS"))
    for step in ("wake", "load", "free", "rest")
}


@EACH
def test_no_part_of_the_invariant_is_idle(theorem: Theorem) -> None:
    idle = [name for name in theorem.invariant if _is_proved(_without(theorem, name))]
    assert not idle


def _without(theorem: Theorem, part: str) -> Theorem:
    return replace(theorem, invariant={name: told for name, told in theorem.invariant.items() if name != part})


def _is_proved(theorem: Theorem) -> bool:
    try:
        base(theorem)
        concludes(theorem)
        for step in theorem.steps:
            keeps(theorem, step)
    except Refuted:
        return False
    return True


def test_no_two_unknowns_are_one() -> None:
    groups = (RING, STATE, ARGS, OTHER_ARGS)
    names = [str(term) for group in groups for term in vars(group).values()]
    assert len(names) == len(set(names))


@EACH
def test_the_invariant_and_the_claim_are_true_of_walks(theorem: Theorem) -> None:
    judged = sum(_judge(theorem, ring, random) for ring, random in _rings(theorem, 400))
    assert judged >= 1000


def _rings(theorem: Theorem, count: int) -> Iterator[tuple[Ring, Random]]:
    """Rings that the theorem is about."""
    for seed in range(count):
        random = Random(seed)
        ring = replace(any_ring(random.randint), overwrite="overwrite" in theorem.name)
        ring = replace(ring, watermark=random.choice((ring.watermark, ring.size, max(ring.size // 4, 1))))
        if theorem.hypothesis(ring):
            yield ring, random


def _judge(theorem: Theorem, ring: Ring, random: Random) -> int:
    states = 0
    for state in _reached(theorem, ring, random):
        wrong = [name for name, part in theorem.invariant.items() if not part(ring, state)]
        assert not wrong, f"{wrong} in {state} of {ring}"
        args = Args(8 * random.randint(ring.smallest // 8, ring.largest // 8), ring.largest_lost)
        assert theorem.claim(ring, state, args), f"{state} of {ring} with {args}"
        states += 1
    return states


def _reached(theorem: Theorem, ring: Ring, random: Random) -> list[State]:
    if theorem.steps != ("fill",):
        return [state for _, _, state in walk(ring, random.randint, theorem.steps, 40)]
    states = [initial(ring)]
    while ALL_STEPS["fill"].guard(ring, states[-1], Args()):
        name, args = spelled_out(ring, states[-1], "fill", Args())
        states.append(STEPS[name].effect(ring, states[-1], args))
    return states


# Each step that happens at all, once.
HAPPENING = [
    pytest.param(theorem, step, id=f"{theorem.name}-{step}")
    for theorem in THEOREMS
    for step in theorem.steps
    if step in STEPS and (theorem.name, step) not in CANNOT
]


@pytest.mark.parametrize(("theorem", "step"), HAPPENING)
def test_what_happens_on_numbers_is_possible_for_z3(theorem: Theorem, step: str) -> None:
    ring, before, args, after = next(_transitions(theorem, step))
    fixed = [*_fixed(RING, ring), *_fixed(STATE, before), *_fixed(ARGS, args)]
    made = STEPS[step].effect(RING, STATE, ARGS)
    assert example_of(*possible(theorem, step), *fixed, *_fixed(made, after)) is not None


def _transitions(theorem: Theorem, step: str) -> Iterator[tuple[Ring, State, Args, State]]:
    """Where walks take this step, and where to."""
    for ring, random in _rings(theorem, 1000):
        before = initial(ring)
        for name, args, after in walk(ring, random.randint, theorem.steps, 40):
            if name == step:
                yield ring, before, args, after
            before = after


def _fixed(terms: Ring | State | Args, values: Ring | State | Args) -> list[Truth]:
    return [same(term, getattr(values, name)) for name, term in vars(terms).items()]
