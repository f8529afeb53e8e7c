"""Recording a session into perf.data, on the simulated kernel."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import pytest

from perfring.builder import SessionBuilder
from perfring.errors import Unsupported
from perfring.events import KernelEvents
from perfring.perfdata import PerfDataFile, PerfDataRecorder
from perfring.records import Record
from perfring.session import Session
from simkernel import SimKernel
from simkernel.workload import constant
from tests.unit._simulated import GETPPID, machine, watching
from tests.unit.test_perfdata_writer import files_of_at_most


def builder(*, pages: int = 4, watermark: int = 2048) -> SessionBuilder:
    plain = watching(pages=pages, watermark=watermark)
    return plain.with_kernel_events(KernelEvents())


def recorded(kernel: SimKernel, session: Session, path: Path, *, seconds: float = 0.5) -> list[Record]:
    """What was delivered while a file was written."""
    delivered: list[Record] = []
    with PerfDataRecorder(session, kernel, str(path), command=("x",)) as recorder:
        recorder.write_kernel()
        session.enable()
        recorder.write_environment()
        for batch in session.batches(duration=seconds):
            recorder.write(batch)
            delivered += batch
        recorder.close()
        assert recorder.counts == Counter(record.kind for record in delivered)
        assert recorder.unwritten == 0
    return delivered


def write_all(recorder: PerfDataRecorder, session: Session) -> None:
    for batch in session.batches(duration=0.5):
        recorder.write(batch)


def in_file(path: Path) -> tuple[list[Record], PerfDataFile]:
    with PerfDataFile(str(path)) as found:
        records = [record for record in found.records() if not record.synthesized]
    assert not found.problems
    return records, found


@pytest.mark.parametrize("seed", range(4))
def test_the_file_has_what_was_delivered(tmp_path: Path, seed: int) -> None:
    kernel = machine(cpus=2, seed=seed)
    for cpu in (0, 1):
        kernel.spawn(constant(3000, count=1000), cpu=cpu)
    with builder().build(kernel) as session:
        delivered = recorded(kernel, session, tmp_path / "x.data")
    records, found = in_file(tmp_path / "x.data")
    assert len(records) == len(delivered) > 2000
    assert [(each.time, each.cpu, each.event) for each in records] == [
        (each.time, each.cpu, each.event) for each in delivered
    ]
    assert (found.counts.late, found.counts.bad_records) == (0, 0)
    assert found.counts.rounds > 2


def test_a_round_does_not_end_while_one_ring_is_behind_the_others(tmp_path: Path) -> None:
    kernel, path = machine(cpus=2), tmp_path / "x.data"
    kernel.spawn(constant(50_000, count=10_000), cpu=0)
    kernel.spawn(constant(1000, count=200), cpu=1)
    builder = watching(pages=256, watermark=900_000)
    with builder.build(kernel) as session, PerfDataRecorder(session, kernel, str(path)) as recorder:
        session.enable()
        kernel.sleep(0.25)  # what lies in the ring of CPU 0 comes out in several pieces
        write_all(recorder, session)
        recorder.close()
    records, found = in_file(path)
    assert (len(records), found.counts.late) == (10_200, 0)


def test_samples_are_equal_but_for_their_position(tmp_path: Path) -> None:
    kernel = machine(cpus=1)
    kernel.spawn(constant(1000, count=50), cpu=0)
    with builder().build(kernel) as session:
        delivered = recorded(kernel, session, tmp_path / "x.data")
    records, _ = in_file(tmp_path / "x.data")
    for mine, theirs in zip(records, delivered, strict=True):
        assert mine.to_dict() | {"position": 0} == theirs.to_dict() | {"position": 0}


def test_what_runs_already_is_in_the_file_and_marked(tmp_path: Path) -> None:
    kernel = machine(cpus=1)
    kernel.spawn(constant(1000, count=5), cpu=0, comm="busy")
    with builder().build(kernel) as session:
        recorded(kernel, session, tmp_path / "x.data")
    with PerfDataFile(str(tmp_path / "x.data")) as found:
        made = [record.to_dict() for record in found.records() if record.synthesized]
    assert "busy" in [each.get("comm") for each in made]


class Hidden(SimKernel):
    """A kernel that lets nobody look into the mappings of a process."""

    def read_bytes(self, path: str) -> bytes:
        if path.endswith("/maps"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return super().read_bytes(path)


def test_a_target_whose_mappings_are_hidden_is_recorded_and_told(tmp_path: Path) -> None:
    kernel = Hidden(paranoid=-1, capabilities={"CAP_SYS_ADMIN"})
    actors = [kernel.actor(cpu=0), kernel.actor(cpu=1)]
    path = str(tmp_path / "x.data")
    with watching(*actors).build(kernel) as session, PerfDataRecorder(session, kernel, path) as recorder:
        recorder.write_environment()
        assert recorder.hidden == [actor.pid for actor in actors]
        assert recorder.synthesized == 2  # their names


def test_losses_that_no_record_told_are_in_the_file(tmp_path: Path) -> None:
    kernel = machine(cpus=1)
    kernel.spawn(constant(100_000, count=400), cpu=0)
    with watching(pages=1, watermark=1024).build(kernel) as session:
        with PerfDataRecorder(session, kernel, str(tmp_path / "x.data")) as recorder:
            session.enable()
            kernel.sleep(0.1)  # the ring is full, and nothing comes behind the losses
            recorder.write(session.next_batch(timeout=0))
            recorder.close()
        lost = session.statistics().lost
    _, found = in_file(tmp_path / "x.data")
    assert found.counts.lost == lost > 300


def test_a_full_disk_ends_the_writing_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    kernel, path = machine(cpus=1), tmp_path / "x.data"
    kernel.spawn(constant(10_000, count=2000), cpu=0)
    with watching(pages=4, watermark=2048).build(kernel) as session:
        with files_of_at_most(14000), PerfDataRecorder(session, kernel, str(path)) as recorder:
            session.enable()
            with pytest.raises(OSError, match="too large"):
                write_all(recorder, session)
            for batch in session.batches(duration=0.5):
                recorder.write(batch)
            recorder.close()
        total, lost = session.statistics().records, session.statistics().lost
    records, found = in_file(path)
    # One more tells what is not in the file.
    assert len(records) == recorder.counts.total() + 1 > 1
    assert recorder.counts.total() + recorder.unwritten == total
    assert found.counts.lost == recorder.unwritten + lost


def test_a_tracepoint_that_joins_later_is_refused(tmp_path: Path) -> None:
    kernel = machine(cpus=1)
    path = str(tmp_path / "x.data")
    with builder().build(kernel) as session, PerfDataRecorder(session, kernel, path) as recorder:
        session.add_tracepoint("syscalls:sys_exit_getppid")
        with pytest.raises(Unsupported, match="before recording"):
            recorder.write([])


def test_what_is_left_in_no_good_order_is_cut_back_on_leaving(tmp_path: Path) -> None:
    kernel = machine(cpus=1)
    with builder().build(kernel) as session, PerfDataRecorder(session, kernel, str(tmp_path / "x.data")):
        pass
    records, found = in_file(tmp_path / "x.data")
    assert (records, [event.name for event in found.events]) == ([], ["leader", "side-band", GETPPID])
