"""The commands ``run``, ``replay`` and ``compare``."""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from simkernel.contract.compare import Pair, as_test, differences, shrunk
from simkernel.contract.corpus import programs_in
from simkernel.contract.coverage import Coverage
from simkernel.contract.generate import random_program
from simkernel.contract.known import explained
from simkernel.contract.recordings import recordings_in
from simkernel.contract.replaying import replayed
from simkernel.contract.results import Held, page, read_run
from simkernel.contract.trace import LinuxBench, SimBench, read_traces, write_traces
from simkernel.foreign import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from simkernel.contract.compare import Difference
    from simkernel.contract.known import Known
    from simkernel.contract.program import Program
    from simkernel.contract.trace import Bench

__all__ = ["compare", "random_programs", "replay", "results", "run"]

_SHOWN = 10
_OFTEN = 50
"""How often each refusal and each change of readiness should be reached by 100,000 random steps."""


def random_programs(seed: int, *, steps: int | None = None) -> Iterator[tuple[str, Program]]:
    """Random programs, named by seed and number; the same seed gives the same ones.

    Args:
        seed: of the whole batch.
        steps: end when they have had so many steps in all; by default never.
    """
    done = 0
    for number in itertools.count():
        if steps is not None and done >= steps:
            return
        program = random_program(random.Random(f"{seed}/{number}"))
        done += len(program.steps)
        yield f"random/{seed}/{number}", program


def _programs(chosen: argparse.Namespace, seed: int | None, steps: int | None) -> Iterator[tuple[str, Program]]:
    if chosen.corpus is not None:
        yield from programs_in(chosen.corpus)
    if seed is not None:
        yield from random_programs(seed, steps=steps)


def run(chosen: argparse.Namespace) -> int:
    """Writes traces."""
    if chosen.corpus is None and chosen.random is None:
        raise ValueError("nothing to run: give --corpus DIR, or --random SEED with --steps N")
    if chosen.random is not None and chosen.steps is None:
        raise ValueError("--random needs --steps N")
    bench: Bench = LinuxBench() if chosen.kernel == "linux" else SimBench(release=chosen.release)
    try:
        programs = _programs(chosen, chosen.random, chosen.steps)
        count = write_traces(chosen.out, bench.machine, (bench.trace(name, program) for name, program in programs))
    finally:
        bench.close()
    sys.stdout.write(f"{chosen.out}: {count} programs on {bench.machine.arm} {bench.machine.release}\n")
    return 0


def replay(chosen: argparse.Namespace) -> int:
    """Runs recorded programs on the simulated kernel."""
    different = 0
    for path in chosen.files:
        machine, traces = read_traces(path)
        done = replayed(machine, traces)
        found = [f"{name}: {difference}\n" for name, difference in done.unexplained]
        sys.stdout.write(f"{path}: {plain(machine.arm)} {plain(machine.release)}, {done}\n")
        sys.stdout.writelines(map(plain, found if chosen.all else found[:_SHOWN]))
        different += len(found)
    return 1 if different else 0


def results(chosen: argparse.Namespace) -> int:
    """Writes the page of results."""
    held = []
    for path in recordings_in(chosen.recordings):
        machine, found = read_traces(path)
        traces = list(found)
        held.append(Held(machine, traces, replayed(machine, traces)))
        sys.stdout.write(f"{path}: {held[-1].replay}\n")
    runs = [read_run(path) for path in sorted(chosen.runs.glob("*.json"))]
    chosen.out.write_text(plain(page(held, runs)), encoding="utf-8")
    return 1 if any(each.replay.unexplained for each in held) else 0


def compare(chosen: argparse.Namespace) -> int:
    """Runs programs on both kernels until they differ."""
    random_wanted = chosen.seconds is not None or chosen.steps is not None
    if chosen.corpus is None and not random_wanted:
        raise ValueError("nothing to compare: give --corpus DIR, --seconds N or --steps N")
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1 << 32)
    with Pair() as pair:
        hunt = _Comparison(pair, chosen, seed)
        hunt.go(_programs(chosen, seed if random_wanted else None, chosen.steps))
        hunt.report()
    return 1 if hunt.found else 0


class _Comparison:
    def __init__(self, pair: Pair, chosen: argparse.Namespace, seed: int) -> None:
        self.pair = pair
        self.chosen = chosen
        self.seed = seed
        self.coverage = Coverage()
        self.found: dict[str, tuple[str, Difference]] = {}
        self.times: dict[str, int] = {}
        self.known: Counter[Known] = Counter()
        self.programs = self.steps = 0
        self.began = time.monotonic()

    def go(self, programs: Iterator[tuple[str, Program]]) -> None:
        """Until time is up, programs are, or a difference is found and one is enough."""
        for name, program in programs:
            if self.chosen.seconds is not None and time.monotonic() - self.began > self.chosen.seconds:
                return
            self.one(name, program)
            if self.found and not self.chosen.keep_going:
                return

    def one(self, name: str, program: Program) -> None:
        """Runs one; shrinks a difference of a kind that is new."""
        self.pair(program)
        found = differences(program, self.pair.outcomes, self.pair.answers)
        findings = explained(name, self.pair.real.machine.release, found)
        self.programs += 1
        self.steps += len(program.steps)
        self.coverage.add(program, self.pair.outcomes)
        if sys.stderr.isatty() and not self.programs % 20:
            sys.stderr.write(f"\r{self.steps} steps, {len(self.found)} kinds of difference ")
        self.known.update(findings.known)
        difference = findings.unexplained
        if difference is None:
            return
        self.times[difference.kind] = self.times.get(difference.kind, 0) + 1
        if difference.kind not in self.found:
            smallest, _ = shrunk(difference, self.pair)
            self.found[difference.kind] = (name, smallest)

    def report(self) -> None:
        """To standard output."""
        if self.chosen.json:
            sys.stdout.write(json.dumps(self.as_data(), indent=1) + "\n")
            return
        machine = self.pair.real.machine
        for kind, (name, difference) in self.found.items():
            sys.stdout.write(f"{name}, the first of {self.times[kind]}: {difference}\n\n{as_test(difference)}\n")
        rare = "".join(f"\n  {operation}: {result}, {times}" for operation, result, times in self.coverage.rare(_OFTEN))
        sys.stdout.write(f"{self.coverage}\n\nreached less than {_OFTEN} times:{rare or ' nothing'}\n\n")
        sys.stdout.write(
            f"linux {machine.release} and simulated {self.pair.simulated.machine.release}, seed {self.seed}: "
            f"{self.programs} programs, {self.steps} steps in {time.monotonic() - self.began:.0f} s, "
            f"{sum(self.times.values())} programs differ in {len(self.found)} ways, {self.known.total()} as known\n"
        )

    def as_data(self) -> dict[str, Any]:
        """The same for machines."""
        found = [
            {
                "name": name,
                "kind": kind,
                "programs": self.times[kind],
                "program": str(difference.program),
                "step": difference.at,
                "where": difference.where,
                "linux": difference.real,
                "simulated": difference.simulated,
            }
            for kind, (name, difference) in self.found.items()
        ]
        return {
            "release": self.pair.real.machine.release,
            "seed": self.seed,
            "programs": self.programs,
            "steps": self.steps,
            "differences": found,
            "known": {known.programs: times for known, times in self.known.items()},
            "coverage": self.coverage.as_data(),
        }
