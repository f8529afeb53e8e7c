"""Over CPUs: records a second from 1, 2, 4 and 8 rings fed from memory, and what an idle session costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.fedkernel import Feed
from benchmarks.images import PRIVILEGED
from benchmarks.measuring import Outcome, Run, figure, ratio, timed
from perfring import KernelEvents, Session, SessionBuilder
from simkernel import SimKernel

RINGS = (1, 2, 4, 8)
IDLE_CPUS = (1, 64, 1024)
_IDLE_SECONDS = 20.0


class Contender(NamedTuple):
    """One way to read a session: what reads all that is in its rings, and returns how many records that were."""

    name: str
    read_all: Callable[[Session], int]
    columns: bool = False


def read_records(session: Session) -> int:
    """`Session.next_batch` until it says that there is nothing more."""
    count = 0
    while batch := session.next_batch(timeout=0):
        count += len(batch)
    return count


def read_columns(session: Session) -> int:
    """The same as columns."""
    count = 0
    while batch := session.next_batch(timeout=0):
        count += sum(len(table.rows) for table in batch.columns.values())
    return count


CONTENDERS = (
    Contender("perfring records", read_records),
    Contender("perfring columns", read_columns, columns=True),
)


def figures(run: Run, contenders: Sequence[Contender] = CONTENDERS) -> Iterator[Outcome]:
    """Throughput, then idleness."""
    for contender in contenders:
        yield from _throughput(contender, run)
    yield from _idleness(run)


def _throughput(contender: Contender, run: Run) -> Iterator[Outcome]:
    feeds = {rings: Feed(rings, pages=4 if run.short else 64, columns=contender.columns) for rings in RINGS}
    speeds: dict[int, list[float]] = {rings: [] for rings in RINGS}
    run.say(f"scaling: {contender.name}, {', '.join(map(str, RINGS))} rings")
    for _ in range(1 if run.short else run.rounds):
        for rings, feed in feeds.items():
            speeds[rings].append(_speed(contender, feed, fillings=1 if run.short else max(24 // rings, 1)))
    for feed in feeds.values():
        feed.session.close()
    for rings, found in speeds.items():
        yield figure(f"{contender.name}, rings: {rings}", [each / 1e3 for each in found], "k/s")
    yield ratio(f"{contender.name}, speed at {RINGS[-1]} rings / at 1", speeds[RINGS[-1]], speeds[RINGS[0]])


def _speed(contender: Contender, feed: Feed, *, fillings: int) -> float:
    """Records in a second of CPU time, the filling of the rings not counted."""
    seconds, read = 0.0, 0
    for _ in range(fillings):
        feed.fill()
        begin = time.process_time()
        read += contender.read_all(feed.session)
        seconds += time.process_time() - begin
    if read != fillings * feed.records:
        raise AssertionError(f"{contender.name} read {read} records of {fillings * feed.records}")
    return read / seconds


def _idleness(run: Run) -> Iterator[Outcome]:
    """A latency bound expires in each second, and all rings are looked at. The simulated kernel is in it."""
    for cpus in IDLE_CPUS:
        run.say(f"scaling: an idle session of {cpus} CPUs")
        taken = [_idle_ms(cpus, 1.0 if run.short else _IDLE_SECONDS) for _ in range(1 if run.short else run.rounds)]
        yield figure(f"an idle second of a session, simulated CPUs: {cpus}", taken, "ms")


def _idle_ms(cpus: int, seconds: float) -> float:
    builder = SessionBuilder().with_page_count(1).with_max_latency(1.0).with_kernel_events(KernelEvents())
    with builder.build(SimKernel(cpus=cpus, capabilities=PRIVILEGED)) as session:
        session.enable()
        return timed(lambda: session.parse_for_duration(seconds)) / seconds * 1e3
