"""A ring and its waiting reader as six integers, and a search through everything that can happen to them.

The model is the ring of K6, K7, K12, K21 and K23, and a reader of K14 that takes the latch, loads head, and stores tail
in three steps, with the kernel free to write or to drop between any two. It knows what the kernel does and never the
rule. Positions are relative, so that equal futures are equal states, and one search visits whatever a stream can reach.

The code is long where it could be short: it runs a few million times in a test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

__all__ = ["LOSS", "READER", "START", "Losses", "Ring", "State", "Step", "reachable", "witness"]

State: TypeAlias = tuple[int, int, int, int, int, int]
"""used: unread bytes, head - tail.
gap: head - wakeup.
latch: 1 when a wakeup happened since the reader asked.
lost: 1 when a loss is not told of yet.
reader: 0 it waits, 1 it took the latch, 2 it loaded head.
seen: what the reader will free: used at its load of head."""

Step: TypeAlias = int
"""The size of a record that arrives; or `READER`, or `LOSS`."""
READER: Final = 0
"""The reader goes on: takes the latch, loads head, stores tail."""
LOSS: Final = -1
"""PAUSE, one record, resume (K23)."""

START: Final[State] = (0, 0, 0, 0, 0, 0)
_LAPS: Final = 4


class Losses(IntEnum):
    """What may happen to records; each includes those before."""

    NONE = 0
    """Every record finds room."""
    FULL = 1
    """A record without room is lost (K12)."""
    PAUSE = 2
    """Records may be lost at any time (K23)."""


class Ring(NamedTuple):
    """One ring, and the sizes of its records."""

    size: int
    watermark: int
    records: range
    lost_bytes: int

    def next(self, state: State, losses: Losses) -> list[tuple[Step, State]]:
        """What may happen next, and what it makes of the state; what changes nothing is left out."""
        size, watermark, records, lost_bytes = self
        used, gap, latch, lost, reader, seen = state
        found: list[tuple[Step, State]] = []
        if reader == 1:
            found.append((READER, (used, gap, latch, lost, 2, used)))
        elif reader == 2:
            found.append((READER, (used - seen, gap, latch, lost, 0, 0)))
        elif latch:
            found.append((READER, (used, gap, 0, lost, 1, 0)))
        if losses == 2 and not lost:
            found.append((LOSS, (used, gap, latch, 1, reader, seen)))
        for record in records:
            need = record + lost_bytes if lost else record
            if used + need > size - 1:
                if losses and not lost:
                    found.append((record, (used, gap, latch, 1, reader, seen)))
                break  # larger ones are refused alike
            if gap + need > watermark:
                found.append((record, (used + need, gap + need - watermark, 1, 0, reader, seen)))
            else:
                found.append((record, (used + need, gap + need, latch, 0, reader, seen)))
        return found

    def after(self, state: State, step: Step) -> State:
        """The state after one step, whatever may be lost; the same state where the step does nothing."""
        if step > 0 and not self.fits(state, step):
            step = next(record for record in self.records if not self.fits(state, record))
        return dict(self.next(state, Losses.PAUSE)).get(step, state)

    def fits(self, state: State, record: int) -> bool:
        """Whether a record, and the LOST before it if one is due, finds room."""
        return state[0] + record + self.lost_bytes * state[3] <= self.size - 1

    def is_stuck(self, state: State) -> bool:
        """The reader sleeps, and the largest record is refused: sent for ever, nothing changes any more."""
        return not state[4] and not state[2] and not self.fits(state, self.records[-1])


def reachable(ring: Ring, losses: Losses) -> Iterator[State]:
    """Every state that some stream reaches, nearest first. A cursor more than four laps behind is not followed."""
    return iter(_Search(ring, losses))


def witness(ring: Ring, losses: Losses) -> list[Step] | None:
    """A shortest way into a state that is stuck; None if there is none."""
    search = _Search(ring, losses)
    for state in search:
        if ring.is_stuck(state):
            return search.way_to(state)
    return None


class _Search:
    """Breadth first, so that the way to each state is a shortest one."""

    def __init__(self, ring: Ring, losses: Losses) -> None:
        self._ring = ring
        self._losses = losses
        self._from: dict[State, tuple[Step, State]] = {START: (READER, START)}

    def __iter__(self) -> Iterator[State]:
        todo, seen, farthest = deque([START]), self._from, _LAPS * self._ring.size
        while todo:
            state = todo.popleft()
            yield state
            for step, after in self._ring.next(state, self._losses):
                if after not in seen and after[1] <= farthest:
                    seen[after] = step, state
                    todo.append(after)

    def way_to(self, state: State) -> list[Step]:
        steps = []
        while state != START:
            step, state = self._from[state]
            steps.append(step)
        return steps[::-1]


def told(steps: list[Step]) -> str:
    """A stream for people: ``8 x 3, loss, reader x 3, 16``."""
    names = {READER: "reader", LOSS: "loss"}
    runs = ((names.get(step, str(step)), len(list(run))) for step, run in groupby(steps))
    return ", ".join(f"{name} x {count}" if count > 1 else name for name, count in runs)
