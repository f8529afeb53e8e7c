"""Checks without pytest: a registry, a runner, a report.

A check is a function of a `Rig` that raises AssertionError in words about what the kernel did wrong. `check_kernel`
gives each a fresh arm, so that none can disturb the next.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Protocol

from simkernel.contract.arm import Arm
from simkernel.contract.rig import Rig, Unavailable

__all__ = ["Check", "Outcome", "Report", "Statement", "check", "check_kernel", "kernel_checks"]

_PREFIX: Final = "check_"


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about a kernel.

    Attributes:
        name: the statement, and in brackets which case of it.
        facts: the facts that it holds, such as ``("K14",)``.
        body: raises AssertionError when the kernel does otherwise.
    """

    name: str
    facts: tuple[str, ...]
    body: Callable[[Rig], object]

    def run(self, factory: Callable[[], Arm]) -> Outcome:
        """Makes an arm, checks, closes the arm."""
        try:
            arm = factory()
        except Exception as broken:
            return Outcome(self, "error", _last_line(broken))
        rig = Rig(arm)
        outcome = self._verdict(lambda: self.body(rig))
        closing = self._verdict(rig.close)
        return closing if outcome.ok and not closing.ok else outcome

    def _verdict(self, part: Callable[[], object]) -> Outcome:
        try:
            part()
        except AssertionError as wrong:
            return Outcome(self, "failed", str(wrong) or _last_line(wrong))
        except Unavailable as reason:
            return Outcome(self, "unavailable", str(reason))
        except Exception as broken:
            return Outcome(self, "error", _last_line(broken))
        return Outcome(self, "ok")

    def __str__(self) -> str:
        """Facts and name."""
        return f"{' '.join(self.facts)} {self.name}" if self.facts else self.name


def _last_line(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


class Statement(Protocol):
    """What a report has to know of a check."""

    @property
    def name(self) -> str:
        """The statement."""
        ...

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check.

    Attributes:
        check: which.
        verdict: ``"ok"``, ``"failed"`` when the kernel does something else, ``"error"`` when the check could not be
            carried out, ``"unavailable"`` when the machine lacks what it takes, such as a second CPU.
        text: what the kernel did, or what is lacking.
    """

    check: Statement
    verdict: str
    text: str = ""

    @property
    def ok(self) -> bool:
        """Nothing speaks against the kernel."""
        return self.verdict in ("ok", "unavailable")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all checks.

    Attributes:
        kernel: the name of the arm.
        outcomes: one for each check, in their order.
    """

    kernel: str
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """No check failed or broke, and there was one."""
        return bool(self.outcomes) and all(outcome.ok for outcome in self.outcomes)

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that the checks hold, by number."""
        return tuple(sorted({fact for outcome in self.outcomes for fact in outcome.check.facts}, key=_number))

    def count(self, verdict: str) -> int:
        """How many checks had this verdict."""
        return sum(outcome.verdict == verdict for outcome in self.outcomes)

    def __str__(self) -> str:
        """The counts, and whatever was not ok."""
        verdicts = ("ok", "failed", "error", "unavailable")
        counts = ", ".join(f"{self.count(verdict)} {verdict}" for verdict in verdicts if self.count(verdict))
        lines = [f"{self.kernel}: {len(self.outcomes)} checks of {len(self.facts)} facts: {counts or 'none ran'}"]
        lines += [f"  {each.verdict}: {each.check}\n    {each.text}" for each in self.outcomes if each.verdict != "ok"]
        return "\n".join(lines)


def _number(fact: str) -> int:
    return int(fact.removeprefix("K"))


_registered: Final[list[Check]] = []


def check(
    *facts: str, **cases: Iterable[Any] | Mapping[str, Any]
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Registers a check; its function is named ``check_`` and the statement.

    Args:
        facts: what it holds: ``"K14"``.
        cases: at most one: the name of a parameter, and its values. Each makes a check of its own, with the value, or
            the key of a mapping, in its name.

    Raises:
        ValueError: no fact is a number with a K before it, two parameters, or a function of another name.
    """
    if len(cases) > 1:
        raise ValueError(f"one parameter at most, not {sorted(cases)}")
    if wrong := [fact for fact in facts if not (fact.startswith("K") and fact[1:].isdigit())]:
        raise ValueError(f"{wrong} are no facts: name them as in K14")

    def register(body: Callable[..., object]) -> Callable[..., object]:
        if not body.__name__.startswith(_PREFIX):
            raise ValueError(f"{body.__name__} must begin with {_PREFIX}")
        name = body.__name__.removeprefix(_PREFIX)
        _registered.extend(_made(name, facts, body, cases))
        return body

    return register


def _made(name: str, facts: tuple[str, ...], body: Callable[..., object], cases: Mapping[str, Any]) -> Iterable[Check]:
    if not cases:
        yield Check(name, facts, body)
    for parameter, values in cases.items():
        labelled = values.items() if isinstance(values, Mapping) else [(str(value), value) for value in values]
        for label, value in labelled:
            yield Check(f"{name}[{label}]", facts, partial(body, **{parameter: value}))


@cache
def kernel_checks() -> tuple[Check, ...]:
    """All checks of a kernel, in the order of their modules."""
    from simkernel.contract import _checks  # registers them

    _checks.load()
    names = [each.name for each in _registered]
    assert len(set(names)) == len(names), "two checks of one name"
    return tuple(_registered)


def check_kernel(factory: Callable[[], Arm], *, only: Iterable[str] | None = None) -> Report:
    """Holds a kernel against everything that is known of Linux.

    Args:
        factory: makes an arm; called for each check.
        only: names of checks, of statements (all their cases), or facts: ``("K14", "hup_is_level_triggered")``.

    Returns:
        The report; ``str`` of it tells what was wrong.

    Raises:
        ValueError: ``only`` has something that names no check.
    """
    chosen = kernel_checks() if only is None else _chosen(tuple(only))
    with_name = factory()
    name = with_name.name
    with_name.close()
    return Report(name, tuple(each.run(factory) for each in chosen))


def _chosen(only: tuple[str, ...]) -> tuple[Check, ...]:
    chosen = tuple(each for each in kernel_checks() if _names(each) & set(only))
    unknown = set(only).difference(*map(_names, kernel_checks()))
    if unknown:
        raise ValueError(f"{sorted(unknown)} name no check")
    return chosen


def _names(each: Check) -> set[str]:
    return {each.name, each.name.partition("[")[0], *each.facts}
