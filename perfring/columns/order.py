"""Time order over CPUs on columns: as `perfring.ordering.TimeOrder`, with runs of records in place of records.

What is released together is a *group*: one run of each ring, each sorted. Cutting a run at a time is one search in it;
the runs of a group are merged only when somebody looks at them in order, and a single run never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfring.columns.batch import ColumnBatch, Records
from perfring.columns.block import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.batch import Batch, Reason
    from perfring.columns.block import Block, Group
    from perfring.records import Record

__all__ = ["ColumnOrder"]


class ColumnOrder:
    """Runs that wait for their turn: the attributes and methods are those of `perfring.ordering.TimeOrder`.

    Attributes:
        pending: what came out of the rings; for adding blocks to.
        outbox: the groups that were released.
        late: how many records were released after a younger one.
    """

    __slots__ = ("_held_back", "_released_until", "late", "outbox", "pending")

    def __init__(self) -> None:
        self.pending: list[Block] = []
        self._held_back: list[Run] = []
        self.outbox: list[Group] = []
        self._released_until = -1
        self.late = 0

    def __len__(self) -> int:
        return sum(run.size for run in [*self._waiting(), *(run for group in self.outbox for run in group)])

    def batch(self, outgoing: list[Group], reason: Reason) -> Batch:
        """What was released, as a reader gets it."""
        return ColumnBatch(outgoing, reason)

    def records(self, outgoing: list[Group]) -> Iterator[Record]:
        """What was released, one by one, as objects."""
        return Records(outgoing)

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

    def give_back(self, rest: Iterator[Record]) -> None:
        """Takes back what was released and then not delivered: the iterator of a batch that was not read to its end."""
        if not isinstance(rest, Records):
            raise TypeError(f"only what is left of a batch can be given back, not {rest!r}")
        self.outbox = [*rest.left(), *self.outbox]

    def _waiting(self) -> list[Run]:
        return [*self._held_back, *(Run(block, 0, len(block)) for block in self.pending)]

    def _count_late(self, released: Group) -> tuple[int, int]:
        """How many records are late by now, and the time of the youngest that was released."""
        latest, late = self._released_until, self.late
        for run in released:
            late += run.late(self._released_until)
            latest = max(latest, int(run.block.keys[run.high - 1]))
        return late, latest
