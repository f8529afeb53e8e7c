"""The seed of the project, in virtual time: a watermark that the ring cannot pass is silence, and is told as such."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from perfring import abi
from perfring.kernel import Mapping
from simkernel import Deadlock, RingBuffer, SimKernel, Writer
from simkernel.workload import constant

PAGE = 4096
POLLIN = 1


@contextmanager
def waiting_reader(kernel: SimKernel, watermark: int) -> Iterator[tuple[int, Mapping]]:
    """A ring of one page on whatever happens on CPU 0, watched by a reader that only waits."""
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_SOFTWARE,
        config=abi.PERF_COUNT_SW_DUMMY,
        comm=True,
        watermark=True,
        wakeup_watermark=watermark,
    )
    fd = kernel.perf_event_open(attr, -1, 0)
    ring = kernel.mmap(fd, 2 * PAGE)
    yield fd, ring
    ring.close()
    kernel.close(fd)


@pytest.fixture
def kernel() -> SimKernel:
    return SimKernel(capabilities=frozenset({"CAP_PERFMON", "CAP_IPC_LOCK"}))


@pytest.mark.parametrize("watermark", [PAGE, PAGE + 1, 2 * PAGE])
def test_a_watermark_of_the_ring_is_a_deadlock_when_the_workload_ends(kernel: SimKernel, watermark: int) -> None:
    kernel.spawn(constant(1000, act=lambda actor: actor.rename("renamed"), count=500), cpu=0)
    with waiting_reader(kernel, watermark) as (fd, _), pytest.raises(Deadlock, match="ring of 4096 bytes"):
        kernel.poll([(fd, POLLIN)])


def test_it_is_one_also_under_a_workload_that_never_ends(kernel: SimKernel) -> None:
    kernel.spawn(constant(1000, act=lambda actor: actor.rename("renamed")), cpu=0)
    with waiting_reader(kernel, PAGE) as (fd, _), pytest.raises(Deadlock, match="ring of 4096 bytes"):
        kernel.poll([(fd, POLLIN)])


def test_a_watermark_that_the_records_can_pass_wakes(kernel: SimKernel) -> None:
    kernel.spawn(constant(1000, act=lambda actor: actor.rename("renamed")), cpu=0)
    with waiting_reader(kernel, PAGE - 9 - 24) as (fd, ring):
        assert kernel.poll([(fd, POLLIN)]) == [(fd, POLLIN)]
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) > PAGE - 9 - 24


@pytest.mark.parametrize(("watermark", "woken"), [(PAGE - 9, True), (PAGE - 8, False)])
def test_records_of_8_bytes_pass_a_watermark_9_below_the_ring_and_no_higher_one(watermark: int, woken: bool) -> None:
    ring, writer = RingBuffer(PAGE, watermark=watermark), Writer()
    while ring.output(writer, b"\0" * 6 + b"\x08\0"):
        pass
    assert bool(ring.take_latch()) is woken
