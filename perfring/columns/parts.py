"""What stands behind the numbers of fixed place: call chains, raw data, stacks, names ... for many records at once.

A `Part` is asked for all records of a kind together: given where it begins in each, it says where its columns are,
where the next part begins, and in which records it does not fit. The same answer checks the records when they are taken
out of a ring, and finds the columns when somebody asks for them.

Whatever a corrupt count says, no offset leaves its record: counts are cut to the room that is left, and the record is
marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from perfring.abi import PERF_FORMAT_GROUP, read_counter_names
from perfring.columns.gather import take_items, take_spans, take_text
from perfring.columns.ragged import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.image import Image, Offsets

__all__ = [
    "BRANCH",
    "BUILD_ID_BYTES",
    "NAMESPACE",
    "Aux",
    "Branches",
    "BuildIdName",
    "Chain",
    "Code",
    "Counted",
    "Found",
    "Number",
    "Part",
    "Raw",
    "Read",
    "Registers",
    "Rows",
    "Span",
    "Stack",
    "Text",
]

_U8, _U64 = np.dtype("=u1"), np.dtype("=u8")
_WORDS: dict[int, np.dtype[Any]] = {1: _U8, 8: _U64}
BRANCH = np.dtype([("from_ip", "=u8"), ("to_ip", "=u8"), ("flags", "=u8")])
BUILD_ID_BYTES = 20
NAMESPACE = np.dtype([("dev", "=u8"), ("ino", "=u8")])


class Span(NamedTuple):
    """Where a column is.

    Attributes:
        dtype: of one item.
        starts: the first byte of each record's.
        counts: items of each record; None where each has exactly one.
    """

    dtype: np.dtype[Any]
    starts: Offsets
    counts: Offsets | None = None


class Found(NamedTuple):
    """A part, in all records of a kind.

    Attributes:
        columns: by name.
        behind: where the next part begins in each record, its end at most.
        fits: the records in which it fits.
    """

    columns: dict[str, Span]
    behind: Offsets
    fits: NDArray[np.bool]


class Rows(NamedTuple):
    """The records of one kind, as their parts are given them: ``starts`` and ``ends`` are offsets in the image."""

    image: Image
    starts: Offsets
    ends: Offsets


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a record that has no fixed place, or no fixed length.

    Attributes:
        name: what `Sample`, or the class of the record, calls it.
        head: when the part is a count and so many items, the bytes of the count; else 0.
        item: the bytes of an item then, a power of two.
    """

    head: ClassVar[int] = 0
    item: ClassVar[int] = 0

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns: the keys of `Found.columns`."""
        return (self.name,)

    @property
    def can_misfit(self) -> bool:
        """Whether a record that has its least size can still be wrong here."""
        return True

    @property
    def quick(self) -> bool:
        """Whether `gather` can be used."""
        return False

    def gather(self, image: Image, starts: Offsets, at: int, trailer: int) -> Ragged:
        """The column, when this is the only part, in records that were checked.

        Args:
            image: where the records are.
            starts: their first bytes.
            at: where the part begins in each.
            trailer: bytes at the end of each that are not the part's.
        """
        raise NotImplementedError

    def find(self, rows: Rows, at: Offsets) -> Found:
        """Where it is, when it begins at these offsets."""
        raise NotImplementedError


def _counted(rows: Rows, at: Offsets, width: int, *, head: int = 8) -> tuple[Offsets, NDArray[np.bool]]:
    """A u64 count at each offset, of items of ``width`` bytes that begin ``head`` bytes behind it."""
    room = (rows.ends - at - head) // width
    counts = rows.image.u64(at)
    fits = (room >= 0) & (counts <= np.maximum(room, 0).astype(np.uint64))
    return np.where(fits, counts.astype(np.int64), 0), fits


def _within(rows: Rows, behind: Offsets, fits: NDArray[np.bool]) -> tuple[Offsets, NDArray[np.bool]]:
    inside = behind <= rows.ends
    return np.minimum(behind, rows.ends), fits & inside


class Number(Part):
    """A u64."""

    __slots__ = ()

    def find(self, rows: Rows, at: Offsets) -> Found:
        """One word."""
        behind, fits = _within(rows, at + 8, at <= rows.ends)
        return Found({self.name: Span(_U64, at)}, behind, fits)


class _Items(Part):
    """A count and so many items."""

    __slots__ = ()

    @property
    def quick(self) -> bool:
        """The counts say all."""
        return True

    def gather(self, image: Image, starts: Offsets, at: int, trailer: int) -> Ragged:  # noqa: ARG002 - a sample's end
        """The items."""
        edges, values = take_items(image, starts, at, self.item)
        return Ragged(edges, values.view(_WORDS[self.item]))


class Chain(_Items):
    """PERF_SAMPLE_CALLCHAIN: a count and as many addresses."""

    __slots__ = ()
    head, item = 8, 8

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The addresses."""
        counts, fits = _counted(rows, at, 8)
        return Found({self.name: Span(_U64, at + 8, counts)}, np.minimum(at + 8 + 8 * counts, rows.ends), fits)


class Raw(_Items):
    """PERF_SAMPLE_RAW: a u32 size and so many bytes, with the kernel's padding among them."""

    __slots__ = ()
    head, item = 4, 1

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The bytes."""
        sizes = rows.image.u32(at).astype(np.int64)
        fits = sizes <= rows.ends - at - 4
        sizes = np.where(fits, sizes, 0)
        return Found({self.name: Span(_U8, at + 4, sizes)}, np.minimum(at + 4 + sizes, rows.ends), fits)


class Stack(Part):
    """PERF_SAMPLE_STACK_USER: a size, the bytes, and how many of them count, which is left out when there are none."""

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The bytes, and how many of them count."""
        return self.name, f"{self.name}_used"

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The bytes, all of them, and ``NAME_used``."""
        sizes, fits = _counted(rows, at, 1)
        # Where there is no stack the word is not there either: the padding behind the image is 0.
        words = np.where(sizes > 0, np.minimum(at + 8 + sizes, rows.ends), rows.image.length)
        behind, fits = _within(rows, at + 8 + sizes + 8 * (sizes > 0), fits)
        fits &= rows.image.u64(words) <= sizes.astype(np.uint64)
        columns = {self.name: Span(_U8, at + 8, sizes), f"{self.name}_used": Span(_U64, words)}
        return Found(columns, behind, fits)


class Aux(Part):
    """PERF_SAMPLE_AUX: a size and the bytes, padded to a multiple of 8."""

    __slots__ = ()

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The bytes, without the padding."""
        sizes, fits = _counted(rows, at, 1)
        behind, fits = _within(rows, at + 8 + sizes + -sizes % 8, fits)
        return Found({self.name: Span(_U8, at + 8, sizes)}, behind, fits)


@dataclass(frozen=True, slots=True)
class Registers(Part):
    """PERF_SAMPLE_REGS_USER, REGS_INTR: which ABI, and unless it is NONE so many registers."""

    registers: int

    @property
    def names(self) -> tuple[str, ...]:
        """The registers, and which ABI they are of."""
        return self.name, f"{self.name}_abi"

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The registers in the order of their bits, none where the ABI is NONE, and ``NAME_abi``."""
        counts = np.where(rows.image.u64(at) != 0, self.registers, 0).astype(np.int64)
        behind, fits = _within(rows, at + 8 + 8 * counts, at + 8 <= rows.ends)
        columns = {self.name: Span(_U64, at + 8, np.where(fits, counts, 0)), f"{self.name}_abi": Span(_U64, at)}
        return Found(columns, behind, fits)


@dataclass(frozen=True, slots=True)
class Branches(Part):
    """PERF_SAMPLE_BRANCH_STACK: a count, perhaps the PMU's index, the branches, perhaps a u64 of counts for each."""

    indexed: bool
    counted: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The branches, and what else the event asks for."""
        others = (("index", self.indexed), ("counters", self.counted))
        return self.name, *(f"{self.name}_{other}" for other, asked in others if asked)

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The branches; ``NAME_index`` and ``NAME_counters`` where the event asks for them."""
        head = 8 + 8 * self.indexed
        counts, fits = _counted(rows, at, BRANCH.itemsize + 8 * self.counted, head=head)
        first = np.minimum(at + head, rows.ends)
        counters = np.minimum(first + BRANCH.itemsize * counts, rows.ends)
        columns = {self.name: Span(BRANCH, first, counts)}
        if self.indexed:
            columns[f"{self.name}_index"] = Span(_U64, np.minimum(at + 8, rows.ends))
        if self.counted:
            columns[f"{self.name}_counters"] = Span(_U64, counters, counts)
        behind, fits = _within(rows, counters + 8 * counts * self.counted, fits)
        return Found(columns, behind, fits)


@dataclass(frozen=True, slots=True)
class Read(Part):
    """PERF_SAMPLE_READ: ``struct read_format``; of a group, its words as they are."""

    read_format: int

    @property
    def names(self) -> tuple[str, ...]:
        """The numbers; of a group its words."""
        if self.read_format & PERF_FORMAT_GROUP:
            return (self.name,)
        return tuple(f"{self.name}.{name}" for name in read_counter_names(self.read_format))

    def find(self, rows: Rows, at: Offsets) -> Found:
        """``read.value``, ``read.id`` ...; of a group ``read``: the counters, as u64 words."""
        if self.read_format & PERF_FORMAT_GROUP:
            return self._find_group(rows, at)
        names = read_counter_names(self.read_format)
        behind, fits = _within(rows, at + 8 * len(names), at <= rows.ends)
        places = [np.minimum(at + 8 * number, rows.ends) for number in range(len(names))]
        columns = {f"{self.name}.{name}": Span(_U64, place) for name, place in zip(names, places, strict=True)}
        return Found(columns, behind, fits)

    def _find_group(self, rows: Rows, at: Offsets) -> Found:
        each = len(read_counter_names(self.read_format))
        times = (self.read_format & 3).bit_count()
        counts, fits = _counted(rows, at, 8 * each, head=8 + 8 * times)
        words = np.where(fits, 1 + times + counts * each, 0)
        return Found({self.name: Span(_U64, at, words)}, np.minimum(at + 8 * words, rows.ends), fits)


class Text(Part):
    """A name up to its first NUL; NULs and perhaps old bytes fill it up to the end of the record, or its trailer."""

    __slots__ = ()

    @property
    def can_misfit(self) -> bool:
        """Any bytes are a name."""
        return False

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The bytes before the NUL."""
        room = np.maximum(rows.ends - at, 0)
        edges = np.concatenate(([0], np.cumsum(room)))
        nuls = np.flatnonzero(take_spans(rows.image.data, at, edges) == 0)
        first = np.append(nuls, edges[-1])[np.searchsorted(nuls, edges[:-1])]
        lengths = np.minimum(first - edges[:-1], room)
        return Found({self.name: Span(_U8, at, lengths)}, rows.ends, at <= rows.ends)

    @property
    def quick(self) -> bool:
        """A name is all that there is."""
        return True

    def gather(self, image: Image, starts: Offsets, at: int, trailer: int) -> Ragged:
        """The bytes before the NUL."""
        return Ragged(*take_text(image, starts, at, trailer))


@dataclass(frozen=True, slots=True)
class BuildIdName(Text):
    """The name behind a build id, whose own length stands in front, in a byte."""

    size_at: int

    @property
    def can_misfit(self) -> bool:
        """There is room for 20 bytes of build id."""
        return True

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The bytes before the NUL."""
        found = Text.find(self, rows, at)
        return found._replace(fits=found.fits & (rows.image.data[rows.starts + self.size_at] <= BUILD_ID_BYTES))


@dataclass(frozen=True, slots=True)
class Counted(Part):
    """Items whose count stands in a field in front, at a fixed place of the record."""

    dtype: np.dtype[Any]
    count_at: int

    def find(self, rows: Rows, at: Offsets) -> Found:
        """The items."""
        counts = rows.image.u64(rows.starts + self.count_at)
        room = (rows.ends - at) // self.dtype.itemsize
        fits = (room >= 0) & (counts <= np.maximum(room, 0).astype(np.uint64))
        kept = np.where(fits, counts.astype(np.int64), 0)
        return Found({self.name: Span(self.dtype, at, kept)}, rows.ends, fits)


@dataclass(frozen=True, slots=True)
class Code(Part):
    """The bytes of a TEXT_POKE: the old code, and right behind it the new; their lengths are two u16 in front."""

    lengths_at: int

    @property
    def names(self) -> tuple[str, ...]:
        """Both codes."""
        return "old", "new"

    def find(self, rows: Rows, at: Offsets) -> Found:
        """``old`` and ``new``."""
        lengths = rows.image.u32(rows.starts + self.lengths_at).view(np.uint16).reshape(-1, 2).astype(np.int64)
        fits = lengths.sum(axis=1) <= rows.ends - at
        old, new = (np.where(fits, each, 0) for each in lengths.T)
        return Found({"old": Span(_U8, at, old), "new": Span(_U8, at + old, new)}, rows.ends, fits)
