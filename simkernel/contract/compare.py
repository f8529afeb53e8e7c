"""Two runs of one program: the first difference, the smallest program that still shows it, and a test of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from simkernel.contract.program import Program
from simkernel.contract.trace import LinuxBench, SimBench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simkernel.contract.program import Step
    from simkernel.contract.running import Outcome
    from simkernel.contract.trace import Bench

__all__ = [
    "NOT_SIMULATED",
    "Difference",
    "Pair",
    "as_test",
    "difference_on_this_machine",
    "differences",
    "first_difference",
    "shrunk",
]

NOT_SIMULATED: Final = "not simulated"
"""Where a difference is that the simulator announces itself: `docs/limits.md` lists what it refuses."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two runs of a program part.

    Attributes:
        program: the program.
        at: the number of the step, from 0.
        where: the place in its outcome, such as ``ok.records[3].misc``.
        real: what Linux has there.
        simulated: what the simulator has.
    """

    program: Program
    at: int
    where: str
    real: Any
    simulated: Any

    @property
    def step(self) -> Step:
        """The step."""
        return self.program.steps[self.at]

    @property
    def kind(self) -> str:
        """What shrinking keeps: the verb and the kind of place; two of one kind are likely one bug."""
        shape = "".join(letter for letter in self.where if not letter.isdigit())
        return f"{self.step.verb}: {shape}" + (f" {self.real}/{self.simulated}" if "errno" in self.where else "")

    def __str__(self) -> str:
        """For people."""
        return (
            f"step {self.at + 1}, {self.step}\n  {self.where or 'outcome'}\n"
            f"    linux      {json.dumps(self.real)}\n    simulated  {json.dumps(self.simulated)}"
        )


def differences(program: Program, real: Sequence[Outcome], simulated: Sequence[Outcome]) -> Iterator[Difference]:
    """The steps at which a simulated kernel does what Linux does not, each with the first place that differs.

    ``{"at_least": n}`` of Linux may be more than that of the simulator, and less by the ``slack`` that this one grants;
    ``{"unsure": why}`` equals anything.
    """
    for at, (one, other) in enumerate(zip(real, simulated, strict=True)):
        if "unsupported" in other:
            yield Difference(program, at, NOT_SIMULATED, one, other["unsupported"])
            continue
        found = _differs(one, other, "")
        if found is not None:
            yield Difference(program, at, *found)


def first_difference(program: Program, real: Sequence[Outcome], simulated: Sequence[Outcome]) -> Difference | None:
    """The first of the `differences`, or None."""
    return next(differences(program, real, simulated), None)


class Pair:
    """Two benches side by side. Use it as a context manager, or call `close`.

    Args:
        real: Linux; by default the kernel underneath.
        simulated: by default the simulated kernel with the CPUs and the release of the other.
    """

    def __init__(self, real: Bench | None = None, simulated: Bench | None = None) -> None:
        self.real = LinuxBench() if real is None else real
        self.simulated = SimBench.like(self.real.machine) if simulated is None else simulated
        self.outcomes: tuple[Outcome, ...] = ()
        self.answers: tuple[Outcome, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, program: Program) -> Difference | None:
        """Runs a program on both; `outcomes` is then what Linux did, `answers` what the simulated kernel did."""
        self.outcomes, self.answers = self.real.run(program), self.simulated.run(program)
        return first_difference(program, self.outcomes, self.answers)

    def close(self) -> None:
        """Closes both."""
        self.real.close()
        self.simulated.close()


def difference_on_this_machine(text: str) -> Difference | None:
    """The first difference between the kernel underneath and the simulated one, for tests of one program.

    Raises:
        ProgramError: the text is no program.
        OSError: the kernel refuses real perf events.
    """
    with Pair() as pair:
        return pair(Program.parse(text))


def _differs(real: Any, simulated: Any, where: str) -> tuple[str, Any, Any] | None:
    if isinstance(real, dict) and isinstance(simulated, dict):
        return _dicts_differ(real, simulated, where)
    if isinstance(real, list) and isinstance(simulated, list):
        return _lists_differ(real, simulated, where)
    return None if real == simulated else (where, real, simulated)


def _dicts_differ(real: dict[str, Any], simulated: dict[str, Any], where: str) -> tuple[str, Any, Any] | None:
    if "unsure" in real or "unsure" in simulated:
        return None
    if "at_least" in real and "at_least" in simulated:
        return None if real["at_least"] >= _least(simulated) else (where, real, simulated)
    if where.endswith("noise"):  # Linux may have noise of which the simulator knows nothing
        real = {key: value for key, value in real.items() if key in simulated}
        simulated = {key: value for key, value in simulated.items() if key in real or _least(value) > 0}
    if real.keys() != simulated.keys() and not {"records"} <= real.keys() & simulated.keys():
        key = min(real.keys() ^ simulated.keys())
        return (f"{where}.{key}".lstrip("."), real.get(key), simulated.get(key))
    for key in sorted(real.keys() | simulated.keys(), key=_order):
        if key not in real or key not in simulated:
            return (f"{where}.{key}".lstrip("."), real.get(key), simulated.get(key))
        found = None if key == "bytes" else _differs(real[key], simulated[key], f"{where}.{key}".lstrip("."))
        if found is not None:
            return found
    return None


def _least(bound: dict[str, int]) -> int:
    return bound["at_least"] - bound.get("slack", 0)


def _order(key: str) -> tuple[bool, str]:
    """Records first: they say more than the head that they moved."""
    return (key != "records", key)


def _lists_differ(real: list[Any], simulated: list[Any], where: str) -> tuple[str, Any, Any] | None:
    for at, (one, other) in enumerate(zip(real, simulated, strict=False)):
        found = _differs(one, other, f"{where}[{at}]")
        if found is not None:
            return found
    if len(real) != len(simulated):
        at = min(len(real), len(simulated))
        return (f"{where}[{at}]", real[at] if at < len(real) else None, simulated[at] if at < len(simulated) else None)
    return None


def shrunk(
    difference: Difference, check: Callable[[Program], Difference | None], *, budget: int = 400
) -> tuple[Difference, int]:
    """The smallest program found that shows a difference of the same kind, by leaving steps and options out.

    Args:
        difference: what was found.
        check: runs a program on both kernels.
        budget: how many programs may be run.

    Returns:
        The smallest, and how many programs were run.
    """
    hunt = _Hunt(difference, check, budget)
    steps = list(difference.program.steps[: difference.at + 1])
    hunt.attempt(steps)
    while hunt.runs < budget and (hunt.without_steps() or hunt.without_options()):
        pass
    return hunt.best, hunt.runs


class _Hunt:
    def __init__(self, difference: Difference, check: Callable[[Program], Difference | None], budget: int) -> None:
        self.best = difference
        self.check = check
        self.budget = budget
        self.runs = 0

    def attempt(self, steps: list[Step]) -> bool:
        """Whether these steps still differ in the same way; then they are the best so far."""
        if self.runs >= self.budget or not steps:
            return False
        self.runs += 1
        found = self.check(Program(tuple(steps)))
        if found is None or found.kind != self.best.kind:
            return False
        self.best = Difference(
            Program(tuple(steps[: found.at + 1])), found.at, found.where, found.real, found.simulated
        )
        return True

    def without_steps(self) -> bool:
        """Leaves out halves, quarters, ... single steps; whether anything could go."""
        gone, size = False, max(1, len(self.best.program.steps) // 2)
        while size:
            at = 0
            while at < len(self.best.program.steps):
                steps = list(self.best.program.steps)
                if self.attempt(steps[:at] + steps[at + size :]):
                    gone = True
                else:
                    at += size
            size //= 2
        return gone

    def without_options(self) -> bool:
        """Leaves out options, one by one, and makes numbers small."""
        gone, at = False, 0
        while at < len(self.best.program.steps):
            gone |= self._smaller_step(at)
            at += 1
        return gone

    def _smaller_step(self, at: int) -> bool:
        gone = False
        for simpler in _simpler(self.best.program.steps[at]):
            steps = list(self.best.program.steps)
            if at >= len(steps):
                break
            steps[at] = simpler
            gone |= self.attempt(steps)
        return gone


def _simpler(step: Step) -> list[Step]:
    from dataclasses import replace

    options = [replace(step, options=tuple(o for o in step.options if o != option)) for option in step.options]
    smaller = []
    for position, word in enumerate(step.words):
        if step.verb != "fcntl" and word.isdigit() and int(word) > 1:
            words = list(step.words)
            smaller += [replace(step, words=(*words[:position], n, *words[position + 1 :])) for n in _less(int(word))]
    return smaller + options


def _less(number: int) -> list[str]:
    return [str(value) for value in dict.fromkeys((1, number // 2, number - 1)) if value < number]


def as_test(difference: Difference, *, name: str = "") -> str:
    """A test in pytest's words: put it into ``tests/linux`` and mend the simulator until it passes."""
    lines = "".join(f"    {step}\n" for step in difference.program.steps)
    title = name or f"program_{difference.program.key}"
    return f'''from simkernel.contract.compare import difference_on_this_machine

# linux:     {json.dumps(difference.real)}
# simulated: {json.dumps(difference.simulated)}


def test_{title}_is_the_same_on_both_kernels() -> None:
    program = """
{lines}    """
    assert difference_on_this_machine(program) is None
'''
