"""A recording in Parquet, on both kernels: every record is a row of a file, and the files tell where they come from."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from perfring import KernelEvents, SessionBuilder, TracepointEvents
from perfring.cli._parquet import ParquetWriter
from perfring.cli._parquet_file import ParquetFile
from perfring.cli._parquet_tables import of_others
from perfring.cli._tally import Tally
from perfring.kernel import Kernel
from perfring.session import Session
from perfring.sideband import Read, UnknownRecord
from simkernel import SimKernel
from simkernel.contract.arm import Actor
from simkernel.pytest_plugin import ActorFactory
from tests.session_rig import GETPPID, watching


def record(
    kernel: Kernel, builder: SessionBuilder, path: Path, actors: Sequence[Actor], *, environment: bool = False
) -> Session:
    """A recording of 30 calls and a new name of each actor, as the command makes it."""
    plan = builder.with_columns().plan(kernel)
    with ParquetWriter(kernel, plan, str(path)) as writer, Session(kernel, plan) as session:
        tally = Tally(session, cpu_seconds_before=0)
        writer.make_files()
        session.enable()
        tally.synthesized = writer.begin(session, environment=environment)
        for actor in actors:
            actor.getppid(30)
            actor.rename("renamed")
        session.stop()
        for batch in session.batches():
            tally.add(batch)
            writer.write(batch)
        writer.finish(tally.summary())
        assert sum(file.written for file in writer.files) == session.statistics().records + tally.synthesized
        assert tally.kinds.total() == session.statistics().records
    return session


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_samples_of_the_one_event_are_the_file_that_was_asked_for(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    actor = perf_actor()
    record(perf_kernel, watching(actor, pages=4), tmp_path / "t.parquet", [actor])
    rows = table(tmp_path / "t.parquet")
    assert len(rows) == 30
    assert {(row["kind"], row["event"], row["pid"], row["raw"]) for row in rows} == {
        ("sample", GETPPID, actor.pid, None)
    }
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert rows[0]["fields"].keys() == {"__syscall_nr"}


def test_side_band_is_a_file_for_each_kind(perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path) -> None:
    actor = perf_actor()
    builder = watching(actor, pages=4).with_kernel_events(KernelEvents())
    record(perf_kernel, builder, tmp_path / "t.parquet", [actor])
    assert names(tmp_path) == {"t.parquet", "t.comm.parquet"}
    assert [row["comm"] for row in table(tmp_path / "t.comm.parquet")] == ["renamed"]


def test_of_several_events_each_has_a_file_also_without_samples(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    actor = perf_actor()
    events = TracepointEvents("sched:sched_process_exit")
    builder = watching(actor, pages=4).with_tracepoint_events(events)
    record(perf_kernel, builder, tmp_path / "t.parquet", [actor])
    assert names(tmp_path) == {"t.syscalls-sys_enter_getppid.parquet", "t.sched-sched_process_exit.parquet"}
    empty = pq.read_table(tmp_path / "t.sched-sched_process_exit.parquet")
    assert (empty.num_rows, "fields" in empty.schema.names) == (0, True)


def test_what_runs_already_stands_with_its_kind_and_has_no_position(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    actor = perf_actor()
    builder = watching(actor, pages=4).with_kernel_events(KernelEvents())
    record(perf_kernel, builder, tmp_path / "t.parquet", [actor], environment=True)
    comms = table(tmp_path / "t.comm.parquet")
    assert [(row["position"] is None, row["cpu"], row["pid"]) for row in comms] == [
        (True, -1, actor.pid),
        (False, 0, actor.pid),
    ]
    assert [row["cpu"] for row in table(tmp_path / "t.mmap2.parquet")].count(-1) > 0


def test_several_cpus_make_one_table_in_time_order(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    actors = [perf_actor(cpu=0), perf_actor(cpu=1)]
    builder = SessionBuilder().with_page_count(4).with_tracepoint_events(TracepointEvents(GETPPID))
    for actor in actors:
        builder = builder.with_target_pid(actor.pid)
    record(perf_kernel, builder, tmp_path / "t.parquet", actors)
    rows = table(tmp_path / "t.parquet")
    assert {(row["cpu"], row["pid"]) for row in rows} == {(cpu, actor.pid) for cpu, actor in enumerate(actors)}
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_the_footer_says_where_it_comes_from(perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path) -> None:
    actor = perf_actor()
    session = record(perf_kernel, watching(actor, pages=4), tmp_path / "t.parquet", [actor])
    told = {key.decode(): value.decode() for key, value in pq.read_metadata(tmp_path / "t.parquet").metadata.items()}
    assert told["perfring.kernel_release"] == perf_kernel.release
    assert told["perfring.clock_id"] == str(session.plan.clock_id)
    assert [event["name"] for event in json.loads(told["perfring.events"])] == ["leader", GETPPID]
    assert json.loads(told["perfring.summary"])["samples"] == 30
    assert json.loads(told["perfring.start"]).keys() == {"clock_ns", "realtime_ns"}


def test_files_of_an_earlier_recording_under_the_same_name_go_and_others_stay(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    actor = perf_actor()
    path = tmp_path / "t.parquet"
    record(perf_kernel, watching(actor, pages=4).with_kernel_events(KernelEvents()), path, [actor])
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), tmp_path / "t.mine.parquet")
    (tmp_path / "t.torn.parquet").write_text("torn")
    record(perf_kernel, watching(actor, pages=4), path, [actor])
    assert names(tmp_path) == {"t.parquet", "t.mine.parquet", "t.torn.parquet"}


def test_a_recording_that_is_interrupted_is_readable(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    actor = perf_actor()
    plan = watching(actor, pages=4).with_columns().plan(perf_kernel)

    def interrupted() -> None:
        path = str(tmp_path / "t.parquet")
        with ParquetWriter(perf_kernel, plan, path) as writer, Session(perf_kernel, plan) as session:
            writer.make_files()
            session.enable()
            writer.begin(session, environment=False)
            actor.getppid(30)
            writer.write(session.next_batch())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert pq.read_metadata(tmp_path / "t.parquet").num_rows > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_files_are_closed_leaves_them_readable(
    sim_kernel: SimKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def close(file: ParquetFile, metadata: dict[str, str]) -> None:
        signal.raise_signal(number)
        whole(file, metadata)

    whole, handler = ParquetFile.close, signal.getsignal(number)
    monkeypatch.setattr(ParquetFile, "close", close)
    plan = watching(sim_kernel.actor(cpu=0), pages=4).with_columns().plan(sim_kernel)
    with ParquetWriter(sim_kernel, plan, str(tmp_path / "t.parquet")) as writer:
        writer.make_files()
        writer.finish({})
    assert table(tmp_path / "t.parquet") == []
    assert signal.getsignal(number) is handler


def test_a_recording_that_never_began_leaves_what_was_there(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path
) -> None:
    (tmp_path / "t.parquet").write_text("old")
    plan = watching(perf_actor()).with_columns().plan(perf_kernel)
    with ParquetWriter(perf_kernel, plan, str(tmp_path / "t.parquet")):
        pass
    assert (tmp_path / "t.parquet").read_text() == "old"


def test_records_without_columns_are_rows_with_the_rest_as_json() -> None:
    rows = of_others([Read(pid=1, tid=2, raw_values=b"\1"), UnknownRecord(record_type=99, time=5, body=b"\2")])
    assert rows["kind"].to_pylist() == ["read", "unknown"]
    assert rows["type"].to_pylist() == [8, 99]
    assert rows["time"].to_pylist() == [None, 5]
    assert json.loads(rows["details"][1].as_py())["body"] == "02"


def test_what_waits_over_all_files_is_bounded(
    perf_kernel: Kernel, perf_actor: ActorFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfring.cli._parquet._BUFFERED", 1)
    actor = perf_actor()
    plan = watching(actor, pages=4).with_kernel_events(KernelEvents()).with_columns().plan(perf_kernel)
    with ParquetWriter(perf_kernel, plan, str(tmp_path / "t.parquet")) as writer, Session(perf_kernel, plan) as session:
        writer.make_files()
        session.enable()
        actor.getppid(30)
        actor.rename("renamed")
        session.stop()
        for batch in session.batches():
            writer.write(batch)
            assert [file.buffered for file in writer.files] == [0, 0]
