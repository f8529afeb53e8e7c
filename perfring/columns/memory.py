"""Memory for what is copied out of rings, used again when nobody looks at it any more.

A batch of columns is a megabyte or two, and the next one comes when it is gone. The allocator gives such pieces back to
the kernel and gets new ones, page by page: where a page fault is expensive, as in a virtual machine, that costs more
than the copying itself (docs/performance.md). So a session keeps the buffers that it has made, and takes one of them
again as soon as the reference count says that no batch, no column and no view of one holds it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from perfring.engine import core

if TYPE_CHECKING:
    from perfring.columns.image import Bytes

__all__ = ["LEAST_POOLED", "Memory", "room"]

LEAST_POOLED: Final = 4096
"""Bytes of the smallest buffer that is kept; the allocator is good at smaller ones. As in _walk.c."""
_MOST_KEPT: Final = 1 << 25
"""Bytes that a session keeps at most when they are in nobody's hands."""
_TOO_LARGE: Final = 4
"""A buffer is not taken for a need that is so many times smaller."""


def _count_when_free() -> int:
    for each in [bytearray()]:
        return sys.getrefcount(each)
    raise AssertionError("a list of one has one")


# What getrefcount says, in a loop over a list, of a buffer that only the list holds: it differs between interpreters.
_FREE: Final = _count_when_free()


class Memory:
    """Buffers of one session.

    Attributes:
        kept: all buffers that may be taken again, in use or not, the oldest first.
    """

    __slots__ = ("_trimmed", "kept")

    def __init__(self) -> None:
        self.kept: list[bytearray] = []
        self._trimmed = 0

    def take(self, size: int) -> bytearray:
        """A buffer of at least ``size`` bytes, whatever is in them: the caller's as long as it holds it, or a view."""
        compiled = core()
        taken = self._take(size) if compiled is None else compiled.take_buffer(self.kept, size)
        self.trim()
        return taken

    def _take(self, size: int) -> bytearray:
        if size < LEAST_POOLED:
            return bytearray(size)
        best: bytearray | None = None
        # Another thread that looks at the same one holds it by that, so that neither takes it.
        for each in self.kept:
            free = sys.getrefcount(each) == _FREE
            if free and size <= len(each) < size * _TOO_LARGE and (best is None or len(each) < len(best)):
                best = each
        if best is None:
            best = bytearray(size)
            self.kept.append(best)
        return best

    def trim(self) -> None:
        """Lets go of the oldest buffers when there are too many: for who has let buffers be taken from `kept`."""
        if len(self.kept) == self._trimmed:
            return
        total = sum(map(len, self.kept))
        while total > _MOST_KEPT:
            total -= len(self.kept.pop(0))
        self._trimmed = len(self.kept)


def room(memory: Memory | None, size: int) -> Bytes:
    """So many bytes as an array, whatever is in them; of one's own where there is no memory to take them from."""
    if memory is None or size < LEAST_POOLED:
        return np.empty(size, np.uint8)
    return np.frombuffer(memory.take(size), np.uint8, size)
