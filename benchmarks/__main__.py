"""``python -m benchmarks [--short] [--json]``."""

from __future__ import annotations

import json
import platform
import sys

from benchmarks import simulator
from benchmarks.measuring import Figure


def _row(found: Figure) -> str:
    low, high = found.spread
    limit = "" if found.limit is None else f"  (at most {found.limit:g})"
    return f"{found.name:48} {found.value:9.2f} {found.unit:3} [{low:.2f} .. {high:.2f}]{limit}"


def main(arguments: list[str]) -> int:
    """Prints the table, or JSON with ``--json``; ``--short`` only shows that everything runs."""
    unknown = set(arguments) - {"--short", "--json"}
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; usage: python -m benchmarks [--short] [--json]\n")
        return 2
    size = {"records": 2_000, "rounds": 1} if "--short" in arguments else {}
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}"
    found = list(simulator.figures(**size))
    if "--json" in arguments:
        print(json.dumps({"machine": machine, "figures": [one._asdict() for one in found]}, indent=2))
    else:
        print(machine, *map(_row, found), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
