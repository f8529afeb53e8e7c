"""What a ring can hold: the shape of each event's samples and of each kind of side-band, found by id and type.

Every record gets a *code*, the index of its `Shape`. `ODD` is the code of what has none: those are decoded one by one.
All that the walk needs to know of a code stands in arrays, so that a whole image is looked up at once; the compiled
walk reads the same.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perfring import abi
from perfring.columns.shape import Shape, sample_shape, side_band_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from perfring.engine import Core
    from perfring.layout import EventLayout

__all__ = ["ODD", "SIDE_TYPES", "Catalogue"]

ODD: Final = 0
"""The code of a record that has no shape, or does not fit it."""
SIDE_TYPES: Final = 32
"""Types of side-band that are looked up, those of perf_event.h with room for more."""
_HEADER_SIZE: Final = abi.HEADER.size
_LARGEST: Final = (1 << 16) - 1
"""What the u16 of a header can say."""
_NO_TIME: Final = 1 << 20
_BUILD_ID_ROW: Final = 0
"""No record has type 0: its place is that of MMAP2 with a build id."""
_WIDEST: Final = 1 << 20
_KNOWN: Final = np.dtype([("id", "=u8"), ("sample", "=u4"), ("row", "=u4")])
_EMPTY: Final = 0xFFFF_FFFF


class Catalogue:
    """The shapes of a ring's records.

    Args:
        layouts: by event id; None when ``default`` is the only event there is, and its records tell no id.
        default: of records that are no samples and whose event is not known.

    Attributes:
        shapes: by code; the first, of `ODD`, is None.
        ids: the known event ids, ascending.
        sample_codes: for each id, and in the last place for an unknown one.
        side_codes: for each id, and an unknown one, and each type.
        least, most: of each code, the bytes that a record has.
        time_at: of each code, as in `Shape`; `no_time` where there is none.
        misfit: of each code, that of samples whose raw data does not fit the format.
        tables: all of that, as the compiled walk reads it.
        lost: the codes of PERF_RECORD_LOST.
        checked: the codes whose parts must be looked at one by one.
        alone: the codes whose one part must reach to the end of the record; the compiled walk sees to that.
        identified: the records tell ids.
        writer_told: so do those that are no samples.
    """

    no_time: Final = _NO_TIME

    def __init__(self, layouts: Mapping[int, EventLayout] | None, default: EventLayout) -> None:
        self.shapes: list[Shape | None] = [None]
        self._facts: list[tuple[int, ...]] = [(_HEADER_SIZE, _LARGEST, _NO_TIME, 0, 0, 0, 0, ODD)]
        self._taken: set[str] = set()
        self._samples: dict[object, int] = {}
        self._forms: dict[tuple[int, bool], list[int]] = {}
        by_id = layouts or {}
        known = sorted(by_id)
        chosen = [by_id[event_id] for event_id in known]
        self.identified = layouts is not None
        self.writer_told = self.identified and default.sample_id_all
        self.ids = np.array(known, np.uint64)
        last = ODD if self.identified else self._sample_code(default)
        self.sample_codes = np.array([*map(self._sample_code, chosen), last], np.uint16)
        self.side_codes = np.array([self._side_codes(layout) for layout in [*chosen, default]], np.uint16)
        self._facts_by_code: NDArray[np.int64] = np.array(self._facts, np.int64)
        self.least, self.most, self.time_at, *_, misfit = self._facts_by_code.T.copy()
        self.misfit = misfit.astype(np.uint16)
        self._compiled: Any = None
        made = [(code, shape) for code, shape in enumerate(self.shapes) if shape is not None]
        self.lost = [code for code, shape in made if shape.kind == "lost"]
        self.alone = [code for code, shape in made if shape.alone is not None]
        self.checked = [
            code for code, shape in made if code not in self.alone and any(part.can_misfit for part in shape.parts)
        ]
        self._base = int(self.ids[0]) if known else 0
        self._direct = self._make_direct()

    def slots(self, ids: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The place of each id in `sample_codes` and `side_codes`."""
        if not self.identified:
            return np.full(len(ids), -1)
        if self._direct is not None:
            # The difference of a smaller id wraps to a large number: that, too, is beyond the last.
            slots: NDArray[np.intp] = self._direct[
                np.minimum(ids - np.uint64(self._base), np.uint64(len(self._direct) - 1))
            ]
            return slots
        found = np.searchsorted(self.ids, ids)
        known = self.ids[np.minimum(found, len(self.ids) - 1)] == ids
        return np.where(known, found, len(self.ids))

    def sample_code(self, ids: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """The code of samples with these ids."""
        return self.sample_codes[self.slots(ids)]

    def compiled(self, core: Core) -> Any:
        """The same as the compiled walk knows it."""
        if self._compiled is None:
            self._compiled = core.catalogue(*self.tables())
        return self._compiled

    def tables(self) -> tuple[Any, ...]:
        """What ``catalogue`` in _walk.c takes: ids by hash, side-band codes, and a row of 8 numbers a code."""
        unknown = len(self.ids)
        slots = 1 << (2 * unknown + 1).bit_length()
        known = np.zeros(slots, _KNOWN)
        known["sample"] = _EMPTY
        for row, event_id in enumerate(self.ids.tolist()):
            place = _hashed(event_id, slots)
            while known["sample"][place] != _EMPTY:
                place = (place + 1) % slots
            known[place] = (event_id, self.sample_codes[row], row)
        nobody = (int(self.sample_codes[unknown]), unknown)
        return known, self.side_codes, self._facts_by_code, nobody, (self.identified, self.writer_told)

    def _make_direct(self) -> NDArray[np.intp] | None:
        """A table over all ids between the first and the last: a kernel hands them out one after the other."""
        unknown = len(self.ids)
        if not unknown:
            return np.zeros(1, np.intp)
        span = int(self.ids[-1]) - self._base + 1
        if span > _WIDEST:
            return None
        table = np.full(span + 1, unknown, np.intp)
        table[(self.ids - np.uint64(self._base)).astype(np.intp)] = np.arange(unknown)
        return table

    def _sample_code(self, layout: EventLayout) -> int:
        """The events of all CPUs that record the same share a code."""
        known = None if layout.format is None else layout.format.name
        what = (layout.name, layout.sample_type, layout.read_format, layout.branch_sample_type)
        key = (*what, layout.regs_user, layout.regs_intr, known)
        if key not in self._samples:
            shape = sample_shape(layout)
            misfit = self._add(sample_shape(layout, with_format=False)) if shape.format is not None else ODD
            self._samples[key] = self._add(shape, misfit)
        return self._samples[key]

    def _side_codes(self, layout: EventLayout) -> list[int]:
        key = (layout.sample_type & _TRAILER_BITS, layout.sample_id_all)
        if key not in self._forms:
            made = [side_band_shape(record_type, layout) for record_type in range(SIDE_TYPES)]
            made[_BUILD_ID_ROW] = side_band_shape(abi.PERF_RECORD_MMAP2, layout, build_id=True)
            self._forms[key] = [ODD if shape is None else self._add(shape) for shape in made]
        return self._forms[key]

    def _add(self, shape: Shape, misfit: int = ODD) -> int:
        shape = self._with_a_name_of_its_own(shape)
        time_at = _NO_TIME if shape.time_at is None else shape.time_at
        self.shapes.append(shape)
        alone = shape.alone
        part = (shape.parts_at, shape.parts_at + alone.head, alone.item) if alone is not None else (0, 0, 0)
        numbers = (shape.least, shape.exact or _LARGEST, time_at, *part, shape.fixed.itemsize, misfit)
        self._facts.append(numbers)
        return len(self.shapes) - 1

    def _with_a_name_of_its_own(self, shape: Shape) -> Shape:
        """Events that differ and share a name, or side-band with other trailers: the second is ``NAME#2``."""
        names = itertools.chain([shape.name], (f"{shape.name}#{number}" for number in itertools.count(2)))
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return shape if name == shape.name else replace(shape, name=name)


def _hashed(event_id: int, slots: int) -> int:
    """The slot where an id is looked for first: must match ``look_up`` in _walk.c."""
    return (event_id * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 32 & (slots - 1)


_TRAILER_BITS: Final = sum(part.bits for part in abi.SAMPLE_ID_PARTS)
