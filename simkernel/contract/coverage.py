"""What a batch of programs reached: operation against result."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simkernel.contract.program import Program, Step
    from simkernel.contract.running import Outcome

__all__ = ["Coverage"]


class Coverage:
    """How often each operation had which result; an ioctl counts by its request, an answer by its readiness."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._last: dict[str, str] = {}

    def add(self, program: Program, outcomes: Sequence[Outcome]) -> None:
        """Counts the steps of a program, and each change of what poll says of an fd."""
        self._last.clear()
        for step, outcome in zip(program.steps, outcomes, strict=True):
            self._count(_operation(step), _result(outcome))
            if step.verb in ("poll", "wait") and "ok" in outcome:
                self._changes(step, outcome["ok"])

    def _count(self, operation: str, result: str) -> None:
        self._counts.setdefault(operation, Counter())[result] += 1

    def _changes(self, step: Step, answers: Mapping[str, str]) -> None:
        asked = step.words[0].split(",") if step.verb == "poll" else {*self._last, *answers}
        for name in asked:
            now = answers.get(name, "nothing").replace("IN|RDNORM", "IN").replace("RDNORM", "IN")
            before = self._last.get(name, "never asked")
            self._last[name] = now
            if now != before:
                self._count(f"readiness by {step.verb}", f"{before} -> {now}")

    def rare(self, least: int) -> list[tuple[str, str, int]]:
        """What was reached less often: operation, result, times."""
        return [
            (operation, result, times)
            for operation, counts in sorted(self._counts.items())
            for result, times in sorted(counts.items())
            if times < least
        ]

    def as_data(self) -> dict[str, dict[str, int]]:
        """By operation and result."""
        return {operation: dict(sorted(counts.items())) for operation, counts in sorted(self._counts.items())}

    def __str__(self) -> str:
        """The table."""
        width = max(map(len, self._counts), default=0)
        return "\n".join(
            f"{operation:{width}}  {_in_words(counts.most_common())}"
            for operation, counts in sorted(self._counts.items())
        )


def _in_words(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{result} {times}" for result, times in counts)


def _operation(step: Step) -> str:
    return f"{step.verb} {step.words[1]}" if step.verb in ("ioctl", "fcntl") else step.verb


def _result(outcome: Outcome) -> str:
    return str(outcome["errno"]) if "errno" in outcome else next(iter(outcome))
