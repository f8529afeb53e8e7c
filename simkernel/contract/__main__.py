"""``python -m simkernel.contract check``: holds the kernels against everything that is known of Linux."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from simkernel.contract.arm import Arm, LinuxArm, SimArm
from simkernel.contract.suite import check_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_ARMS: dict[str, Callable[[], Arm]] = {"sim": SimArm, "linux": LinuxArm}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks and prints a report for each kernel.

    Args:
        arguments: the command line, by default this process's.

    Returns:
        0 when every check passed on every kernel, 1 when not, 2 when the checks could not begin.
    """
    parser = argparse.ArgumentParser(prog="python -m simkernel.contract", description=__doc__)
    parser.add_argument("command", choices=["check"])
    parser.add_argument("--kernel", choices=["sim", "linux", "both"], default="sim", help="default: %(default)s")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a check, a statement or a fact such as K14; may be repeated"
    )
    chosen = parser.parse_args(arguments)
    names = ["sim", "linux"] if chosen.kernel == "both" else [chosen.kernel]
    try:
        reports = [check_kernel(_ARMS[name], only=chosen.only) for name in names]
    except (ValueError, OSError, NotImplementedError) as cannot:
        sys.stderr.write(f"{parser.prog}: {cannot}\n")
        return 2
    sys.stdout.writelines(f"{report}\n" for report in reports)
    return 0 if all(report.ok for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
