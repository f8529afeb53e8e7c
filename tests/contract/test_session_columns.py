"""A session that delivers columns, on both kernels and both engines: as one that delivers records."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from perfring import engine
from perfring.batch import Batch, Reason
from perfring.builder import SessionBuilder
from perfring.errors import Unsupported
from perfring.events import KernelEvents, TracepointEvents
from perfring.kernel import Kernel
from perfring.records import Record, Sample
from perfring.session import Session
from simkernel import SimKernel, aio
from simkernel.contract.arm import Actor
from simkernel.pytest_plugin import ActorFactory
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same
from tests.session_rig import GETPPID, PATIENCE, SAMPLE_BYTES, kinds, watching


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


@pytest.fixture
def session(perf_kernel: Kernel, actor: Actor) -> Iterator[Session]:
    with watching(actor).with_columns().build(perf_kernel) as session:
        session.enable()
        yield session


def positions(batch: Batch) -> list[int]:
    """Where in the ring the samples of a batch were, by their columns."""
    found = batch.columns.get(GETPPID)
    return [] if found is None else found.array("position").tolist()


def told(record: Record) -> tuple[Any, ...]:
    """What two sessions that watch the same call agree on: each event has an id and a look at the clock of its own."""
    fields = record.fields if isinstance(record, Sample) else None
    return record.kind, record.pid, record.tid, record.cpu, record.position, record.size, record.event, fields


# The same as records.


def test_columns_are_what_a_session_of_records_delivers(perf_kernel: Kernel, actor: Actor, session: Session) -> None:
    with watching(actor).build(perf_kernel) as other:
        other.enable()
        actor.getppid(18)
        batch, records = session.next_batch(timeout=0), other.next_batch(timeout=0)
    assert [told(record) for record in batch] == [told(record) for record in records]
    assert_columns_say_the_same(batch)  # type: ignore[arg-type]


def test_samples_are_found_by_the_name_of_their_event(session: Session, actor: Actor) -> None:
    actor.getppid(3)
    columns = session.next_batch(timeout=0).columns
    assert list(columns) == [GETPPID]
    assert columns[GETPPID].array("pid").tolist() == [actor.pid] * 3
    assert set(columns[GETPPID].fields["__syscall_nr"].tolist()) <= {110, 173}


def test_side_band_is_found_by_its_kind(perf_kernel: Kernel, actor: Actor) -> None:
    builder = watching(actor, pages=4).with_kernel_events(KernelEvents()).with_columns()
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.rename("renamed")
        actor.getppid(1)
        batch = session.next_batch(timeout=0)
    assert batch.columns["comm"].text("comm") == ["renamed"]
    assert batch.columns["comm"].index.tolist() == [0]
    assert batch.columns[GETPPID].index.tolist() == [1]


def test_batches_deliver_every_call_once(session: Session, actor: Actor) -> None:
    actor.getppid(40)
    found = [position for batch in session.batches(duration=0) for position in positions(batch)]
    assert found == [SAMPLE_BYTES * number for number in range(40)]


def test_a_stream_delivers_columns(perf_kernel: Kernel, session: Session, actor: Actor) -> None:
    async def main() -> list[int]:
        async with asyncio.timeout(PATIENCE):
            return [position async for batch in session.stream() for position in positions(batch)]

    actor.getppid(7)
    session.stop()
    found = aio.run(perf_kernel, main()) if isinstance(perf_kernel, SimKernel) else asyncio.run(main())
    assert found == [SAMPLE_BYTES * number for number in range(7)]


def test_all_columns_come_in_time_order(perf_kernel: Kernel, perf_actor: ActorFactory) -> None:
    if len(perf_kernel.online_cpus()) < 2:
        pytest.skip("one CPU has nothing to be put in order with")
    actors = [perf_actor(cpu) for cpu in perf_kernel.online_cpus()[:2]]
    builder = SessionBuilder().with_page_count(4).with_tracepoint_events(TracepointEvents(GETPPID)).with_columns()
    for actor in actors:
        builder = builder.with_target_pid(actor.pid)
    with builder.build(perf_kernel) as session:
        session.enable()
        for number in (1, 2, 1, 3):
            for actor in actors:
                actor.getppid(number)
        session.stop()
        (batch,) = session.batches()
    columns = batch.columns[GETPPID]
    order = [(actor.pid, cpu) for number in (1, 2, 1, 3) for cpu, actor in enumerate(actors) for _ in range(number)]
    assert list(zip(columns.array("pid").tolist(), columns.array("cpu").tolist(), strict=True)) == order
    assert (columns.index.tolist(), sorted(columns.array("time"))) == (list(range(14)), list(columns.array("time")))


# Records from columns: every other way to read.


def test_records_are_made_of_columns(session: Session, actor: Actor) -> None:
    actor.getppid(3)
    found = list(session.records(duration=0))
    assert [(record.event, record.position) for record in found] == [(GETPPID, 56 * number) for number in range(3)]


def test_callbacks_are_given_records(session: Session, actor: Actor) -> None:
    seen: list[Record] = []
    session.on(GETPPID, seen.append)
    actor.getppid(4)
    assert (session.parse_all(), session.parse_all(), kinds(seen)) == (4, 0, {"sample": 4})


def test_parse_for_cpu_drains_that_ring(session: Session, actor: Actor) -> None:
    actor.getppid(4)
    assert (session.parse_for_cpu(0), session.parse_for_cpu(0)) == (4, 0)


def test_parse_until_ends_when_the_condition_holds(session: Session, actor: Actor) -> None:
    seen: list[Record] = []
    session.on("sample", seen.append)
    actor.getppid(30)
    assert session.parse_until(lambda: len(seen) >= 30) == 30


def test_parse_for_duration_drains_below_the_watermark_at_its_end(session: Session, actor: Actor) -> None:
    session.parse_all()
    actor.getppid(2)
    assert session.parse_for_duration(0.01) == 2


# What a reader leaves.


def test_what_is_left_of_a_batch_comes_first_as_columns(session: Session, actor: Actor) -> None:
    actor.getppid(5)
    for _ in session.records():
        break
    actor.getppid(2)
    first = session.next_batch(timeout=0)
    rest = session.next_batch(timeout=0)
    assert positions(first) + positions(rest) == [SAMPLE_BYTES * number for number in range(1, 7)]
    assert session.statistics().late == 0


def test_what_is_left_of_two_rings_comes_in_its_order(perf_kernel: Kernel, perf_actor: ActorFactory) -> None:
    if len(perf_kernel.online_cpus()) < 2:
        pytest.skip("one CPU has nothing to be put in order with")
    one, two = (perf_actor(cpu) for cpu in perf_kernel.online_cpus()[:2])
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents(GETPPID)).with_columns()
    with builder.with_target_pid(one.pid).with_target_pid(two.pid).build(perf_kernel) as session:
        session.enable()
        for actor in (one, two, one, two, one):
            actor.getppid(1)
        for number, _ in enumerate(session.records(duration=0)):
            if number == 1:
                break
        left = session.next_batch(timeout=0)
    assert left.columns[GETPPID].array("pid").tolist() == [one.pid, two.pid, one.pid]
    assert left.columns[GETPPID].index.tolist() == [0, 1, 2]


def test_what_is_left_comes_first_in_parse_all_and_in_parse_for_cpu(session: Session, actor: Actor) -> None:
    for parse in (session.parse_all, lambda: session.parse_for_cpu(0)):
        actor.getppid(3)
        for _ in session.records(duration=0):
            break
        actor.getppid(1)
        assert parse() == 3


# Announcements, losses, counts.


def test_the_kernel_wakes_the_reader(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(30)
    batch = session.next_batch(timeout=PATIENCE)
    assert (batch.reason, len(batch), len(batch.columns[GETPPID])) == (Reason.WAKEUP, 30, 30)


def test_a_timeout_delivers_the_data_first_and_then_says_so_once(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(3)
    first, second = (session.next_batch(timeout=0) for _ in range(2))
    assert [(len(batch), batch.reason) for batch in (first, second)] == [(3, Reason.TIMEOUT), (0, Reason.TIMEOUT)]


def test_an_announcement_has_columns_and_they_are_empty(session: Session, actor: Actor) -> None:
    batch = session.next_batch(timeout=0)
    assert (dict(batch.columns), list(batch.others), list(batch), batch.to_arrow()) == ({}, [], [], {})


def test_flush_is_announced_behind_the_data(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(3)
    session.flush()
    first, second = (session.next_batch(timeout=PATIENCE) for _ in range(2))
    assert [(len(batch), batch.reason) for batch in (first, second)] == [(3, Reason.FLUSH), (0, Reason.FLUSH)]


def test_stop_delivers_the_rest_and_ends(session: Session, actor: Actor) -> None:
    actor.getppid(5)
    session.stop()
    assert [len(batch.columns[GETPPID]) for batch in session.batches()] == [5]
    assert session.next_batch().reason is Reason.END


def test_losses_that_a_record_tells_of_are_counted(session: Session, actor: Actor) -> None:
    actor.getppid(100)  # 4096 bytes hold 73
    session.next_batch(timeout=0)
    actor.getppid(1)
    batch = session.next_batch(timeout=0)
    counts = session.statistics()
    assert batch.columns["lost"].array("lost").tolist() == [27]
    assert (counts.records, counts.lost, counts.rings[0].lost_reported) == (75, 27, 27)


def test_fill_bytes_and_records_are_counted(session: Session, actor: Actor) -> None:
    actor.getppid(10)
    session.next_batch(timeout=0)
    actor.getppid(2)
    session.next_batch(timeout=0)
    (ring,) = session.statistics().rings
    assert (ring.highest_fill, ring.bytes, ring.records) == (10 * SAMPLE_BYTES, 12 * SAMPLE_BYTES, 12)


def test_what_was_taken_and_not_delivered_is_counted(session: Session, actor: Actor) -> None:
    actor.getppid(5)
    for _ in session.records():
        break
    assert session.statistics().undelivered == 4
    session.close()
    assert session.statistics().undelivered == 4


def test_a_tracepoint_can_be_added_while_the_session_runs(session: Session, actor: Actor) -> None:
    actor.getppid(1)
    before = session.next_batch(timeout=0)
    session.add_tracepoint("syscalls:sys_exit_getppid")
    actor.getppid(2)
    batch = session.next_batch(timeout=0)
    assert (list(before.columns), len(batch.columns)) == ([GETPPID], 2)
    assert batch.columns[GETPPID].index.tolist() == [0, 2]
    assert batch.columns["syscalls:sys_exit_getppid"].index.tolist() == [1, 3]
    assert_columns_say_the_same(batch)  # type: ignore[arg-type]


def test_what_was_taken_before_and_after_a_tracepoint_was_added_is_one_batch(session: Session, actor: Actor) -> None:
    actor.getppid(3)
    for _ in session.records():
        break
    session.add_tracepoint("syscalls:sys_exit_getppid")
    actor.getppid(1)
    left, batch = session.next_batch(timeout=0), session.next_batch(timeout=0)
    every = [positions(left), positions(batch)]
    assert [len(left) + len(batch), *map(len, every)] in ([4, 2, 1], [4, 3, 0])


# A budget, and rings beyond it.


@pytest.mark.parametrize("budget", [1, 1 << 16])
def test_a_drain_budget_cuts_batches_and_loses_nothing(perf_kernel: Kernel, actor: Actor, budget: int) -> None:
    with watching(actor, pages=128).with_columns().with_drain_budget(budget).build(perf_kernel) as session:
        session.enable()
        actor.getppid(4000)
        session.stop()
        batches = list(session.batches())
    assert len(batches) > 3
    assert [position for batch in batches for position in positions(batch)] == [56 * each for each in range(4000)]


def test_a_ring_beyond_the_budget_of_columns_comes_whole(perf_kernel: Kernel, actor: Actor) -> None:
    with watching(actor, pages=512).with_columns().build(perf_kernel) as session:
        session.enable()
        actor.getppid(25_000)  # 1.4 MB, and a budget of one
        session.stop()
        batches = list(session.batches())
    assert len(batches) > 1
    assert [place for batch in batches for place in positions(batch)] == [56 * each for each in range(25_000)]


# Refusals.


def test_an_image_has_no_records_to_go_along(session: Session) -> None:
    with pytest.raises(ValueError, match=r"on_image: a session built with_columns\(\)"):
        session.on_image(lambda *_: None)
    session.on_image(None)


def test_an_overwrite_session_has_no_columns(perf_kernel: Kernel, actor: Actor) -> None:
    with pytest.raises(ValueError, match=r"with_columns\(\) is for sessions that are streamed"):
        watching(actor).with_columns().build_overwrite(perf_kernel)


@pytest.mark.parametrize("name", ["columns", "others", "to_arrow", "to_pandas", "to_polars"])
def test_a_batch_of_records_says_how_to_get_columns(perf_kernel: Kernel, actor: Actor, name: str) -> None:
    with watching(actor).build(perf_kernel) as session:
        session.enable()
        actor.getppid(1)
        batch = session.next_batch(timeout=0)
    with pytest.raises(Unsupported, match=r"build it with SessionBuilder.with_columns\(\)"):
        getattr(batch, name)()


def test_without_numpy_the_builder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("perfring.columns")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(Unsupported, match=r"columns need numpy .*: pip install 'perfring\[columns\]'"):
        SessionBuilder().with_columns()
