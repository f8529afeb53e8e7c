"""``perfring verify``: the rule against the kernels that can be reached, with real rings."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from perfring.errors import PerfringError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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


ARMS: dict[str, Callable[[], AbstractContextManager[Arm]]] = {"the real kernel": _real_kernel}
"""The kernels to verify: what a message calls each, and what opens it."""


def verify(
    json: Annotated[bool, typer.Option("--json", help="A JSON list, one object for each measurement.")] = False,
    after_loss: Annotated[
        bool, typer.Option("--after-loss", help="Measure each stream once more, behind its first loss (K42).")
    ] = False,
) -> None:
    """Open real rings, and compare where a waiting reader wakes with where it should.

    The watermarks lie around the stall boundary, for records and rings of several sizes; nothing but a task's own
    renames is recorded, so no privilege is needed up to perf_event_paranoid 2.

    Exit status: 0 when all agree, 1 when one does not, 2 when no kernel could be reached.
    """
    with ExitStack() as opened:
        arms = _reach(opened)
        if not arms:
            _give_up()
        show = _show_json if json else _show_tables
        try:
            agree = show((arm, _measured(arm, after_loss=after_loss)) for arm in arms)
        except OSError as refused:
            typer.echo(f"perfring: a ring was refused in the midst of it: {refused}", err=True)
            _give_up()
    if not agree:
        raise typer.Exit(1)


def _reach(opened: ExitStack) -> list[Arm]:
    """The kernels that let a ring be opened; what the others say goes to stderr."""
    from perfring.verify import SHAPES, record_bytes_of

    arms = []
    for name, open_arm in ARMS.items():
        try:
            arm = opened.enter_context(open_arm())
            record_bytes_of(arm, SHAPES[0])
        except (OSError, PerfringError) as refused:
            typer.echo(f"perfring: {name} cannot be verified: {refused}", err=True)
        else:
            arms.append(arm)
    return arms


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


def _measured(arm: Arm, *, after_loss: bool) -> Iterator[Measurement]:
    """`perfring.verify.sweep`, with its progress on stderr where the table is not to be seen."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from perfring.verify import SWEEP, sweep

    console = Console(stderr=True)
    hidden = not console.is_terminal or Console().is_terminal
    rings = sum(map(len, SWEEP.values())) * (1 + after_loss)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total} rings"))
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(arm.name, total=rings)
        for _, ring in groupby(sweep(arm, after_loss=after_loss), key=_stream):
            yield from ring
            progress.advance(task)


def _stream(row: Measurement) -> tuple[int, int, bool]:
    return row.pages, row.record_bytes, row.after_loss


def _show_json(results: Iterable[tuple[Arm, Iterator[Measurement]]]) -> bool:
    """One object to a line. True when all agree."""
    from json import dumps

    rows = [row for _, measured in results for row in measured]
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


def _show_tables(results: Iterable[tuple[Arm, Iterator[Measurement]]]) -> bool:
    """A table for each stream as soon as it is measured. True when all agree."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_HOW_TO_READ)
    kept = []
    for arm, measured in results:
        kept.append((arm.name, _show_streams(console, arm, measured)))
    for name, rows in kept:
        _show_summary(console, name, rows)
    return all(row.agrees for _, rows in kept for row in rows)


_HOW_TO_READ: Final = """\
Equal records fill a ring whose reader waits and never drains.
  predicted  for any such stream: LIVE always wakes, STALLS never, DEPENDS may
             fall silent, for instance after a loss
  expected   bytes written when this very stream must wake the reader
  woke at    bytes written when it did"""


def _show_streams(console: Console, arm: Arm, measured: Iterator[Measurement]) -> list[Measurement]:
    kept = []
    for (pages, record_bytes, after_loss), stream in groupby(measured, key=_stream):
        rows = list(stream)
        ring = f"{pages} page{'s' * (pages > 1)} = {pages * arm.kernel.page_size} bytes"
        late = f" after a loss (LOST: {rows[0].lost_bytes} bytes)" if after_loss else ""
        console.print(f"\n[bold]{arm.name}, {ring}, records of {record_bytes} bytes{late}[/]")
        console.print(_table(rows))
        kept += rows
    return kept


def _table(rows: list[Measurement]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("watermark", justify="right", min_width=9)
    table.add_column("predicted", min_width=9)
    table.add_column("expected", justify="right", min_width=9)
    table.add_column("woke at", justify="right", min_width=9)
    table.add_column("agrees", justify="right")
    for row in rows:
        agrees = "yes" if row.agrees else "[bold red]NO[/]"
        outcome = f"[{_STYLES[row.predicted]}]{row.predicted}[/]"
        table.add_row(str(row.watermark), outcome, _bytes(row.predicted_woke_at), _bytes(row.woke_at), agrees)
    return table


def _bytes(woke_at: int | None) -> str:
    return "never" if woke_at is None else str(woke_at)


def _show_summary(console: Console, name: str, rows: list[Measurement]) -> None:
    wrong = [row for row in rows if not row.agrees]
    console.print(f"\n[bold {'red' if wrong else 'green'}]{name}: {len(rows) - len(wrong)} of {len(rows)} agree[/]")
    for row in wrong:
        late = " after a loss" if row.after_loss else ""
        console.print(
            f"  {row.pages} page{'s' * (row.pages > 1)}, {row.record_bytes}-byte records{late}, "
            f"watermark {row.watermark}: expected {_bytes(row.predicted_woke_at)}, woke at {_bytes(row.woke_at)}",
            soft_wrap=True,
        )
