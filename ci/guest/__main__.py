"""The command behind ``ci/kernels``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from ci.guest.judge import Verdict
from ci.guest.matrix import HOST, KERNELS, Matrix
from ci.guest.payload import ROOT, Plan
from ci.guest.store import Store, cache_folder

__all__ = ["main", "status", "table"]

_QEMU: Final = "qemu-system-x86_64"
_RECORDINGS: Final = "tests/conformance/recordings"
_SHOWN: Final = 5
_WIDEST: Final = 160
_GUESTS: Final = 2
_HEADINGS: Final = ("kernel", "version", "boot s", "all s", "checks", "programs", "steps", "known", "differ", "verdict")
_EXIT: Final = """\
exit status: 0 every kernel ran and agrees with the simulated one, 1 one differs or its guest failed,
2 wrong usage, 3 nothing differs, but a kernel that was asked for could not be run"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the matrix and prints its table; see the exit status in the help."""
    chosen = _parser().parse_args(arguments)
    store = Store(cache_folder(), refresh=chosen.refresh, say=_say)
    labels = [_label(each) for each in chosen.only] or list(KERNELS)
    if chosen.list:
        _list(store)
        return 0
    plan = Plan(chosen.seed, 0 if chosen.checks else chosen.steps, not chosen.checks, chosen.seconds)
    recordings = ROOT / _RECORDINGS if chosen.record else None
    matrix = Matrix(plan, store, chosen.qemu, ROOT / ".ci-logs" / "kernels", chosen.guests, _say, recordings)
    began = time.monotonic()
    verdicts = []
    for verdict in matrix.run(list(dict.fromkeys(labels))):
        verdicts.append(verdict)
        _explain(verdict)
    took = f"{time.monotonic() - began:.0f} s with {chosen.guests} guests at once, seed {chosen.seed}"
    sys.stdout.write(f"\n{table(verdicts)}\nci: {took}; logs and traces are in {matrix.folder}\n")
    return status(verdicts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci/kernels",
        description="Boots Debian kernels under qemu, runs the contract and programs on each and on this machine's own "
        "kernel, and compares what came of them with the simulated kernel of the same release.",
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="the kernels, and which are kept here; runs nothing")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KERNEL",
        choices=[*KERNELS, *filter(None, KERNELS.values())],
        help=f"one of {', '.join(KERNELS)}, or its suite; may be repeated",
    )
    parser.add_argument("--checks", action="store_true", help="only the checks of the contract, no programs")
    parser.add_argument("--steps", type=_whole(0), default=20_000, help="random steps on each; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the random programs; default: %(default)s")
    parser.add_argument("--record", action="store_true", help=f"keep the traces in {_RECORDINGS}, for every test run")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror for newer packages")
    parser.add_argument("--guests", type=_whole(1), default=_GUESTS, help="at once; default: %(default)s")
    parser.add_argument("--seconds", type=_whole(1), default=540, help="for each guest; default: %(default)s")
    parser.add_argument("--qemu", default=shutil.which(_QEMU) or _QEMU, help="default: %(default)s")
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number


def _label(name: str) -> str:
    return next(label for label, suite in KERNELS.items() if name in (label, suite))


def _say(text: str) -> None:
    sys.stderr.write(f"ci: {text}\n")


def _list(store: Store) -> None:
    for label, suite in KERNELS.items():
        kept = store.kept(suite) if suite else None
        what = f"{kept.version}, kept here" if kept else f"to be fetched from {suite}"
        sys.stdout.write(f"{label:6} {os.uname().release + ', this machine' if label == HOST else what}\n")


def _explain(verdict: Verdict) -> None:
    for failure in verdict.failures:
        sys.stdout.write(f"\n{verdict.label}: {failure}\n")
    for difference in verdict.differences[:_SHOWN]:
        lines = "\n".join(line[:_WIDEST] for line in difference.splitlines())
        sys.stdout.write(f"\n{verdict.label}: {lines}\n")
    if len(verdict.differences) > _SHOWN:
        sys.stdout.write(f"\n{verdict.label}: and {len(verdict.differences) - _SHOWN} more, see its verdict.json\n")


def table(verdicts: Sequence[Verdict]) -> str:
    """One line for each kernel."""
    rows = [_HEADINGS, *map(_row, verdicts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _row(verdict: Verdict) -> tuple[str, ...]:
    if verdict.not_run:
        return (verdict.label, *[""] * (len(_HEADINGS) - 2), f"not run: {verdict.not_run}")
    boot = f"{verdict.boot_seconds:.1f}" if verdict.boot_seconds else "-"
    counts = (verdict.checks, verdict.programs, verdict.steps, verdict.known, len(verdict.differences))
    return (verdict.label, verdict.version, boot, f"{verdict.seconds:.0f}", *map(str, counts), verdict.word)


def status(verdicts: Sequence[Verdict]) -> int:
    """The exit status: what differs outweighs what could not be run."""
    if any(verdict.failures or verdict.differences for verdict in verdicts):
        return 1
    return 3 if any(verdict.not_run for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
