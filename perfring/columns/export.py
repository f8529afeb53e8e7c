"""Columns for other libraries: Arrow, pandas, Polars; without a copy where they allow one.

Values that have lengths of their own are handed over as they are. Numbers of fixed place lie a record apart in memory,
which Arrow and Polars do not know, so those are copied once, and pandas takes them as they are. What Arrow and Polars
get keeps nothing else alive: not the copy out of the ring, of which one record may be a small part.

The types follow from the kind of record alone, and not from its values: the tables of all batches fit together, also
those without a record. What becomes what::

    numbers, bool                          the same number, bool
    names, char[N], __data_loc char[]      string, up to the first NUL; bytes that are no UTF-8 become U+FFFD, which
                                           `Columns.text` keeps apart
    u8[N], a struct by value, a build id   binary of that fixed length
    raw data, stacks, __data_loc u8[]      large_binary
    other arrays of N numbers              fixed_size_list
    call chains, registers, other arrays   large_list; of a struct for branches and namespaces
    the payload of a tracepoint            a struct, ``fields``; in pandas a column ``fields.NAME`` for each of its own
"""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from perfring.columns.ragged import Ragged
from perfring.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from perfring.columns.image import Bytes, Offsets
    from perfring.columns.table import Columns

__all__ = ["text_of", "to_arrow", "to_pandas", "to_polars"]

_PAYLOAD = "fields."


def text_of(column: NDArray[Any] | Ragged, name: str) -> list[str]:
    """A column of names as str. Raises TypeError for one that holds no bytes."""
    if isinstance(column, Ragged) and column.values.dtype == np.uint8:
        return column.text()
    if not isinstance(column, Ragged) and column.dtype.kind == "S":
        # The same few names come again and again.
        names, places = np.unique(column, return_inverse=True)
        made = [value.partition(b"\0")[0].decode("utf-8", "surrogateescape") for value in names.tolist()]
        return [made[place] for place in places.tolist()]
    raise TypeError(f"the column {name!r} holds no names")


def to_arrow(columns: Columns, *, without: Collection[str] = ()) -> Any:
    """A ``pyarrow.RecordBatch``; the payload of a tracepoint is a struct column, ``fields``.

    Args:
        columns: of one kind of record.
        without: the names of columns to leave out.
    """
    pa = _library("pyarrow", "arrow")
    plain = [name for name in columns.names if not name.startswith(_PAYLOAD) and name not in without]
    payload = [name for name in columns.names if name.startswith(_PAYLOAD)]
    made = {name: _arrow(pa, columns, name) for name in plain}
    if payload:
        inner = [name.removeprefix(_PAYLOAD) for name in payload]
        made["fields"] = pa.StructArray.from_arrays([_arrow(pa, columns, name) for name in payload], inner)
    return pa.RecordBatch.from_arrays(list(made.values()), list(made))


def to_pandas(columns: Columns) -> Any:
    """A ``pandas.DataFrame``, indexed by the place in the batch; ``fields.NAME`` is a column of its own."""
    pd = _library("pandas", "pandas")
    made = {name: _pandas(columns, name) for name in columns.names}
    return pd.DataFrame(made, index=pd.Index(columns.index, name="index"), copy=False)


def to_polars(columns: Columns) -> Any:
    """A ``polars.DataFrame``: of what `to_arrow` gives, which Polars takes as it is."""
    pl = _library("polars", "polars")
    _library("pyarrow", "polars")
    return pl.from_arrow(columns.to_arrow())


def _pandas(columns: Columns, name: str) -> Any:
    column = columns[name]
    if columns.is_text(name):
        return _replaced(columns.text(name))
    if isinstance(column, Ragged):
        return column.tobytes() if column.values.dtype == np.uint8 else list(column)
    if _are_bytes(column):
        return [value.tobytes() for value in column]
    return list(column) if column.ndim > 1 else column


def _arrow(pa: Any, columns: Columns, name: str) -> Any:
    column = columns[name]
    if columns.is_text(name):
        return _arrow_text(pa, column)
    if not isinstance(column, Ragged):
        return _arrow_array(pa, column)
    if column.values.dtype == np.uint8:
        buffers = [None, pa.py_buffer(column.offsets), pa.py_buffer(np.ascontiguousarray(column.values))]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(column), buffers)
    return pa.LargeListArray.from_arrays(column.offsets, _arrow_array(pa, column.values))


def _arrow_array(pa: Any, values: NDArray[Any]) -> Any:
    names = values.dtype.names
    if names is not None:
        return pa.StructArray.from_arrays([_arrow_array(pa, values[name]) for name in names], names)
    # A copy always: the only item of a column is contiguous as it is, and would keep the whole ring's copy alive.
    flat = np.array(values, order="C")
    if _are_bytes(flat):
        width = flat.dtype.itemsize * (flat.shape[1] if flat.ndim > 1 else 1)
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(flat), [None, pa.py_buffer(flat)])
    if flat.ndim > 1:
        return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
    return pa.array(flat)


def _are_bytes(values: NDArray[Any]) -> bool:
    """Whether each item is bytes: a struct by value, or an array of u8."""
    return values.dtype.kind == "V" or (values.ndim > 1 and values.dtype == np.uint8)


def _arrow_text(pa: Any, column: NDArray[Any] | Ragged) -> Any:
    """Names up to their first NUL, without a Python object for each, as long as all of them are UTF-8."""
    lengths, data = _ragged_names(column) if isinstance(column, Ragged) else _fixed_names(column)
    edges = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=edges[1:])
    made = pa.StringArray.from_buffers(len(lengths), pa.py_buffer(edges), pa.py_buffer(data))
    try:
        made.validate(full=True)
    except pa.ArrowInvalid:
        pieces = [data[begin:end].tobytes() for begin, end in pairwise(edges.tolist())]
        return pa.array([piece.decode("utf-8", "replace") for piece in pieces], pa.string())
    return made


def _fixed_names(column: NDArray[Any]) -> tuple[Offsets, Bytes]:
    """The lengths of names of a fixed room, and their bytes without the NULs and what is behind."""
    width = column.dtype.itemsize
    room = np.array(column, order="C").view(np.uint8).reshape(len(column), width)
    nuls = room == 0
    lengths = np.where(nuls.any(axis=1), nuls.argmax(axis=1), width)
    return lengths, room[np.arange(width) < lengths[:, None]]


def _ragged_names(column: Ragged) -> tuple[Offsets, Bytes]:
    """The same of names that have lengths of their own."""
    starts, nuls = column.offsets[:-1], np.flatnonzero(column.values == 0)
    if not len(nuls):
        return column.lengths, np.ascontiguousarray(column.values)
    first = np.append(nuls, len(column.values))[np.searchsorted(nuls, starts)]
    lengths = np.minimum(first - starts, column.lengths)
    behind = np.arange(len(column.values)) - np.repeat(starts, column.lengths)
    return lengths, column.values[behind < np.repeat(lengths, column.lengths)]


def _replaced(names: list[str]) -> list[str]:
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Unsupported(f"{name} cannot be imported ({error}): pip install 'perfring[{extra}]'") from error
