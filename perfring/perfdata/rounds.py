"""Time order for the records of a file, as perf makes it: by PERF_RECORD_FINISHED_ROUND, within a bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from perfring.records import Record

__all__ = ["RoundOrder"]

_MOST_RECORDS: Final = 1 << 17
_MOST_BYTES: Final = 64 << 20


def _time(record: Record) -> int:
    """What has no time, or the 0 of what perf made, goes first."""
    return record.time or 0


class RoundOrder:
    """Holds records back until nothing older can follow.

    At the end of a round all that is not younger than the youngest of the rounds *before* is released. Where no rounds
    are told, or they are longer than memory should hold, the older half is released; what then comes late is counted.

    Attributes:
        late: how many were released after a younger one.
    """

    def __init__(self) -> None:
        self.late = 0
        self._pending: list[Record] = []
        self._bytes = 0
        self._youngest = self._safe = self._released = 0

    def add(self, record: Record) -> list[Record]:
        """Takes a record; returns what is released for want of memory, nearly always nothing."""
        self._pending.append(record)
        self._bytes += record.size
        if record.time is not None and record.time > self._youngest:
            self._youngest = record.time
        if len(self._pending) < _MOST_RECORDS and self._bytes < _MOST_BYTES:
            return []
        self._pending.sort(key=_time)
        return self._release(len(self._pending) // 2 + 1)

    def end_round(self) -> list[Record]:
        """What is released at the end of a round, oldest first."""
        if not self._pending:
            self._safe = self._youngest
            return []
        self._pending.sort(key=_time)
        released = self._release(bisect_right(self._pending, self._safe, key=_time))
        self._safe = self._youngest
        return released

    def finish(self) -> list[Record]:
        """All that is left, oldest first."""
        self._pending.sort(key=_time)
        return self._release(len(self._pending))

    def _release(self, count: int) -> list[Record]:
        released = self._pending[:count]
        del self._pending[:count]
        self._bytes = sum(record.size for record in self._pending)
        if released:
            timeless = bisect_left(released, 1, key=_time)
            self.late += max(bisect_left(released, self._released, key=_time) - timeless, 0)
            self._released = max(self._released, _time(released[-1]))
        return released
