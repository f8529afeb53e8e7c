"""The records of one kind in an image, in three forms: copied one by one, copied by the compiled walk, or not at all.

A batch has ten kinds, and whoever reads it looks at two or three: what nobody asks for is not made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from perfring.columns.lazy import lazy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfring.columns.image import Image, Offsets
    from perfring.columns.shape import Shape

__all__ = ["NOTHING", "Copied", "Kind", "Picked", "Strided"]

NOTHING: Final = np.dtype([])
"""Of a row of what has no shape."""


class Kind(Protocol):
    """The records of one code."""

    @property
    def table(self) -> NDArray[Any]:
        """Of each all that has a fixed place: `Shape.fixed`."""
        ...

    @property
    def starts(self) -> Offsets:
        """Where each begins in the image, ascending."""
        ...

    @property
    def rows(self) -> Offsets:
        """Which record of the image each is, ascending."""
        ...


class Picked(NamedTuple):
    """Picked out of an image: a `Kind` that has been made already."""

    table: NDArray[Any]
    starts: Offsets
    rows: Offsets


class Copied:
    """A `Kind` as the compiled walk makes it.

    Args:
        shape: of the records; None where they have none.
        copied: the buffer with their rows, how many they are, and from which byte on the buffer has where they begin.
        code: theirs.
        codes: of all records of the image.
    """

    def __init__(
        self, shape: Shape | None, copied: tuple[bytearray, int, int], code: int, codes: NDArray[np.uint16]
    ) -> None:
        self._shape = shape
        self._copied = copied
        self._code = code
        self._codes = codes

    @lazy
    def table(self) -> NDArray[Any]:
        """As in `Kind`."""
        buffer, count, _ = self._copied
        return np.zeros(count, NOTHING) if self._shape is None else np.frombuffer(buffer, self._shape.fixed, count)

    @lazy
    def starts(self) -> Offsets:
        """As in `Kind`."""
        buffer, count, behind = self._copied
        return np.frombuffer(buffer, np.int64, count, behind)

    @lazy
    def rows(self) -> Offsets:
        """As in `Kind`."""
        return np.flatnonzero(self._codes == self._code)


class Strided:
    """A `Kind`: all records of an image, which are alike: a view of it.

    Args:
        image: where they are.
        shape: theirs.
        stride: bytes from each to the next one.
        count: how many they are.
    """

    def __init__(self, image: Image, shape: Shape, stride: int, count: int) -> None:
        self.table = image.strided(shape.fixed, 0, stride, count)
        self._stride = stride

    @lazy
    def starts(self) -> Offsets:
        """As in `Kind`."""
        return self.rows * self._stride

    @lazy
    def rows(self) -> Offsets:
        """As in `Kind`."""
        return np.arange(len(self.table))
