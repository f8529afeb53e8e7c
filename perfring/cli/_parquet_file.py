"""One Parquet file that grows by row groups.

A Parquet file is readable once its footer stands behind the last row group, and a disk that is full has no room for a
footer. So the room comes first: before a row group is written, the filesystem promises the bytes for it *and* for the
footer that would follow it (posix_fallocate(3)). A row group that gets no promise is not begun. Then the file is closed
as it is, and the rows that are missing in it are counted::

    | row group | row group | footer |          the last row group and the footer fit into what was promised
                            ^ promised ... ^

What a row group will need is not known before it is encoded. An upper bound is asked for first, and only when the disk
is too full for that the row group is encoded on trial, into memory, to know its size.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfring.cli._parquet_path import ParquetPath

__all__ = ["BYTES", "ROWS", "ParquetFile"]

ROWS: Final = 1 << 17
"""Of a row group, the most. DuckDB and Polars read row groups in parallel, and want a hundred thousand rows in each."""
BYTES: Final = 1 << 25
"""Of a row group in memory, before encoding and compression, the most."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FEW_ROWS: Final = 1 << 12
"""Pieces of fewer rows are joined: a piece costs some kilobytes, however few its rows are."""
_DELTA: Final = ("time", "position")
"""Numbers that nearly ascend: their differences are small."""
# What the parts of a file need at most, in bytes.
_PAGE_HEADERS: Final = 1 << 14
_FOOTER: Final = 1 << 14
_FOOTER_OF_A_CHUNK: Final = 512


class ParquetFile:
    """A file of rows of one schema. Rows wait in memory until they make a row group.

    Args:
        path: the opened file, which this one closes.
        schema: of the rows.
        metadata: what the footer says besides.
        rows, nbytes: the most that a row group has.

    Attributes:
        written: the rows in the file.
        unwritten: those that it could not take.
        refused: what the system said then; None as long as all went well.
        readable: it has a footer, or will have one.

    Raises:
        OSError: there is no room even for an empty file; ``filename`` is the path.
    """

    def __init__(
        self,
        path: ParquetPath,
        schema: pa.Schema,
        metadata: Mapping[str, str],
        *,
        rows: int = ROWS,
        nbytes: int = BYTES,
    ) -> None:
        self.path = path
        self.schema = schema.with_metadata(dict(metadata))
        self.written = self.unwritten = 0
        self.refused: OSError | None = None
        self.readable = True
        self._most = (rows, nbytes)
        self._pieces: list[pa.RecordBatch] = []
        self._footer = _FOOTER + 2 * self.schema.serialize().size
        self._chunks = sum(map(_leaves, schema))
        self._stream = os.fdopen(path.release(), "wb", closefd=True)
        try:
            self._stream.truncate(0)
            self._reserve(self._footer)
            self._writer = self._writer_into(self._stream)
        except OSError as error:
            self._stream.close()
            raise OSError(error.errno, error.strerror, path.name) from None

    @property
    def buffered(self) -> int:
        """The rows that wait."""
        return sum(piece.num_rows for piece in self._pieces)

    @property
    def nbytes(self) -> int:
        """The bytes of those in memory."""
        return sum(piece.nbytes for piece in self._pieces)

    def add(self, rows: pa.RecordBatch) -> None:
        """Takes rows; writes as soon as there are enough for a row group."""
        if self.refused is not None:
            self.unwritten += rows.num_rows
            return
        self._pieces.append(rows)
        self._join_small_ones()
        most_rows, most_bytes = self._most
        while self._pieces and (self.buffered >= most_rows or self.nbytes >= most_bytes):
            self.write_group()

    def write_group(self) -> None:
        """Writes a row group of what waits. What the disk refuses is counted, and kept in `refused`."""
        table = self._take()
        if self.refused is None and table.num_rows:
            self._write(table)
        else:
            self.unwritten += table.num_rows

    def close(self, metadata: Mapping[str, str]) -> None:
        """Writes the rest and the footer. Idempotent.

        Args:
            metadata: what became known while it was recorded.
        """
        if self._stream.closed:
            return
        while self._pieces:
            self.write_group()
        try:
            self._writer.add_key_value_metadata(dict(metadata))
            self._writer.close()
            self._stream.flush()
            self._stream.truncate(self._stream.tell())
        except OSError as error:
            self._break(error)
        finally:
            self._leave()

    def _write(self, table: pa.Table) -> None:
        try:
            self._make_room(table)
        except OSError as error:
            self._refuse(error, table.num_rows)
            return
        try:
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._stream.flush()
        except OSError as error:
            self._refuse(error, table.num_rows)
            self._break(error)
            return
        self.written += table.num_rows
        self._footer += self._chunks * _FOOTER_OF_A_CHUNK

    def _make_room(self, table: pa.Table) -> None:
        """Raises OSError when the row group and the footer behind it do not fit."""
        footer = self._footer + self._chunks * _FOOTER_OF_A_CHUNK
        bound = table.nbytes * 9 // 8 + self._chunks * (8 * table.num_rows + _PAGE_HEADERS)
        try:
            self._reserve(bound + footer)
        except OSError:
            self._reserve(self._encoded_size(table) + footer)

    def _reserve(self, length: int) -> None:
        """Asks for room behind what is written. A filesystem that promises nothing, nothing can be asked of."""
        try:
            os.posix_fallocate(self._stream.fileno(), self._stream.tell(), length)
        except OSError as error:
            if error.errno in _FULL:
                raise

    def _encoded_size(self, table: pa.Table) -> int:
        trial = pa.BufferOutputStream()
        with self._writer_into(trial) as writer:
            writer.write_table(table, row_group_size=table.num_rows)
        return int(trial.getvalue().size)

    def _writer_into(self, sink: Any) -> pq.ParquetWriter:
        delta = [name for name in _DELTA if name in self.schema.names]
        return pq.ParquetWriter(
            sink,
            self.schema,
            compression="zstd",
            use_dictionary=[name for name in _paths(self.schema) if name not in delta],
            column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
            # Of names and bytes the smallest and largest help nobody, and would make the footer's size unknown.
            write_statistics=_paths(self.schema, numbers=True),
        )

    def _take(self) -> pa.Table:
        """The oldest rows, as many as a row group may have."""
        most_rows, most_bytes = self._most
        table = pa.Table.from_batches(self._pieces, self.schema.remove_metadata())
        rows = min(most_rows, max(table.num_rows * most_bytes // max(table.nbytes, 1), 1))
        self._pieces = [piece for piece in table.slice(rows).to_batches() if piece.num_rows]
        return table.slice(0, rows).replace_schema_metadata(self.schema.metadata)

    def _join_small_ones(self) -> None:
        """As long as the last two are of like size: each row is copied a dozen times at most."""
        pieces = self._pieces
        while len(pieces) > 1 and pieces[-2].num_rows <= 2 * pieces[-1].num_rows < _FEW_ROWS:
            last, joined = pieces.pop(), pieces.pop()
            pieces += pa.Table.from_batches([joined, last]).combine_chunks().to_batches()

    def _refuse(self, error: OSError, rows: int) -> None:
        self.refused = OSError(error.errno, os.strerror(error.errno or errno.EIO), self.path.name)
        self.unwritten += rows

    def _break(self, error: OSError) -> None:
        """A write failed that had been promised, or was on a filesystem without promises: there will be no footer."""
        self._refuse(error, self.written)
        self.written, self.readable = 0, False
        self._leave()

    def _leave(self) -> None:
        """Closes the stream first: what the writer still holds must not go into the file."""
        with suppress(OSError):
            self._stream.close()
        with suppress(OSError, ValueError):
            self._writer.close()


def _leaves(field: pa.Field) -> int:
    """How many columns of Parquet a column of Arrow becomes."""
    kind = field.type
    return sum(_leaves(kind.field(place)) for place in range(kind.num_fields)) if kind.num_fields else 1


def _paths(schema: pa.Schema, *, numbers: bool = False) -> list[str]:
    """The columns as Parquet calls them, those in structs among them; without lists."""
    found = []
    for field in schema:
        inside = field.type if pa.types.is_struct(field.type) else ()
        parts = [(f"{field.name}.{part.name}", part.type) for part in inside] or [(field.name, field.type)]
        found += [name for name, kind in parts if not numbers or pa.types.is_integer(kind)]
    return found
