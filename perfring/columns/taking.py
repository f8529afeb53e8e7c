"""Takes the records of an image as columns: the counterpart of `Decoder.decode_run`, which takes them as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from perfring.columns.block import Block
from perfring.columns.catalogue import ODD, Catalogue
from perfring.columns.image import Image
from perfring.columns.kinds import Kind, Picked
from perfring.columns.memory import Memory
from perfring.columns.parts import Raw, Rows
from perfring.columns.walk import Walked, grouped, is_ascending, walk
from perfring.decoding import is_corrupt, unreadable
from perfring.errors import BadRecord
from perfring.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from perfring.columns.image import Offsets
    from perfring.columns.shape import Shape
    from perfring.decoding import Decoder

__all__ = ["ColumnTaker"]

_U64_MASK: Final = (1 << 64) - 1


class ColumnTaker:
    """Makes blocks of images.

    Args:
        decoder: knows the events; more may be added to it at any time.

    Attributes:
        memory: where what it makes goes; for images as well.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._catalogue: Catalogue | None = None
        self._known = 0
        self.memory = Memory()
        self._current()  # what is wrong with it shows here, and not in a drain

    def take(
        self,
        image: Image,
        *,
        cpu: int,
        position: int,
        on_bad: Callable[[BadRecord], None],
        final: bool = False,
        beyond: int = 0,
    ) -> tuple[Block | None, int]:
        """The records of an image, checked; arguments and count of bytes as of `Decoder.decode_run`.

        Returns:
            The block, None without a sound record; and how many bytes the records and the bad ones took.
        """
        catalogue = self._current()
        walked = _checked(image, catalogue, walk(image, catalogue))
        self.memory.trim()
        if ODD in walked.kinds:
            walked = self._look_at_odd(image, walked, cpu=cpu, position=position, on_bad=on_bad)
        end, length = walked.end, image.length
        if end < length and (final or is_corrupt(image.data[end:length].tobytes(), 0)):
            rest = image.data[end:length].tobytes()
            on_bad(unreadable(rest, 0, cpu=cpu, position=(position + end) & _U64_MASK, beyond=beyond))
            end = length + beyond
        if not len(walked.keys):
            return None, end
        return Block(image, walked, catalogue, self._decoder, cpu=cpu, position=position), end

    def _current(self) -> Catalogue:
        layouts = self._decoder.layouts
        if self._catalogue is None or self._known != len(layouts or ()):
            self._known = len(layouts or ())
            self._catalogue = Catalogue(layouts, self._decoder.default)
        return self._catalogue

    def _look_at_odd(
        self,
        image: Image,
        walked: Walked,
        *,
        cpu: int,
        position: int,
        on_bad: Callable[[BadRecord], None],
    ) -> Walked:
        """Decodes the records that have no shape one by one; the bad ones among them are reported and left out."""
        odd, keys, sound = walked.kinds[ODD], np.array(walked.keys), np.ones(len(walked.keys), np.bool)
        for place, start in zip(odd.rows.tolist(), odd.starts.tolist(), strict=True):
            found = self._try(image, start, cpu, position)
            if isinstance(found, Record):
                keys[place] = -1 if found.time is None else min(found.time, _LATEST)
            else:
                sound[place] = False
                on_bad(found)
        keys, renumbered = keys[sound], np.cumsum(sound) - 1
        kinds: dict[int, Kind] = {
            code: Picked(kind.table, kind.starts, renumbered[kind.rows])
            for code, kind in walked.kinds.items()
            if code != ODD
        }
        kept = np.flatnonzero(sound[odd.rows])
        if len(kept):
            kinds[ODD] = Picked(odd.table[kept], odd.starts[kept], renumbered[odd.rows[kept]])
        return Walked(walked.end, keys, is_ascending(keys), kinds)

    def _try(self, image: Image, start: int, cpu: int, position: int) -> Record | BadRecord:
        size = int(image.sizes(np.array([start]))[0])
        record = image.data[start : start + size].tobytes()
        try:
            return self._decoder.decode(record, cpu=cpu, position=(position + start) & _U64_MASK)
        except BadRecord as error:
            return error


_LATEST: Final = (1 << 63) - 1


def _checked(image: Image, catalogue: Catalogue, walked: Walked) -> Walked:
    """Looks at the parts of all records that have several; those that do not fit get another code."""
    if walked.alike:
        return walked
    for code in catalogue.checked:
        shape, kind = catalogue.shapes[code], walked.kinds.get(code)
        if shape is None or kind is None:
            continue
        fits, payload_fits = _fitting(image, shape, kind.starts)
        if not fits.all() or not payload_fits.all():
            codes = walked.codes()
            codes[kind.rows[~payload_fits]] = catalogue.misfit[code]
            codes[kind.rows[~fits]] = ODD
            walked = walked._replace(kinds=grouped(image, catalogue, walked.starts(), codes))
    return walked


def _fitting(image: Image, shape: Shape, starts: Offsets) -> tuple[NDArray[np.bool], NDArray[np.bool]]:
    """Which records are what their event writes, and in which of them the payload fits the tracepoint's format."""
    rows = Rows(image, starts, starts + image.sizes(starts) - shape.trailer_bytes)
    at = starts + shape.parts_at
    fits = payload_fits = np.ones(len(starts), np.bool)
    for part in shape.parts:
        found = part.find(rows, at)
        fits, at = fits & found.fits, found.behind
        if shape.format is not None and isinstance(part, Raw):
            counts = found.columns[part.name].counts
            assert counts is not None
            payload_fits = counts >= shape.payload_bytes
    return (fits & (at == rows.ends) if shape.strict else fits), payload_fits
