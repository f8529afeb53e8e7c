"""``python -m benchmarks [--short] [--json [FILE]] [--only GROUP ...]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.groups import GROUPS
from benchmarks.machine import Machine, describe
from benchmarks.measuring import Figure, Outcome, Run, Skipped
from benchmarks.table import print_group, print_machine

_ON_STDOUT = "-"


def main(arguments: Sequence[str]) -> int:
    """Measures, prints the table, and writes JSON where it is asked for.

    Returns:
        the exit status: 1 when a limit was missed, which ``--short`` does not look at.
    """
    asked = _parse(arguments)
    console = Console(quiet=asked.json == _ON_STDOUT, width=None if sys.stdout.isatty() else 140)
    machine = describe()
    print_machine(console, machine)
    console.print()
    found: dict[str, list[Outcome]] = {}
    for group in asked.only or GROUPS:
        found[group] = _measure(group, asked)
        print_group(console, group, found[group], judged=not asked.short)
    text = json.dumps(as_json(machine, found, short=asked.short), indent=2)
    if asked.json == _ON_STDOUT:
        print(text)
    elif asked.json:
        Path(asked.json).write_text(f"{text}\n")
    return 0 if asked.short else _judge(found, console)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What things cost, as ratios.")
    parser.add_argument("--short", action="store_true", help="only see that everything runs: no time is judged")
    parser.add_argument(
        "--json", nargs="?", const=_ON_STDOUT, metavar="FILE", help="write JSON to FILE, or to standard output instead"
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"of: {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=_rounds, default=7, help="how often each is measured (7)")
    return parser.parse_args(arguments)


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < 1:
        raise argparse.ArgumentTypeError(f"{rounds}: it must be at least 1")
    return rounds


def _measure(group: str, asked: argparse.Namespace) -> list[Outcome]:
    """One group, with what it does on standard error."""
    progress = Console(stderr=True)
    with progress.status(group) as status:

        def say(what: str) -> None:
            status.update(what)
            if not progress.is_terminal:
                progress.print(what, markup=False, highlight=False)

        return list(GROUPS[group](Run(short=asked.short, rounds=asked.rounds, say=say)))


def as_json(machine: Machine, found: dict[str, list[Outcome]], *, short: bool) -> dict[str, object]:
    """Everything that was found, as JSON holds it: the figures, and what was skipped, each with its group."""
    figures, skipped = [], []
    for group, outcomes in found.items():
        figures += [{"group": group, **one._asdict()} for one in outcomes if isinstance(one, Figure)]
        skipped += [{"group": group, **one._asdict()} for one in outcomes if isinstance(one, Skipped)]
    return {"machine": machine, "short": short, "figures": figures, "skipped": skipped}


def _judge(found: dict[str, list[Outcome]], console: Console) -> int:
    outcomes = [outcome for group in found.values() for outcome in group]
    missed = [one.name for one in outcomes if isinstance(one, Figure) and one.missed]
    if missed:
        console.print(f"{len(missed)} limits missed: {'; '.join(missed)}", style="bold red", markup=False)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
