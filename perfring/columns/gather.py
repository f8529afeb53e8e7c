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

__all__ = ["take_items", "take_rows", "take_spans", "take_text"]


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


def take_items(image: Image, starts: Offsets, at: int, item: int) -> tuple[Offsets, Bytes]:
    """The items of parts ``at`` bytes behind each start, whose count stands in front: of bytes a u32, else a u64.

    Returns:
        Where those of each record begin, laid end to end: one more than there are starts; and the bytes of all.
    """
    compiled = core()
    if compiled is not None:
        return _arrays(len(starts), item, compiled.take_items(image.data, starts, at, item, _pool(image)))
    edges = np.zeros(len(starts) + 1, np.int64)
    counts = image.u32(starts + at) if item == 1 else image.words[(starts + at) >> 3]
    np.cumsum(counts, out=edges[1:])
    shift = at + (4 if item == 1 else 8)
    return edges, take_spans(image.data, starts, edges, item=item, shift=shift, memory=image.memory)


def take_text(image: Image, starts: Offsets, at: int, trailer: int) -> tuple[Offsets, Bytes]:
    """As `take_items`, of names that begin ``at`` bytes behind each start, and end at a NUL or at the trailer."""
    compiled = core()
    if compiled is not None:
        return _arrays(len(starts), 1, compiled.take_text(image.data, starts, at, trailer, _pool(image)))
    edges = np.zeros(len(starts) + 1, np.int64)
    room = np.concatenate(([0], np.cumsum(image.sizes(starts) - trailer - at)))
    nuls = np.flatnonzero(take_spans(image.data, starts, room, shift=at) == 0)
    first = np.append(nuls, room[-1])[np.searchsorted(nuls, room[:-1])]
    np.cumsum(np.minimum(first, room[1:]) - room[:-1], out=edges[1:])
    return edges, take_spans(image.data, starts, edges, shift=at, memory=image.memory)


def _pool(image: Image) -> list[bytearray]:
    return [] if image.memory is None else image.memory.kept


def _arrays(records: int, item: int, taken: tuple[bytearray, bytearray, int]) -> tuple[Offsets, Bytes]:
    edges, values, items = taken
    return np.frombuffer(edges, np.int64, records + 1), np.frombuffer(values, np.uint8, items * item)


def take_spans(
    data: Bytes, starts: Offsets, edges: Offsets, *, item: int = 1, shift: int = 0, memory: Memory | None = None
) -> Bytes:
    """The bytes of items that begin ``shift`` bytes behind each start, all of them in one piece.

    Args:
        data: where they are.
        starts: of each record.
        edges: as `take_items` gives them: record ``i`` has ``edges[i + 1] - edges[i]`` items.
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
