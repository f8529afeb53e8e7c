"""What read(2) tells of groups whose events children have inherited."""

from __future__ import annotations

import errno
import struct

import pytest

from perfring import abi
from simkernel import SimKernel
from simkernel.actor import Actor


@pytest.fixture
def kernel() -> SimKernel:
    return SimKernel(capabilities={"CAP_PERFMON"})


@pytest.fixture
def actor(kernel: SimKernel) -> Actor:
    return kernel.actor(0)


def opened(kernel: SimKernel, actor: Actor, group: int = -1, *, config: int = abi.PERF_COUNT_SW_DUMMY) -> int:
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=config, inherit=True)
    attr.read_format = abi.PERF_FORMAT_GROUP | abi.PERF_FORMAT_LOST
    return kernel.perf_event_open(attr, actor.pid, 0, group)


def test_a_group_that_grew_after_a_fork_cannot_be_read(kernel: SimKernel, actor: Actor) -> None:
    leader = opened(kernel, actor)
    actor.fork()
    opened(kernel, actor, leader)
    with pytest.raises(OSError) as refused:
        kernel.read(leader, 4096)
    assert refused.value.errno == errno.ECHILD


def test_a_group_can_be_read_again_when_the_child_is_gone(kernel: SimKernel, actor: Actor) -> None:
    leader = opened(kernel, actor)
    child = actor.fork()
    opened(kernel, actor, leader)
    child.exit()
    assert struct.unpack("=5Q", kernel.read(leader, 4096))[0] == 2


def test_a_group_that_grew_before_the_fork_is_counted_with_its_children(kernel: SimKernel, actor: Actor) -> None:
    leader = opened(kernel, actor, config=abi.PERF_COUNT_SW_PAGE_FAULTS)
    opened(kernel, actor, leader)
    actor.fork().touch_pages(3)
    assert struct.unpack("=5Q", kernel.read(leader, 4096)) == (2, 3, 0, 0, 0)
