"""A column whose values have lengths of their own: call chains, raw data, names."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from perfring.columns.gather import take_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from perfring.columns.image import Bytes, Offsets
    from perfring.columns.memory import Memory

__all__ = ["Ragged"]

_NONE: Offsets = np.zeros(0, np.int64)


class Ragged:
    """Arrays of one type and of different lengths, one for each record, without a gap between them.

    Value ``i`` is ``values[offsets[i]:offsets[i + 1]]``: what Arrow calls a list array.

    Attributes:
        offsets: int64, one more than there are records; ascending from 0.
        values: all of them, one behind the other.
        outside: the records whose payload says that the value lies outside of it: it is empty there. Their objects
            raise `perfring.errors.RawDataError`.
    """

    __slots__ = ("offsets", "outside", "values")

    def __init__(self, offsets: Offsets, values: NDArray[Any], outside: Offsets = _NONE) -> None:
        self.offsets = offsets
        self.values = values
        self.outside = outside

    @classmethod
    def gathered(
        cls, data: Bytes, dtype: np.dtype[Any], starts: Offsets, counts: Offsets, *, memory: Memory | None = None
    ) -> Ragged:
        """Copies so many items from each of these places of an image."""
        offsets = np.concatenate(([0], np.cumsum(counts)))
        values = take_spans(data, starts, offsets, item=dtype.itemsize, memory=memory)
        return cls(offsets, values.view(dtype))

    @classmethod
    def joined(cls, columns: Iterable[Ragged]) -> Ragged:
        """One behind the other."""
        every = list(columns)
        if len(every) == 1:
            return every[0]
        counts = np.concatenate([column.lengths for column in every])
        outside, records = [], 0
        for column in every:
            outside.append(column.outside + records)
            records += len(column)
        values = np.concatenate([column.values for column in every])
        return cls(np.concatenate(([0], np.cumsum(counts))), values, np.concatenate(outside))

    def taken(self, order: Offsets) -> Ragged:
        """These records, in this order."""
        item = self.values.dtype.itemsize
        data = np.ascontiguousarray(self.values).view(np.uint8)
        found = Ragged.gathered(data, self.values.dtype, self.offsets[:-1][order] * item, self.lengths[order])
        found.outside = np.flatnonzero(np.isin(order, self.outside))
        return found

    @property
    def lengths(self) -> Offsets:
        """How many items each record has."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of a column of {len(self)}")
        index %= len(self)
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self.values[begin:end] for begin, end in zip(self.offsets[:-1], self.offsets[1:], strict=True))

    def __repr__(self) -> str:
        return f"<Ragged of {len(self)} records, {len(self.values)} {self.values.dtype}>"

    def tobytes(self) -> list[bytes]:
        """The bytes of each record's value."""
        data, item = self.values.tobytes(), self.values.dtype.itemsize
        edges = (self.offsets * item).tolist()
        return [data[begin:end] for begin, end in pairwise(edges)]

    def text(self) -> list[str]:
        """Each value as a name: its bytes up to the first NUL; what is no UTF-8 survives as surrogates."""
        return [value.partition(b"\0")[0].decode("utf-8", "surrogateescape") for value in self.tobytes()]
