"""``perfring record -o FILE.parquet``: records as tables, one file for each kind of them."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Self, cast

from perfring import __version__
from perfring.cli._output import ENDING
from perfring.cli._parquet_path import ParquetNames, ParquetPath
from perfring.errors import Unsupported
from perfring.plan import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import pyarrow as pa

    from perfring.batch import Batch
    from perfring.cli._parquet_file import ParquetFile
    from perfring.kernel import Kernel
    from perfring.plan import SessionPlan
    from perfring.records import Record
    from perfring.session import Session

__all__ = ["ParquetWriter"]

_BUFFERED: Final = 1 << 26
"""Bytes that may wait in memory, over all files."""
_OTHERS: Final = "others"
_KEY: Final = "perfring."
_REALTIME: Final = 0
"""CLOCK_REALTIME of clock_gettime(2)."""


class ParquetWriter:
    """Writes batches of columns. A context manager: at its end every file has its footer.

    Whatever can be wrong with the paths shows here, before anything is opened on a kernel.

    Args:
        kernel: what is recorded on.
        plan: what is recorded.
        path: FILE.parquet.

    Raises:
        Unsupported: pyarrow or numpy is not installed.
        OSError: one of the files that this plan needs cannot be written; ``filename`` is its path.
    """

    def __init__(self, kernel: Kernel, plan: SessionPlan, path: str) -> None:
        _require_arrow()
        self._kernel = kernel
        self._plan = plan
        events = list(dict.fromkeys(spec.name for spec in plan.events if spec.kind is not EventKind.KERNEL))
        self._names = ParquetNames(path, events)
        self._opened = ExitStack()
        self._paths: dict[str, ParquetPath] = {}
        self._files: dict[tuple[str, pa.Schema], ParquetFile] = {}
        self._session: Session | None = None
        self._metadata: dict[str, str] = {}
        try:
            for event in events:
                self._open(event)
        except BaseException:
            self._opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close({})
        self._opened.close()

    @property
    def files(self) -> list[ParquetFile]:
        """All of them, in the order of their names."""
        return sorted(self._files.values(), key=lambda file: file.path.name)

    @property
    def unwritten(self) -> int:
        """The records that are in none of the files."""
        return sum(file.unwritten for file in self.files)

    @property
    def failure(self) -> str:
        """What the disk refused, and what that means; empty when it took everything."""
        refused = [file.refused for file in self.files if file.refused is not None]
        if not refused:
            return ""
        written = sum(file.written for file in self.files)
        torn = [file.path.name for file in self.files if not file.readable]
        but = f", but for {', '.join(torn)}" if torn else ""
        return (
            f"{refused[0].filename}: {refused[0].strerror}: the recording was ended; {written:,} records are in the "
            f"files above, which are readable{but}, and {self.unwritten:,} are in none"
        )

    def make_files(self) -> None:
        """Makes the files of the events; before anything is recorded, for importing pyarrow takes its time.

        Raises:
            OSError: there is no room.
        """
        from perfring.cli import _parquet_tables as tables

        self._metadata = _origin(self._kernel, self._plan)
        for name in self._names.others_on_disk():
            if tables.is_ours(name):
                os.unlink(name)
        for name, schema in tables.of_events(self._plan).items():
            self._file(name, schema)

    def begin(self, session: Session, *, environment: bool) -> int:
        """Writes what runs already, if asked to; returns how many records that was."""
        from perfring.cli import _parquet_tables as tables

        self._session = session
        count = 0
        for name, rows in tables.of_objects(session.environment() if environment else (), self._plan):
            self._add(name, rows)
            count += rows.num_rows
        return count

    def write(self, records: Sequence[Record]) -> None:
        """Writes a batch. When the disk is full the recording ends, and what still comes is counted."""
        from perfring.cli import _parquet_tables as tables

        batch = cast("Batch", records)  # the plan asks for columns
        for name, columns in batch.columns.items():
            self._add(name, tables.of_columns(columns))
        if batch.others:
            self._add(_OTHERS, tables.of_others(batch.others))
        while sum(file.nbytes for file in self.files) > _BUFFERED:
            max(self.files, key=lambda file: file.nbytes).write_group()
        if self._session is not None and any(file.refused for file in self.files):
            self._session.stop()
            self._session = None  # once is enough

    def finish(self, figures: dict[str, Any]) -> None:
        """Closes the files, the summary in each, and says what there is."""
        import typer

        self._close({_KEY + "summary": json.dumps(figures)})
        for file in self.files:
            typer.echo(f"{file.path.name}: {file.written:,} rows")

    def _close(self, metadata: dict[str, str]) -> None:
        with _undisturbed():
            for file in self._files.values():
                file.close(metadata)

    def _open(self, name: str) -> None:
        path = self._paths[name] = ParquetPath(self._names.of(name))
        self._opened.callback(path.drop)

    def _add(self, name: str, rows: pa.RecordBatch) -> None:
        self._file(name, rows.schema).add(rows)

    def _file(self, name: str, schema: pa.Schema) -> ParquetFile:
        """The file for such rows: of one name they all have one schema, or there are several files."""
        from perfring.cli._parquet_file import ParquetFile

        key = (name, schema)
        if key not in self._files:
            if name not in self._paths:
                self._open(name)
            self._files[key] = ParquetFile(self._paths.pop(name), schema, {**self._metadata, _KEY + "table": name})
        return self._files[key]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the signals of somebody who has lost patience: a file whose footer is not written is lost as a whole.

    What waits is bounded, so it takes a second or two. Elsewhere than in the main thread no handler of ours would run.
    """
    numbers = ENDING if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _require_arrow() -> None:
    """Without importing them yet: numpy starts threads, and a command that is recorded has to be forked before."""
    missing = [name for name in ("numpy", "pyarrow") if find_spec(name) is None]
    if missing:
        raise Unsupported(f"Parquet needs {' and '.join(missing)}: pip install 'perfring[arrow]'")


def _origin(kernel: Kernel, plan: SessionPlan) -> dict[str, str]:
    """Where it comes from: what the footer of each file says."""
    events = [
        {"name": spec.name, "kind": spec.kind.value, "filter": spec.filter, "attr": repr(spec.attr)}
        for spec in plan.all_specs
    ]
    clocks = {"clock_ns": kernel.clock_ns(plan.clock_id), "realtime_ns": kernel.clock_ns(_REALTIME)}
    return {
        _KEY + "version": __version__,
        _KEY + "kernel_release": kernel.release,
        _KEY + "clock_id": str(plan.clock_id),
        _KEY + "start": json.dumps(clocks),
        _KEY + "events": json.dumps(events),
    }
