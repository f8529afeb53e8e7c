"""Memory: the peak of a process that streams a billion bytes through a session, from rings in memory; and its garbage.

``python -m benchmarks.memory NAME BYTES ...`` is that process: it prints a `Streamed` as JSON.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.fedkernel import Feed
from benchmarks.measuring import Outcome, Run, figure
from benchmarks.scaling import CONTENDERS, Contender

STAGES = (100_000_000, 1_000_000_000)
SHORT_STAGES = (500_000, 1_000_000)
RINGS = 2
MOST_ROUNDS = 2
"""Each takes a minute or more."""
FLAT_WITHIN_MB = 10.0


class Streamed(NamedTuple):
    """What a process has streamed.

    Attributes:
        peaks: MB, when each of the amounts had gone through.
        collections: of garbage, while it read, for a million records.
        share: of the CPU time of its reading that they took, in percent.
    """

    peaks: list[float]
    collections: float
    share: float


def figures(run: Run, contenders: Sequence[Contender] = CONTENDERS) -> Iterator[Outcome]:
    """The peak at the end, how much of it came after the first tenth, and the garbage collector."""
    for contender in contenders:
        stages = SHORT_STAGES if run.short else STAGES
        found: list[Streamed] = []
        for number in range(1 if run.short else min(run.rounds, MOST_ROUNDS)):
            run.say(f"memory: {contender.name}, {stages[-1]:,} bytes, round {number + 1}")
            found.append(_streamed(contender.name, stages))
        total = f"{stages[-1] / 1e6:,.0f} MB"
        yield figure(f"{contender.name}: peak over {total} streamed", [each.peaks[-1] for each in found], "MB")
        name = f"{contender.name}: growth of the peak from {stages[0] / 1e6:,.1f} MB to {total}"
        yield figure(name, [each.peaks[-1] - each.peaks[0] for each in found], "MB", at_most=FLAT_WITHIN_MB)
        name = f"{contender.name}: garbage collections for a million records"
        yield figure(name, [each.collections for each in found], "")
        yield figure(f"{contender.name}: what they take of the reading", [each.share for each in found], "%")


def _streamed(name: str, stages: Sequence[int]) -> Streamed:
    command = [sys.executable, "-m", "benchmarks.memory", name, *map(str, stages)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    return Streamed(**json.loads(ended.stdout))


class _Collector:
    """Adds up what the garbage collector does: for `gc.callbacks`."""

    def __init__(self) -> None:
        self.count, self.seconds, self._began = 0, 0.0, 0.0

    def __call__(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = time.process_time()
        else:
            self.count += 1
            self.seconds += time.process_time() - self._began


def _stream(contender: Contender, stages: Sequence[int]) -> Streamed:
    feed, streamed, peaks = Feed(RINGS, columns=contender.columns), 0, []
    collector, seconds = _Collector(), 0.0
    with feed.session as session:
        for stage in stages:
            while streamed < stage:
                feed.fill()
                gc.callbacks.append(collector)
                begin = time.process_time()
                if contender.read_all(session) != feed.records:
                    raise AssertionError(f"{contender.name} did not read the {feed.records} records of a filling")
                seconds += time.process_time() - begin
                gc.callbacks.remove(collector)
                streamed += feed.bytes
            peaks.append(_peak_mb())
    records = streamed / feed.bytes * feed.records
    return Streamed(peaks, collector.count / records * 1e6, collector.seconds / seconds * 100)


def _peak_mb() -> float:
    """VmHWM of proc(5). Not ru_maxrss: that of a child begins with what its parent had at the fork."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main(name: str, stages: Sequence[str]) -> None:
    """Streams, and prints what came of it."""
    contender = next(one for one in CONTENDERS if one.name == name)
    print(json.dumps(_stream(contender, [int(stage) for stage in stages])._asdict()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
