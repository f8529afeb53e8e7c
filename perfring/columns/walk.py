"""Finding the records of an image: where each begins, what it is, and when it happened.

Where a record ends, only its own header tells, so the boundaries seem to be found one after the other, which costs a
loop in Python more than all the rest. Two ways are faster, and both are exact (docs/performance.md has what was tried
besides, and lost):

*Uniform.* A busy ring often holds one event's samples, all of one size. Then headers, ids and sizes lie a fixed stride
apart, and one comparison each over strided views proves it. Nothing is copied: the columns are views of the image.

*Linked.* In any other image, every word that looks like a header is a candidate: a type that exists, and a size that is
possible. All are found at once. A candidate is a record if the record before it ends there; the first one is, and so
are all that are linked to it. Where the chain breaks, because something inside a record looked like a header, or a
record is of an unknown type, single steps lead on to the next candidate::

      candidates   0 ----> 7 ----> 14  17  21 ----> 28        17 lies inside a record: no record ends there
      next         7       14      21  40  28
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from perfring import abi
from perfring.columns.catalogue import ODD, SIDE_TYPES
from perfring.columns.gather import take_rows
from perfring.columns.kinds import NOTHING, Copied, Picked, Strided
from perfring.engine import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.catalogue import Catalogue
    from perfring.columns.image import Image, Offsets
    from perfring.columns.kinds import Kind
    from perfring.columns.parts import Part

__all__ = ["Walked", "grouped", "is_ascending", "walk"]

_HEADER: Final = abi.HEADER
_SAMPLE: Final = abi.PERF_RECORD_SAMPLE
_FEWEST: Final = 4
"""Records that are worth a look for a stride."""
_WORD: Final = np.dtype("=u8")
_TIME: Final = np.dtype("=i8")
_HALF_WORD: Final = 4
_LARGEST_WORDS: Final = 1 << 13
"""Words that the largest size in a header can reach beyond the end."""


def _as_word(record_type: int, size: int) -> np.uint64:
    return np.uint64(int.from_bytes(_HEADER.pack(record_type, 0, size), sys.byteorder))


# A header as one word: bits that are not set in any, since types are few and sizes multiples of 8 (K5), and bits of
# which some are set in each, since it is at least 8 bytes long.
_NEVER_SET: Final = _as_word(0xFFFF_FFE0, 7)
_SOME_SET: Final = _as_word(0, 0xFFF8)
_TYPE_AND_SIZE: Final = _as_word(0xFFFF_FFFF, 0xFFFF)
_LATEST: Final = np.uint64((1 << 63) - 1)


class Walked(NamedTuple):
    """The records of an image, in the order of the ring.

    Attributes:
        end: behind the last whole record; what follows is cut off, or makes no sense.
        keys: the time of each in nanoseconds, -1 where it has none.
        ascending: the times are.
        kinds: the records by code; those of `ODD` must be looked at one by one.
        alike: all are of one size and one kind that needs no look at its parts. There is one kind then.
    """

    end: int
    keys: NDArray[np.int64]
    ascending: bool
    kinds: dict[int, Kind]
    alike: bool = False

    def starts(self) -> Offsets:
        """Where each record begins in the image."""
        # Sorted runs, one behind the other, are what a stable sort merges fastest.
        return np.sort(np.concatenate([kind.starts for kind in self.kinds.values()]), kind="stable")

    def codes(self) -> NDArray[np.uint16]:
        """The code of each record."""
        codes = np.zeros(len(self.keys), np.uint16)
        for code, kind in self.kinds.items():
            codes[kind.rows] = code
        return codes


def walk(image: Image, catalogue: Catalogue) -> Walked:
    """Finds the records of an image."""
    compiled = core()
    if compiled is None:
        return _walk_uniform(image, catalogue) or _walk_linked(image, catalogue)
    pool = [] if image.memory is None else image.memory.kept
    end, stride, ascending, code, count, codes, keys, tables = compiled.walk(
        image.data, image.length, catalogue.compiled(compiled), pool
    )
    if stride:
        times = image.strided(_TIME, int(catalogue.time_at[code]), stride, count)
        return _uniform(image, catalogue, code, stride, times, ascending=bool(ascending))
    every, shapes = np.frombuffer(codes, np.uint16, count), catalogue.shapes
    found: dict[int, Kind] = {code: Copied(shapes[code], table, code, every) for code, table in tables.items()}
    return Walked(end, np.frombuffer(keys, np.int64, count), bool(ascending), found)


def grouped(image: Image, catalogue: Catalogue, starts: Offsets, codes: NDArray[np.uint16]) -> dict[int, Kind]:
    """The records of an image with these codes, by code."""
    found: dict[int, Kind] = {}
    for code in np.flatnonzero(np.bincount(codes)).tolist():
        shape, rows = catalogue.shapes[code], np.flatnonzero(codes == code)
        begun, table = starts[rows], np.zeros(len(rows), NOTHING)
        if shape is not None:
            table = take_rows(image.data, shape.fixed, begun, memory=image.memory)
        found[code] = Picked(table, begun, rows)
    return found


def _uniform(
    image: Image, catalogue: Catalogue, code: int, stride: int, keys: NDArray[np.int64], *, ascending: bool
) -> Walked:
    count, shape = len(keys), catalogue.shapes[code]
    assert shape is not None
    return Walked(count * stride, keys, ascending, {code: Strided(image, shape, stride, count)}, alike=True)


def _walk_uniform(image: Image, catalogue: Catalogue) -> Walked | None:
    """All records, when they are samples of one event and of one size."""
    if image.length < _FEWEST * _HEADER.size:
        return None
    record_type, _, size = _HEADER.unpack_from(image.data.data, 0)
    count = image.length // size if size >= 2 * _HEADER.size and not size & 7 else 0
    if record_type != _SAMPLE or count < _FEWEST:
        return None
    code = int(catalogue.sample_codes[catalogue.slots(image.u64(np.array([8])))[0]])
    shape = catalogue.shapes[code]
    if shape is None or shape.time_at is None or size < shape.least or not (shape.exact == size or shape.alone):
        return None
    views, end = _Strides(image, size, count), count * size
    if not views.alike(catalogue.identified) or not _cut_off(image, end, size):
        return None
    if shape.alone is not None and not views.all_reach_the_end(shape.parts_at, shape.alone):
        return None
    keys = _as_keys(views.words(shape.time_at))
    return _uniform(image, catalogue, code, size, keys, ascending=is_ascending(keys))


class _Strides:
    """The same place in each of many records of one size."""

    __slots__ = ("_count", "_image", "_size")

    def __init__(self, image: Image, size: int, count: int) -> None:
        self._image, self._size, self._count = image, size, count

    def words(self, at: int) -> NDArray[np.uint64]:
        return self._image.strided(_WORD, at, self._size, self._count)

    def alike(self, identified: bool) -> bool:
        """Whether all have the first one's type and size, and its id."""
        heads = self.words(0)
        same = bool((heads == heads[0]).all()) or bool((((heads ^ heads[0]) & _TYPE_AND_SIZE) == 0).all())
        return same and not (identified and (self.words(8) != self.words(8)[0]).any())

    def all_reach_the_end(self, at: int, part: Part) -> bool:
        """Whether the count of a part always fits what is left of the record."""
        counts = self._image.strided(np.dtype(f"=u{part.head}"), at, self._size, self._count)
        return bool((counts == (self._size - at - part.head) // part.item).all())


def _cut_off(image: Image, end: int, size: int) -> bool:
    """Whether there is nothing behind the last record but another one of this size, cut off."""
    if image.length - end < _HEADER.size:
        return image.length == end
    return bool(_HEADER.unpack_from(image.data.data, end)[2] == size)


def _walk_linked(image: Image, catalogue: Catalogue) -> Walked:
    places, end = _boundaries(image)
    sizes = image.data[: image.length & ~7].view("=u2")[3::4][places].astype(np.int64)
    codes = _classify(image, catalogue, places, sizes)
    wrong = (sizes < catalogue.least[codes]) | (sizes > catalogue.most[codes])
    if wrong.any():
        codes = _recoded(catalogue, codes, sizes, wrong)
    starts = places << 3
    time_at = catalogue.time_at[codes]
    at = starts + np.where(time_at < 0, time_at + sizes, time_at)
    timeless = time_at == catalogue.no_time
    some = bool(timeless.any())
    keys = _as_keys(image.words[(np.where(timeless, 0, at) if some else at) >> 3])
    if some:
        keys[timeless] = -1
    codes = _end_with_their_part(image, catalogue, codes, starts, sizes)
    return Walked(end, keys, is_ascending(keys), grouped(image, catalogue, starts, codes))


def _boundaries(image: Image) -> tuple[Offsets, int]:
    """Where records begin, and where the last whole one ends, in words."""
    words = image.length >> 3
    heads = image.words[:words]
    candidates = np.flatnonzero(((heads & _NEVER_SET) == 0) & ((heads & _SOME_SET) != 0))
    ends = candidates + (image.data[: words << 3].view("=u2")[3::4][candidates] >> 3)
    if not (ends[:-1] == candidates[1:]).all():
        # Most of what only looks like a header is the end of nothing.
        ending = np.zeros(words + _LARGEST_WORDS, np.bool)
        ending[ends] = ending[0] = True
        kept = ending[candidates]
        candidates, ends = candidates[kept], ends[kept]
    breaks = np.flatnonzero(ends[:-1] != candidates[1:])
    if not len(breaks) and len(candidates) and not candidates[0] and ends[-1] == words:
        return candidates, words << 3
    return _follow(image, candidates, ends, breaks)


def _follow(image: Image, candidates: Offsets, ends: Offsets, breaks: Offsets) -> tuple[Offsets, int]:
    """Goes from chain to chain, in single steps where there is none."""
    words, data = image.length >> 3, image.data.data
    last_of_chain = [*breaks.tolist(), len(candidates) - 1]
    chains: list[Any] = []
    at = 0
    while at < words:
        index = bisect_left(candidates, at)
        if index < len(candidates) and candidates[index] == at:
            last = last_of_chain[bisect_left(last_of_chain, index)]
            chains.append(candidates[index : last + 1])
            begin, at = int(candidates[last]), int(ends[last])
        else:
            size = _HEADER.unpack_from(data, at << 3)[2]
            if size < _HEADER.size or size & 7:
                break
            chains.append([at])
            begin, at = at, at + (size >> 3)
        if at > words:  # that one goes on behind the image
            chains[-1], at = chains[-1][:-1], begin
            break
    return np.concatenate([np.zeros(0, np.int64), *chains]).astype(np.int64), at << 3


def _classify(image: Image, catalogue: Catalogue, places: Offsets, sizes: Offsets) -> NDArray[np.uint16]:
    """The code of each record, by its id and type."""
    types = image.data[: image.length & ~7].view("=u4")[0::2][places]
    codes = catalogue.sample_code(image.words[places + 1])  # of a record of 8 bytes: the next one, or the padding
    others = np.flatnonzero(types != _SAMPLE)
    if len(others):
        codes[others] = _classify_others(image, catalogue, places[others], sizes[others], types[others])
    return codes


def _classify_others(
    image: Image, catalogue: Catalogue, places: Offsets, sizes: Offsets, types: NDArray[np.uint32]
) -> NDArray[np.uint16]:
    """The codes of records that are no samples."""
    slots = np.full(len(places), -1)
    if catalogue.writer_told:
        slots = np.where(sizes >= 2 * _HEADER.size, catalogue.slots(image.words[places + (sizes >> 3) - 1]), -1)
    # A build id takes the place of the type that no record has.
    misc = image.data[: image.length & ~7].view("=u2")[2::4][places]
    by_build_id = (types == abi.PERF_RECORD_MMAP2) & ((misc & abi.PERF_RECORD_MISC_MMAP_BUILD_ID) != 0)
    rows = np.where((types < SIDE_TYPES) & (types > 0), np.where(by_build_id, 0, types), SIDE_TYPES - 1)
    codes: NDArray[np.uint16] = catalogue.side_codes[slots, rows]
    return codes


def _recoded(
    catalogue: Catalogue, codes: NDArray[np.uint16], sizes: Offsets, wrong: NDArray[np.bool]
) -> NDArray[np.uint16]:
    """Codes for records of the wrong size: that of samples whose payload does not fit the format, or `ODD`."""
    short = wrong & (sizes < catalogue.least[codes])
    recoded = np.where(wrong, np.where(short, catalogue.misfit[codes], np.uint16(ODD)), codes)
    return np.where(sizes < catalogue.least[recoded], np.uint16(ODD), recoded)


def _end_with_their_part(
    image: Image, catalogue: Catalogue, codes: NDArray[np.uint16], starts: Offsets, sizes: Offsets
) -> NDArray[np.uint16]:
    """The codes again, `ODD` where the count of the one part is not what is left of the record."""
    for code in catalogue.alone:
        shape, chosen = catalogue.shapes[code], np.flatnonzero(codes == code)
        if shape is not None and shape.alone is not None and len(chosen):
            part, at = shape.alone, starts[chosen] + shape.parts_at
            counts = image.u32(at) if part.head == _HALF_WORD else image.words[at >> 3]
            fits = counts == (sizes[chosen] - shape.parts_at - part.head) // part.item
            codes[chosen[~fits]] = ODD
    return codes


def is_ascending(keys: NDArray[np.int64]) -> bool:
    """Whether no time is before the one in front of it."""
    return not (keys[1:] < keys[:-1]).any()


def _as_keys(times: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Times as signed numbers: what is beyond them is no time, and comes last."""
    keys = times.view(np.int64)
    return keys if not (keys < 0).any() else np.minimum(times, _LATEST).astype(np.int64)
