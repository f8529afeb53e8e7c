"""The differences that are known: which programs, on which releases, and why the simulated kernel does otherwise there.

`KNOWN` is the one table. What is in it is no failure of a comparison; what is in it and does not differ any more is
one: ``tests/conformance`` expects each of them to fail, strictly.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from simkernel.contract.compare import NOT_SIMULATED
from simkernel.releases import RELEASES, release_named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simkernel.contract.compare import Difference

__all__ = ["ALL", "KNOWN", "Findings", "Known", "explained", "release_label"]

ALL: Final = tuple(f"{major}.{minor}" for major, minor in RELEASES)
"""Every release, as text."""


@dataclass(frozen=True, slots=True)
class Known:
    """One known difference.

    Attributes:
        programs: the name of a program, or a pattern of `fnmatch`: ``opening/breakpoints_that_are_none``, ``random/*``.
        kinds: which differences, as `Difference.kind` has them, or patterns.
        reason: why, in a sentence.
        releases: the keys of `RELEASES` at which it differs, as text.
    """

    programs: str
    kinds: tuple[str, ...]
    reason: str
    releases: tuple[str, ...] = ALL

    def covers(self, name: str, release: str, difference: Difference) -> bool:
        """Whether this difference of the program of that name is the known one.

        Args:
            name: of the program.
            release: a label, see `release_label`.
            difference: what was found.
        """
        return (
            release in self.releases
            and fnmatchcase(name, self.programs)
            and any(fnmatchcase(difference.kind, kind) for kind in self.kinds)
        )


_REFUSED: Final = f"open: {NOT_SIMULATED}"

KNOWN: Final[tuple[Known, ...]] = (
    Known(
        "opening/breakpoints_that_are_none",
        (_REFUSED,),
        "there are no breakpoints in the simulated kernel, and it says so instead of refusing this one",
    ),
    Known(
        "opening/sigtrap_and_remove_on_exec",
        (_REFUSED,),
        "sigtrap is not simulated: it would send SIGTRAP to tasks that take no signals",
        releases=ALL[1:],
    ),
    Known(
        "opening/comm_exec_build_ids_and_switches",
        (_REFUSED,),
        "build_id is not simulated: its files have no build ids",
        releases=ALL[1:],
    ),
)
"""The known differences."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is left of the differences of one program.

    Attributes:
        unexplained: the first difference that nobody knows, or None.
        known: the entries of `KNOWN` that its others are.
    """

    unexplained: Difference | None
    known: tuple[Known, ...]


def explained(name: str, release: str, differences: Iterable[Difference]) -> Findings:
    """Tells the known differences of a program from the others.

    Args:
        name: of the program.
        release: ``uname -r`` of the kernel that it ran on.
        differences: step by step, see `simkernel.contract.compare.differences`.

    Raises:
        ValueError: the release is none that is simulated.
    """
    label = release_label(release)
    known: list[Known] = []
    for difference in differences:
        entry = next((each for each in KNOWN if each.covers(name, label, difference)), None)
        if entry is None:
            return Findings(difference, tuple(known))
        known += [] if entry in known else [entry]
    return Findings(None, tuple(known))


def release_label(release: str) -> str:
    """The key of `RELEASES` that simulates a kernel, as text: ``"6.18"`` for ``"6.18.44"``.

    Raises:
        ValueError: the release is none that is simulated.
    """
    named = release_named(release)
    return next(f"{major}.{minor}" for (major, minor), each in RELEASES.items() if each is named)
