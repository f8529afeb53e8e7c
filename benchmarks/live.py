"""Live: a C producer at full speed on one CPU, a reader on another: what a record costs the reader, and what it loses.

The cost is marginal, between two lengths of run, and without starting and ending an interpreter, or perf. A record is
one that was delivered; only ``perf record`` with /dev/null does not tell how many those were, so that there it is one
that was produced: what it lost makes it look cheaper than it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import Length, Outcome, Run, Skipped, UnavailableError, figure, marginal_ns, ratio
from benchmarks.processes import Finished, Running, Starting, perf_record, python_reader, read_live, two_cpus
from benchmarks.readers import Setting
from perfring.engine import is_built

PAGES = (8, 64, 512)
SHORT_CALLS, LONG_CALLS = 500_000, 4_500_000
MOST_ROUNDS = 7
"""Of seven, with all sizes of ring, it was six minutes in all."""
PERF = "perf record, to /dev/null"


class Contender(NamedTuple):
    """One reader.

    Attributes:
        name: as the table calls it.
        start: starts it.
        times_perf: what it may cost at most, in times what ``perf record`` does.
        lossless_from: the pages from which on it must lose nothing.
    """

    name: str
    start: Starting
    times_perf: float | None = None
    lossless_from: int | None = None


def _columns(engine: str) -> Starting:
    start = python_reader("columns", environment={"PERFRING_ENGINE": engine})

    def checked(setting: Setting) -> Running:
        if engine == "compiled" and not is_built():
            raise UnavailableError("perfring was installed without its compiled engine")
        return start(setting)

    return checked


CONTENDERS = (
    Contender(PERF, perf_record()),
    Contender("perfring columns, compiled", _columns("compiled"), times_perf=2.0, lossless_from=64),
    Contender("perfring columns, Python", _columns("python"), lossless_from=512),
    Contender("perfring records", python_reader("records")),
    Contender("plain Python struct loop", python_reader("plain")),
)


class Pair(NamedTuple):
    """A short and a long run of one contender.

    Attributes:
        short: the short one.
        long: the long one.
        calls: how many calls the producer made in each.
    """

    short: Finished
    long: Finished
    calls: tuple[int, int]

    def marginal_ns(self) -> float:
        """Nanoseconds for a record. Raises ValueError: the runs are too short to tell.

        A reader that does not know what it read is taken to have read all that was produced.
        """
        short, long = self.short.read.records or self.calls[0], self.long.read.records or self.calls[1]
        return marginal_ns(Length(self.short.cpu, short), Length(self.long.cpu, long))

    def lost_percent(self) -> float:
        """What the long run lost, of what was produced."""
        return self.long.read.lost / self.calls[1] * 100


def figures(run: Run, contenders: Sequence[Contender] = CONTENDERS) -> Iterator[Outcome]:
    """Each contender at each size of ring."""
    try:
        cpus = two_cpus()
    except UnavailableError as missing:
        yield Skipped("live", str(missing))
        return
    for pages in (PAGES[1],) if run.short else PAGES:
        yield from _at(Setting(*cpus, pages), run, contenders)


def _at(setting: Setting, run: Run, contenders: Sequence[Contender]) -> Iterator[Outcome]:
    pairs: dict[str, list[Pair]] = {contender.name: [] for contender in contenders}
    refused: dict[str, str] = {}
    for number in range(1 if run.short else min(run.rounds, MOST_ROUNDS)):
        for contender in contenders:
            if contender.name not in refused:
                run.say(f"live: {setting.pages} pages, round {number + 1}, {contender.name}")
                try:
                    pairs[contender.name].append(_pair(contender, setting, run))
                except UnavailableError as missing:
                    refused[contender.name] = str(missing)
    costs: dict[str, list[float]] = {}
    for contender in contenders:
        if contender.name in refused:
            yield Skipped(f"{setting.pages} pages: {contender.name}", refused[contender.name])
        else:
            yield from _figures_of(contender, setting, pairs[contender.name], costs)
    for contender in contenders:
        if contender.name != PERF and contender.name in costs and PERF in costs:
            name = f"{setting.pages} pages: {contender.name} / perf record"
            yield ratio(name, costs[contender.name], costs[PERF], at_most=contender.times_perf)
    if not run.short and PERF not in refused:
        yield _losses_of_perf(setting)


def _pair(contender: Contender, setting: Setting, run: Run) -> Pair:
    calls = (10_000, 50_000) if run.short else (SHORT_CALLS, LONG_CALLS)
    short, long = (read_live(contender.start, setting, each) for each in calls)
    return Pair(short, long, calls)


def _figures_of(
    contender: Contender, setting: Setting, pairs: Sequence[Pair], costs: dict[str, list[float]]
) -> Iterator[Outcome]:
    name = f"{setting.pages} pages: {contender.name}"
    try:
        costs[contender.name] = [pair.marginal_ns() for pair in pairs]
    except ValueError as error:
        yield Skipped(name, str(error))
        return
    yield figure(f"{name}, CPU per record", costs[contender.name], "ns")
    yield figure(f"{name}, wakeups", [pair.long.read.wakeups for pair in pairs], "")
    if contender.name != PERF:
        kept = contender.lossless_from is not None and setting.pages >= contender.lossless_from
        yield figure(f"{name}, lost", [pair.lost_percent() for pair in pairs], "%", at_most=0.0 if kept else None)


def _losses_of_perf(setting: Setting) -> Outcome:
    """What perf loses shows only in a file, so one more run writes one."""
    name = f"{setting.pages} pages: perf record, to a file, lost"
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        finished = read_live(perf_record(f"{directory}/perf.data"), setting, SHORT_CALLS)
    return figure(name, [max(100 - finished.read.records / SHORT_CALLS * 100, 0.0)], "%")
