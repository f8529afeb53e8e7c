"""``python -m tests.quality.kernel_mutants``: every check against every mutant, and docs/mutants.md anew."""

from __future__ import annotations

import sys

from tests.quality.kernel_mutants import MUTANTS
from tests.quality.kernel_mutants.table import matrix, page, survivors
from tests.quality.project import ROOT


def main() -> int:
    """0 when every mutant is found by a check, and every check finds one."""
    found = matrix(MUTANTS)
    left = survivors(found)
    if left:
        sys.stderr.write("".join(f"survives: {name}\n" for name in left))
    (ROOT / "docs" / "mutants.md").write_text(page({name: checks for name, checks in found.items() if checks}))
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
