"""``python -m simkernel.contract``: holds kernels against what is known of Linux, and against each other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from simkernel.contract._commands import compare, replay, results, run
from simkernel.contract.arm import Arm, LinuxArm, SimArm
from simkernel.contract.suite import check_kernel
from simkernel.foreign import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_ARMS: dict[str, Callable[[], Arm]] = {"sim": SimArm, "linux": LinuxArm}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: the command line, by default this process's.

    Returns:
        0 when nothing was found, 1 when a check failed or kernels differ, 2 when the command could not begin.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        found: int = chosen.action(chosen)
    except (ValueError, OSError, NotImplementedError) as cannot:
        sys.stderr.write(f"{parser.prog}: {plain(str(cannot))}\n")
        return 2
    return found


def _check(chosen: argparse.Namespace) -> int:
    names = ["sim", "linux"] if chosen.kernel == "both" else [chosen.kernel]
    reports = [check_kernel(_ARMS[name], only=chosen.only) for name in names]
    sys.stdout.writelines(f"{report}\n" for report in reports)
    return 0 if all(report.ok for report in reports) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simkernel.contract", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="the contract, check by check")
    check.set_defaults(action=_check)
    check.add_argument("--kernel", choices=["sim", "linux", "both"], default="sim", help="default: %(default)s")
    check.add_argument(
        "--only", action="append", metavar="NAME", help="a check, a statement or a fact such as K14; may be repeated"
    )
    _add_run(commands.add_parser("run", help="runs programs and writes their traces"))
    _add_replay(commands.add_parser("replay", help="runs the programs of trace files on the simulated kernel"))
    _add_results(commands.add_parser("results", help="replays recordings and writes the page of results"))
    _add_compare(commands.add_parser("compare", help="runs programs on Linux and on the simulated kernel"))
    return parser


def _add_programs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="the programs of its *.programs files")
    parser.add_argument("--steps", type=int, metavar="N", help="random programs of so many steps in all")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=run)
    _add_programs(parser)
    parser.add_argument("--kernel", choices=["linux", "sim"], default="linux", help="default: %(default)s")
    parser.add_argument("--release", default="6.18", help="which simulated kernel; default: %(default)s")
    parser.add_argument("--random", type=int, metavar="SEED", help="random programs of this seed")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="compressed if it ends in .gz")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=replay)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what `run` wrote")
    parser.add_argument("--all", action="store_true", help="every difference, not the first ten")


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=results)
    parser.add_argument("--recordings", type=Path, required=True, metavar="DIR", help="what `ci/kernels --record` kept")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="what `compare --json` printed, *.json")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page, in Markdown")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action=compare)
    _add_programs(parser)
    parser.add_argument("--seconds", type=float, metavar="N", help="random programs for so long")
    parser.add_argument("--seed", type=int, help="of the random programs; default: another one each time, printed")
    parser.add_argument("--keep-going", action="store_true", help="one program of each kind of difference, not one")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


if __name__ == "__main__":
    sys.exit(main())
