"""Time order over CPUs: rings are read one after the other, records are delivered as they happened.

A record is held back until nothing older can come out of another ring any more. The caller knows when that is: it takes
the time *before* it loads the heads, so whatever is older was in the rings by then, but for a writer that has stamped
its record and not yet published it. Those come late: they are delivered all the same, and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfring.records import Record

__all__ = ["TimeOrder"]


def _time(record: Record) -> int:
    """A record without a time cannot be placed; it goes first, so that nothing holds it back."""
    return -1 if record.time is None else record.time


class TimeOrder:
    """Records that wait for their turn.

    Attributes:
        late: how many were released after a younger one.
    """

    __slots__ = ("_delivered_until", "_pending", "late")

    def __init__(self) -> None:
        self._pending: list[Record] = []
        self._delivered_until = -1
        self.late = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, records: Iterable[Record]) -> None:
        """Takes records of one ring, in the order of the ring."""
        self._pending.extend(records)

    def release(self, until: int | None = None) -> list[Record]:
        """The records not younger than ``until``, oldest first; equal times in the order in which they were added.

        Args:
            until: nanoseconds of the session's clock; None releases everything.
        """
        # Each ring's run is sorted but for nested writers (K36), and sorting runs is what Python's sort is best at.
        self._pending.sort(key=_time)
        if until is None:
            released, self._pending = self._pending, []
        else:
            cut = bisect_right(self._pending, until, key=_time)
            released, self._pending = self._pending[:cut], self._pending[cut:]
        self._count_late(released)
        return released

    def take(self, cpu: int) -> list[Record]:
        """The held-back records of one CPU, oldest first, without regard to the others."""
        taken = [record for record in self._pending if record.cpu == cpu]
        self._pending = [record for record in self._pending if record.cpu != cpu]
        taken.sort(key=_time)
        return taken

    def give_back(self, rest: Iterable[Record]) -> None:
        """Takes back what was released and then not delivered: it comes again, and is not late for that."""
        records = list(rest)
        if records:
            self._pending[:0] = records
            self._delivered_until = min(self._delivered_until, *map(_time, records))

    def _count_late(self, released: list[Record]) -> None:
        timeless = bisect_left(released, 0, key=_time)
        self.late += bisect_left(released, self._delivered_until, key=_time) - timeless
        if released:
            self._delivered_until = max(self._delivered_until, _time(released[-1]))
