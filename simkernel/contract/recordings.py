"""Recordings: one trace file for each kernel, kept with the tests, so that any machine can replay what Linux did."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from simkernel.contract.trace import read_traces, write_traces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from simkernel.contract.trace import Machine, Trace

__all__ = ["batch_of", "file_name", "keep", "recordings_in"]

_RANDOM: Final = re.compile(r"random/-?\d+/\d+")


def batch_of(trace: Trace) -> str:
    """Which batch a trace belongs to: ``"random"``, or ``"corpus"``."""
    return "random" if _RANDOM.fullmatch(trace.name) else "corpus"


def file_name(release: str) -> str:
    """What the recording of a kernel is called: ``"6.18.gz"`` for ``"6.18.44"``."""
    return ".".join(release.split(".")[:2]) + ".gz"


def recordings_in(folder: Path) -> list[Path]:
    """The recordings of a folder, the oldest kernel first.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(folder.glob("*.gz"), key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])
    if not found:
        raise FileNotFoundError(f"no recordings (*.gz) in {folder}")
    return found


def keep(parts: Sequence[Path], folder: Path, *, facts: Mapping[str, str]) -> Path:
    """Makes the recording of a kernel of the trace files that were written there.

    A batch that the files have nothing of, corpus or random, stays as it was recorded before.

    Args:
        parts: trace files of one machine.
        folder: where the recordings are.
        facts: what else is known of the machine, such as the versions of its packages.

    Returns:
        The file that was written.

    Raises:
        TraceError: a file is broken.
        ValueError: the files are of different kernels, or what would stay is of another kernel than they are.
    """
    machine, batches = _read(parts)
    path = folder / file_name(machine.release)
    if path.exists():
        before, kept = _read([path])
        if kept.keys() - batches.keys() and before.release != machine.release:
            raise ValueError(f"{path} is of {before.release}, this is {machine.release}: record all its batches anew")
        batches = kept | batches
    machine = replace(machine, facts={**machine.facts, **facts})
    folder.mkdir(parents=True, exist_ok=True)
    write_traces(path, machine, [trace for batch in sorted(batches) for trace in batches[batch]])
    return path


def _read(paths: Sequence[Path]) -> tuple[Machine, dict[str, list[Trace]]]:
    batches: dict[str, list[Trace]] = defaultdict(list)
    machines = []
    for path in paths:
        machine, traces = read_traces(path)
        machines.append(machine)
        for trace in traces:
            batches[batch_of(trace)].append(trace)
    if len({machine.release for machine in machines}) != 1:
        raise ValueError(f"{', '.join(map(str, paths))} are of {[machine.release for machine in machines]}, not of one")
    return machines[0], dict(batches)
