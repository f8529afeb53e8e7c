"""The recordings of this directory, each read once and replayed once in a run of the tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from simkernel.contract.compare import Difference, differences
from simkernel.contract.recordings import batch_of, recordings_in
from simkernel.contract.replaying import Replay
from simkernel.contract.trace import Machine, SimBench, Trace, read_traces

__all__ = ["CORPUS", "RANDOM_CHUNKS", "RECORDINGS", "chunk", "difference_list", "machine", "replay_of", "traces"]

CORPUS: Final = Path(__file__).parent / "corpus"
RECORDINGS: Final = {path.stem: path for path in recordings_in(Path(__file__).parent / "recordings")}
"""By the release that simulates them: ``"6.18"``."""
RANDOM_CHUNKS: Final = 4


@cache
def _read(release: str) -> tuple[Machine, tuple[Trace, ...]]:
    machine, traces = read_traces(RECORDINGS[release])
    return machine, tuple(traces)


def machine(release: str) -> Machine:
    """Where a recording was made."""
    return _read(release)[0]


def traces(release: str) -> tuple[Trace, ...]:
    """All that a recording holds."""
    return _read(release)[1]


def chunk(release: str, name: str) -> list[Trace]:
    """The traces of one test: of a file of the corpus, or of ``random 1`` to ``random 4``."""
    if not name.startswith("random "):
        return [trace for trace in traces(release) if trace.name.startswith(f"{name}/")]
    batch = [trace for trace in traces(release) if batch_of(trace) == "random"]
    return batch[int(name.split()[1]) - 1 :: RANDOM_CHUNKS]


@cache
def _bench(release: str) -> SimBench:
    return SimBench.like(machine(release))


@cache
def difference_list(release: str, at: int) -> tuple[Difference, ...]:
    """What differs in one trace, by its number in the recording."""
    trace = traces(release)[at]
    return tuple(differences(trace.program, trace.outcomes, _bench(release).run(trace.program)))


def replay_of(release: str, wanted: list[Trace]) -> Replay:
    """A replay of some traces of a recording."""
    numbers = {trace.name: at for at, trace in enumerate(traces(release))}
    replay = Replay()
    for trace in wanted:
        replay.add(trace, difference_list(release, numbers[trace.name]), machine(release).release)
    return replay
