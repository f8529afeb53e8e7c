"""Whole sessions in simulated machines: what is delivered, when, and whether the counts are those of the world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TypeAlias

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perfring import abi
from perfring.errors import WatermarkError
from perfring.records import Record
from perfring.session import Session
from perfring.sideband import Lost
from perfring.statistics import SessionStatistics
from simkernel import Actor, Deadlock, SimKernel
from simkernel.workload import constant
from tests.hypothesis_profiles import examples
from tests.property._world import World, buffers, numbers, worlds

POLLIN = 1
CALLS = 16
STACK = 1024

Policy: TypeAlias = Callable[[Session, SimKernel], list[Record]]
"""Reads until nothing new happens, or as long as it likes."""


def wait_only(session: Session, kernel: SimKernel) -> list[Record]:
    """Does nothing but wait, until that would be for ever: then the world has ended, or nobody will wake it."""
    found: list[Record] = []
    with suppress(Deadlock):
        while True:
            found += session.next_batch()
    return found


def drains_on_a_timer(session: Session, kernel: SimKernel) -> list[Record]:
    found: list[Record] = []
    for _ in range(30):
        kernel.sleep(0.005)
        found += session.next_batch(timeout=0)
    return found


def comes_late(session: Session, kernel: SimKernel) -> list[Record]:
    kernel.sleep(0.02)
    return wait_only(session, kernel)


def takes_a_few_at_a_time(session: Session, kernel: SimKernel) -> list[Record]:
    found: list[Record] = []
    while few := list(islice(session.records(duration=0.05), 7)):
        found += few
    return found


def is_called_back(session: Session, kernel: SimKernel) -> list[Record]:
    found: list[Record] = []
    session.on("*", found.append)
    for _ in range(10):
        session.parse_for_duration(0.003)
        session.parse_all()
    return found


def is_paused_at_times(session: Session, kernel: SimKernel) -> list[Record]:
    found: list[Record] = []
    for turn in range(20):
        pause_all(session, kernel, turn % 2 == 1)
        found += session.next_batch(timeout=0.004)
    return found


POLICIES = st.sampled_from(
    [wait_only, drains_on_a_timer, comes_late, takes_a_few_at_a_time, is_called_back, is_paused_at_times]
)


def the_rest(session: Session) -> list[Record]:
    """Ends the recording, and reads what is left."""
    session.stop()
    return [record for batch in session.batches() for record in batch]


@dataclass(frozen=True)
class Told:
    """What came of it: all records, the session's counts, and the kernel's own, by CPU."""

    records: list[Record]
    statistics: SessionStatistics
    written: dict[int, int]
    refused: dict[int, int]


def everything(world: World, policy: Policy) -> Told:
    kernel = world.start()
    with world.session(kernel) as session:
        records = policy(session, kernel)
        records += the_rest(session)
        rings = buffers(kernel)
        written = {cpu: ring.head for cpu, ring in rings.items()}
        refused = {cpu: ring.refused for cpu, ring in rings.items()}
    return Told(records, session.statistics(), written, refused)


# Who reads, and what he gets.


@given(worlds(), POLICIES)
def test_delivered_and_lost_are_what_was_produced(world: World, policy: Policy) -> None:
    told = everything(world, policy)
    samples = Counter(record.cpu for record in told.records if record.kind == "sample")
    lost = {ring.cpu: ring.lost for ring in told.statistics.rings}
    assert {cpu: samples[cpu] + lost[cpu] for cpu in world.cpus} == {cpu: world.produced(cpu) for cpu in world.cpus}


@given(worlds(), POLICIES)
def test_order_is_kept_on_each_cpu_and_over_all(world: World, policy: Policy) -> None:
    told = everything(world, policy)
    for cpu in world.cpus:
        assert is_ascending(numbers(told.records, cpu))
        assert is_ascending([record.position for record in told.records if record.cpu == cpu])
    times = [record.time or 0 for record in told.records]
    assert times == sorted(times)
    assert told.statistics.late == 0


@given(worlds(), POLICIES)
def test_statistics_agree_with_the_world(world: World, policy: Policy) -> None:
    told = everything(world, policy)
    for ring in told.statistics.rings:
        mine = [record for record in told.records if record.cpu == ring.cpu]
        assert (ring.records, ring.bytes) == (len(mine), told.written[ring.cpu])
        assert ring.lost == ring.lost_counted == told.refused[ring.cpu]
        assert ring.lost_reported == sum(record.lost for record in mine if isinstance(record, Lost))
        assert ring.spurious_wakeups <= ring.wakeups <= world.signals[ring.cpu]
        assert max((record.size for record in mine), default=0) <= ring.highest_fill <= world.ring_bytes - 8
        assert (ring.bad_records, ring.skipped_bytes, ring.unread_bytes) == (0, 0, 0)
    assert (told.statistics.undelivered, told.statistics.callback_errors) == (0, 0)


@given(worlds(), POLICIES)
@examples(30)
def test_the_same_seed_gives_the_same_records(world: World, policy: Policy) -> None:
    first, second = (everything(world, policy) for _ in range(2))
    assert [record.to_dict() for record in first.records] == [record.to_dict() for record in second.records]
    assert first.statistics == second.statistics


@given(worlds(mixes=st.just({})))
@examples(50)
def test_a_session_of_tasks_ends_by_itself_and_leaves_nothing_behind(world: World) -> None:
    kernel = world.start()
    with world.session(kernel, of_tasks=True) as session:
        samples = sum(record.kind == "sample" for batch in session.batches() for record in batch)
    told = session.statistics()
    assert samples + told.lost == sum(map(world.produced, world.cpus))
    assert (told.unread_bytes, told.undelivered) == (0, 0)


# The waiting reader, and the rule.


def assume_live(world: World) -> None:
    """Either `build` finds no fault in the watermark, or it does not know how small the payloads are."""
    assume(world.is_live or not world.warned)


@given(worlds())
@examples(60)
def test_where_it_is_live_the_reader_sleeps_only_over_less_than_its_watermark(world: World) -> None:
    kernel = world.start()
    with world.session(kernel) as session:
        assume_live(world)
        wait_only(session, kernel)
        assert all(ring.used <= ring.watermark for ring in buffers(kernel).values())


@given(worlds(), st.booleans())
@examples(30)
def test_where_it_is_live_the_reader_is_woken_again_whatever_was_lost(world: World, loses: bool) -> None:
    kernel = world.start()
    with world.session(kernel) as session:
        assume_live(world)
        wait_only(session, kernel)
        pause_all(session, kernel, loses)
        touch(world, kernel, 1)
        kernel.sleep(0.1)
        pause_all(session, kernel, False)
        before = world.signals.copy()
        touch(world, kernel, 1 + world.ring_bytes // (48 * CALLS))
        wait_only(session, kernel)
        assert all(world.signals[cpu] > before[cpu] for cpu in world.cpus)


def pause_all(session: Session, kernel: SimKernel, paused: bool) -> None:
    for _, fd in session.perf_fds():
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, int(paused))


def touch(world: World, kernel: SimKernel, times: int) -> None:
    """On each CPU so many times something that is sampled by all who look."""
    for cpu in world.cpus:
        kernel.spawn(constant(10_000, act=all_at_once, count=times), cpu=cpu)


def all_at_once(actor: Actor) -> None:
    actor.getppid(CALLS)
    actor.touch_pages(1)


@given(worlds(kinds=("constant",), rates=(1_000,), sleeps=(True,)))
def test_where_it_is_live_a_reader_that_keeps_up_loses_nothing(world: World) -> None:
    """It keeps up: no two events come at once, and nothing computes on its CPU while it should read."""
    del world.programs[len(world.cpus) :]
    kernel = world.start()
    with world.session(kernel) as session:
        assume_live(world)
        records = wait_only(session, kernel) + the_rest(session)
        assert session.statistics().lost == 0
    assert len(records) == sum(map(world.produced, world.cpus))


SLOW = worlds(kinds=("constant",), rates=(100,), sleeps=(True,), mixes=st.just({8: 1.0, 200: 1.0}))


@given(SLOW, st.sampled_from([0.004, 0.009]))
@examples(30)
def test_a_latency_bound_makes_every_watermark_deliver_everything(world: World, bound: float) -> None:
    """As long as no more arrives within the bound than the ring holds: here an event of each of four tasks."""
    world.sampling.pop("user_stack", None)
    world.sampling.pop("callchain", None)
    kernel = world.start()
    with world.session(kernel) as session:
        records = [record for batch in session.batches(duration=3.5, max_latency=bound) for record in batch]
        assert session.statistics().lost == 0
    assert Counter(record.cpu for record in records) == +Counter({cpu: world.produced(cpu) for cpu in world.cpus})


@given(worlds(), st.integers(0, 1 << 20))
@examples(40)
def test_a_watermark_of_the_ring_or_more_is_refused_and_would_never_have_woken(world: World, above: int) -> None:
    world.watermark = world.ring_bytes + above
    kernel = world.start()
    with pytest.raises(WatermarkError):
        world.builder().build(kernel)
    with unchecked_rings(world, kernel) as fds:
        touch(world, kernel, world.ring_bytes // STACK + 2)
        with pytest.raises(Deadlock):
            kernel.poll([(fd, POLLIN) for fd in fds])
        assert all(ring.refused for ring in buffers(kernel).values())


@contextmanager
def unchecked_rings(world: World, kernel: SimKernel) -> Iterator[list[int]]:
    """The rings that `build` refuses, opened without it."""
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_SOFTWARE,
        config=abi.PERF_COUNT_SW_PAGE_FAULTS,
        sample_period=1,
        sample_type=abi.PERF_SAMPLE_STACK_USER,
        sample_stack_user=STACK,
        watermark=True,
        wakeup_watermark=world.watermark or 0,
    )
    fds = [kernel.perf_event_open(attr, -1, cpu) for cpu in world.cpus]
    mappings = [kernel.mmap(fd, world.ring_bytes + world.page_size) for fd in fds]
    yield fds
    for mapping in mappings:
        mapping.close()
    for fd in fds:
        kernel.close(fd)


def is_ascending(numbers: list[int]) -> bool:
    return all(earlier < later for earlier, later in pairwise(numbers))
