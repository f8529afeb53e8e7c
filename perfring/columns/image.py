"""One copy out of a ring, as numpy sees it.

Records are multiples of 8 bytes (K5), but what is inside them need not be: raw data begins behind a u32, and a corrupt
count puts everything behind it anywhere. So numbers are read through views that begin at *every* byte,
``strides=(1,)``, which numpy indexes with any offset.

Eight bytes of zero stand behind the image: a number that is looked for right at its end is 0, and no check is needed
before every look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from perfring.columns.lazy import lazy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.memory import Memory

__all__ = ["PADDING", "Bytes", "Image", "Offsets"]

Offsets: TypeAlias = "NDArray[np.int64]"
"""Places in an image, or counts, one for each record."""
Bytes: TypeAlias = "NDArray[np.uint8]"

PADDING: Final = 8
"""Bytes of zero behind an image."""
_ZEROS: Final = bytes(PADDING)
_U32, _U64 = np.dtype("=u4"), np.dtype("=u8")


class Image:
    """The bytes of whole records, the first of them at 0.

    Args:
        data: the bytes, and `PADDING` zeros behind them.
        memory: where what is made of them goes; None for memory of its own.

    Attributes:
        data, memory: the same.
        length: without the padding.
    """

    def __init__(self, data: Bytes, *, memory: Memory | None = None) -> None:
        self.data = data
        self.memory = memory
        self.length = len(data) - PADDING

    @classmethod
    def of(cls, *pieces: bytes | memoryview, memory: Memory | None = None) -> Image:
        """A copy of these bytes, one piece behind the other.

        Args:
            pieces: the bytes.
            memory: where the copy goes, and what is made of it; None for memory of their own.
        """
        size = sum(map(len, pieces)) + PADDING
        buffer = bytearray(size) if memory is None else memory.take(size)
        end = 0
        with memoryview(buffer) as whole:
            for piece in pieces:
                begin, end = end, end + len(piece)
                whole[begin:end] = piece
            whole[end:size] = _ZEROS
        return cls(np.frombuffer(buffer, np.uint8, size), memory=memory)

    @lazy
    def words(self) -> NDArray[np.uint64]:
        """The same as u64, as far as there are whole ones."""
        return self.data[: len(self.data) & ~7].view(_U64)

    @lazy
    def _words(self) -> NDArray[np.uint64]:
        return _at_every_byte(self.data, _U64)

    @lazy
    def _halves(self) -> NDArray[np.uint32]:
        return _at_every_byte(self.data, _U32)

    def u64(self, at: Offsets) -> NDArray[np.uint64]:
        """The u64 at each of these offsets, `length` at most."""
        return self._words[at]

    def u32(self, at: Offsets) -> NDArray[np.uint32]:
        """The u32 at each of these offsets."""
        return self._halves[at]

    def sizes(self, starts: Offsets) -> Offsets:
        """The size that each header says."""
        return self.u32(starts + 4).view(np.uint16).reshape(-1, 2)[:, 1].astype(np.int64)

    def strided(self, dtype: np.dtype[Any], first: int, stride: int, count: int) -> NDArray[Any]:
        """A view of so many items that lie ``stride`` bytes apart: nothing is copied."""
        return np.ndarray((count,), dtype, self.data, first, (stride,))


def _at_every_byte(data: Bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ndarray((max(len(data) - dtype.itemsize + 1, 0),), dtype, data, 0, (1,))
