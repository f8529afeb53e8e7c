"""Picking records, and what lies in them, out of an image: the copying that columns cost.

These functions exist twice: here in numpy, and compiled in ``perfring._core``. `perfring.engine` says which are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfring.columns.memory import room
from perfring.engine import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.image import Bytes, Image, Offsets
    from perfring.columns.memory import Memory

__all__ = ["count_items", "count_text", "take_rows", "take_spans"]


def take_rows(data: Bytes, dtype: np.dtype[Any], starts: Offsets, *, memory: Memory | None = None) -> NDArray[Any]:
    """The items of this type that begin at these bytes, one behind the other; ``memory``: where they go."""
    compiled = core()
    if compiled is not None:
        rows = room(memory, len(starts) * dtype.itemsize)
        compiled.take_rows(data, starts, dtype.itemsize, rows)
        return rows.view(dtype)
    # A view whose items overlap, beginning at every byte. Of items without fields numpy copies each in one go.
    blank = np.dtype(f"V{dtype.itemsize}")
    return np.ndarray((max(len(data) - dtype.itemsize + 1, 0),), blank, data, 0, (1,))[starts].view(dtype)


def count_items(image: Image, starts: Offsets, at: int, item: int) -> Offsets:
    """The counts in front of parts that begin ``at`` bytes behind each start, added up: one more than there are starts.

    The count of single bytes is a u32, any other one a u64.
    """
    edges = np.zeros(len(starts) + 1, np.int64)
    compiled = core()
    if compiled is not None:
        compiled.count_items(image.data, starts, at, item, edges)
        return edges
    counts = image.u32(starts + at) if item == 1 else image.words[(starts + at) >> 3]
    np.cumsum(counts, out=edges[1:])
    return edges


def count_text(image: Image, starts: Offsets, at: int, trailer: int) -> Offsets:
    """As `count_items`, of names that begin ``at`` bytes behind each start, and end at a NUL or at the trailer."""
    edges = np.zeros(len(starts) + 1, np.int64)
    compiled = core()
    if compiled is not None:
        compiled.count_text(image.data, starts, at, trailer, edges)
        return edges
    room = np.concatenate(([0], np.cumsum(image.sizes(starts) - trailer - at)))
    nuls = np.flatnonzero(take_spans(image.data, starts, room, shift=at) == 0)
    first = np.append(nuls, room[-1])[np.searchsorted(nuls, room[:-1])]
    np.cumsum(np.minimum(first, room[1:]) - room[:-1], out=edges[1:])
    return edges


def take_spans(
    data: Bytes, starts: Offsets, edges: Offsets, *, item: int = 1, shift: int = 0, memory: Memory | None = None
) -> Bytes:
    """The bytes of items that begin ``shift`` bytes behind each start, all of them in one piece.

    Args:
        data: where they are.
        starts: of each record.
        edges: as `count_items` gives them: record ``i`` has ``edges[i + 1] - edges[i]`` items.
        item: bytes of one.
        shift: bytes.
        memory: where they go; None for memory of their own.
    """
    total = int(edges[-1]) * item
    compiled = core()
    if compiled is not None:
        spans = room(memory, total)
        compiled.take_spans(data, starts, shift, edges, item, spans)
        return spans
    # The index of every byte: its place in the result, moved by how far its span lies from there.
    moved = starts + shift - edges[:-1] * item
    return data[np.repeat(moved, np.diff(edges) * item) + np.arange(total)]
