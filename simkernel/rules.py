"""The one place where a rule can interfere: every system call, record and wakeup asks here first.

A rule is a callable that is given a `Happening` and answers `PASS`, or what is to happen instead; the first answer
that is not `PASS` wins, in the order of installation. ``faults.py`` is made of such rules. Without any rule the
question costs one truth test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

__all__ = ["DROP", "PASS", "Answer", "Delay", "Errno", "Happening", "Replace", "Rule", "Rules"]


class Happening(NamedTuple):
    """What is about to happen.

    Attributes:
        kind: "syscall", "record", "wakeup", or "access" of the reader to a metadata page, which a rule can only watch.
        name: the system call's name; "ring" for a record or a wakeup; "load" or "store".
        details: what belongs to it: the arguments of the call; ``event`` and ``ring`` of a record and a wakeup, and the
            ``data`` of a record; the ``offset`` of an access.
    """

    kind: str
    name: str
    details: dict[str, Any]


class _Word:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


PASS: Final = _Word("PASS")
"""Nothing to say."""
DROP: Final = _Word("DROP")
"""A record or wakeup simply does not happen, and nobody counts it."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A system call takes so much longer; a wakeup comes so much later."""

    ns: int


@dataclass(frozen=True, slots=True)
class Errno:
    """A system call fails with this errno."""

    errno: int


@dataclass(frozen=True, slots=True)
class Replace:
    """A record has these bytes instead, of the same length: torn or corrupt."""

    data: bytes


Answer = _Word | Delay | Errno | Replace
Rule = Callable[[Happening], Answer]
_R = TypeVar("_R", bound=Rule)


class Rules:
    """The rules in force, in the order of their installation."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def ask(self, kind: str, name: str, **details: Any) -> Answer:
        """The first answer that is not `PASS`."""
        happening = Happening(kind, name, details)
        for rule in tuple(self._rules):
            answer = rule(happening)
            if answer is not PASS:
                return answer
        return PASS

    @contextmanager
    def installed(self, rule: _R) -> Iterator[_R]:
        """Keeps a rule in force inside a ``with`` block."""
        self._rules.append(rule)
        try:
            yield rule
        finally:
            self._rules.remove(rule)
