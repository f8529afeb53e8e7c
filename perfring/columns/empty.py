"""Columns of a kind of record without a record: they have the names and types that any others of this kind have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfring import abi
from perfring.columns.block import Block, Run
from perfring.columns.catalogue import Catalogue
from perfring.columns.image import Image
from perfring.columns.kinds import Picked
from perfring.columns.table import Columns, Ranks, Source
from perfring.columns.walk import Walked
from perfring.decoding import Decoder
from perfring.layout import EventLayout

if TYPE_CHECKING:
    from perfring.columns.shape import Shape

__all__ = ["empty_columns"]

_CODE = 1


def empty_columns(shape: Shape) -> Columns:
    """The columns that a batch without a record of this shape would have.

    Args:
        shape: from `perfring.columns.shape.sample_shape` or `side_band_shape`.
    """
    nobody = EventLayout(abi.PerfEventAttr(), name="nobody", kind="custom")
    none = np.zeros(0, np.int64)
    walked = Walked(0, none, True, {_CODE: Picked(np.zeros(0, shape.fixed), none, none)})
    block = Block(
        Image.of(bytes(shape.least)), walked, Catalogue(None, nobody), Decoder(default=nobody), cpu=0, position=0
    )
    run = Run(block, 0, 0)
    return Columns(shape.name, [[Source(run, _CODE, shape, slice(None), 0, Ranks((run,), 0))]])
