"""BPF output in a session: attached by fd, by id and by path, delivered with its payload, damaged and skipped."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perfring.builder import SessionBuilder
from perfring.errors import EventRefused
from perfring.events import BpfOutputEvents, KernelEvents
from perfring.linux import LinuxKernel
from perfring.records import Sample
from perfring.session import Session
from tests.linux._bpf import BpfOutput

END = b"|"


@pytest.fixture
def output(kernel: LinuxKernel) -> Iterator[BpfOutput]:
    with BpfOutput(slots=max(kernel.online_cpus()) + 1) as output:
        yield output


@pytest.fixture
def session(kernel: LinuxKernel) -> Iterator[Session]:
    builder = SessionBuilder().with_page_count(64).with_max_latency(1.0).with_bpf_output_events(BpfOutputEvents())
    with builder.build(kernel) as session:
        session.enable()
        yield session


def payloads(session: Session) -> list[bytes]:
    """What came, up to the end mark: behind it RAW data has padding, which is whatever lay there."""
    records = session.records(duration=0)
    return [bytes(record.raw or b"").partition(END)[0] for record in records if isinstance(record, Sample)]


def by_fd(session: Session, output: BpfOutput, tmp_path: Path) -> None:
    session.attach_to_bpf_map(output.map_fd)


def by_id(session: Session, output: BpfOutput, tmp_path: Path) -> None:
    session.attach_to_bpf_map(id=output.map_id())


def by_path(session: Session, output: BpfOutput, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "bpf", "bpf", tmp_path], check=True)
    try:
        output.pin(str(tmp_path / "ours"))
        session.attach_to_bpf_map(path=str(tmp_path / "ours"))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("attach", [by_fd, by_id, by_path])
def test_output_is_delivered_from_every_cpu(
    session: Session, output: BpfOutput, tmp_path: Path, attach: Callable[[Session, BpfOutput, Path], None]
) -> None:
    attach(session, output, tmp_path)
    cpus = [cpu for cpu, _ in session.perf_fds()]
    assert [output.emit(b"from cpu %d" % cpu + END, cpu=cpu) for cpu in cpus] == [0 for _ in cpus]
    assert payloads(session) == [b"from cpu %d" % cpu for cpu in cpus]


def test_k46_the_kernel_empties_the_slots_with_the_fd_that_filled_them(
    kernel: LinuxKernel, session: Session, output: BpfOutput
) -> None:
    by_another_fd = kernel.bpf_map_fd(output.map_id())
    kernel.bpf_map_update(by_another_fd, 0, session._opened[0].events[1].fd)
    filled = output.emit(b"x", cpu=0)
    kernel.close(by_another_fd)
    assert (filled, output.emit(b"x", cpu=0)) == (0, -errno.ENOENT)


def test_the_caller_may_close_its_map_fd(kernel: LinuxKernel, session: Session, output: BpfOutput) -> None:
    mine = kernel.bpf_map_fd(output.map_id())
    session.attach_to_bpf_map(mine)
    kernel.close(mine)
    assert output.emit(b"still there" + END, cpu=0) == 0
    assert payloads(session) == [b"still there"]


def test_a_map_is_named_in_one_way(session: Session, output: BpfOutput) -> None:
    with pytest.raises(ValueError, match="one of map_fd, id and path"):
        session.attach_to_bpf_map(output.map_fd, id=3)


def test_a_session_without_output_events_says_so(kernel: LinuxKernel, output: BpfOutput) -> None:
    builder = SessionBuilder().with_max_latency(1.0).with_kernel_events(KernelEvents())
    with builder.build(kernel) as session, pytest.raises(ValueError, match="with_bpf_output_events"):
        session.attach_to_bpf_map(output.map_fd)


def test_a_map_that_is_not_there_is_an_error_and_leaves_nothing_open(session: Session) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(EventRefused, match="nothing/here"):
        session.attach_to_bpf_map(path="/nothing/here")
    assert os.listdir("/proc/self/fd") == before


def test_a_damaged_record_of_the_kernels_own_is_reported_and_the_rest_goes_on(
    session: Session, output: BpfOutput, caplog: pytest.LogCaptureFixture
) -> None:
    session.attach_to_bpf_map(output.map_fd)
    output.emit(b"good" + END, cpu=0)
    output.emit(b"x" * 65535, cpu=0)  # k5: longer than a header's u16 can say, and written all the same
    with caplog.at_level(logging.ERROR, "perfring"):
        assert payloads(session) == [b"good"]
    assert "cpu 0, byte " in caplog.text
    output.emit(b"good again" + END, cpu=0)
    assert payloads(session) == [b"good again"]
    assert session.statistics().bad_records == 1
