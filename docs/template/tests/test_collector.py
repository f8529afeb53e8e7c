"""Each test runs on a simulated kernel, and once more on the real one where that is permitted.

An actor is a process that does what it is told, one thing at a time: `simkernel.contract.Actor`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from callcount import Collector, collector_of

from perfring import Kernel, PermissionDenied
from simkernel import SimKernel
from simkernel.contract import Actor
from simkernel.pytest_plugin import ActorFactory

GETPPID = "syscalls:sys_enter_getppid"
SAMPLE_BYTES = 56
WATERMARK = 1024
PATIENCE = 20.0


@pytest.fixture
def actor(perf_actor: ActorFactory) -> Actor:
    return perf_actor(cpu=0)


@pytest.fixture
def collector(perf_kernel: Kernel, actor: Actor) -> Iterator[Collector]:
    with collector_of(GETPPID, pids=[actor.pid], pages=1, watermark=WATERMARK, kernel=perf_kernel) as collector:
        collector.read(timeout=0)  # the first read looks, and does not wait
        yield collector


def read_to_the_end(collector: Collector) -> None:
    while collector.read(PATIENCE) is not None:
        pass


def test_the_kernel_wakes_us_for_the_watermark(collector: Collector, actor: Actor) -> None:
    calls = WATERMARK // SAMPLE_BYTES + 1
    actor.getppid(calls)
    assert len(collector.read(PATIENCE) or ()) == calls
    assert collector.calls == {actor.pid: calls}


def test_what_lies_below_the_watermark_is_counted_in_the_end(collector: Collector, actor: Actor) -> None:
    actor.getppid(3)
    collector.stop()
    read_to_the_end(collector)
    assert collector.calls == {actor.pid: 3}


def test_every_call_is_counted_or_lost(collector: Collector, actor: Actor) -> None:
    actor.getppid(1000)  # 56,000 bytes into a ring of a page, and nobody reads
    collector.stop()
    read_to_the_end(collector)
    assert collector.lost > 0
    assert collector.calls[actor.pid] + collector.lost == 1000


def test_it_ends_with_the_process_that_it_watches(collector: Collector, actor: Actor) -> None:
    actor.getppid(5)
    actor.exit()
    read_to_the_end(collector)
    assert collector.calls == {actor.pid: 5}


@pytest.mark.sim_kernel(paranoid=2, capabilities=())
def test_who_may_not_record_is_told_what_mends_it(sim_kernel: SimKernel) -> None:
    with pytest.raises(PermissionDenied, match="To mend it: sudo"):
        collector_of(GETPPID, kernel=sim_kernel)
