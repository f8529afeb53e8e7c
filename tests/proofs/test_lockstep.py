"""The model does what RingBuffer does, step for step: so the theorems are about that code."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hypothesis_profiles import factor
from tests.proofs.machine import any_ring, in_step, walk
from tests.proofs.model import STEPS, Args, Ring, State, initial, pending, used
from tests.quality.kernel_mutants.mutant import Mutant, mutant

ALL = tuple(STEPS)
RESERVE, OUTPUT = "ringbuf:RingBuffer.reserve", "ringbuf:RingBuffer.output"
ROOM, CROSSED = "- 1) & self._mask", "if (written - self.wakeup) & _U64 > self.watermark:"
MOVED = "self.wakeup = (self.wakeup + self.watermark) & _U64"
COUNTED = "self.lost += 1"
NEED = "need = size + 24 + writer.trailer_bytes if self.lost else size"

MUTANTS = (
    mutant("wakes at the watermark", (RESERVE, CROSSED, CROSSED.replace("> self", ">= self"))),
    mutant("the cursor jumps to head", (RESERVE, MOVED, "self.wakeup = written & _U64")),
    mutant("the cursor moves twice", (RESERVE, MOVED, MOVED.replace("self.watermark", "2 * self.watermark"))),
    mutant("a long record moves the cursor often", (RESERVE, CROSSED, CROSSED.replace("if", "while", 1))),
    mutant("unread bytes are counted", (RESERVE, CROSSED, CROSSED.replace("self.wakeup", "self._words[_TAIL]"))),
    mutant("a LOST of 16 bytes", (RESERVE, NEED, NEED.replace("24", "16"))),
    mutant("a LOST without its trailer", (RESERVE, NEED, "need = size + 24 if self.lost else size")),
    mutant("no room is asked for the LOST", (RESERVE, "if need > ((", "if size > ((")),
    mutant("the last byte is used too", (RESERVE, ROOM, "- 0) & self._mask")),
    mutant("8 bytes are kept free", (RESERVE, ROOM, "- 9) & self._mask")),
    mutant(
        "a refused record moves the cursor", ("ringbuf:RingBuffer._refuse", COUNTED, f"{COUNTED}; self.wakeup += 8")
    ),
    mutant("each writer is the outermost", (RESERVE, "if not self._nest:\n", "if True:\n")),
    mutant("inner writers publish", ("ringbuf:RingBuffer.publish", "if self._nest:", "if False:")),
    mutant("a loss is told twice", ("ringbuf:RingBuffer._write_lost", "self.lost = 0", "self.lost -= 1")),
    mutant("losses are not counted", ("ringbuf:RingBuffer._refuse", COUNTED, "self.lost = 1")),
    mutant("a pause lasts", ("ringbuf:RingBuffer.pause", "paused or not self.data_size", "paused or self.paused")),
    mutant("asking leaves the latch", ("ringbuf:RingBuffer.take_latch", "self.latch, 0", "self.latch, self.latch")),
    mutant("a sample moves the cursor by 8", ("ringbuf:RingBuffer.count_sample", "self.wakeup + 1", "self.wakeup + 8")),
    mutant("the quick way wakes at the watermark", (OUTPUT, "& _U64 > self", "& _U64 >= self")),
    mutant("the quick way uses the last byte", (OUTPUT, ROOM, "- 0) & self._mask")),
    mutant("the quick way forgets losses", (OUTPUT, "self._nest or self.lost or", "self._nest or")),
    mutant("the quick way forgets the pause", (OUTPUT, "or self.paused or", "or")),
)


def _walk_together(count: int) -> None:
    for seed in range(count):
        random = Random(seed)
        ring = any_ring(random.randint)
        in_step(ring, [(name, args) for name, args, _ in walk(ring, random.randint, ALL, 60)])


@pytest.mark.timeout(120 * factor())
@given(st.data())
def test_the_model_and_the_ring_go_in_step(data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    ring = any_ring(pick)
    in_step(ring, [(name, args) for name, args, _ in walk(ring, pick, ALL, 25)])


def test_a_thousand_long_walks_go_in_step() -> None:
    _walk_together(1000)


@pytest.mark.parametrize("planted", [pytest.param(planted, id=planted.name) for planted in MUTANTS])
def test_a_bug_in_the_ring_is_out_of_step(planted: Mutant) -> None:
    with planted.planted(), pytest.raises(AssertionError, match="after step"):
        _walk_together(1000)


def _happenings(before: State, name: str, args: Args, after: State, ring: Ring) -> list[str]:
    """What a step shows of the rules: those of room, of loss, of the watermark, of nesting."""
    if name not in ("reserve", "send"):
        return [name]
    accepted = after.records > before.records
    seen = {
        "accepted": accepted,
        "refused while paused": not accepted and before.paused,
        "refused for want of 8 bytes": not accepted and used(before) + args.size == ring.size,
        "refused for want of room for the LOST": not accepted and used(before) + args.size < ring.size,
        "filled to the last 8 bytes": accepted and used(after) == ring.size - 8,
        "a LOST told": accepted and before.lost > 0,
        "the watermark just reached": after.head - before.wakeup == ring.watermark,
        "the watermark passed": after.wakeup > before.wakeup,
        "an inner writer": accepted and before.nest > 0,
        "a signal to come": pending(after),
        "positions beyond 2**64": after.head >= 1 << 64,
    }
    return [name, *(what for what, happened in seen.items() if happened)]


def test_the_walks_meet_every_step_and_every_edge() -> None:
    met: Counter[str] = Counter()
    for seed in range(300):
        random = Random(seed)
        ring = any_ring(random.randint)
        before = initial(ring)
        for name, args, after in walk(ring, random.randint, ALL, 60):
            met.update(_happenings(before, name, args, after, ring))
            before = after
    assert len(met) == len(ALL) + 11, sorted(met)
    assert min(met.values()) >= 10, met
