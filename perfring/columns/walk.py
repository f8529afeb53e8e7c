"""Finding the records of an image: where each begins, what it is, and when it happened.

Where a record ends, only its own header tells, so the boundaries seem to be found one after the other, at 119 ns each in
Python. Two ways are faster, and both are exact (docs/performance.md has what was tried besides, and lost):

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

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from perfring import abi
from perfring.columns.catalogue import ODD, SIDE_TYPES
from perfring.engine import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.catalogue import Catalogue
    from perfring.columns.image import Image, Offsets

__all__ = ["Walked", "is_ascending", "walk"]

_HIGHEST_TYPE: Final = max(*abi.RECORD_BODIES, abi.PERF_RECORD_SAMPLE)
_HEADER: Final = abi.HEADER
_SAMPLE: Final = abi.PERF_RECORD_SAMPLE
_FEWEST: Final = 4
"""Records that are worth a look for a stride."""
_ALL_BUT_MISC: Final = np.frombuffer(_HEADER.pack(0xFFFF_FFFF, 0, 0xFFFF), np.uint64)[0]
_LATEST: Final = np.uint64((1 << 63) - 1)


class Walked(NamedTuple):
    """The records of an image, in the order of the ring.

    Attributes:
        end: behind the last whole record; what follows is cut off, or makes no sense.
        keys: the time of each in nanoseconds, -1 where it has none.
        codes: of each, `ODD` where it must be looked at alone.
        starts: the offset of each; None when they lie ``stride`` apart.
        ascending: the times are.
        stride: bytes of every record, when all are alike; else 0.
    """

    end: int
    keys: NDArray[np.int64]
    codes: NDArray[np.uint16]
    starts: Offsets | None
    ascending: bool
    stride: int = 0


def walk(image: Image, catalogue: Catalogue) -> Walked:
    """Finds the records of an image."""
    compiled = core()
    if compiled is None:
        return _walk_uniform(image, catalogue) or _walk_linked(image, catalogue)
    end, stride, ascending, code, starts, codes, keys = compiled.walk(image.data, image.length, *catalogue.tables)
    if stride:
        times = image.strided(np.dtype("=i8"), int(catalogue.time_at[code]), stride, end // stride)
        return Walked(end, times, np.full(1, code, np.uint16), None, bool(ascending), stride)
    found = np.frombuffer(keys, np.int64), np.frombuffer(codes, np.uint16), np.frombuffer(starts, np.int64)
    return Walked(end, *found, bool(ascending))


def _walk_uniform(image: Image, catalogue: Catalogue) -> Walked | None:
    """All records, when they are samples of one event and of one size."""
    if image.length < _FEWEST * _HEADER.size:
        return None
    record_type, _, size = _HEADER.unpack_from(image.data, 0)
    count = image.length // size if size >= 2 * _HEADER.size and not size & 7 else 0
    if record_type != _SAMPLE or count < _FEWEST:
        return None
    code = int(catalogue.sample_codes[catalogue.slots(image.u64(np.array([8])))[0] if catalogue.identified else -1])
    shape = catalogue.shapes[code]
    if shape is None or shape.time_at is None or not (shape.exact == size or shape.raw_alone):
        return None
    end = count * size
    views = _Strides(image, size, count)
    if not views.alike(catalogue.identified) or not _cut_off(image, end, size):
        return None
    if shape.raw_alone and (size < shape.least or not views.all_are(shape.raw_at, size - shape.raw_at - 4)):
        return None
    keys = _as_keys(views.words(shape.time_at))
    return Walked(end, keys, np.full(1, code, np.uint16), None, is_ascending(keys), size)


class _Strides:
    """The same place in each of many records of one size."""

    __slots__ = ("_count", "_image", "_size")

    def __init__(self, image: Image, size: int, count: int) -> None:
        self._image, self._size, self._count = image, size, count

    def words(self, at: int) -> NDArray[np.uint64]:
        return self._image.strided(np.dtype("=u8"), at, self._size, self._count)

    def alike(self, identified: bool) -> bool:
        """Whether all have the first one's type and size, and its id."""
        heads = self.words(0)
        same = bool((heads == heads[0]).all()) or bool((((heads ^ heads[0]) & _ALL_BUT_MISC) == 0).all())
        return same and not (identified and (self.words(8) != self.words(8)[0]).any())

    def all_are(self, at: int, number: int) -> bool:
        """Whether the u32 at this place is always this number."""
        return bool((self._image.strided(np.dtype("=u4"), at, self._size, self._count) == number).all())


def _cut_off(image: Image, end: int, size: int) -> bool:
    """Whether there is nothing behind the last record but another one of this size, cut off."""
    if image.length - end < _HEADER.size:
        return image.length == end
    return bool(_HEADER.unpack_from(image.data, end)[2] == size)


def _walk_linked(image: Image, catalogue: Catalogue) -> Walked:
    starts, end = _boundaries(image)
    sizes = _sizes(image)[starts >> 3].astype(np.int64)
    codes = _checked_sizes(image, catalogue, starts, sizes, _classify(image, catalogue, starts, sizes))
    time_at = catalogue.time_at[codes]
    timeless = time_at == catalogue.no_time
    place = starts + np.where(time_at < 0, time_at + sizes, time_at)
    if not timeless.any():
        keys = _as_keys(image.u64(place))
    else:
        keys = _as_keys(image.u64(np.where(timeless, 0, place)))
        keys[timeless] = -1
    return Walked(end, keys, codes, starts, is_ascending(keys))


def _sizes(image: Image) -> NDArray[np.uint16]:
    """The size that each word would have as a header."""
    return image.data[: image.length & ~7].view("=u2")[3::4]


def _boundaries(image: Image) -> tuple[Offsets, int]:
    """Where records begin, and where the last whole one ends."""
    words = image.length >> 3
    types, sizes = image.data[: words << 3].view("=u4")[0::2], _sizes(image)
    candidates = np.flatnonzero(types - np.uint32(1) < _HIGHEST_TYPE)  # 0 wraps to the largest number
    possible = sizes[candidates]
    sound = ((possible & 7) == 0) & (possible >= _HEADER.size)
    if not sound.all():
        candidates, possible = candidates[sound], possible[sound]
    ends = candidates + (possible >> 3)
    breaks = np.flatnonzero(ends[:-1] != candidates[1:])
    if not len(breaks) and len(candidates) and not candidates[0] and ends[-1] == words:
        return candidates << 3, words << 3
    return _follow(image, candidates, ends, breaks)


def _follow(image: Image, candidates: Offsets, ends: Offsets, breaks: Offsets) -> tuple[Offsets, int]:
    """Goes from chain to chain, in single steps where there is none."""
    words = image.length >> 3
    last_of_chain = [*breaks.tolist(), len(candidates) - 1]
    chains: list[Any] = []
    at = 0
    while at < words:
        index = int(np.searchsorted(candidates, at))
        if index < len(candidates) and candidates[index] == at:
            last = last_of_chain[bisect_left(last_of_chain, index)]
            chains.append(candidates[index : last + 1])
            begin, at = int(candidates[last]), int(ends[last])
        else:
            size = _HEADER.unpack_from(image.data, at << 3)[2]
            if size < _HEADER.size or size & 7:
                break
            chains.append([at])
            begin, at = at, at + (size >> 3)
        if at > words:  # that one goes on behind the image
            chains[-1], at = chains[-1][:-1], begin
            break
    return np.concatenate([np.zeros(0, np.int64), *chains]).astype(np.int64) << 3, at << 3


def _classify(image: Image, catalogue: Catalogue, starts: Offsets, sizes: Offsets) -> NDArray[np.uint16]:
    """The code of each record, by its id and type."""
    types = image.u32(starts)
    samples = types == _SAMPLE
    if samples.all():
        slots = catalogue.slots(image.u64(starts + 8)) if catalogue.identified else np.full(len(starts), -1)
        return catalogue.sample_codes[slots]
    told = samples | (catalogue.writer_told & (sizes >= 2 * _HEADER.size))
    ids = image.u64(np.where(samples, starts + 8, starts + sizes - 8))
    slots = np.where(told, catalogue.slots(ids), -1) if catalogue.identified else np.full(len(starts), -1)
    # A build id takes the place of the type that no record has.
    misc = image.data[: image.length & ~7].view("=u2")[2::4][starts >> 3]
    by_build_id = (types == abi.PERF_RECORD_MMAP2) & ((misc & abi.PERF_RECORD_MISC_MMAP_BUILD_ID) != 0)
    rows = np.where((types < SIDE_TYPES) & (types > 0), np.where(by_build_id, 0, types), SIDE_TYPES - 1)
    return np.where(samples, catalogue.sample_codes[slots], catalogue.side_codes[slots, rows])


def _checked_sizes(
    image: Image, catalogue: Catalogue, starts: Offsets, sizes: Offsets, codes: NDArray[np.uint16]
) -> NDArray[np.uint16]:
    """The codes again: `ODD` where the size is wrong, the shape without a format where the raw data does not fit it."""
    exact, short = catalogue.exact[codes], sizes < catalogue.least[codes]
    wrong = (exact != sizes) & (exact != 0)
    raw_at = catalogue.raw_at[codes]
    has_raw = raw_at != 0
    if has_raw.any():
        room = sizes - raw_at - 4
        raw = image.u32(np.where(has_raw & (room >= 0), starts + raw_at, 0))
        wrong |= catalogue.raw_alone[codes] & ((room < 0) | (raw != room))
        unfit = has_raw & (short | (raw < catalogue.raw_least[codes]))
        if unfit.any():
            codes = np.where(unfit, catalogue.misfit[codes], codes)
            short = sizes < catalogue.least[codes]
    if wrong.any() or short.any():
        codes = np.where(wrong | short, np.uint16(ODD), codes)
    return codes


def is_ascending(keys: NDArray[np.int64]) -> bool:
    """Whether no time is before the one in front of it."""
    return not (keys[1:] < keys[:-1]).any()


def _as_keys(times: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Times as signed numbers: what is beyond them is no time, and comes last."""
    keys = times.view(np.int64)
    return keys if not (keys < 0).any() else np.minimum(times, _LATEST).astype(np.int64)
