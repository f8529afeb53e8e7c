"""What a sample costs in a real kernel: a call that a tracepoint records against one that it does not."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Outcome, Run, Skipped, UnavailableError, figure
from benchmarks.processes import two_cpus
from benchmarks.producer import Producer
from perfring import SessionBuilder, TracepointEvents

GETPPID = "syscalls:sys_enter_getppid"
CALLS = 500_000
_RING_PAGES = 8192
"""32 MiB: room for all of them, so that none takes the shorter way of a lost one."""


def figures(run: Run) -> Iterator[Outcome]:
    """Nanoseconds of a sample in the kernel underneath, with nobody reading."""
    name = "getppid sample, in the kernel of this machine"
    calls = 1_000 if run.short else CALLS
    try:
        cpu, _ = two_cpus()
        run.say("simulator: what the kernel takes for a sample")
        taken = [_difference_ns(cpu, calls) for _ in range(1 if run.short else run.rounds)]
    except UnavailableError as missing:
        yield Skipped(name, str(missing))
        return
    yield figure(name, taken, "ns")


def _difference_ns(cpu: int, calls: int) -> float:
    builder = SessionBuilder().with_page_count(_RING_PAGES).with_target_cpu(cpu)
    with Producer(cpu) as producer:
        producer.call(calls)
        without = producer.call(calls)
        with builder.with_tracepoint_events(TracepointEvents(GETPPID)).build() as session:
            session.enable()
            recorded = producer.call(calls)
    return (recorded - without) / calls
