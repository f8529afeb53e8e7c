"""``python -m tests.quality.layers``: every layer hunts every bug, and docs/layers.md is written anew. Half an hour."""

from __future__ import annotations

import sys

from tests.quality.layers import BUGS
from tests.quality.layers.hunt import hunt
from tests.quality.layers.table import page
from tests.quality.project import ROOT


def main() -> int:
    """0 when every bug is found, and every test passes without one."""
    finds, problems = hunt([None, *BUGS])
    problems += [f"fails without a bug: {find.test}: {find.how}" for find in finds if not find.bug]
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    if problems:
        return 1
    (ROOT / "docs" / "layers.md").write_text(page(BUGS, finds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
