"""Outcomes that come from a file: whether they have the shape that a comparison takes for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simkernel.foreign import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simkernel.contract.program import Step

__all__ = ["check_outcome"]

_KINDS: Final = frozenset({"ok", "errno", "absent", "gone", "unsupported", "error"})
_ANSWERS: Final = ("poll", "wait")
_BOUNDS: Final = ("at_least", "slack")
_DEEPEST: Final = 20
"""Levels of lists and objects; those that are written have seven."""


def check_outcome(step: Step, outcome: Any) -> None:
    """Refuses what `simkernel.contract.running.run` does not give.

    Args:
        step: what was done.
        outcome: what the file says that came of it.

    Raises:
        ValueError: the step, and what is wrong.
    """
    if not isinstance(outcome, dict) or len(_KINDS & outcome.keys()) != 1:
        raise ValueError(f"the outcome of {step.verb} is {shown(outcome)}: it has one of {', '.join(sorted(_KINDS))}")
    if not isinstance(outcome.get("errno", ""), str):
        raise ValueError(f"the errno of {step.verb} is {shown(outcome['errno'])}: it must be a name such as EINVAL")
    answers = outcome.get("ok")
    if step.verb in _ANSWERS and "ok" in outcome and not _is_of_texts(answers):
        raise ValueError(f"{step.verb} answered {shown(answers)}: it must be an object of texts by name")
    _check_values(step, outcome.values())


def _is_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _check_values(step: Step, values: Iterable[Any]) -> None:
    """Level by level: what is nested deeply must not nest our calls."""
    level, depth = list(values), 1
    while level:
        if depth > _DEEPEST:
            raise ValueError(f"the outcome of {step.verb} is nested deeper than {_DEEPEST} levels")
        for value in level:
            _check_bounds(step, value)
        level, depth = [each for value in level for each in _within(value)], depth + 1


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_bounds(step: Step, value: Any) -> None:
    for name in _BOUNDS if isinstance(value, dict) else ():
        bound = value.get(name, 0)
        if isinstance(bound, bool) or not isinstance(bound, int):
            raise ValueError(f"the outcome of {step.verb} has {name} = {shown(bound)}: it must be a whole number")
