"""What an unprivileged user gets: a refusal that teaches, and himself (K31). Tried as uid 65534 in a child."""

from __future__ import annotations

import os

import pytest

from perfring._libc import libc
from perfring.builder import SessionBuilder
from perfring.errors import PermissionDenied
from perfring.events import KernelEvents, ProfilingEvents, SoftPageFaultEvents
from perfring.linux import LinuxKernel
from perfring.records import Record
from tests.linux._rig import as_nobody


@pytest.fixture(autouse=True)
def _level_two(kernel: LinuxKernel) -> None:
    level = int(kernel.read_text("/proc/sys/kernel/perf_event_paranoid"))
    if level != 2:
        pytest.skip(f"kernel.perf_event_paranoid is {level}; set it to 2 to run this")


def refused(builder: SessionBuilder, kernel: LinuxKernel) -> PermissionDenied:
    with pytest.raises(PermissionDenied) as caught:
        builder.build(kernel)
    return caught.value


def test_the_whole_machine_is_refused_with_level_capability_and_command(kernel: LinuxKernel) -> None:
    def tried() -> None:
        text = str(refused(SessionBuilder().with_profiling_events(ProfilingEvents(99)), kernel))
        assert "perf_event_paranoid" in text
        assert "CAP_PERFMON" in text
        assert "sysctl" in text

    as_nobody(tried)


def test_rings_beyond_the_budget_are_refused_with_the_arithmetic(kernel: LinuxKernel) -> None:
    def tried() -> None:
        builder = SessionBuilder().user_only().with_page_count(1 << 14).with_profiling_events(ProfilingEvents(99))
        assert "perf_event_mlock_kb" in str(refused(builder, kernel))

    as_nobody(tried)


def test_a_refusal_leaves_nothing_open(kernel: LinuxKernel) -> None:
    def tried() -> None:
        before = os.listdir("/proc/self/fd")
        refused(SessionBuilder().with_profiling_events(ProfilingEvents(99)), kernel)
        assert os.listdir("/proc/self/fd") == before

    as_nobody(tried)


def recorded_of_myself(kernel: LinuxKernel) -> list[Record]:
    builder = (
        SessionBuilder()
        .user_only()
        .with_page_count(8)
        .with_max_latency(1.0)
        .with_kernel_events(KernelEvents())
        .with_soft_page_fault_events(SoftPageFaultEvents())
        .with_profiling_events(ProfilingEvents(997, callchain=True))
    )
    with builder.build(kernel) as session:
        session.enable()
        bytearray(64 * kernel.page_size)
        while not any(record.event == "cpu-clock" for record in session.records(duration=0)):
            sum(range(20_000))
        libc().set_thread_name(b"watched")
        memory = bytearray(64 * kernel.page_size)
        memory[:: kernel.page_size] = b"x" * 64
        session.disable()
        return list(session.records(duration=0))


def test_user_only_records_its_own_names_and_faults(kernel: LinuxKernel) -> None:
    def tried() -> None:
        found = recorded_of_myself(kernel)
        assert "watched" in [record.to_dict().get("comm") for record in found]
        assert "minor-faults" in {record.event for record in found}
        assert {record.pid for record in found} == {os.getpid()}

    as_nobody(tried)
