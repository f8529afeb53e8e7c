"""How much a program asks for. The text of one comes from a file, and a line of it may ask for a year of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simkernel.foreign import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simkernel.contract.program import Step

__all__ = ["MOST_STEPS", "MOST_WORK", "check_amount", "work_of"]

MOST_STEPS: Final = 500
"""Of one program; those that were recorded have 50."""
MOST_WORK: Final = 2_000_000
"""Of one program, see `work_of`: seconds on the simulated kernel. Those that were recorded come to 60,000."""

_MOST: Final = {
    "getppid": 100_000,
    "touch_pages": 100_000,
    "emit": 1 << 17,
    "map_executable": 1 << 40,
    "spend": 1_000_000_000,
    "read": 1 << 20,
    "write": 1 << 20,
}
"""By verb, of the number that is its second word."""
_MOST_MAPPED: Final = {"pages": 1 << 10, "length": 1 << 22}
"""Of a map: 4 MiB, whichever way they are asked for."""
_SHORTEST_PERIOD: Final = 10_000
"""Nanoseconds between two samples of a clock that keeps its CPU busy."""


def check_amount(step: Step) -> None:
    """Refuses a step that asks for more than any program has reason to.

    Raises:
        ValueError: the verb, the number, and how much it may be.
    """
    asked = [(step.verb, step.word(1), _MOST[step.verb])] if step.verb in _MOST else []
    if step.verb == "map":
        asked = [(f"map {name}=", value, _MOST_MAPPED[name]) for name, value in step.options if name in _MOST_MAPPED]
    for what, word, most in asked:
        if _number(word) > most:
            raise ValueError(f"{what} of {shown(_number(word))} is more than {most:,}")


def work_of(steps: Sequence[Step]) -> int:
    """What a program costs at most: each thing that its actors do may be a record, and each step may look at it."""
    return len(steps) * sum(1 + _happenings(step) for step in steps)


def _happenings(step: Step) -> int:
    number = _number(step.word(1))
    if step.verb in ("getppid", "touch_pages"):
        return number
    return number // _SHORTEST_PERIOD if step.verb == "spend" else 0


def _number(word: str) -> int:
    """0 for what is none: whoever runs the step says so."""
    try:
        return int(word, 0)
    except ValueError:
        return 0
