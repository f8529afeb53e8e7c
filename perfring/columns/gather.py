"""Picking records, and what lies in them, out of an image: the copying that columns cost.

These functions exist twice: here in numpy, and compiled in ``perfring._core``. `perfring.engine` says which are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perfring.engine import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.image import Bytes, Image, Offsets
    from perfring.columns.parts import Part

__all__ = ["count_items", "take_rows", "take_spans"]

_HALF_WORD: Final = 4


def take_rows(data: Bytes, dtype: np.dtype[Any], starts: Offsets) -> NDArray[Any]:
    """The items of this type that begin at these bytes, one behind the other."""
    compiled = core()
    if compiled is not None:
        rows = np.empty(len(starts) * dtype.itemsize, np.uint8)
        compiled.take_rows(data, starts, dtype.itemsize, rows)
        return rows.view(dtype)
    # A view whose items overlap, beginning at every byte. Of items without fields numpy copies each in one go.
    blank = np.dtype(f"V{dtype.itemsize}")
    return np.ndarray((max(len(data) - dtype.itemsize + 1, 0),), blank, data, 0, (1,))[starts].view(dtype)


def count_items(image: Image, starts: Offsets, at: int, part: Part) -> Offsets:
    """The counts in front of parts that begin ``at`` bytes behind each start, added up: one more than there are starts."""
    edges = np.zeros(len(starts) + 1, np.int64)
    compiled = core()
    if compiled is not None:
        compiled.count_items(image.data, starts, at, part.item, edges)
        return edges
    counts = image.u32(starts + at) if part.head == _HALF_WORD else image.words[(starts + at) >> 3]
    np.cumsum(counts, out=edges[1:])
    return edges


def take_spans(data: Bytes, starts: Offsets, edges: Offsets, *, item: int = 1, shift: int = 0) -> Bytes:
    """The bytes of items that begin ``shift`` bytes behind each start, all of them in one piece.

    Args:
        data: where they are.
        starts: of each record.
        edges: as `count_items` gives them: record ``i`` has ``edges[i + 1] - edges[i]`` items.
        item: bytes of one.
        shift: bytes.
    """
    total = int(edges[-1]) * item
    compiled = core()
    if compiled is not None:
        spans = np.empty(total, np.uint8)
        compiled.take_spans(data, starts, shift, edges, item, spans)
        return spans
    # The index of every byte: its place in the result, moved by how far its span lies from there.
    moved = starts + shift - edges[:-1] * item
    return data[np.repeat(moved, np.diff(edges) * item) + np.arange(total)]
