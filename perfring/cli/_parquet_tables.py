"""Records as the rows of Parquet files: columns as they are, objects made into the same columns."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from perfring.columns import Ragged
from perfring.columns.empty import empty_columns
from perfring.columns.export import to_arrow
from perfring.columns.shape import sample_shape, side_band_shape
from perfring.layout import EventLayout
from perfring.plan import EventKind

if TYPE_CHECKING:
    from perfring.columns import Columns
    from perfring.plan import EventSpec, SessionPlan
    from perfring.records import Record

__all__ = ["OTHERS", "is_ours", "of_columns", "of_events", "of_objects", "of_others"]

OTHERS: Final = pa.schema(
    [
        *(("kind", pa.string()), ("event", pa.string()), ("cpu", pa.int32()), ("position", pa.uint64())),
        *(("misc", pa.uint16()), ("size", pa.uint16()), ("time", pa.uint64()), ("pid", pa.uint32())),
        *(("tid", pa.uint32()), ("id", pa.uint64()), ("type", pa.uint32()), ("details", pa.string())),
    ]
)
"""Of records that have no columns: what they all have, and the rest as JSON."""
_OF_RECORDS: Final = 1 << 10
"""How many objects become rows at a time."""


def of_columns(columns: Columns) -> pa.RecordBatch:
    """The rows of one kind; in front which kind that is, so that the files of several can be read as one table.

    Where a tracepoint's payload is a struct, ``raw`` holds no second copy of it: it is null, but for samples whose
    payload points outside of itself, so that the struct cannot hold all of it.
    """
    taken_apart = any(name.startswith("fields.") for name in columns.names) and "raw" in columns
    rows = to_arrow(columns, without=("raw",) if taken_apart else ())
    if taken_apart:
        rows = rows.append_column("raw", _raw_where_needed(columns))
    told = [pa.repeat(columns.kind, rows.num_rows)]
    names = ["kind"]
    if columns.kind == "sample":
        told.append(pa.repeat(columns.name, rows.num_rows))
        names.append("event")
    return pa.RecordBatch.from_arrays([*told, *rows.columns], [*names, *rows.schema.names])


def _raw_where_needed(columns: Columns) -> pa.Array:
    outside: set[int] = set()
    for name in columns.names:
        column = columns[name] if name.startswith("fields.") else None
        if isinstance(column, Ragged):
            outside.update(column.outside.tolist())
    if not outside:
        return pa.nulls(len(columns), pa.large_binary())
    raw = columns.ragged("raw").tobytes()
    return pa.array([raw[row] if row in outside else None for row in range(len(raw))], pa.large_binary())


def of_events(plan: SessionPlan) -> dict[str, pa.Schema]:
    """The schema of each event's samples, by the name of the event."""
    specs = [spec for spec in plan.events if spec.kind is not EventKind.KERNEL]
    return {spec.name: of_columns(empty_columns(sample_shape(_layout(spec)))).schema for spec in specs}


def of_objects(records: Iterable[Record], plan: SessionPlan) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Side-band that was made from /proc, in its kind's columns: (kind, rows). No ring has it: position is null."""
    schemas: dict[str, pa.Schema] = {}
    for kind, same in groupby(records, key=lambda record: record.kind):
        for some in _in_pieces(same):
            if kind not in schemas:
                shape = side_band_shape(some[0].type, _layout(plan.leader))
                assert shape is not None, f"{kind} is made from /proc and has no columns"
                schemas[kind] = of_columns(empty_columns(shape)).schema
            yield kind, _rows(some, schemas[kind])


def of_others(records: Iterable[Record]) -> pa.RecordBatch:
    """Records that have no columns: READ, and what this version does not know."""
    every = list(records)
    details = [json.dumps(record.to_dict()) for record in every]
    return _rows(every, OTHERS, details=details)


def is_ours(path: str) -> bool:
    """Whether a file is one that a recording wrote; a pipe is none, and to open it would be to wait for its writer."""
    if not os.path.isfile(path):
        return False
    try:
        return b"perfring.table" in (pq.read_metadata(path).metadata or {})
    except (OSError, ValueError, pa.ArrowException):  # how it is damaged decides which of them it is
        return False


def _layout(spec: EventSpec) -> EventLayout:
    return EventLayout(spec.attr, name=spec.name, kind=spec.kind, format=spec.format)


def _in_pieces(records: Iterable[Record]) -> Iterator[list[Record]]:
    piece: list[Record] = []
    for record in records:
        piece.append(record)
        if len(piece) == _OF_RECORDS:
            yield piece
            piece = []
    if piece:
        yield piece


def _rows(records: list[Record], schema: pa.Schema, **given: list[Any]) -> pa.RecordBatch:
    columns = [
        pa.array(given.get(field.name) or [_value(record, field.name) for record in records], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _value(record: Record, name: str) -> Any:
    """What a record says, as a row has it."""
    if name == "position" and record.synthesized:
        return None
    value = getattr(record, name, None)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
