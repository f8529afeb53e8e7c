"""``perfring verify``: the rule against the kernels that can be reached, with real rings."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from perfring.errors import PerfringError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.table import Table

    from perfring.verify import Arm, Measurement

__all__ = ["ARMS", "verify"]

_UNREACHED: Final = 2
_STYLES: Final = {"LIVE": "green", "DEPENDS": "yellow", "STALLS": "red"}


def _real_kernel() -> AbstractContextManager[Arm]:
    from perfring.verify import linux_arm

    return linux_arm()


@contextmanager
def _simulated_kernel() -> Iterator[Arm]:
    """A machine with the pages of this one, so that both have the same rings; the actor is its producer."""
    from mmap import PAGESIZE

    from perfring.verify import Arm
    from simkernel.kernel import SimKernel

    kernel = SimKernel(page_size=PAGESIZE)
    yield Arm(f"simulated {kernel.release}", kernel, kernel.actor())


ARMS: dict[str, Callable[[], AbstractContextManager[Arm]]] = {
    "the real kernel": _real_kernel,
    "the simulated kernel": _simulated_kernel,
}
"""The kernels to verify: what a message calls each, and what opens it."""


def verify(
    json: Annotated[bool, typer.Option("--json", help="A JSON list, one object for each measurement.")] = False,
    after_loss: Annotated[
        bool, typer.Option("--after-loss", help="Measure each stream once more, behind its first loss (K42).")
    ] = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw on one page what a waiting reader sees on each kernel.")
    ] = None,
) -> None:
    """Open rings, and compare where a waiting reader wakes with where it should: on this kernel and a simulated one.

    The watermarks lie around the stall boundary, for records and rings of several sizes; nothing but a task's own
    renames is recorded, so the real kernel asks for no privilege up to perf_event_paranoid 2. Where it refuses, or
    there is no Linux, the simulated one is verified alone, and the last line says why. With --html a few readers are
    then watched on each kernel, and drawn with all that was measured on a page that needs no network.

    Exit status: 0 when all agree, 1 when one does not, 2 when no kernel could be reached.
    """
    with ExitStack() as opened:
        arms, unreached = _reach(opened)
        if not arms:
            _say(unreached)
            _give_up()
        page = _Page(opened, html)
        show = _show_json if json else _show_tables
        try:
            agree = show(arms, page.seen(_measured(arms, after_loss=after_loss)))
            page.write(arms)
        except _Refused as refused:
            typer.echo(f"perfring: a ring was refused in the midst of it: {refused}", err=True)
            _give_up()
    # At the end, where nobody has to scroll for it.
    _say(unreached)
    if not agree:
        raise typer.Exit(1)


class _Refused(Exception):
    """A kernel has let the first ring be opened, and a later one not."""


@contextmanager
def _kernels_at_work() -> Iterator[None]:
    """Tells what a kernel refuses from an output that cannot be written, which is an OSError as well."""
    try:
        yield
    except OSError as refused:
        raise _Refused(str(refused)) from refused


class _Page:
    """What ``--html`` asks for; without it, all of this does nothing.

    The file is opened, and plotly looked for, before anything is measured: whoever mistyped is told at once.
    """

    def __init__(self, opened: ExitStack, path: str | None) -> None:
        self._output = None
        self._rows: list[Measurement] = []
        if path is not None:
            from perfring.cli._output import Output
            from perfring.picture import require_plotly

            require_plotly()
            self._output = opened.enter_context(Output(path))

    def seen(self, measured: Iterator[list[list[Measurement]]]) -> Iterator[list[list[Measurement]]]:
        """Passes the measurements on, and keeps them for the page."""
        for streams in measured:
            self._rows += [row for stream in streams for row in stream]
            yield streams

    def write(self, arms: list[Arm]) -> None:
        """Watches the stories on every kernel, and draws them above the measurements."""
        if self._output is None:
            return
        from perfring.cli._verify_page import verify_page

        with _kernels_at_work():
            page = verify_page(arms, self._rows)
        self._output.write(page)


def _say(unreached: list[str]) -> None:
    for text in unreached:
        typer.echo(f"perfring: {text}", err=True)


def _reach(opened: ExitStack) -> tuple[list[Arm], list[str]]:
    """The kernels that let a ring be opened, and what the others say."""
    from perfring.verify import SHAPES, record_bytes_of

    arms, unreached = [], []
    for name, open_arm in ARMS.items():
        try:
            arm = opened.enter_context(open_arm())
            record_bytes_of(arm, SHAPES[0])
        except (OSError, PerfringError) as refused:
            unreached.append(f"{name} was not verified: {refused}; `perfring doctor --user-only` tells more")
        else:
            arms.append(arm)
    return arms, unreached


def _give_up() -> NoReturn:
    """Says what `perfring doctor` would, on stderr."""
    from rich.console import Console

    from perfring.cli.doctor import examine, show
    from perfring.errors import Unsupported
    from perfring.linux import LinuxKernel

    with suppress(Unsupported):  # no Linux: the refusal of the arm has said so
        kernel = LinuxKernel()
        typer.echo("perfring: this is what `perfring doctor --user-only` finds:", err=True)
        show(Console(stderr=True, highlight=False), kernel, *examine(kernel, user_only=True))
    raise typer.Exit(_UNREACHED)


def _measured(arms: list[Arm], *, after_loss: bool) -> Iterator[list[list[Measurement]]]:
    """The streams of `perfring.verify.sweep`, each on every kernel: its rows from the first, from the second, ...

    Progress goes to stderr where the tables are not to be seen.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from perfring.verify import SWEEP, sweep

    console = Console(stderr=True)
    hidden = not console.is_terminal or Console().is_terminal
    rings = sum(map(len, SWEEP.values())) * (1 + after_loss)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total} rings"))
    sweeps = [_streams(sweep(arm, after_loss=after_loss)) for arm in arms]
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(", ".join(arm.name for arm in arms), total=rings)
        with _kernels_at_work():
            for streams in zip_longest(*sweeps, fillvalue=[]):
                yield list(streams)
                progress.advance(task)


def _streams(rows: Iterator[Measurement]) -> Iterator[list[Measurement]]:
    return (list(stream) for _, stream in groupby(rows, key=_stream))


def _stream(row: Measurement) -> tuple[int, int, bool]:
    return row.pages, row.record_bytes, row.after_loss


def _show_json(_: list[Arm], measured: Iterator[list[list[Measurement]]]) -> bool:
    """One object to a line. True when all agree."""
    from json import dumps

    rows = [row for streams in measured for stream in streams for row in stream]
    after_loss = any(row.after_loss for row in rows)
    typer.echo("[\n" + ",\n".join(dumps(_as_dict(row, after_loss=after_loss)) for row in rows) + "\n]")
    return all(row.agrees for row in rows)


def _as_dict(row: Measurement, *, after_loss: bool) -> dict[str, object]:
    fields = {
        "kernel": row.kernel,
        "pages": row.pages,
        "watermark": row.watermark,
        "record_bytes": row.record_bytes,
        "predicted": row.predicted,
        "predicted_woke_at": row.predicted_woke_at,
        "woke_at": row.woke_at,
        "agrees": row.agrees,
    }
    return fields | {"after_loss": row.after_loss} if after_loss else fields


def _show_tables(arms: list[Arm], measured: Iterator[list[list[Measurement]]]) -> bool:
    """A table for each stream as soon as it is measured. True when all agree."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_HOW_TO_READ)
    kept: dict[str, list[Measurement]] = {arm.name: [] for arm in arms}
    for streams in measured:
        for side_by_side in _comparable(streams):
            _show_stream(console, side_by_side)
        for row in (row for stream in streams for row in stream):
            kept[row.kernel].append(row)
    console.print()
    for name, rows in kept.items():
        _show_summary(console, name, rows)
    return all(row.agrees for rows in kept.values() for row in rows)


_HOW_TO_READ: Final = """\
Equal records fill a ring whose reader waits and never drains.
  predicted  for any such stream: LIVE always wakes, STALLS never, DEPENDS may
             fall silent, for instance after a loss
  expected   bytes written when this very stream must wake the reader
  woke on    for each kernel, bytes written when it did"""


def _comparable(streams: list[list[Measurement]]) -> list[list[list[Measurement]]]:
    """Together what stands in one table: streams of one size of record, at the same watermarks."""
    tables: dict[object, list[list[Measurement]]] = {}
    for stream in filter(None, streams):
        same = (
            _stream(stream[0]),
            stream[0].ring_bytes,
            tuple((row.watermark, row.predicted, row.predicted_woke_at) for row in stream),
        )
        tables.setdefault(same, []).append(stream)
    return list(tables.values())


def _show_stream(console: Console, kernels: list[list[Measurement]]) -> None:
    first = kernels[0][0]
    names = ", ".join(stream[0].kernel for stream in kernels)
    ring = f"{first.pages} page{'s' * (first.pages > 1)} = {first.ring_bytes} bytes"
    late = f" after a loss (LOST: {first.lost_bytes} bytes)" if first.after_loss else ""
    console.print(f"\n[bold]{names}[/]")
    console.print(f"[bold]{ring}, records of {first.record_bytes} bytes{late}[/]")
    console.print(_table(kernels))


def _table(kernels: list[list[Measurement]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("watermark", justify="right", min_width=9)
    table.add_column("predicted", min_width=9)
    table.add_column("expected", justify="right", min_width=8)
    for stream in kernels:
        table.add_column(_heading(stream[0].kernel), justify="right", min_width=8)
    table.add_column("agrees", justify="right")
    for rows in zip(*kernels, strict=True):
        agrees = "yes" if all(row.agrees for row in rows) else "[bold red]NO[/]"
        outcome = f"[{_STYLES[rows[0].predicted]}]{rows[0].predicted}[/]"
        woke = [_bytes(row.woke_at) if row.agrees else f"[red]{_bytes(row.woke_at)}[/]" for row in rows]
        table.add_row(str(rows[0].watermark), outcome, _bytes(rows[0].predicted_woke_at), *woke, agrees)
    return table


def _heading(kernel: str) -> str:
    """Without the release, which can be long: the line above tells it."""
    return f"on {kernel.partition(' ')[0]}"


def _bytes(woke_at: int | None) -> str:
    return "never" if woke_at is None else str(woke_at)


def _show_summary(console: Console, name: str, rows: list[Measurement]) -> None:
    wrong = [row for row in rows if not row.agrees]
    console.print(f"[bold {'red' if wrong else 'green'}]{name}: {len(rows) - len(wrong)} of {len(rows)} agree[/]")
    for row in wrong:
        late = " after a loss" if row.after_loss else ""
        console.print(
            f"  {row.pages} page{'s' * (row.pages > 1)}, {row.record_bytes}-byte records{late}, "
            f"watermark {row.watermark}: expected {_bytes(row.predicted_woke_at)}, woke at {_bytes(row.woke_at)}",
            soft_wrap=True,
        )
