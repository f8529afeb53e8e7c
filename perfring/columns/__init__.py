"""Records as columns: numpy arrays over one copy out of the ring, grouped by what the records are.

`SessionBuilder.with_columns` makes a session deliver them; nothing else loads this package, or numpy.

::

    image       one copy out of a ring, and how numbers in it are read
    shape       how the records of one kind look; parts and payload: what has no fixed place in them, tracepoints' data
    catalogue   all shapes that a ring can hold, by id and type
    walk        where the records of an image begin, and what they are
    taking      an image becomes a block of checked records; draining: out of a ring of a session
    block       those records, and runs of them in time order; order: over all CPUs
    batch       what a reader gets; table, ragged, export: its columns
"""

from __future__ import annotations

from perfring.columns.batch import ColumnBatch
from perfring.columns.draining import ColumnDrain
from perfring.columns.order import ColumnOrder
from perfring.columns.ragged import Ragged
from perfring.columns.table import Columns
from perfring.columns.taking import ColumnTaker

__all__ = ["ColumnBatch", "ColumnDrain", "ColumnOrder", "ColumnTaker", "Columns", "Ragged"]
