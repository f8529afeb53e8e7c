"""Counterexamples: the shortest run from the first state to one where a claim is false, found step by step by z3.

What z3 finds is only a list of steps. The run that is shown, and judged, is what `model` makes of it on numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from tests.proofs.induction import symbols
from tests.proofs.logic import Example, Number, Solver, Truth, all_of, any_of, implies, integer, negation, same
from tests.proofs.model import Args, Ring, State, initial, names_of, used
from tests.proofs.theorems import ALL_STEPS, Claim, Hypothesis, Theorem, Twin, spelled_out

_Named = TypeVar("_Named", Ring, Args)


@dataclass(frozen=True)
class Happened:
    """One step of a run, and the state that it led to."""

    name: str
    args: Args
    after: State


@dataclass(frozen=True)
class Run:
    """A run on numbers.

    Attributes:
        ring: what the run chose for sizes and watermark.
        steps: what happened, in order.
        choice: arguments for which the claim is false at the end.
    """

    ring: Ring
    steps: tuple[Happened, ...]
    choice: Args

    @property
    def last(self) -> State:
        return self.steps[-1].after if self.steps else initial(self.ring)

    def __str__(self) -> str:
        """As a table: the ring, then a line for each step."""
        return "\n".join([_ring_line(self.ring), *map(_line, self.steps)])

    def in_short(self) -> str:
        """In one line."""
        return f"S = {self.ring.size}, W = {self.ring.watermark}: {', '.join(map(_what, self.steps))}"


def _ring_line(ring: Ring) -> str:
    sizes = f"{ring.smallest}" if ring.smallest == ring.largest else f"{ring.smallest} to {ring.largest}"
    mode = ", overwrite" if ring.overwrite else ""
    return f"ring of {ring.size} bytes{mode}, watermark {ring.watermark}, records of {sizes}, LOST {ring.largest_lost}"


def _what(step: Happened) -> str:
    told = {"reserve": f" {step.args.size}", "send": f" {step.args.size}", "free": f" to {step.args.position}"}
    return step.name + told.get(step.name, "")


def _line(step: Happened) -> str:
    s = step.after
    latch, paused = "set" if s.latch else "clear", ", paused" if s.paused else ""
    return (
        f"  {_what(step):14} head {s.head}, published {s.published}, tail {s.tail}, used {used(s)}, "
        f"wakeup {s.wakeup}, latch {latch}, lost {s.lost}{paused}"
    )


def counterexample(theorem: Theorem, twin: Twin) -> Run | None:
    """A shortest run that makes the twin false; None if there is none of at most ``twin.depth`` steps."""
    return search(twin.hypothesis, twin.steps or theorem.steps, twin.claim or theorem.claim, depth=twin.depth)


def search(hypothesis: Hypothesis, steps: tuple[str, ...], claim: Claim, *, depth: int) -> Run | None:
    """A shortest run of these steps to a state where the claim is false for some arguments."""
    ring, choice = symbols(Ring), symbols(Args, " chosen")
    states, solver = [initial(ring)], Solver()
    solver.add(hypothesis(ring))
    for done in range(depth + 1):
        with solver.aside():
            solver.add(negation(claim(ring, states[-1], choice)))
            example = solver.example()
        if example is not None:
            return _run(example, ring, choice, steps, done)
        states.append(symbols(State, f" {done}"))
        solver.add(_moves(ring, states[-2], states[-1], steps, done))
    return None


def _taken(number: int) -> Number:
    return integer(f"taken {number}")


def _moves(ring: Ring, before: State, after: State, steps: tuple[str, ...], number: int) -> Truth:
    """Some step leads from one state to the other."""
    taken, args = _taken(number), symbols(Args, f" {number}")
    ways = [
        implies(
            taken == index, all_of(ALL_STEPS[name].guard(ring, before, args), *_equal(ring, name, before, after, args))
        )
        for index, name in enumerate(steps)
    ]
    return all_of(any_of(*(taken == index for index in range(len(steps)))), *ways)


def _equal(ring: Ring, name: str, before: State, after: State, args: Args) -> Iterator[Truth]:
    made = ALL_STEPS[name].effect(ring, before, args)
    return (same(getattr(after, field), getattr(made, field)) for field in names_of(State))


def _run(example: Example, ring: Ring, choice: Args, steps: tuple[str, ...], count: int) -> Run:
    numbers = [(steps[example.value(_taken(i))], _valued(example, symbols(Args, f" {i}"))) for i in range(count)]
    return execute(_valued(example, ring), numbers, _valued(example, choice))


def _valued(example: Example, terms: _Named) -> _Named:
    return replace(terms, **{name: example.value(term) for name, term in vars(terms).items()})


def execute(ring: Ring, steps: list[tuple[str, Args]], choice: Args) -> Run:
    """The same steps on numbers.

    Raises:
        ValueError: a step that could not happen there.
    """
    happened: list[Happened] = []
    state = initial(ring)
    for step in steps:
        name, args = spelled_out(ring, state, *step)
        if not ALL_STEPS[name].guard(ring, state, args):
            raise ValueError(f"{name} with {args} cannot happen in {state}")
        state = ALL_STEPS[name].effect(ring, state, args)
        happened.append(Happened(name, args, state))
    return Run(ring, tuple(happened), choice)
