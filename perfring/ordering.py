"""Time order over CPUs: rings are read one after the other, records are delivered as they happened.

A record is held back until nothing older can come out of another ring any more. The caller knows when that is: it takes
the time *before* it loads the heads, so whatever is older was in the rings by then, but for a writer that has stamped
its record and not yet published it. Those come late: they are delivered all the same, and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import length_hint
from typing import TYPE_CHECKING, Any, Protocol

from perfring.batch import Batch, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.records import Record

__all__ = ["Handout", "Order", "TimeOrder"]


class Handout(Protocol):
    """Records on their way out, one by one. What was taken has left, and whatever comes in between, the rest has not.

    Attributes:
        put_back: the last one that was taken has reached nobody: it is still among what is `left`.
    """

    put_back: bool

    @property
    def turns(self) -> Iterator[Record]:
        """For taking them."""
        ...

    def left(self) -> list[Any]:
        """What was not taken, as an `Order` has it in its outbox. Takes nothing."""
        ...


class Order(Protocol):
    """What holds back what came out of the rings: `TimeOrder` objects, `perfring.columns.ColumnOrder` columns.

    The two hold different things, which only they look into; attributes and methods are those of `TimeOrder`.
    """

    pending: list[Any]
    outbox: list[Any]
    leaving: Handout | None
    late: int

    def __len__(self) -> int: ...

    def batch(self, outgoing: list[Any], reason: Reason) -> Batch:
        """What `release` or `take` returned, as a reader gets it."""
        ...

    def release(self, until: int | None = None) -> list[Any]:
        """What is not younger than ``until``."""
        ...

    def take(self, cpu: int) -> list[Any]:
        """What waits of one CPU; until it is in good hands it stands first in the outbox."""
        ...

    def hand_out(self, outgoing: list[Any]) -> Handout:
        """What stands first in the outbox, to be taken one by one."""
        ...

    def settle(self) -> None:
        """Takes back what is left of a handout."""
        ...


def _time(record: Record) -> int:
    """A record without a time cannot be placed; it goes first, so that nothing holds it back."""
    return -1 if record.time is None else record.time


class _Listed:
    """The handout of a list."""

    __slots__ = ("_records", "put_back", "turns")

    def __init__(self, records: list[Record]) -> None:
        self._records = records
        self.turns: Iterator[Record] = iter(records)
        self.put_back = False

    def left(self) -> list[Record]:
        """What was not taken: the iterator of a list knows how many."""
        count = length_hint(self.turns) + self.put_back
        return self._records[len(self._records) - count :]


class TimeOrder:
    """Records that wait for their turn.

    An interrupt at any moment finds each of them in one place. Between the parts of one statement, and wherever no
    call is made and no loop goes round, no signal handler runs.

    Attributes:
        pending: what came out of the rings and is held back, each ring's in the order of the ring; for adding to.
        outbox: what was released, for an interrupt on its way to the caller loses nothing then. Who has it in good
            hands empties it, and makes no call between that and ``return`` or ``yield``.
        leaving: what is handed out one by one, before the outbox. Nobody need clean up behind it: whoever reads next
            calls `settle`.
        late: how many were released after a younger one.
    """

    __slots__ = ("_released_until", "late", "leaving", "outbox", "pending")

    def __init__(self) -> None:
        self.pending: list[Record] = []
        self.outbox: list[Record] = []
        self.leaving: Handout | None = None
        self._released_until = -1
        self.late = 0

    def __len__(self) -> int:
        pending, outbox, leaving = self.pending, self.outbox, self.leaving  # of one moment: another thread may ask
        return len(pending) + len(outbox) + (0 if leaving is None else len(leaving.left()))

    def batch(self, outgoing: list[Record], reason: Reason) -> Batch:
        """What `release` or `take` returned, as a reader gets it."""
        return Batch(outgoing, reason)

    def release(self, until: int | None = None) -> list[Record]:
        """The records not younger than ``until``, oldest first; equal times in the order in which they were added.

        What is still in the outbox comes first.

        Args:
            until: nanoseconds of the session's clock; None releases everything.
        """
        pending = self.pending
        # Each ring's run is sorted but for nested writers (K36), and sorting runs is what Python's sort is best at.
        pending.sort(key=_time)
        cut = len(pending) if until is None else bisect_right(pending, until, key=_time)
        released, held_back = pending[:cut], pending[cut:]
        outgoing = self.outbox + released
        # In one statement, between the parts of which no signal handler runs: each record is in one place.
        self.outbox, self.pending = outgoing, held_back
        self._count_late(released)
        return outgoing

    def take(self, cpu: int) -> list[Record]:
        """The waiting records of one CPU, oldest first, whatever the others have; they stand first in the outbox."""
        mine = [record for record in self.pending if record.cpu == cpu]
        mine.sort(key=_time)
        mine[:0] = [record for record in self.outbox if record.cpu == cpu]
        others = [record for record in self.outbox if record.cpu != cpu]
        waiting = [record for record in self.pending if record.cpu != cpu]
        # In one statement, as in `release`.
        self.outbox, self.pending = mine + others, waiting
        return mine

    def hand_out(self, outgoing: list[Record]) -> Handout:
        """The first records of the outbox, which `release` or `take` returned, to be taken one by one."""
        handout, rest = _Listed(outgoing), self.outbox[len(outgoing) :]
        self.leaving, self.outbox = handout, rest
        return handout

    def settle(self) -> None:
        """Takes back what was handed out and then not taken: it comes again, before all others."""
        if self.leaving is not None:
            outgoing = [*self.leaving.left(), *self.outbox]
            self.outbox, self.leaving = outgoing, None

    def _count_late(self, released: list[Record]) -> None:
        timeless = bisect_left(released, 0, key=_time)
        self.late += max(0, bisect_left(released, self._released_until, key=_time) - timeless)
        if released:
            self._released_until = max(self._released_until, _time(released[-1]))
