"""``perfring read``: the records of a perf.data file, as ``perfring record`` prints them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from perfring.cli._output import JsonWriter, LineWriter
    from perfring.errors import BadRecord
    from perfring.perfdata import PerfDataFile
    from perfring.records import Record

__all__ = ["read"]

_BATCH: Final = 1000


def read(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What perf or perfring recorded; - is standard input.", show_default=False),
    ],
    json: Annotated[bool, typer.Option("--json", help="JSON lines, the last one is the summary.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Only count: what there is of which event.")] = False,
) -> None:
    """Print the records of a perf.data file in the order of their times, and sum up.

    Reads what `perf record` and `perfring record -o FILE.data` write; not what is compressed. What comes from standard
    input, as from `perf record -o - ... | perfring read -`, is saved until it ends, and read then. Damaged records are
    said and counted, and the rest is read.

    Exit status: 0, or 1 when the file cannot be read, or something in it was damaged.
    """
    from perfring.cli._file_tally import FileTally

    with _opened(file) as recording:
        tally = FileTally(recording)
        writer = _writer(json=json)
        with _progress(recording, shown=summary) as tell:
            for batch in _batches(recording, tally.note):
                if not summary:
                    writer.write(batch)
                tell(recording.counts.bytes)
        figures = tally.figures()
        writer.finish(figures)
        if not json:
            _console(stderr=not summary).print(tally.for_people(figures), end="")
    if tally.damaged:
        raise typer.Exit(1)


def _opened(file: str) -> PerfDataFile:
    import sys

    from perfring.perfdata import PerfDataFile

    if file != "-":
        return PerfDataFile(file)
    if sys.stdin is None or sys.stdin.isatty():
        raise typer.BadParameter(
            "- is standard input, and nothing is piped into it: perf record -o - | perfring read -"
        )
    with _first_interrupt_is_the_writers():
        return PerfDataFile("standard input", stream=sys.stdin.buffer)


@contextmanager
def _first_interrupt_is_the_writers() -> Iterator[None]:
    """Ctrl-C reaches the `perf record` in the pipe as well, which then writes the rest: it is yet to be read."""
    import signal

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, before))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _batches(recording: PerfDataFile, note: Callable[[BadRecord], None]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in recording.records(on_bad=note):
        batch.append(record)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    yield batch


def _writer(*, json: bool) -> JsonWriter | LineWriter:
    from perfring.cli._lines import Lines, Names
    from perfring.cli._output import JsonWriter, LineWriter, Output

    output = Output(None)
    if json:
        return JsonWriter(output)
    console = _console(stderr=False)
    colour = console.is_terminal and not console.no_color and console.color_system is not None
    return LineWriter(output, Lines(Names(None), colour=colour))


@contextmanager
def _progress(recording: PerfDataFile, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal, unless the records would run through it."""
    import sys

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console(stderr=True)
    off = not console.is_terminal or (not shown and sys.stdout.isatty())
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=off) as bar:
        task = bar.add_task("", total=recording.data_bytes)
        yield lambda done: bar.update(task, completed=done)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)
