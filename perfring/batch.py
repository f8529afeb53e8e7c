"""What a reader gets in one piece, and why it came."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from perfring.records import Record

__all__ = ["Batch", "Reason"]


class Reason(enum.StrEnum):
    """What made the reader look into the rings."""

    START = "start"
    """The first look: a wakeup from before the registration is lost with it (K15)."""
    WAKEUP = "wakeup"
    """The kernel woke the reader: a ring passed its watermark."""
    LATENCY = "latency"
    """``max_latency`` passed without a wakeup."""
    TIMEOUT = "timeout"
    """The caller's own timeout or deadline passed."""
    FLUSH = "flush"
    """Somebody called `Session.flush`."""
    HANGUP = "hangup"
    """The task of an event exited (K19)."""
    END = "end"
    """Nothing more will come: the session was stopped, or every target is gone."""


class Batch(Sequence["Record"]):
    """Records in time order over all CPUs.

    An empty batch is an announcement: for TIMEOUT, FLUSH and END it comes once, after all the data that was there.
    Every other batch has records.

    Attributes:
        reason: what made the reader look.
    """

    __slots__ = ("_records", "reason")

    def __init__(self, records: Sequence[Record], reason: Reason) -> None:
        self._records = records
        self.reason = reason

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} records, {self.reason}>"
