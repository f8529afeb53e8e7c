"""The page of results: what was compared on each kernel, what differs and why, and what the programs reached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from simkernel.contract.coverage import CHANGES, REFUSALS, Coverage
from simkernel.contract.known import KNOWN, release_label
from simkernel.contract.recordings import batch_of
from simkernel.contract.trace import TraceError
from simkernel.foreign import read_text, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from simkernel.contract.replaying import Replay
    from simkernel.contract.trace import Machine, Trace

__all__ = ["LEAST", "Held", "Run", "page", "read_run"]

LEAST: Final = 50
"""How often a run reaches each refusal and each change of readiness."""

_MOST_BYTES: Final = 1 << 20
_CONFIG: Final = "CONFIG_"
_HEAD: Final = """\
# Results

What real kernels did, held against the simulated kernel of the same release. This page is written by

    python -m simkernel.contract results --recordings tests/conformance/recordings --runs tests/conformance/runs \\
        --out docs/conformance/results.md

and `tests/conformance` fails when it is not what the recordings give. How they are made: [README.md](README.md); what a
comparison leaves out: there as well.
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A recording that was replayed.

    Attributes:
        machine: where it was made.
        traces: all of it.
        replay: what came of it.
    """

    machine: Machine
    traces: Sequence[Trace]
    replay: Replay

    @property
    def label(self) -> str:
        """The simulated release."""
        return release_label(self.machine.release)

    def row(self) -> list[object]:
        """What the table of kernels says of it."""
        batches = [batch_of(trace) for trace in self.traces]
        return [
            *(self.label, self.machine.release, batches.count("corpus"), batches.count("random"), self.replay.steps),
            *(_open(self.traces), len(self.replay.unexplained), self.replay.known.total()),
        ]

    def coverage(self) -> dict[str, dict[str, int]]:
        """What its programs reached on Linux."""
        coverage = Coverage()
        for trace in self.traces:
            coverage.add(trace.program, trace.outcomes)
        return coverage.as_data()


@dataclass(frozen=True, slots=True)
class Run:
    """A run of random programs on both kernels, as ``compare --json`` tells of it.

    Attributes:
        release: of Linux.
        seed: of the programs.
        programs: how many.
        steps: how many they have.
        differing: how many programs differ, save as known.
        coverage: operation against result.
    """

    release: str
    seed: int
    programs: int
    steps: int
    differing: int
    coverage: dict[str, dict[str, int]]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """From what was read.

        Raises:
            KeyError: something is not in it.
            TypeError: something is not what it should be.
        """
        if not isinstance(data, dict):
            raise TypeError(f"an object must stand there, not {shown(data)}")
        if not isinstance(data["release"], str):
            raise TypeError(f"release is {shown(data['release'])}: it must be a text")
        differing = sum(_whole(each, "programs") for each in data["differences"])
        seed, programs, steps = (_whole(data, name) for name in ("seed", "programs", "steps"))
        return cls(data["release"], seed, programs, steps, differing, _coverage_of(data["coverage"]))

    def rare(self) -> list[str]:
        """The refusals and changes of readiness that it reached too seldom, with their numbers."""
        counts = {
            f"{operation}: {result}": self.coverage.get(operation, {}).get(result, 0)
            for operation, results in (REFUSALS | CHANGES).items()
            for result in results
        }
        return [f"{what}, {times}" for what, times in counts.items() if times < LEAST]


def _whole(data: dict[str, Any], name: str) -> int:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{shown(name)} is {shown(value)}: it must be a whole number")
    return value


def _coverage_of(data: Any) -> dict[str, dict[str, int]]:
    if not isinstance(data, dict) or not all(isinstance(each, dict) for each in data.values()):
        raise TypeError(f"coverage is {shown(data)}: it must be an object of objects")
    return {operation: {result: _whole(each, result) for result in each} for operation, each in data.items()}


def read_run(path: Path) -> Run:
    """Reads what ``compare --json`` printed.

    Raises:
        TraceError: it is something else; the file is named.
        OSError: it cannot be read.
    """
    try:
        return Run.of(json.loads(read_text(path, most=_MOST_BYTES)))
    except KeyError as missing:
        raise TraceError(f"{path}: not what compare --json prints: it has no {missing}") from None
    except (TypeError, ValueError) as wrong:
        raise TraceError(f"{path}: not what compare --json prints: {wrong}") from wrong
    except RecursionError:
        raise TraceError(f"{path}: not what compare --json prints: it is nested too deeply") from None


def page(held: Sequence[Held], runs: Sequence[Run]) -> str:
    """The page, in Markdown."""
    parts = [_HEAD, _recordings(held), _runs(runs), _known(held), _machines(held), _coverage(held, runs)]
    return "\n".join(parts)


def _recordings(held: Sequence[Held]) -> str:
    heading = ["simulated", "Linux", "corpus", "random", "steps", "left open", "differ", "differ as known"]
    return (
        "## Recordings\n\nPrograms of the corpus, random programs, and the steps of both. A step is left open where "
        "noise forbids a\ncomparison of its ring.\n\n" + _table(heading, [each.row() for each in held])
    )


def _open(traces: Iterable[Trace]) -> int:
    outcomes = [outcome.get("ok") for trace in traces for outcome in trace.outcomes]
    return sum(isinstance(value, dict) and "unsure" in value for value in outcomes)


def _runs(runs: Sequence[Run]) -> str:
    rows = [[run.release, run.seed, run.programs, run.steps, run.differing] for run in runs]
    text = "## Random programs on both kernels at once\n\n" + _table(
        ["Linux", "seed", "programs", "steps", "differ"], rows
    )
    for run in runs:
        rare = run.rare()
        missed = f"all but {len(rare)}: " + "; ".join(rare) if rare else "each"
        text += (
            f"\nOf the refusals and changes of readiness that are wanted {LEAST} times, seed {run.seed} has {missed}.\n"
        )
    return text


def _known(held: Sequence[Held]) -> str:
    rows: list[list[object]] = []
    for known in KNOWN:
        met = [f"{each.label}: {each.replay.known[known]}" for each in held if each.replay.known[known]]
        rows.append([f"`{known.programs}`", ", ".join(met) or "none", known.reason])
    return (
        "## Known differences\n\nThe whole of `simkernel/contract/known.py`. Each is expected to fail, strictly: one "
        "that no longer differs\nfails the tests until it leaves the table.\n\n"
        + _table(["program", "programs that differ, by release", "reason"], rows)
    )


def _machines(held: Sequence[Held]) -> str:
    text = "## Machines\n"
    for each in held:
        facts = sorted(each.machine.facts.items())
        config = [f"{name.removeprefix(_CONFIG)}={value}" for name, value in facts if name.startswith(_CONFIG)]
        lines = [f"{name}: {value}" for name, value in facts if not name.startswith(_CONFIG)]
        lines += [f"configuration: {', '.join(config) or 'not told'}"]
        lines += [f"{len(each.machine.cpus)} CPUs, Python {each.machine.python}"]
        text += f"\n### {each.label}\n\n" + "".join(f"- {line}\n" for line in lines)
    return text


def _coverage(held: Sequence[Held], runs: Sequence[Run]) -> str:
    columns = {f"seed {run.seed}": run.coverage for run in runs} | {each.label: each.coverage() for each in held}
    pairs = sorted(
        {(operation, result) for data in columns.values() for operation in data for result in data[operation]}
    )
    rows: list[list[object]] = [
        [f"`{operation}`", result, *(data.get(operation, {}).get(result, 0) for data in columns.values())]
        for operation, result in pairs
    ]
    return (
        "## Operation against result\n\nHow often each operation had which result on Linux: in the runs above, and in "
        "the recordings.\n\n" + _table(["operation", "result", *columns], rows)
    )


def _table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
