from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from perfring import abi
from perfring.findings import Finding, Severity
from perfring.probing import blocking, try_opening
from tests.unit._machine import Machine
from tests.unit._opening import PaperKernel

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

FORMAT = "name: sys_enter_getppid\nID: 500\n"


@pytest.fixture
def kernel(fs: FakeFilesystem) -> PaperKernel:
    """Four CPUs, and a kernel that permits everything."""
    machine = Machine(fs)
    machine.write("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/format", FORMAT)
    return PaperKernel()


def severities(found: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.topic: finding.severity.value for finding in found}


def test_where_all_is_permitted_all_is_ok(kernel: PaperKernel) -> None:
    found = try_opening(kernel.as_kernel())
    assert severities(found) == {"rings": "ok", "clock": "ok", "tracepoints": "ok"}
    assert not blocking(found)


def test_a_ring_is_tried_on_every_cpu_and_everything_redirected_into_it(kernel: PaperKernel) -> None:
    try_opening(kernel.as_kernel())
    leaders = [attr for attr in kernel.attrs if attr.config == abi.PERF_COUNT_SW_DUMMY]
    assert len(leaders) == 4
    assert len(kernel.redirected) == 8


@pytest.mark.parametrize(
    "refusal",
    [("open", abi.PERF_TYPE_SOFTWARE), ("open", abi.PERF_TYPE_TRACEPOINT), ("open on", 2), "mmap", "ioctl", ""],
)
def test_whatever_is_refused_nothing_stays_open(kernel: PaperKernel, refusal: object) -> None:
    kernel.refuse[refusal] = errno.EPERM
    try_opening(kernel.as_kernel())
    assert (kernel.open, kernel.mapped) == (set(), 0)


def test_refused_rings_block_a_session_and_nothing_else_is_tried(kernel: PaperKernel) -> None:
    kernel.refuse["mmap"] = errno.EPERM
    found = try_opening(kernel.as_kernel())
    assert severities(found) == {"rings": "error"}
    assert blocking(found) == found


def test_the_command_is_taken_out_of_the_text(kernel: PaperKernel) -> None:
    kernel.refuse["open", abi.PERF_TYPE_SOFTWARE] = errno.EACCES
    (rings,) = try_opening(kernel.as_kernel())
    assert rings.mend == "sudo sysctl -w kernel.perf_event_paranoid=0"
    assert "To mend it" not in rings.text


def test_a_refused_tracepoint_is_a_warning(kernel: PaperKernel) -> None:
    kernel.refuse["open", abi.PERF_TYPE_TRACEPOINT] = errno.EPERM
    found = try_opening(kernel.as_kernel())
    assert found[2].severity is Severity.WARN
    assert found[2].mend == "sudo sysctl -w kernel.perf_event_paranoid=-1"
    assert not blocking(found)


def test_without_tracefs_the_warning_holds_the_command_that_mounts_it(kernel: PaperKernel, fs: FakeFilesystem) -> None:
    fs.remove_object("/sys/kernel/tracing")
    found = try_opening(kernel.as_kernel())
    assert found[2].mend == "sudo mount -t tracefs nodev /sys/kernel/tracing"


def test_an_event_that_cannot_be_redirected_is_told(kernel: PaperKernel) -> None:
    kernel.refuse["ioctl"] = errno.EINVAL
    found = try_opening(kernel.as_kernel())
    assert severities(found) == {"rings": "ok", "clock": "error", "tracepoints": "warn"}


def test_user_only_asks_for_this_thread_without_the_kernel(kernel: PaperKernel) -> None:
    try_opening(kernel.as_kernel(), user_only=True)
    assert kernel.pids == {0}
    assert all(attr.exclude_kernel for attr in kernel.attrs)


def test_only_the_cpus_asked_for_are_tried(kernel: PaperKernel) -> None:
    kernel.refuse["open on", 2] = errno.ENODEV
    assert not blocking(try_opening(kernel.as_kernel(), cpus=(1, 3)))
