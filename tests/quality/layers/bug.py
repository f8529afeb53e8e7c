"""How a bug is planted: as in `tests.quality.kernel_mutants`, in any module of the two packages."""

from __future__ import annotations

from dataclasses import dataclass

from tests.quality.kernel_mutants.mutant import Edit, Mutant

__all__ = ["Bug", "bug"]


@dataclass(frozen=True, slots=True)
class Bug(Mutant):
    """A planted bug.

    Attributes:
        part: what it is a bug of: "reader", "session", "columns", "verdict", "ring" or "readiness".
    """

    part: str


def bug(part: str, name: str, *edits: Edit) -> Bug:
    """A bug of these edits: ``perfring.ring:RingReader.copy``, and for the simulator ``ringbuf:RingBuffer.reserve``."""
    return Bug(name, edits, part)
