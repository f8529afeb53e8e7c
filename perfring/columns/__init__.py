"""Records as columns: numpy arrays over one copy out of the ring, grouped by what the records are.

`SessionBuilder.with_columns` makes a session deliver them; nothing else loads this package, or numpy.

::

    image    one copy out of a ring, and how numbers in it are read     walk      where its records begin, and what they are
    shape    how the records of one kind look                           taking    an image becomes a block of checked records
    parts    what has no fixed place in them                            order     time order over CPUs, on runs of blocks
    catalogue  all shapes that a ring can hold, by id and type          batch     what a reader gets; table, ragged: its columns
"""

from __future__ import annotations

from perfring.columns.batch import ColumnBatch
from perfring.columns.draining import ColumnDrain
from perfring.columns.order import ColumnOrder
from perfring.columns.ragged import Ragged
from perfring.columns.table import Columns
from perfring.columns.taking import ColumnTaker

__all__ = ["ColumnBatch", "ColumnDrain", "ColumnOrder", "ColumnTaker", "Columns", "Ragged"]
