"""The records of one kind as columns."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from perfring.columns import export
from perfring.columns.block import merged
from perfring.columns.gather import take_rows
from perfring.columns.lazy import lazy
from perfring.columns.parts import Part, Rows, Span
from perfring.columns.payload import dynamic_dtype, payload_dtype
from perfring.columns.ragged import Ragged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from perfring.columns.block import Choice, Group, Run
    from perfring.columns.image import Offsets
    from perfring.columns.shape import Shape
    from perfring.tracepoint import TracepointField

__all__ = ["Columns", "Ranks", "Source"]

_PAYLOAD = "fields"


class Ranks:
    """Where in the batch each record of a group stands; found when it is asked for.

    Args:
        group: the runs.
        base: the place in the batch of the first of its records.
    """

    def __init__(self, group: Group, base: int) -> None:
        self._group = group
        self._base = base

    @lazy
    def by_run(self) -> list[Offsets]:
        """The ranks of each run's records."""
        counts = [run.size for run in self._group]
        ranks = np.empty(sum(counts), np.int64)
        ranks[merged(self._group)] = np.arange(len(ranks)) + self._base
        return np.split(ranks, np.cumsum(counts)[:-1])


class Source(NamedTuple):
    """Where records of one kind are: some of a run."""

    run: Run
    code: int
    shape: Shape
    choice: Choice
    number: int
    """Of the run in its group."""
    ranks: Ranks

    @property
    def starts(self) -> Offsets:
        """Where the records begin in the image."""
        return self.run.block.starts_of(self.code, self.choice)

    def keys(self) -> NDArray[np.int64]:
        """Their times, ascending."""
        return self.run.block.keys_of(self.code, self.choice)

    def places(self) -> Offsets:
        """Their places in the batch."""
        return self.ranks.by_run[self.number][self.run.block.places_of(self.code, self.choice) - self.run.low]

    def fixed(self) -> NDArray[Any]:
        """The numbers in front, and what else has a fixed place."""
        return self.run.block.table(self.code, self.choice)

    def ends(self) -> Offsets:
        """Where the records end, their trailers left out."""
        return self.starts + self.run.block.image.sizes(self.starts) - self.shape.trailer_bytes

    def gather(self, part: Part) -> Ragged:
        """The column of the only part."""
        shape = self.shape
        return part.gather(self.run.block.image, self.starts, shape.parts_at, shape.trailer_bytes)

    def spans(self) -> dict[str, Span]:
        """The columns of the parts."""
        rows = Rows(self.run.block.image, self.starts, self.ends())
        at = rows.starts + self.shape.parts_at
        spans: dict[str, Span] = {}
        for part in self.shape.parts:
            found = part.find(rows, at)
            spans |= found.columns
            at = found.behind
        return spans


class Columns:
    """All records of one kind in a batch, in time order: ``batch.columns["sched:sched_switch"]``.

    ``columns[name]`` is a numpy array with one item a record, or a `Ragged` where the values have lengths of their own.
    The names are those of the attributes of `perfring.records.Sample` and of the side-band records; ``fields.NAME`` is
    a field of a tracepoint's payload, ``fields`` the structured array of all that have a fixed place.

    Attributes:
        name: the event of samples, the kind of side-band records.
    """

    def __init__(self, name: str, groups: Sequence[Sequence[Source]]) -> None:
        self._groups = groups
        self._shape = groups[0][0].shape
        self.name = name
        self._loaded: dict[str, NDArray[Any] | Ragged] = {}

    @property
    def kind(self) -> str:
        """As `Record.kind`."""
        return self._shape.kind

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Columns {self.name!r}: {len(self)} records, {', '.join(self.names)}>"

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return self._shape.names

    def __getitem__(self, name: str) -> NDArray[Any] | Ragged:
        if not isinstance(name, str):
            raise TypeError(
                f"a column of {self.name!r} is found by its name, not by {name!r}: columns['time'] is one, "
                f"columns.rows has the rows, batch[columns.index[i]] is row i as a record"
            )
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        # Without this numpy and pandas would take what can be iterated over for the values: the names.
        raise TypeError(
            f"{self.name!r} is a table of columns and no array: take one of them, columns['time'], or columns.rows, "
            f"columns.to_pandas(), columns.to_arrow()"
        )

    def array(self, name: str) -> NDArray[Any]:
        """A column that is an array.

        Raises:
            KeyError: there is no such column.
            TypeError: its values have lengths of their own.
        """
        found = self[name]
        if isinstance(found, Ragged):
            raise TypeError(f"the values of {name!r} have lengths of their own: it is a Ragged, not an array")
        return found

    def ragged(self, name: str) -> Ragged:
        """A column whose values have lengths of their own.

        Raises:
            KeyError: there is no such column.
            TypeError: it is an array.
        """
        found = self[name]
        if not isinstance(found, Ragged):
            raise TypeError(f"{name!r} is an array with one value a record, and no Ragged")
        return found

    def text(self, name: str) -> list[str]:
        """A column of names as str, up to the first NUL; what is no UTF-8 survives as surrogates.

        Raises:
            KeyError: there is no such column.
            TypeError: it holds no bytes.
        """
        return export.text_of(self[name], name)

    def is_text(self, name: str) -> bool:
        """Whether a column holds names."""
        found = self[name]
        return name in self._shape.text or (not isinstance(found, Ragged) and found.dtype.kind == "S")

    @lazy
    def rows(self) -> NDArray[Any]:
        """A structured array of all that has a fixed place: a view of the copy out of the ring where it can be one."""
        if len(self._groups) == 1 and len(self._groups[0]) == 1:
            return self._groups[0][0].fixed()
        return self._joined([[source.fixed() for source in group] for group in self._groups])

    @lazy
    def index(self) -> Offsets:
        """Which place in the batch each record has: ``batch[columns.index[i]]`` is record ``i`` of these columns."""
        return self._joined([[source.places() for source in group] for group in self._groups])

    @property
    def fields(self) -> NDArray[Any]:
        """The payload of a tracepoint, as far as it has a fixed place.

        Raises:
            KeyError: the records have none.
        """
        return self.array(_PAYLOAD)

    def to_arrow(self) -> Any:
        """A ``pyarrow.RecordBatch``; needs the extra ``arrow``."""
        return export.to_arrow(self)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> Any:
        """Arrow's PyCapsule interface, which lets ``pyarrow.record_batch(columns)`` and other libraries take it."""
        return self.to_arrow().__arrow_c_array__(requested_schema)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``; needs the extra ``pandas``.

        It shares the memory of the batch: write into a copy of it.
        """
        return export.to_pandas(self)

    def to_polars(self) -> Any:
        """A ``polars.DataFrame``; needs the extra ``polars``."""
        return export.to_polars(self)

    def _load(self, name: str) -> NDArray[Any] | Ragged:
        shape = self._shape
        for field in _dynamic_fields(shape):
            if name == f"{_PAYLOAD}.{field.name}":
                return self._load_dynamic(field)
        if name in (shape.fixed.names or ()):
            found: NDArray[Any] = self.rows[name]
            return found
        if name in ("cpu", "position"):
            return self._joined([[_of_ring(source, name) for source in group] for group in self._groups])
        if shape.format is not None and name == _PAYLOAD:
            return self._payload
        if name.startswith(f"{_PAYLOAD}.") and name in self.names:
            of_payload: NDArray[Any] = self.fields[name.removeprefix(f"{_PAYLOAD}.")]
            return of_payload
        if shape.trailer is not None and name in (shape.trailer.names or ()):
            trailer: NDArray[Any] = self._trailer[name]
            return trailer
        if name in self._shape.part_names:
            return self._load_part(name)
        raise KeyError(f"{self.name!r} has no column {name!r}; it has {', '.join(self.names)}")

    @lazy
    def _spans(self) -> list[list[dict[str, Span]]]:
        return [[source.spans() for source in group] for group in self._groups]

    @lazy
    def _trailer(self) -> NDArray[Any]:
        trailer = self._shape.trailer or np.dtype([])
        return self._joined([[_rows_at(source, trailer, source.ends()) for source in g] for g in self._groups])

    @lazy
    def _payload(self) -> NDArray[Any]:
        """The payload where something of no fixed length stands before it."""
        dtype = payload_dtype(self._shape.format) if self._shape.format is not None else np.dtype([])
        return self._joined(
            [
                [_rows_at(s, dtype, spans["raw"].starts) for s, spans in zip(g, found, strict=True)]
                for g, found in zip(self._groups, self._spans, strict=True)
            ]
        )

    def _load_part(self, name: str) -> NDArray[Any] | Ragged:
        single = self._shape.single
        if single is not None:  # nothing else has to be found before
            return self._joined_ragged([[source.gather(single) for source in group] for group in self._groups])
        first = self._spans[0][0][name]
        found = [
            [(source, spans[name]) for source, spans in zip(group, measured, strict=True)]
            for group, measured in zip(self._groups, self._spans, strict=True)
        ]
        if first.counts is None:
            return self._joined([[_words(*each) for each in group] for group in found])
        return self._joined_ragged([[_items(*each) for each in group] for group in found])

    def _load_dynamic(self, field: TracepointField) -> Ragged:
        found = []
        for group, measured in zip(self._groups, self._spans, strict=True):
            found.append([_dynamic(s, field, spans["raw"]) for s, spans in zip(group, measured, strict=True)])
        return self._joined_ragged(found)

    @lazy
    def _orders(self) -> list[Offsets | None]:
        """How the sources of each group are merged; None where each is later than the one before."""
        return [_merging_order(group) for group in self._groups]

    def _joined(self, groups: list[list[NDArray[Any]]]) -> NDArray[Any]:
        if len(groups) == 1 and len(groups[0]) == 1:
            return groups[0][0]
        pieces: list[NDArray[Any]] = []
        for group, order in zip(groups, self._orders, strict=True):
            # Put in order while the items are still without fields, for the same reason.
            pieces += group if order is None else [_one_behind_the_other(group)[order].view(group[0].dtype)]
        return pieces[0] if len(pieces) == 1 else _one_behind_the_other(pieces).view(pieces[0].dtype)

    def _joined_ragged(self, groups: list[list[Ragged]]) -> Ragged:
        if len(groups) == 1 and len(groups[0]) == 1:
            return groups[0][0]
        pieces: list[Ragged] = []
        for group, order in zip(groups, self._orders, strict=True):
            pieces += group if order is None else [Ragged.joined(group).taken(order)]
        return Ragged.joined(pieces)


def _merging_order(group: Sequence[Source]) -> Offsets | None:
    keys = [source.keys() for source in group] if len(group) > 1 else []
    if all(earlier[-1] <= later[0] for earlier, later in pairwise(keys)):
        return None
    # Sorted runs, one behind the other, are what a stable sort merges fastest.
    return np.argsort(np.concatenate(keys), kind="stable")


def _one_behind_the_other(pieces: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """As numpy's concatenate; items with fields as items without, for it would copy them field by field."""
    if pieces[0].dtype.names is None:
        return np.concatenate(pieces)
    blank = np.dtype(f"V{pieces[0].dtype.itemsize}")
    joined = np.empty(sum(map(len, pieces)), blank)
    end = 0
    for piece in pieces:
        begin, end = end, end + len(piece)
        joined[begin:end] = _blank(piece, blank)
    return joined


def _blank(piece: NDArray[Any], blank: np.dtype[Any]) -> NDArray[Any]:
    # A view of another type wants contiguous items only where their size differs.
    return piece if piece.dtype == blank else piece.view(blank)


def _of_ring(source: Source, name: str) -> NDArray[Any]:
    block = source.run.block
    if name == "cpu":
        return np.full(len(source.starts), block.cpu, np.int32)
    return source.starts.astype(np.uint64) + np.uint64(block.position)  # wraps as the positions of a ring do


def _words(source: Source, span: Span) -> NDArray[Any]:
    return _rows_at(source, span.dtype, span.starts)


def _rows_at(source: Source, dtype: np.dtype[Any], starts: Offsets) -> NDArray[Any]:
    image = source.run.block.image
    return take_rows(image.data, dtype, starts, memory=image.memory)


def _items(source: Source, span: Span) -> Ragged:
    counts = np.zeros(0, np.int64) if span.counts is None else span.counts
    image = source.run.block.image
    return Ragged.gathered(image.data, span.dtype, span.starts, counts, memory=image.memory)


def _dynamic_fields(shape: Shape) -> list[TracepointField]:
    return [field for field in shape.format.fields if field.dynamic or field.flexible] if shape.format else []


def _dynamic(source: Source, field: TracepointField, raw: Span) -> Ragged:
    """A field of no fixed length: where its data is, a u32 in the payload tells."""
    image, dtype = source.run.block.image, dynamic_dtype(field)
    room = np.zeros(0, np.int64) if raw.counts is None else raw.counts
    if field.flexible:
        begin, length = np.full(len(room), field.offset), np.maximum(room - field.offset, 0)
    else:
        words = image.u32(raw.starts + field.offset).astype(np.int64)
        relative = field.offset + field.size if field.type.startswith("__rel_loc") else 0
        begin, length = (words & 0xFFFF) + relative, words >> 16
    fits = begin + length <= room
    counts = np.where(fits, length // dtype.itemsize, 0)
    found = Ragged.gathered(image.data, dtype, raw.starts + np.where(fits, begin, 0), counts, memory=image.memory)
    found.outside = np.flatnonzero(~fits)
    return found
