"""The same bad day of a simulated machine, once with records and once with columns: both survive it alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

import pytest

from perfring import engine
from perfring.batch import Batch
from perfring.builder import SessionBuilder
from perfring.events import KernelEvents, TracepointEvents
from perfring.records import Record
from perfring.session import Session
from perfring.statistics import SessionStatistics
from simkernel import Actor, SimKernel
from simkernel.damage import Damage, flipped, scrambled, size_past_head, size_zero, torn, unknown_id, unknown_type
from simkernel.faults import corrupt_records, delay_wakeups, drop_wakeups, slow
from simkernel.rules import Rule
from simkernel.workload import constant
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same
from tests.unit._simulated import GETPPID, SAMPLE_BYTES, machine, watching

Outcome: TypeAlias = tuple[list[Record], list[str], SessionStatistics]


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


def read(session: Session, batches: Iterator[Batch], columns: bool) -> list[Record]:
    found = []
    for batch in batches:
        if columns and batch:
            assert_columns_say_the_same(batch)  # type: ignore[arg-type]
        found += list(batch)
    return found


def with_columns(builder: SessionBuilder, columns: bool) -> SessionBuilder:
    return builder.with_columns() if columns else builder


# Damage.


def damaged(damage: Damage, *, columns: bool, mixed: bool = False) -> Outcome:
    """Five samples, the third of them damaged, and two more: what is delivered, told and counted."""
    kernel = machine()
    actor = kernel.actor()
    errors: list[str] = []
    builder = with_columns(watching(actor, pages=8 if mixed else 1).with_target_cpu(0), columns)
    if mixed:
        builder = builder.with_kernel_events(KernelEvents())
    with builder.build(kernel) as session:
        session.on_error(lambda error, record: errors.append(str(error)))
        session.enable()
        with kernel.rules.installed(corrupt_records(damage, nth=3)):
            actor.getppid(2)
            if mixed:
                actor.rename("damaged")
            actor.getppid(3)
        found = list(session.records(duration=0))
        actor.getppid(2)
        found += list(session.records(duration=0))
    return found, errors, session.statistics()


DAMAGES = {
    "size zero": size_zero,
    "size past head": size_past_head,
    "unknown id": unknown_id,
    "unknown type": unknown_type,
    "torn": torn,
    "another id": flipped(70, 130),
    "a size that is no multiple of 8": flipped(48),
    "one word less": flipped(51),
    "the time": flipped(255),
    "the length of the raw data": flipped(258),
}


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_told_and_counted_as_with_records(damage: Damage, mixed: bool) -> None:
    assert damaged(damage, columns=True, mixed=mixed) == damaged(damage, columns=False, mixed=mixed)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_bits_are_flipped_both_say_the_same(seed: int) -> None:
    with_objects = damaged(scrambled(Random(seed), bits=4), columns=False, mixed=bool(seed % 2))
    assert damaged(scrambled(Random(seed), bits=4), columns=True, mixed=bool(seed % 2)) == with_objects


def test_a_bad_record_is_told_with_its_place_and_the_other_rows_are_intact() -> None:
    found, (error,), counts = damaged(unknown_id, columns=True)
    assert "cpu 0, byte 112: type 9, size 56: a sample of event id 16045725885737590445, which is not known" in error
    assert [record.position // SAMPLE_BYTES for record in found] == [0, 1, 3, 4, 5, 6]
    assert (counts.bad_records, counts.rings[0].skipped_bytes, counts.records) == (1, SAMPLE_BYTES, 6)


# Order over CPUs, losses, and late wakeups.


def busy(kernel: SimKernel) -> list[Actor]:
    """One task on each CPU, and CPU 1 three times as fast."""
    return [kernel.spawn(constant(24_000 if cpu else 8000, count=600), cpu=cpu) for cpu in (0, 1)]


def ran(columns: bool, seed: int, rule: Callable[[], Rule] | None, *, budget: int | None = None) -> Outcome:
    kernel = machine(seed=seed)
    events = TracepointEvents(GETPPID).add("syscalls:sys_exit_getppid")
    builder = with_columns(watching(*busy(kernel)).replace_tracepoint_events(events), columns)
    builder = builder.with_drain_budget(budget or 1 << 16)
    errors: list[str] = []
    with builder.build(kernel) as session:
        session.on_error(lambda error, record: errors.append(str(error)))
        session.enable()
        if rule is None:
            found = read(session, session.batches(), columns)
        else:
            with kernel.rules.installed(rule()):
                found = read(session, session.batches(), columns)
    return found, errors, session.statistics()


RULES: dict[str, Callable[[], Rule] | None] = {
    "a good day": None,
    "a reader that is slow": lambda: slow("epoll_wait", 10_000_000),
    "a wakeup that is late": lambda: delay_wakeups(5_000_000, times=1),
    "a wakeup that never comes": drop_wakeups,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_two_cpus_deliver_lose_and_count_the_same(rule: Callable[[], Rule] | None, seed: int) -> None:
    found, errors, counts = ran(True, seed, rule)
    assert (found, errors, counts) == ran(False, seed, rule)
    assert found
    assert [record.time for record in found] == sorted(record.time or 0 for record in found)


def test_losses_are_counted_by_their_records() -> None:
    _, _, counts = ran(True, 0, RULES["a reader that is slow"])
    assert sum(ring.lost_reported for ring in counts.rings) > 0
    assert counts.lost > 0


def test_what_is_held_back_for_another_cpu_comes_in_its_turn() -> None:
    kernel = machine()
    one, two = kernel.actor(0), kernel.actor(1)
    builder = watching(one, two, pages=64, watermark=1 << 16).with_columns().with_drain_budget(1)
    with builder.build(kernel) as session:
        session.enable()
        for _ in range(1500):  # more than a piece of 64 KiB in each ring
            one.getppid(2)
            two.getppid(2)
        session.stop()
        batches = list(session.batches())
    cpus = [cpu for batch in batches for cpu in batch.columns[GETPPID].array("cpu").tolist()]
    assert len(batches) > 2
    assert cpus == [0, 0, 1, 1] * 1500
    assert session.statistics().late == 0


def test_a_record_that_comes_late_is_delivered_and_counted() -> None:
    late = []
    for columns in (True, False):
        kernel = machine()
        one, two = kernel.actor(0), kernel.actor(1)
        with with_columns(watching(one, two), columns).build(kernel) as session:
            session.enable()
            one.getppid(2)
            session._sweeper.order._released_until = 1 << 62  # type: ignore[attr-defined]
            two.getppid(3)
            late.append((len(list(session.records(duration=0))), session.statistics().late))
    assert late == [(5, 5), (5, 5)]
