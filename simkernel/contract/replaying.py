"""Recorded programs once more, on the simulated kernel of the release that the recording names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simkernel.contract.compare import differences
from simkernel.contract.known import explained
from simkernel.contract.trace import SimBench

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simkernel.contract.compare import Difference
    from simkernel.contract.known import Known
    from simkernel.contract.trace import Machine, Trace

__all__ = ["Replay", "replayed"]


@dataclass(slots=True)
class Replay:
    """What a replay found.

    Attributes:
        programs: how many were compared.
        steps: how many steps they have.
        unexplained: the name and first unexplained difference of each program that has one.
        known: the entries of `simkernel.contract.known.KNOWN` that were met, and in how many programs.
    """

    programs: int = 0
    steps: int = 0
    unexplained: list[tuple[str, Difference]] = field(default_factory=list)
    known: Counter[Known] = field(default_factory=Counter)

    def add(self, trace: Trace, found: Iterable[Difference], release: str) -> None:
        """Counts a program and what differs in it."""
        self.programs += 1
        self.steps += len(trace.program.steps)
        findings = explained(trace.name, release, found)
        self.known.update(findings.known)
        if findings.unexplained is not None:
            self.unexplained.append((trace.name, findings.unexplained))

    def __str__(self) -> str:
        """In a line."""
        return (
            f"{self.programs} programs, {self.steps} steps, "
            f"{len(self.unexplained)} differ, {self.known.total()} differ as known"
        )


def replayed(machine: Machine, traces: Iterable[Trace]) -> Replay:
    """Replays traces.

    Args:
        machine: where they were made.
        traces: from `simkernel.contract.trace.read_traces`, or some of them.

    Raises:
        TraceError: a line of the file is broken.
    """
    bench, replay = SimBench.like(machine), Replay()
    for trace in traces:
        found = differences(trace.program, trace.outcomes, bench.run(trace.program))
        replay.add(trace, found, machine.release)
    return replay
