"""Columns for other libraries: Arrow, pandas, Polars; without a copy where they allow one.

Values that have lengths of their own are handed over as they are. Numbers of fixed place lie a record apart in memory,
which Arrow and Polars do not know, so those are copied once, and pandas takes them as they are.

Names become strings; bytes in them that are no UTF-8 become U+FFFD, which `Columns.text` keeps apart.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from perfring.columns.ragged import Ragged
from perfring.errors import Unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def to_arrow(columns: Columns) -> Any:
    """A ``pyarrow.RecordBatch``; the payload of a tracepoint is a struct column, ``fields``."""
    pa = _library("pyarrow", "arrow")
    plain = [name for name in columns.names if not name.startswith(_PAYLOAD)]
    payload = [name for name in columns.names if name.startswith(_PAYLOAD)]
    made = {name: _arrow(pa, columns, name) for name in plain}
    if payload:
        inner = [name.removeprefix(_PAYLOAD) for name in payload]
        made["fields"] = pa.StructArray.from_arrays([_arrow(pa, columns, name) for name in payload], inner)
    return pa.RecordBatch.from_arrays(list(made.values()), list(made))


def to_pandas(columns: Columns) -> Any:
    """A ``pandas.DataFrame``, indexed by the place in the batch; ``fields.NAME`` is a column of its own."""
    pd = _library("pandas", "pandas")
    made: dict[str, Any] = {}
    for name in columns.names:
        column = columns[name]
        if columns.is_text(name):
            made[name] = _replaced(columns.text(name))
        elif isinstance(column, Ragged):
            made[name] = column.tobytes() if column.values.dtype == np.uint8 else list(column)
        else:
            made[name] = list(column) if column.ndim > 1 or column.dtype.kind == "V" else column
    return pd.DataFrame(made, index=pd.Index(columns.index, name="index"), copy=False)


def to_polars(columns: Columns) -> Any:
    """A ``polars.DataFrame``: of what `to_arrow` gives, which Polars takes as it is."""
    pl = _library("polars", "polars")
    _library("pyarrow", "polars")
    return pl.from_arrow(columns.to_arrow())


def _arrow(pa: Any, columns: Columns, name: str) -> Any:
    column = columns[name]
    if columns.is_text(name):
        return pa.array(_replaced(columns.text(name)), pa.string())
    if not isinstance(column, Ragged):
        return _arrow_array(pa, column)
    if column.values.dtype == np.uint8:
        buffers = [None, pa.py_buffer(column.offsets), pa.py_buffer(np.ascontiguousarray(column.values))]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(column), buffers)
    return pa.LargeListArray.from_arrays(column.offsets, _arrow_array(pa, column.values))


def _arrow_array(pa: Any, values: NDArray[Any]) -> Any:
    if values.dtype.names is not None:
        return pa.StructArray.from_arrays([_arrow_array(pa, values[n]) for n in values.dtype.names], values.dtype.names)
    flat = np.ascontiguousarray(values)
    if values.ndim > 1:
        return pa.FixedSizeListArray.from_arrays(_arrow_array(pa, flat.reshape(-1)), values.shape[1])
    if values.dtype.kind == "V":
        kind = pa.binary(values.dtype.itemsize)
        return pa.FixedSizeBinaryArray.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])
    return pa.array(flat)


def _replaced(names: list[str]) -> list[str]:
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Unsupported(f"{name} cannot be imported ({error}): pip install 'perfring[{extra}]'") from error
