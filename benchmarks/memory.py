"""Memory: the peak of a process through whose session a billion bytes are streamed, from rings in memory.

``python -m benchmarks.memory NAME BYTES ...`` is that process: it prints the peak after each of these amounts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.fedkernel import Feed
from benchmarks.measuring import Outcome, Run, figure
from benchmarks.scaling import CONTENDERS, Contender

STAGES = (100_000_000, 1_000_000_000)
SHORT_STAGES = (500_000, 1_000_000)
RINGS = 2
MOST_ROUNDS = 2
"""Each takes a minute or more."""
FLAT_WITHIN_MB = 10.0


def figures(run: Run, contenders: Sequence[Contender] = CONTENDERS) -> Iterator[Outcome]:
    """The peak at the end, and how much of it came after the first tenth."""
    for contender in contenders:
        stages = SHORT_STAGES if run.short else STAGES
        peaks = []
        for number in range(1 if run.short else min(run.rounds, MOST_ROUNDS)):
            run.say(f"memory: {contender.name}, {stages[-1]:,} bytes, round {number + 1}")
            peaks.append(_peaks_mb(contender.name, stages))
        total = f"{stages[-1] / 1e6:,.0f} MB"
        yield figure(f"{contender.name}: peak over {total} streamed", [last for _, last in peaks], "MB")
        name = f"{contender.name}: growth of the peak from {stages[0] / 1e6:,.1f} MB to {total}"
        yield figure(name, [last - first for first, last in peaks], "MB", at_most=FLAT_WITHIN_MB)


def _peaks_mb(name: str, stages: Sequence[int]) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.memory", name, *map(str, stages)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    peaks: list[float] = json.loads(ended.stdout)
    return peaks


def _stream(contender: Contender, stages: Sequence[int]) -> list[float]:
    """The peak in MB when so many bytes have gone through."""
    feed, streamed, peaks = Feed(RINGS, columns=contender.columns), 0, []
    with feed.session as session:
        for stage in stages:
            while streamed < stage:
                feed.fill()
                if contender.read_all(session) != feed.records:
                    raise AssertionError(f"{contender.name} did not read the {feed.records} records of a filling")
                streamed += feed.bytes
            peaks.append(_peak_mb())
    return peaks


def _peak_mb() -> float:
    """VmHWM of proc(5). Not ru_maxrss: that of a child begins with what its parent had at the fork."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main(name: str, stages: Sequence[str]) -> None:
    """Streams, and prints the peaks as JSON."""
    contender = next(one for one in CONTENDERS if one.name == name)
    print(json.dumps(_stream(contender, [int(stage) for stage in stages])))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
