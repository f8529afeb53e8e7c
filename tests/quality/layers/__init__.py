"""Planted bugs, and which layer of the test suite finds each of them first.

``python -m tests.quality.layers`` lets every layer hunt every bug and writes docs/layers.md.
"""

from __future__ import annotations

from typing import Final

from tests.quality.layers import columns, kernel, reading
from tests.quality.layers.bug import Bug

__all__ = ["BUGS", "Bug"]

BUGS: Final[tuple[Bug, ...]] = (*reading.BUGS, *columns.BUGS, *kernel.BUGS)
