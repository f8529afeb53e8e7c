"""One CPU's ring in a session that delivers columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfring.columns.image import Image
from perfring.draining import RingDrain

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.columns.block import Block
    from perfring.columns.taking import ColumnTaker
    from perfring.decoding import Decoder
    from perfring.errors import BadRecord
    from perfring.opening import OpenRing

__all__ = ["ColumnDrain"]


class ColumnDrain(RingDrain):
    """As `RingDrain`; what it adds to the list of an order are blocks, not records.

    Args:
        opened: the ring.
        decoder: what takes single records apart.
        report: is told of bad ones.
        taker: shared by the rings of a session.
    """

    def __init__(
        self, opened: OpenRing, decoder: Decoder, report: Callable[[BadRecord], None], taker: ColumnTaker
    ) -> None:
        super().__init__(opened, decoder, report)
        self._taker = taker

    def _take(self, length: int, *, final: bool, beyond: int, bad: list[BadRecord]) -> tuple[list[Any], int]:
        reader = self._reader
        block, consumed = self._taker.take(
            Image.of(*reader.pieces(length), memory=self._taker.memory),
            cpu=self.cpu,
            position=reader.tail,
            on_bad=self._noting(bad),
            final=final,
            beyond=beyond,
        )
        return ([] if block is None else [block]), consumed

    def _counted(self, taken: list[Any]) -> tuple[int, int, int]:
        blocks: list[Block] = taken
        lost = sum(block.lost for block in blocks)
        last_time = blocks[-1].last_time if blocks else -1
        return sum(map(len, blocks)), lost, self.last_time if last_time < 0 else last_time
