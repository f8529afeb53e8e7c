"""What a reader gets in one piece, and why it came."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from perfring.errors import Unsupported

if TYPE_CHECKING:
    from perfring.columns import Columns
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

    @property
    def columns(self) -> Mapping[str, Columns]:
        """The records as columns, by what they are: the event's name for samples, `Record.kind` for the others.

        Where events share a name and look different, or side-band ends differently, the second is ``NAME#2``; samples
        of a tracepoint whose raw data does not fit its format are ``NAME:raw``; MMAP2 with a build id is
        ``mmap2_build_id``. What did not come in this batch is not there: ``columns.get(name)`` is None.

        Raises:
            Unsupported: the session delivers objects: build it `SessionBuilder.with_columns`.
        """
        raise _no_columns()

    @property
    def others(self) -> Sequence[Record]:
        """The records that are in none of the `columns`: READ, and types that this version does not know.

        Raises:
            Unsupported: as `columns`.
        """
        raise _no_columns()

    def to_arrow(self) -> dict[str, Any]:
        """Each of `columns` as a ``pyarrow.RecordBatch``; needs the extra ``arrow``.

        Raises:
            Unsupported: as `columns`; or pyarrow is not installed.
        """
        raise _no_columns()

    def to_pandas(self) -> dict[str, Any]:
        """Each of `columns` as a ``pandas.DataFrame``; needs the extra ``pandas``.

        Raises:
            Unsupported: as `columns`; or pandas is not installed.
        """
        raise _no_columns()

    def to_polars(self) -> dict[str, Any]:
        """Each of `columns` as a ``polars.DataFrame``; needs the extra ``polars``.

        Raises:
            Unsupported: as `columns`; or Polars is not installed.
        """
        raise _no_columns()

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


def _no_columns() -> Unsupported:
    return Unsupported("this session delivers records as objects: build it with SessionBuilder.with_columns()")
