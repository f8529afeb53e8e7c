"""Every theorem with one thing changed is false: z3 finds the run, and RingBuffer really goes that way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfring.geometry import Outcome, watermark_verdict
from tests.proofs.bounded import Run, counterexample, execute, search
from tests.proofs.logic import Truth, all_of, negation
from tests.proofs.machine import Machine, in_step
from tests.proofs.model import RESTING, Args, Ring, State, is_record, quiet, used
from tests.proofs.theorems import (
    EXACT,
    IN_PLACE,
    LIVE,
    NEVER,
    OVERWRITTEN,
    PAUSED,
    QUIET_IS_LOW,
    STALLS,
    THEOREMS,
    Theorem,
    Twin,
)

Tell = Callable[[str, str, str], None]
FOR_EVER = 1000
"""Records that a stuck ring is offered in vain."""


@pytest.mark.parametrize(
    ("theorem", "twin"),
    [pytest.param(theorem, twin, id=f"{theorem.name}-{twin.name}") for theorem in THEOREMS for twin in theorem.twins],
)
def test_a_twin_has_a_counterexample_that_happens_on_the_ring(theorem: Theorem, twin: Twin, tell_twin: Tell) -> None:
    run = counterexample(theorem, twin)
    assert run is not None, "the twin must be false"
    print(run)  # noqa: T201  # the whole run: pytest -rP
    tell_twin(theorem.name, twin.name, run.in_short())
    assert not (twin.claim or theorem.claim)(run.ring, run.last, run.choice)
    _WITNESS[theorem.name](run)


def test_every_theorem_has_a_twin() -> None:
    assert all(theorem.twins for theorem in THEOREMS)


def _replayed(run: Run) -> Machine:
    """The run on RingBuffer, compared with the model after every step, and everything under way ended."""
    machine, state = in_step(run.ring, [(step.name, step.args) for step in run.steps])
    for _ in range(state.nest):
        machine.do("publish", Args())
    return machine


def _is_woken(run: Run) -> None:
    assert _replayed(run).buffer.latch


def _sticks(run: Run) -> None:
    """The reader sleeps, and no further record ever gets in to wake it."""
    machine, head = _replayed(run), run.last.head
    assert run.last.phase == RESTING
    for _ in range(FOR_EVER):
        machine.do("send", run.choice)
    assert (machine.buffer.head, machine.buffer.latch) == (head, 0)


def _stays_asleep(run: Run) -> None:
    """The stream is over: the ring has more than the watermark, and nobody was told."""
    machine = _replayed(run)
    assert machine.buffer.used > machine.buffer.watermark
    assert not machine.buffer.latch


def _was_not_woken(run: Run) -> None:
    machine, record = _replayed(run), run.steps[-1].args
    machine.do("send", record)
    assert (machine.buffer.latch, machine.buffer.lost) == (0, 1)


def _overtakes(run: Run) -> None:
    machine, _ = in_step(run.ring, [(step.name, step.args) for step in run.steps])
    assert machine.buffer.wakeup > machine.buffer.head


_WITNESS: dict[str, Callable[[Run], None]] = {
    NEVER.name: _is_woken,
    LIVE.name: _sticks,
    OVERWRITTEN.name: _sticks,
    STALLS.name: _is_woken,
    PAUSED.name: _is_woken,
    EXACT.name: _was_not_woken,
    IN_PLACE.name: _overtakes,
    QUIET_IS_LOW.name: _stays_asleep,
}


def test_k43_sticks_with_its_own_numbers() -> None:
    ring = Ring(4096, 4039, 56, 56, 24, 0, overwrite=False)
    record = Args(56, 24)
    paused = [("pause", Args()), ("send", record), ("resume", Args())]
    run = execute(ring, [*[("send", record)] * 72, *paused], record)
    assert (run.last.head, run.last.lost) == (4032, 1)
    assert not LIVE.twins[0].claim(ring, run.last, record)  # type: ignore[misc]
    _sticks(run)


def test_at_the_largest_live_watermark_k43_does_not_stick() -> None:
    ring = Ring(4096, 4015, 56, 56, 24, 0, overwrite=False)
    record = Args(56, 24)
    machine, _ = in_step(ring, [*[("send", record)] * 71, ("pause", Args()), ("send", record), ("resume", Args())])
    machine.do("send", record)
    assert machine.buffer.latch


def _live_page(ring: Ring) -> Truth:
    return all_of(LIVE.hypothesis(ring), ring.size == 4096, ring.start == 0, ring.largest_lost == 24)


def test_a_live_ring_comes_to_the_edge_that_its_bound_allows() -> None:
    """What (b) claims is claimed of something: a reader at rest, the level at the watermark, and a LOST due."""

    def not_at_the_edge(ring: Ring, state: State, args: Args) -> Truth:
        at_rest = all_of(state.phase == RESTING, quiet(state), negation(state.paused), state.lost > 0)
        edge = all_of(at_rest, used(state) == ring.watermark, used(state) + args.size + 24 == ring.size - 8)
        return negation(all_of(edge, is_record(ring, args)))

    run = search(_live_page, ("send", "pause", "resume"), not_at_the_edge, depth=6)
    assert run is not None
    machine = _replayed(run)
    machine.do("send", run.choice)
    assert machine.buffer.latch


def test_a_pause_can_wake_a_reader_of_a_ring_that_stalls() -> None:
    ring = Ring(4096, 4064, 32, 32, 24, 0, overwrite=False)
    record = Args(32, 24)
    assert watermark_verdict(1, 4064, record_bytes=32, page_size=4096).outcome is Outcome.STALLS
    paused = [("pause", Args()), ("send", record), ("resume", Args())]
    machine, state = in_step(ring, [*paused, *[("send", record)] * 127])
    assert (state.head, bool(machine.buffer.latch)) == (4088, True)


def test_a_counterexample_reads_as_a_table() -> None:
    ring = Ring(64, 40, 24, 24, 24, 0, overwrite=False)
    run = execute(ring, [("reserve", Args(24, 24)), ("publish", Args()), ("pause", Args())], Args())
    assert str(run).splitlines() == [
        "ring of 64 bytes, watermark 40, records of 24, LOST 24",
        "  reserve 24     head 24, published 0, tail 0, used 24, wakeup 0, latch clear, lost 0",
        "  publish        head 24, published 24, tail 0, used 24, wakeup 0, latch clear, lost 0",
        "  pause          head 24, published 24, tail 0, used 24, wakeup 0, latch clear, lost 0, paused",
    ]
