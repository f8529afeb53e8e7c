"""What a batch of programs reached: operation against result."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simkernel.contract.program import Program, Step
    from simkernel.contract.running import Outcome

__all__ = ["CHANGES", "REFUSALS", "Coverage"]

REFUSALS: Final[dict[str, tuple[str, ...]]] = {
    "add": ("EBADF", "EEXIST", "EINVAL", "ELOOP"),
    "close": ("EBADF",),
    "connect": ("E2BIG", "EBADF", "EOPNOTSUPP"),
    "del": ("EBADF", "ENOENT"),
    "emit": ("EINVAL", "ENOENT", "EOPNOTSUPP"),
    "fcntl GETFL": ("EBADF",),
    "fcntl GETOWN": ("EBADF",),
    "fcntl GETSIG": ("EBADF",),
    "fcntl SETFL": ("EBADF",),
    "fcntl SETOWN": ("EBADF", "ESRCH"),
    "fcntl SETSIG": ("EBADF", "EINVAL"),
    "ioctl 0x2499": ("EBADF", "ENOTTY"),
    "ioctl 0x5401": ("EBADF", "ENOTTY"),
    "ioctl DISABLE": ("EBADF",),
    "ioctl ENABLE": ("EBADF",),
    "ioctl ID": ("EBADF", "EFAULT"),
    "ioctl MODIFY_ATTRIBUTES": ("EBADF", "EFAULT"),
    "ioctl PAUSE_OUTPUT": ("EBADF", "EINVAL"),
    "ioctl PERIOD": ("EBADF", "EFAULT", "EINVAL"),
    "ioctl QUERY_BPF": ("E2BIG", "EBADF", "EFAULT", "EINVAL"),
    "ioctl REFRESH": ("EBADF", "EINVAL"),
    "ioctl RESET": ("EBADF",),
    "ioctl SET_BPF": ("EBADF",),
    "ioctl SET_FILTER": ("EBADF", "EEXIST", "EFAULT", "EINVAL"),
    "map": ("EBADF", "EBUSY", "EINVAL", "EOVERFLOW"),
    "mod": ("EBADF", "EINVAL", "ENOENT"),
    "open": ("E2BIG", "EBADF", "EINVAL", "ENODEV", "ENOENT", "EOPNOTSUPP", "EOVERFLOW", "ESRCH"),
    "pin": ("EINVAL",),
    "read": ("EBADF", "ENOSPC"),
    "redirect": ("EBADF", "EINVAL"),
    "write": ("EBADF", "EINVAL"),
}
"""What root is refused by 6.18, as far as programs of random steps go: operation, errnos."""

CHANGES: Final[dict[str, tuple[str, ...]]] = {
    "readiness by poll": ("nothing -> IN", "IN -> nothing", "nothing -> HUP", "IN -> HUP", "HUP -> IN", "HUP -> NVAL"),
    "readiness by wait": (
        "nothing -> IN",
        "IN -> nothing",
        "nothing -> HUP",
        "IN -> HUP",
        "HUP -> IN",
        "HUP -> nothing",
    ),
}
"""How readiness changes: what asked, and what it was told before and then."""


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
        """The refusals and changes of readiness that were reached less often: operation, result, times."""
        found = [
            (operation, result, self._counts.get(operation, Counter())[result])
            for operation, results in (REFUSALS | CHANGES).items()
            for result in results
        ]
        return [each for each in found if each[2] < least]

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
