"""The figures for people: a table for each group."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.machine import Machine
from benchmarks.measuring import Figure, Outcome, Skipped


def print_machine(console: Console, machine: Machine) -> None:
    """What stands above the tables."""
    for name, value in machine.items():
        console.print(f"{name:9} {'none' if value is None else value}", highlight=False, markup=False)


def print_group(console: Console, group: str, outcomes: Sequence[Outcome], *, judged: bool) -> None:
    """One group.

    Args:
        console: where.
        group: its name.
        outcomes: its figures, and what was skipped.
        judged: compare with the limits.
    """
    table = Table(title=group, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=False)
    table.add_column("", overflow="fold")
    for heading in ("median", "", "lowest", "highest", "limit", ""):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for outcome in outcomes:
        if isinstance(outcome, Figure):
            table.add_row(Text(outcome.name), *_cells(outcome, judged=judged))
    console.print(table)
    for outcome in outcomes:
        if isinstance(outcome, Skipped):
            console.print(Text(f"skipped: {outcome.name}: {outcome.why}", style="dim"))
    console.print()


def _cells(found: Figure, *, judged: bool) -> tuple[Text, ...]:
    low, high = found.spread
    verdict = Text("")
    if judged and (found.at_most is not None or found.at_least is not None):
        verdict = Text("MISSED", style="bold red") if found.missed else Text("met", style="green")
    numbers = Text(number(found.value)), Text(found.unit), Text(number(low)), Text(number(high))
    return *numbers, Text(_limit(found)), verdict


def _limit(found: Figure) -> str:
    bounds = (("<=", found.at_most), (">=", found.at_least))
    return " ".join(f"{sign} {bound:.3g}" for sign, bound in bounds if bound is not None)


def number(value: float) -> str:
    """Three digits that count, and a thin place for thousands: 0.123, 4.56, 78.9, 1,234."""
    if value and abs(value) < 0.1:
        return f"{value:.3g}"
    return f"{value:,.{max(0, 2 - len(str(int(abs(value)))) + 1)}f}"
