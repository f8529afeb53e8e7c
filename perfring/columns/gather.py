"""Picking records, and what lies in them, out of an image: the copying that columns cost.

Both functions exist twice: here in numpy, and compiled in ``perfring._core``. `perfring.engine` says which are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfring.engine import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.image import Bytes, Offsets

__all__ = ["take_rows", "take_spans"]


def take_rows(data: Bytes, dtype: np.dtype[Any], starts: Offsets) -> NDArray[Any]:
    """The items of this type that begin at these bytes, one behind the other."""
    compiled = core()
    if compiled is not None:
        rows = np.empty(len(starts), dtype)
        compiled.take_rows(data, starts, dtype.itemsize, rows.view(np.uint8) if len(rows) else rows)
        return rows
    # A view whose items overlap, beginning at every byte: numpy then copies whole items.
    return np.ndarray((max(len(data) - dtype.itemsize + 1, 0),), dtype, data, 0, (1,))[starts]


def take_spans(data: Bytes, starts: Offsets, lengths: Offsets) -> Bytes:
    """So many bytes from each of these places, all of them in one piece."""
    total = int(lengths.sum())
    compiled = core()
    if compiled is not None:
        spans = np.empty(total, np.uint8)
        compiled.take_spans(data, starts, lengths, spans)
        return spans
    # The index of every byte: its place in the result, moved by how far its span lies from there.
    moved = starts - (np.cumsum(lengths) - lengths)
    return data[np.repeat(moved, lengths) + np.arange(total)]
