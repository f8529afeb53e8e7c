"""Time order over CPUs on the real kernel, across batches and while everything goes on."""

from __future__ import annotations

import itertools
import threading

import pytest

from perfring.batch import Batch
from perfring.builder import SessionBuilder
from perfring.events import TracepointEvents
from perfring.linux import LinuxKernel
from simkernel.contract.linux_actor import LinuxActor
from tests.session_rig import GETPPID

CALLS = 20_000


def read_two_cpus(kernel: LinuxKernel) -> tuple[list[Batch], int]:
    """Two actors that call as fast as they can, each on a CPU of its own, and one reader of both rings."""
    first, second = kernel.online_cpus()[:2]
    with LinuxActor(first) as one, LinuxActor(second) as two:
        builder = SessionBuilder().with_page_count(1024).with_wakeup_watermark(8192).with_target_pid(one.pid)
        builder = builder.with_target_pid(two.pid).with_tracepoint_events(TracepointEvents(GETPPID))
        with builder.build(kernel) as session:
            session.enable()

            def produce() -> None:
                other = threading.Thread(target=two.getppid, args=(CALLS,))
                other.start()
                one.getppid(CALLS)
                other.join()
                session.stop()

            producer = threading.Thread(target=produce)
            producer.start()
            batches = list(session.batches())
            producer.join()
            return batches, session.statistics().late


def test_records_of_two_busy_cpus_come_in_time_order(kernel: LinuxKernel) -> None:
    if len(kernel.online_cpus()) < 2:
        pytest.skip("one CPU has nothing to be put in order with")
    batches, late = read_two_cpus(kernel)
    times = [record.time or 0 for batch in batches for record in batch]
    inversions = sum(after < before for before, after in itertools.pairwise(times))
    assert len(times) == 2 * CALLS
    assert len(batches) > 1
    # A CPU that is stopped between stamp and publication comes late; whatever came late was counted.
    assert inversions <= late
