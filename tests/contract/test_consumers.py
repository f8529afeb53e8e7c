"""What `check_consumer` says of timeouts on the simulated kernel is so on the real one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from perfring import Kernel, abi
from simkernel.contract import Consumer, ConsumerSetup
from simkernel.contract.arm import Actor
from simkernel.contract.session_consumer import SessionConsumer
from tests.quality import consumers

SHORT = 0.01


class TakesATimeoutForTheEnd(consumers.TakesATimeoutForTheEnd, consumers.OpensItself):
    """The wrong one, with rings of its own."""


@pytest.fixture
def setup(perf_kernel: Kernel, actor: Actor) -> ConsumerSetup:
    number = int(perf_kernel.read_text("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/id"))
    told = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME | abi.PERF_SAMPLE_PERIOD
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_TRACEPOINT, config=number, sample_period=1, sample_type=told)
    return ConsumerSetup(perf_kernel, attr, cpus=(0,), pids=(actor.pid,), pages=1, watermark=1024, open_rings=tuple)


@pytest.mark.parametrize("make", [consumers.OpensItself, SessionConsumer])
def test_a_timeout_with_nothing_to_read_is_no_end(
    make: Callable[[ConsumerSetup], Consumer], setup: ConsumerSetup, actor: Actor
) -> None:
    with closing(make(setup)) as consumer:
        assert [consumer.read(SHORT) for _ in range(3)] == [[], [], []]
        actor.getppid(3)
        assert len(consumer.read(SHORT) or ()) == 3


def test_a_consumer_that_takes_it_for_the_end_goes_without_what_comes_then(setup: ConsumerSetup) -> None:
    with closing(TakesATimeoutForTheEnd(setup)) as consumer:
        assert [consumer.read(SHORT) for _ in range(2)] == [[], None]
