"""What came out of one ring in one piece, and the part of it that is delivered together.

A `Block` is one copy out of a ring with all that is known of its records; a `Run` is some of these records in time order.
Neither makes an object of a record until somebody asks for one.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from perfring.columns.gather import group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from perfring.columns.catalogue import Catalogue
    from perfring.columns.image import Image, Offsets
    from perfring.columns.walk import Walked
    from perfring.decoding import Decoder
    from perfring.records import Record

__all__ = ["Block", "Group", "Run"]

_LOST_AT: Final = 16
"""The count in a PERF_RECORD_LOST: behind the header and the id."""


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
        starts = self._walked.starts
        if starts is None:
            return 0
        found = 0
        for code in self.catalogue.lost:
            chosen = self._walked.codes == code
            if chosen.any():
                found += sum(self.image.u64(starts[chosen] + _LOST_AT).tolist())  # beyond 64 bits, if it must be
        return found

    @property
    def uniform(self) -> bool:
        """Whether all records have one code, and one size."""
        return bool(self._walked.stride)

    def codes(self, low: int, high: int) -> NDArray[np.uint16]:
        """The codes of these records, in time order; of a uniform block the one that all have."""
        if self._walked.stride:
            return self._walked.codes
        return self._walked.codes[low:high] if self._rows is None else self._walked.codes[self._rows[low:high]]

    def by_code(self, low: int, high: int) -> dict[int, Offsets]:
        """Where the records of each code begin, in time order."""
        if self._rows is None and high - low == len(self):
            return self._groups
        return group(self.codes(low, high), self.starts(low, high), len(self.catalogue.shapes))

    @cached_property
    def _groups(self) -> dict[int, Offsets]:
        walked = self._walked
        assert walked.starts is not None
        return group(walked.codes, walked.starts, len(self.catalogue.shapes))

    def starts(self, low: int, high: int) -> Offsets:
        """Where these records begin in the image."""
        if self._walked.starts is None:
            first = np.arange(low, high) if self._rows is None else self._rows[low:high]
            return first * self._walked.stride
        return self._walked.starts[low:high] if self._rows is None else self._walked.starts[self._rows[low:high]]

    def places(self, low: int, high: int, starts: Offsets) -> Offsets:
        """Which of the records ``low`` to ``high``, counted from ``low``, begin there."""
        every = self.starts(low, high)
        if self._rows is None:
            return np.searchsorted(every, starts)
        order = np.argsort(every)
        return order[np.searchsorted(every, starts, sorter=order)]

    def stride(self, low: int) -> tuple[int, int] | None:
        """Where record ``low`` begins, and how far the next one lies from it, if that is the same for all."""
        if self._rows is not None or not self._walked.stride:
            return None
        return low * self._walked.stride, self._walked.stride

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
    def count(self) -> int:
        """How many."""
        return self.high - self.low

    @property
    def keys(self) -> NDArray[np.int64]:
        """Their times, ascending."""
        return self.block.keys[self.low : self.high]

    def split(self, until: int) -> tuple[Run, Run]:
        """Those that are not younger than ``until``, and the others."""
        cut = self._found(until + 1)
        return self._replace(high=cut), self._replace(low=cut)

    def late(self, than: int) -> int:
        """How many are older than that; what has no time is never late."""
        return max(0, self._found(than) - self._found(0))

    def _found(self, time: int) -> int:
        """The first record that is not older."""
        # Not numpy's search: it would copy the column, whose items lie a record apart.
        return bisect_left(self.block.keys, time, self.low, self.high)

    def without(self, count: int) -> Run:
        """All but the first so many."""
        return self._replace(low=self.low + count)

    def records(self) -> Iterator[Record]:
        """The records as objects, made one by one."""
        return self.block.records(self.low, self.high)

    def by_code(self) -> list[tuple[int, Offsets | None]]:
        """Each code, and where the records that have it begin; None for all, a fixed stride apart."""
        if self.block.uniform:
            return [(int(self.block.codes(self.low, self.high)[0]), None)]
        return [*self.block.by_code(self.low, self.high).items()]


Group: TypeAlias = tuple[Run, ...]
"""Runs of different blocks that are delivered as one, in time order; equal times in the order of the runs."""
