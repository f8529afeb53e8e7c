"""A batch whose records are columns, and objects only where somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from perfring.batch import Batch, Reason
from perfring.columns.block import merged
from perfring.columns.lazy import lazy
from perfring.columns.table import Columns, Ranks, Source

if TYPE_CHECKING:
    from typing import Any

    from perfring.columns.block import Group, Run
    from perfring.records import Record

__all__ = ["ColumnBatch", "Records"]


class ColumnBatch(Batch):
    """Records in time order over all CPUs, as columns: what `SessionBuilder.with_columns` makes of a `Batch`.

    It is still a sequence of records: they are made when they are looked at, and are the same.
    """

    __slots__ = ("__dict__", "_groups")

    def __init__(self, groups: Sequence[Group], reason: Reason) -> None:
        self._groups = tuple(groups)
        self.reason = reason

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._made[index]

    def __bool__(self) -> bool:
        return bool(self._groups)  # none of them is empty, and no run in it

    def __len__(self) -> int:
        return sum(run.size for group in self._groups for run in group)

    def __iter__(self) -> Records:
        return Records(self._groups)

    @lazy
    def _made(self) -> list[Record]:
        return list(Records(self._groups))

    @lazy
    def columns(self) -> dict[str, Columns]:
        """The records by kind: see `Batch.columns`."""
        found: dict[str, list[list[Source]]] = {}
        base = 0
        for group in self._groups:
            ranks = Ranks(group, base)
            for name, sources in _by_name(group, ranks).items():
                found.setdefault(name, []).append(sources)
            base += sum(run.size for run in group)
        return _Tables({name: Columns(name, sources) for name, sources in found.items()})

    @lazy
    def others(self) -> list[Record]:
        """The records that have no columns, in time order: see `Batch.others`."""
        if len(self) == sum(map(len, self.columns.values())):
            return []
        taken = np.zeros(len(self), np.bool)
        for table in self.columns.values():
            taken[table.index] = True
        return [self[place] for place in np.flatnonzero(~taken).tolist()]

    def to_arrow(self) -> dict[str, Any]:
        """Each of `columns` as a ``pyarrow.RecordBatch``: see `Batch.to_arrow`."""
        return {name: table.to_arrow() for name, table in self.columns.items()}

    def to_pandas(self) -> dict[str, Any]:
        """Each of `columns` as a ``pandas.DataFrame``: see `Batch.to_pandas`."""
        return {name: table.to_pandas() for name, table in self.columns.items()}

    def to_polars(self) -> dict[str, Any]:
        """Each of `columns` as a ``polars.DataFrame``: see `Batch.to_polars`."""
        return {name: table.to_polars() for name, table in self.columns.items()}


class _Tables(dict[str, Columns]):
    """Tells whoever asks for what is not there what is."""

    def __missing__(self, name: object) -> Columns:
        there = ", ".join(map(repr, self)) or "none"
        if not isinstance(name, str):
            raise TypeError(f"columns[{name!r}]: the columns of a batch are by name; this one has {there}")
        raise KeyError(
            f"this batch has no columns {name!r}; it has {there}. What did not come has none: columns.get({name!r}) "
            "is None then"
        )


def _by_name(group: Group, ranks: Ranks) -> dict[str, list[Source]]:
    """The records of a group by what their columns are called, one source for each run and code."""
    found: dict[str, list[Source]] = {}
    for number, run in enumerate(group):
        for code, choice in run.block.chosen(run.low, run.high):
            shape = run.block.catalogue.shapes[code]
            if shape is not None:
                found.setdefault(shape.name, []).append(Source(run, code, shape, choice, number, ranks))
    return found


class Records(Iterator["Record"]):
    """The records of groups, made one by one: what `perfring.ordering.Handout` says."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = list(groups)
        self._taken: list[int] = []
        self._sources: list[Iterator[Record]] = []
        self._turns: Iterator[int] = iter(())
        self._turn = 0
        self.put_back = False

    @property
    def turns(self) -> Records:
        """Itself."""
        return self

    def __next__(self) -> Record:
        while True:
            turn = next(self._turns, None)
            if turn is not None:
                record = next(self._sources[turn])
                self._turn = turn
                self._taken[turn] += 1
                return record
            # In one statement: an interrupt must find groups and counts that fit each other.
            self._groups, self._taken = self.left(), []
            if not self._groups:
                raise StopIteration
            self._begin(self._groups[0])

    def left(self) -> list[Group]:
        """What was not taken yet."""
        if not self._taken:
            return self._groups
        first, *others = self._groups
        taken = [*self._taken]
        taken[self._turn] -= self.put_back
        rest = tuple(run.without(count) for run, count in zip(first, taken, strict=True))
        return [group for group in (tuple(run for run in rest if run.size), *others) if group]

    def _begin(self, group: Group) -> None:
        sources, taken, turns = [run.records() for run in group], [0] * len(group), _turns(group)
        self._sources, self._taken, self._turns = sources, taken, turns


def _turns(group: Sequence[Run]) -> Iterator[int]:
    """Which run the next record is taken from."""
    if len(group) == 1:
        return iter([0] * group[0].size)
    return iter(np.repeat(np.arange(len(group)), [run.size for run in group])[merged(tuple(group))].tolist())
