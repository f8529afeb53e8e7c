"""What a watermark is worth: a paced producer, and a reader that is woken by each record, or by more and more bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmarks.measuring import Figure, Outcome, Run, Skipped, UnavailableError, figure, ratio
from benchmarks.processes import Finished, Starting, python_reader, read_live, two_cpus
from benchmarks.readers import GETPPID, Setting
from perfring import LinuxKernel, SessionBuilder, TracepointEvents, ring_data_bytes, watermark_verdict
from perfring.record_sizes import RecordSizes

PAGES = 64
GAP_NS = 200_000
"""5,000 records a second: a reader that is woken for each of them keeps up with it."""
CALLS = 25_000
"""More than five times the largest safe watermark."""
MOST_ROUNDS = 5
AT_LEAST_CHEAPER = 20.0
_FIRST, _LAST = "one record", "the largest safe"


class Contender(NamedTuple):
    """One reader, and how many times less CPU time per record the largest safe watermark must cost it."""

    name: str
    start: Starting
    at_least_cheaper: float | None = None


CONTENDERS = (
    Contender("perfring columns", python_reader("columns"), AT_LEAST_CHEAPER),
    Contender("perfring records", python_reader("records")),
)


def watermarks() -> dict[str, int]:
    """Those that are compared, in bytes by name, the smallest first."""
    size, kernel = ring_data_bytes(PAGES), LinuxKernel()
    plan = SessionBuilder().with_tracepoint_events(TracepointEvents(GETPPID)).plan(kernel)
    sizes = RecordSizes.of(plan.events, kernel)
    both = (sizes.smallest, sizes.largest)
    safe = watermark_verdict(PAGES, 1, record_bytes=both, lost_bytes=sizes.lost).largest_safe
    return {_FIRST: 1, "an eighth": size // 8, "a half": size // 2, _LAST: safe}


def figures(run: Run, contenders: Sequence[Contender] = CONTENDERS) -> Iterator[Outcome]:
    """Wakeups, CPU time and latency of each watermark."""
    try:
        cpus = two_cpus()
        compared = watermarks()
    except UnavailableError as missing:
        yield Skipped("watermark", str(missing))
        return
    if run.short:
        compared = {name: bytes_ for name, bytes_ in compared.items() if name in (_FIRST, _LAST)}
    for contender in contenders:
        yield from _each(contender, Setting(*cpus, PAGES), compared, run)


def _each(contender: Contender, setting: Setting, compared: dict[str, int], run: Run) -> Iterator[Outcome]:
    calls, gap, rounds = (500, 20_000, 1) if run.short else (CALLS, GAP_NS, min(run.rounds, MOST_ROUNDS))
    ends: dict[str, list[tuple[Finished, Finished]]] = {name: [] for name in compared}
    for number in range(rounds):
        for name, watermark in compared.items():
            run.say(f"watermark: {contender.name}, {name}, round {number + 1}")
            counting = replace(setting, watermark=watermark)
            timing = replace(counting, latencies=True)
            counted, timed = (read_live(contender.start, each, calls, gap_ns=gap) for each in (counting, timing))
            ends[name].append((counted, timed))
    for name, found in ends.items():
        yield from _figures_of(f"{contender.name}, {name}", found)
    costs = {name: [_cpu_us(counted) for counted, _ in found] for name, found in ends.items()}
    text = f"{contender.name}: CPU at one record / at the largest safe"
    yield ratio(text, costs[_FIRST], costs[_LAST], at_least=contender.at_least_cheaper)


def _figures_of(name: str, found: Sequence[tuple[Finished, Finished]]) -> Iterator[Figure]:
    per_thousand = [counted.read.wakeups / counted.read.records * 1e3 for counted, _ in found]
    yield figure(f"{name}: wakeups per 1,000 records", per_thousand, "")
    yield figure(f"{name}: reader CPU per record", [_cpu_us(counted) for counted, _ in found], "us")
    for percent in ("p50", "p99"):
        yield figure(f"{name}: latency {percent}", [timed.read.latencies[percent] / 1e3 for _, timed in found], "ms")


def _cpu_us(finished: Finished) -> float:
    """From "ready" to the end: start-up is not in it."""
    return finished.read.seconds / finished.read.records * 1e6
