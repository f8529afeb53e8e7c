"""Time order over CPUs on columns: as `perfring.ordering.TimeOrder`, with runs of records in place of records.

What is released together is a *group*: one run of each ring, each sorted. Cutting a run at a time is one search in it;
the runs of a group are merged only when somebody looks at them in order, and a single run never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfring.columns.batch import ColumnBatch, Records
from perfring.columns.block import Run

if TYPE_CHECKING:
    from perfring.batch import Batch, Reason
    from perfring.columns.block import Block, Group
    from perfring.ordering import Handout

__all__ = ["ColumnOrder"]


class ColumnOrder:
    """Runs that wait for their turn: the attributes and methods are those of `perfring.ordering.TimeOrder`.

    Attributes:
        pending: what came out of the rings; for adding blocks to.
        outbox: the groups that were released.
        leaving: the groups whose records are handed out.
        late: how many records were released after a younger one.
    """

    __slots__ = ("_held_back", "_released_until", "late", "leaving", "outbox", "pending")

    def __init__(self) -> None:
        self.pending: list[Block] = []
        self._held_back: list[Run] = []
        self.outbox: list[Group] = []
        self.leaving: Handout | None = None
        self._released_until = -1
        self.late = 0

    def __len__(self) -> int:
        waiting, outbox, leaving = self._waiting(), self.outbox, self.leaving
        released = outbox if leaving is None else [*leaving.left(), *outbox]
        return sum(run.size for run in [*waiting, *(run for group in released for run in group)])

    def batch(self, outgoing: list[Group], reason: Reason) -> Batch:
        """What was released, as a reader gets it."""
        return ColumnBatch(outgoing, reason)

    def release(self, until: int | None = None) -> list[Group]:
        """The records not younger than ``until``; None releases everything. What is still in the outbox comes first."""
        waiting = self._waiting()
        released, held_back = tuple(waiting), list[Run]()
        if until is not None:
            parts = [run.split(until) for run in waiting]
            released = tuple(first for first, _ in parts if first.size)
            held_back = [rest for _, rest in parts if rest.size]
        late, latest = self._count_late(released)
        outgoing = [*self.outbox, released] if released else self.outbox
        # In one statement, between the parts of which no signal handler runs: each record is in one place.
        self.outbox, self._held_back, self.pending, self.late, self._released_until = (
            *(outgoing, held_back, [], late, latest),
        )
        return outgoing

    def take(self, cpu: int) -> list[Group]:
        """The waiting records of one CPU, oldest first, whatever the others have; they stand first in the outbox."""
        waiting = self._waiting()
        groups = [*self.outbox, tuple(waiting)]
        mine = [tuple(run for run in group if run.block.cpu == cpu) for group in groups]
        others = [tuple(run for run in group if run.block.cpu != cpu) for group in groups]
        *outbox, held_back = others
        taken = [group for group in mine if group]
        outgoing = [*taken, *(group for group in outbox if group)]
        # In one statement, as in `release`.
        self.outbox, self._held_back, self.pending = outgoing, [*held_back], []
        return taken

    def hand_out(self, outgoing: list[Group]) -> Handout:
        """The first groups of the outbox, which `release` or `take` returned, to be taken record by record."""
        handout, rest = Records(outgoing), self.outbox[len(outgoing) :]
        self.leaving, self.outbox = handout, rest
        return handout

    def settle(self) -> None:
        """Takes back what was handed out and then not taken: it comes again, before all others."""
        if self.leaving is not None:
            outgoing = [*self.leaving.left(), *self.outbox]
            self.outbox, self.leaving = outgoing, None

    def _waiting(self) -> list[Run]:
        return [*self._held_back, *(Run(block, 0, len(block)) for block in self.pending)]

    def _count_late(self, released: Group) -> tuple[int, int]:
        """How many records are late by now, and the time of the youngest that was released."""
        latest, late = self._released_until, self.late
        for run in released:
            late += run.late(self._released_until)
            latest = max(latest, int(run.block.keys[run.high - 1]))
        return late, latest
