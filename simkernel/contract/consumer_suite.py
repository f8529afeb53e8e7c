"""`check_consumer`: holds a consumer of perf rings against what Linux does to it. Needs neither pytest nor privileges.

A check is a function of a `Stage` that raises AssertionError in words about what the consumer did wrong. Each is given
a fresh machine and a fresh consumer, and puts one thing in the consumer's way; everything else is easy there, so that
what fails says what is wrong.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from simkernel.contract.rig import Unavailable
from simkernel.contract.stage import Stage
from simkernel.contract.suite import Outcome, Report

if TYPE_CHECKING:
    from simkernel.contract.consumer import ConsumerFactory

__all__ = ["ConsumerCheck", "check_consumer", "consumer_check", "consumer_checks"]

_MODULES: Final = ("waking", "draining", "losing", "ending")


@dataclass(frozen=True, slots=True)
class ConsumerCheck:
    """One demand on a consumer.

    Attributes:
        name: what it must cope with, and in brackets which case of it.
        facts: why Linux puts it there, such as ``("K14",)``.
        body: raises AssertionError when the consumer does not.
        ordered: only for consumers that promise time order over CPUs.
    """

    name: str
    facts: tuple[str, ...]
    body: Callable[[Stage], object]
    ordered: bool = False

    def run(self, factory: ConsumerFactory) -> Outcome:
        """Makes a machine, checks, and closes the consumer."""
        stage = Stage(factory)
        outcome = self._verdict(lambda: self.body(stage))
        closing = self._verdict(stage.end)
        return closing if outcome.ok and not closing.ok else outcome

    def _verdict(self, part: Callable[[], object]) -> Outcome:
        try:
            part()
        except AssertionError as wrong:
            return Outcome(self, "failed", str(wrong))
        except Unavailable as reason:
            return Outcome(self, "unavailable", str(reason))
        except Exception as broken:
            where = traceback.extract_tb(broken.__traceback__)[-1]
            return Outcome(self, "error", f"{type(broken).__name__}: {broken} ({where.filename}:{where.lineno})")
        return Outcome(self, "ok")

    def __str__(self) -> str:
        """Facts and name."""
        return f"{' '.join(self.facts)} {self.name}"


_registered: Final[list[ConsumerCheck]] = []


def consumer_check(
    *facts: str, ordered: bool = False, **cases: Iterable[Any]
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Registers a check; the name of its function is the check's.

    Args:
        facts: why Linux does this to a consumer: ``"K14"``.
        ordered: only for consumers that promise time order over CPUs.
        cases: at most one: a parameter and its values, a check for each.

    Raises:
        ValueError: more than one parameter.
    """
    if len(cases) > 1:
        raise ValueError(f"one parameter at most, not {sorted(cases)}")

    def register(body: Callable[..., object]) -> Callable[..., object]:
        if not cases:
            _registered.append(ConsumerCheck(body.__name__, facts, body, ordered))
        for parameter, values in cases.items():
            for value in values:
                name = f"{body.__name__}[{value}]"
                _registered.append(ConsumerCheck(name, facts, partial(body, **{parameter: value}), ordered))
        return body

    return register


@cache
def consumer_checks() -> tuple[ConsumerCheck, ...]:
    """All of them."""
    for name in _MODULES:
        import_module(f"simkernel.contract._consumer_checks.{name}")
    return tuple(_registered)


def check_consumer(
    factory: ConsumerFactory, *, ordered: bool = False, only: Iterable[str] | None = None, name: str | None = None
) -> Report:
    """Puts a consumer through everything that Linux does to readers of perf rings, on a simulated kernel.

    Args:
        factory: makes a consumer; called once or twice for each check (`simkernel.contract.consumer`).
        ordered: the consumer promises time order over CPUs, and is held to it.
        only: names of checks, with or without their case, or facts: ``("busy_ring", "K19")``.
        name: of the consumer, for the report.

    Returns:
        The report; ``str`` of it tells what the consumer did wrong.

    Raises:
        TypeError: ``factory`` cannot be called.
        ValueError: ``only`` has something that names no check.
    """
    if not callable(factory):
        raise TypeError(f"factory is {factory!r}: it must be a function that makes a consumer from a ConsumerSetup")
    chosen = [each for each in _chosen(only) if ordered or not each.ordered]
    title = name or getattr(factory, "__qualname__", None) or repr(factory)
    return Report(title, tuple(each.run(factory) for each in chosen))


def _chosen(only: Iterable[str] | None) -> tuple[ConsumerCheck, ...]:
    checks = consumer_checks()
    if only is None:
        return checks
    wanted = {only} if isinstance(only, str) else set(only)
    if unknown := wanted.difference(*map(_names, checks)):
        raise ValueError(f"{sorted(unknown)} name no check of a consumer")
    return tuple(each for each in checks if _names(each) & wanted)


def _names(each: ConsumerCheck) -> set[str]:
    return {each.name, each.name.partition("[")[0], *each.facts}
