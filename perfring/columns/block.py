"""What came out of one ring in one piece, and the part of it that is delivered together.

A `Block` is one copy out of a ring with all that is known of its records; a `Run` is some of these records in time
order. Neither makes an object of a record until somebody asks for one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from perfring.columns.lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from perfring.columns.catalogue import Catalogue
    from perfring.columns.image import Image, Offsets
    from perfring.columns.walk import Walked
    from perfring.decoding import Decoder
    from perfring.records import Record

__all__ = ["Block", "Choice", "Group", "Run", "merged"]

Choice: TypeAlias = "slice | Offsets"
"""Some of the records of a kind."""
_ALL = slice(None)


class Block:
    """The records of one image, all of them sound.

    Attributes:
        image: the bytes.
        cpu: whose ring.
        position: where in the stream of the ring the image begins.
        catalogue: what the codes mean.
        keys: times in nanoseconds, ascending; -1 where there is none.
    """

    def __init__(
        self, image: Image, walked: Walked, catalogue: Catalogue, decoder: Decoder, *, cpu: int, position: int
    ) -> None:
        self.image = image
        self.cpu = cpu
        self.position = position
        self.catalogue = catalogue
        self._decoder = decoder
        self._walked = walked
        self.keys = walked.keys
        # Nested writers turn times around (K36): the places of the records in time order, where that is not their own.
        self._rows: Offsets | None = None
        if not walked.ascending:
            self._rows = np.argsort(walked.keys, kind="stable")
            self.keys = walked.keys[self._rows]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def last_time(self) -> int:
        """The time of the record that came last, -1 where it has none."""
        return int(self._walked.keys[-1])

    @property
    def lost(self) -> int:
        """The sum of all PERF_RECORD_LOST (K21)."""
        total = 0
        for code in self.catalogue.lost:
            kind = self._walked.kinds.get(code)
            if kind is not None:
                total += sum(kind.table["lost"].tolist())  # in Python's numbers: beyond 64 bits, if it must be
        return total

    def starts(self, low: int, high: int) -> Offsets:
        """Where these records begin in the image, in time order."""
        return self._starts[low:high] if self._rows is None else self._starts[self._rows[low:high]]

    @lazy
    def _starts(self) -> Offsets:
        return self._walked.starts()

    def chosen(self, low: int, high: int) -> list[tuple[int, Choice]]:
        """Each code that these records have, and which of its kind they are, in time order."""
        kinds = self._walked.kinds
        if self._rows is None and high - low == len(self):
            return [(code, _ALL) for code in kinds]
        found = ((code, self._choose(kind.rows, low, high)) for code, kind in kinds.items())
        return [(code, choice) for code, choice in found if len(kinds[code].rows[choice])]

    def _choose(self, rows: Offsets, low: int, high: int) -> Choice:
        if self._rows is None:
            return slice(*np.searchsorted(rows, (low, high)).tolist())
        ranks = self._ranks[rows]
        inside = np.flatnonzero((ranks >= low) & (ranks < high))
        return inside[np.argsort(ranks[inside])]

    @lazy
    def _ranks(self) -> Offsets:
        """The place of each record in time order."""
        ranks = np.arange(len(self))
        if self._rows is not None:
            ranks[self._rows] = np.arange(len(self))
        return ranks

    def table(self, code: int, choice: Choice) -> NDArray[Any]:
        """Of these records, all that has a fixed place."""
        table = self._walked.kinds[code].table
        return table if choice is _ALL else table[choice]

    def starts_of(self, code: int, choice: Choice) -> Offsets:
        """Where these records begin in the image."""
        return self._walked.kinds[code].starts[choice]

    def keys_of(self, code: int, choice: Choice) -> NDArray[np.int64]:
        """The times of these records, ascending."""
        return self._walked.keys[self._walked.kinds[code].rows[choice]]

    def places_of(self, code: int, choice: Choice) -> Offsets:
        """The places of these records in the time order of the block."""
        return self._ranks[self._walked.kinds[code].rows[choice]]

    def records(self, low: int, high: int) -> Iterator[Record]:
        """These records as objects, made one by one."""
        data, decode = self.image.data.data, self._decoder.decode_sound
        for start in self.starts(low, high).tolist():
            yield decode(data, start, cpu=self.cpu, position=self.position + start)


class Run(NamedTuple):
    """Records ``low`` to ``high`` of a block, in its time order."""

    block: Block
    low: int
    high: int

    @property
    def size(self) -> int:
        """How many."""
        return self.high - self.low

    @property
    def keys(self) -> NDArray[np.int64]:
        """Their times, ascending."""
        return self.block.keys[self.low : self.high]

    def split(self, until: int) -> tuple[Run, Run]:
        """Those that are not younger than ``until``, and the others."""
        cut = self._found(until + 1)
        return Run(self.block, self.low, cut), Run(self.block, cut, self.high)

    def late(self, than: int) -> int:
        """How many are older than that; what has no time is never late."""
        if self.block.keys[self.low] >= than:  # the first one tells, most of the time
            return 0
        return self._found(than) - self._found(0)

    def _found(self, time: int) -> int:
        """The first record that is not older."""
        # Not numpy's search: it would copy the column, whose items lie a record apart.
        return bisect_left(self.block.keys, time, self.low, self.high)

    def without(self, count: int) -> Run:
        """All but the first so many."""
        return Run(self.block, self.low + count, self.high)

    def records(self) -> Iterator[Record]:
        """The records as objects, made one by one."""
        return self.block.records(self.low, self.high)


Group: TypeAlias = tuple[Run, ...]
"""Runs of different blocks that are delivered as one, in time order; equal times in the order of the runs."""


def merged(group: Group) -> Offsets:
    """The order in which the records of all runs, one run behind the other, come: oldest first."""
    if len(group) == 1:
        return np.arange(group[0].size)
    # Sorted runs, one behind the other, are what a stable sort merges fastest.
    return np.argsort(np.concatenate([run.keys for run in group]), kind="stable")
