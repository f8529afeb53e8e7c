"""How many examples a test needed until it failed: Hypothesis's, states of `explore`, walks of the proofs' model."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings, stateful
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.stateful import RuleBasedStateMachine

from simkernel import explore as explorer
from tests.proofs import machine

__all__ = ["EXAMPLES", "Examples", "count_calls", "count_examples"]


class Examples:
    """The count of the test that runs."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another test begins."""
        self._count = 0
        self._failed = False

    def add(self, count: int, *, failed: bool) -> None:
        """So many more; behind the first one that failed come its repetitions, which do not count."""
        if not self._failed:
            self._count += count
        self._failed |= failed

    @property
    def count(self) -> int:
        """A test that tells no examples apart is one."""
        return self._count or 1


EXAMPLES = Examples()


def count_examples() -> None:
    """Counts from now on what is not a function of Hypothesis. To be called before tests are collected.

    Hypothesis is told not to look for smaller examples, which takes longer than to find the first.
    """
    quick = settings(phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False)
    settings.register_profile("first failure", quick)
    settings.load_profile("first failure")
    explorer.explore = _counted(explorer.explore, lambda explored: explored.states)
    machine.in_step = _counted(machine.in_step, lambda nothing: 1)
    stateful.run_state_machine_as_test = _counting_machines(stateful.run_state_machine_as_test)


def count_calls(item: pytest.Item) -> None:
    """Counts the examples of a test that Hypothesis runs. Of a parametrized one this is to be called once."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is not None and not hasattr(handle.inner_test, "counts"):
        handle.inner_test = _counted(handle.inner_test, lambda nothing: 1)
        handle.inner_test.counts = True


def _counted(call: Callable[..., Any], size: Callable[[Any], int]) -> Callable[..., Any]:
    @functools.wraps(call)
    def counted(*args: Any, **keywords: Any) -> Any:
        try:
            result = call(*args, **keywords)
        except (StopTest, UnsatisfiedAssumption):
            raise
        except BaseException:
            EXAMPLES.add(1, failed=True)
            raise
        EXAMPLES.add(size(result), failed=False)
        return result

    return counted


def _counting_machines(run: Callable[..., None]) -> Callable[..., None]:
    def counting(factory: Callable[[], RuleBasedStateMachine], **keywords: Any) -> None:
        run(lambda: _counting_its_end(factory()), **keywords)

    return counting


def _counting_its_end(machine: RuleBasedStateMachine) -> RuleBasedStateMachine:
    teardown = machine.teardown

    def counting() -> None:
        kind = sys.exc_info()[0]  # of the run that this ends
        if kind is None or not issubclass(kind, StopTest | UnsatisfiedAssumption):
            EXAMPLES.add(1, failed=kind is not None)
        teardown()

    machine.teardown = counting  # type: ignore[method-assign]
    return machine
