"""Images of every layout and mix, and what columns must say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, Columns, ColumnTaker
from perfring.columns.image import Image
from perfring.decoding import Decoder
from perfring.errors import BadRecord, RawDataError
from perfring.fields import BranchStack, ReadValues, Registers, UserStack
from perfring.records import Record, Sample
from perfring.sideband import Namespaces

EXTRAS = {"misc", "size", "cpu", "position", "nr_namespaces", "old_len", "new_len", "build_id_size"}
"""Columns that are of the record and not of its kind, or that only tell lengths."""


def taken(
    decoder: Decoder,
    image: bytes,
    *,
    cpu: int = 0,
    position: int = 0,
    final: bool = True,
    taker: ColumnTaker | None = None,
) -> tuple[ColumnBatch, int, list[BadRecord]]:
    """The image as one batch of columns, how many bytes were taken, and the bad records; by a new taker if by none."""
    bad: list[BadRecord] = []
    block, consumed = (taker or ColumnTaker(decoder)).take(
        Image.of(image), cpu=cpu, position=position, on_bad=bad.append, final=final
    )
    order = ColumnOrder()
    order.pending += [] if block is None else [block]
    batch = order.batch(order.release(), Reason.START)
    assert isinstance(batch, ColumnBatch)
    return batch, consumed, bad


def assert_columns_say_the_same(batch: ColumnBatch) -> None:
    """Every column of every kind, value by value, against the attributes of the records."""
    records = list(batch)
    seen = {id(record) for record in batch.others}
    for columns in batch.columns.values():
        assert (np.diff(columns.index) > 0).all()  # in the order of the batch
        rows = [records[place] for place in columns.index.tolist()]
        seen |= {id(record) for record in rows}
        assert len(rows) == len(columns)
        for name in columns.names:
            values = as_values(columns, name)
            assert values == [said(record, name) for record in rows], (columns.name, name)
    assert len(seen) == len(records) or len(batch.others) + sum(map(len, batch.columns.values())) == len(records)


def as_values(columns: Columns, name: str) -> list[Any]:
    """A column as a list of what Python has for its values."""
    column = columns[name]
    if columns.is_text(name):
        return columns.text(name)
    values = [as_python(value) for value in column]
    if name == "build_id":  # has room for the longest; what is behind a shorter one are the record's own bytes
        return [value[:size] for value, size in zip(values, columns.array("build_id_size").tolist(), strict=True)]
    return values


def as_python(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes()
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    return value.tobytes() if isinstance(value, np.void) else value.item()


def said(record: Record, name: str) -> Any:
    """What the record says of it, in the form of the column."""
    if name in EXTRAS and not hasattr(record, name):
        return lengths_of(record, name)
    if name.startswith("fields."):
        return payload_of(record, name.removeprefix("fields."))
    if name.startswith("read."):
        return read_of(record, name.removeprefix("read."))
    for field, of in DERIVED.items():
        if name == field:
            return of(record)
    value = getattr(record, name)
    return derived(record, value)


def derived(record: Record, value: Any) -> Any:
    if isinstance(value, UserStack):
        return value.data
    if isinstance(value, Registers):
        return value.values
    if isinstance(value, BranchStack):
        return tuple(entry[:3] for entry in value.entries)
    if isinstance(value, ReadValues):
        return words_of(value)
    if isinstance(record, Namespaces) and isinstance(value, tuple):
        return tuple(map(tuple, value))
    return value


def words_of(values: ReadValues) -> tuple[int, ...]:
    """A group's words: its count, the times, the counters."""
    times = [time for time in (values.time_enabled, values.time_running) if time is not None]
    counters = [number for count in values.counts for number in count if number is not None]
    return (len(values.counts), *times, *counters)


def payload_of(record: Record, field: str) -> Any:
    assert isinstance(record, Sample)
    try:
        fields = record.fields
    except RawDataError:
        return b""
    assert fields is not None
    return fields[field]


def read_of(record: Record, name: str) -> Any:
    assert isinstance(record, Sample)
    assert record.read is not None
    return getattr(record.read, name)


def lengths_of(record: Any, name: str) -> int:
    lengths: dict[str, Callable[[], int]] = {
        "nr_namespaces": lambda: len(record.namespaces),
        "old_len": lambda: len(record.old),
        "new_len": lambda: len(record.new),
        "build_id_size": lambda: len(record.build_id),
    }
    found: int = lengths[name]()
    return found


DERIVED: dict[str, Callable[[Any], Any]] = {
    "user_stack_used": lambda record: record.user_stack.dynamic_size,
    "user_regs_abi": lambda record: record.user_regs.abi,
    "intr_regs_abi": lambda record: record.intr_regs.abi,
    "branch_stack_index": lambda record: record.branch_stack.hardware_index,
    "branch_stack_counters": lambda record: tuple(entry.counters for entry in record.branch_stack.entries),
}
