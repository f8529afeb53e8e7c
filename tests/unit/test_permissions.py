from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from perfring import abi
from perfring.errors import EventRefused, PermissionDenied, TargetNotFound
from perfring.permissions import explain, required_level, too_few_files
from tests.unit._files import file_kernel
from tests.unit._machine import ALL_CAPABILITIES, Machine

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

ME, MACHINE_WIDE, OTHER = 0, -1, 41


@pytest.fixture
def machine(fs: FakeFilesystem) -> Machine:
    return Machine(fs)


def attr(**changes: int) -> abi.PerfEventAttr:
    """A clock that samples the user's part."""
    plain = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, exclude_kernel=True)
    for name, value in changes.items():
        setattr(plain, name, value)
    return plain


def raw_tracepoint(*, exclude_kernel: bool = True) -> abi.PerfEventAttr:
    return attr(
        type=abi.PERF_TYPE_TRACEPOINT, config=372, sample_type=abi.PERF_SAMPLE_RAW, exclude_kernel=exclude_kernel
    )


def refused(
    number: int,
    wanted: abi.PerfEventAttr | None = None,
    *,
    pid: int = ME,
    cpu: int = 0,
    pages: int = 16,
    mapped: bool = False,
) -> OSError:
    error = OSError(number, os.strerror(number))
    return explain(
        file_kernel(), error, attr=wanted or attr(), pid=pid, cpu=cpu, pages=pages, event="clock", mapped=mapped
    )


def denied(
    number: int, wanted: abi.PerfEventAttr | None = None, *, pid: int = ME, pages: int = 16, mapped: bool = False
) -> PermissionDenied:
    found = refused(number, wanted, pid=pid, pages=pages, mapped=mapped)
    assert isinstance(found, PermissionDenied)
    return found


@pytest.mark.parametrize(
    ("wanted", "pid", "level"),
    [
        (attr(), ME, 2),
        (attr(exclude_kernel=False), ME, 1),
        (attr(sample_type=abi.PERF_SAMPLE_PHYS_ADDR), ME, 1),
        (attr(), MACHINE_WIDE, 0),
        (raw_tracepoint(), ME, -1),
        (attr(namespaces=True), ME, None),
    ],
)
def test_k31_each_kind_of_event_has_its_level(wanted: abi.PerfEventAttr, pid: int, level: int | None) -> None:
    assert required_level(wanted, pid) == level


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("number", "wanted", "pid", "level", "asked"),
    [
        (errno.EACCES, attr(), MACHINE_WIDE, 0, "recording a whole CPU"),
        (errno.EACCES, attr(exclude_kernel=False), ME, 1, "recording the kernel's part"),
        (errno.EACCES, raw_tracepoint(exclude_kernel=False), ME, 1, "recording the kernel's part"),
        (errno.EACCES, raw_tracepoint(), MACHINE_WIDE, -1, "a tracepoint's payload"),
        (errno.EPERM, raw_tracepoint(), ME, -1, "a tracepoint's payload"),
    ],
)
def test_k31_the_text_tells_the_level_found_and_the_one_needed(
    number: int, wanted: abi.PerfEventAttr, pid: int, level: int, asked: str
) -> None:
    found = denied(number, wanted, pid=pid)
    assert f"kernel.perf_event_paranoid is 2, and {asked} needs {level} or less" in str(found)
    assert str(found).endswith(f"To mend it: sudo sysctl -w kernel.perf_event_paranoid={level}")


@pytest.mark.usefixtures("machine")
def test_the_errno_is_the_kernels_and_the_text_says_what_was_tried() -> None:
    found = denied(errno.EACCES, pid=MACHINE_WIDE)
    assert found.errno == errno.EACCES
    assert str(found).startswith("opening clock on cpu 0 was refused with EACCES: ")


@pytest.mark.usefixtures("machine")
def test_the_findings_begin_with_the_reason_and_name_the_capability() -> None:
    topics = [finding.topic for finding in denied(errno.EACCES, pid=MACHINE_WIDE).findings]
    assert topics == ["paranoid", "capabilities"]


@pytest.mark.parametrize("level", [3, 4])
def test_k31_debians_levels_above_two_are_explained(machine: Machine, level: int) -> None:
    machine.sysctl("paranoid", level)
    assert f"is {level}, and recording anything, on kernels that forbid all above 2" in str(denied(errno.EACCES))


def test_another_users_thread_is_told_from_a_high_level(machine: Machine) -> None:
    machine.user(uid=0, pid=str(OTHER))
    text = str(denied(errno.EACCES, pid=OTHER))
    assert "the thread belongs to uid 0 and this process to uid 1000, without CAP_PERFMON" in text
    assert "setcap cap_perfmon=ep" in text


def test_an_own_thread_that_changed_its_ids_is_told(machine: Machine) -> None:
    machine.user(pid=str(OTHER))
    assert "may not be inspected, even by its own user" in str(denied(errno.EACCES, pid=OTHER))


def test_an_own_thread_with_the_kernels_part_is_a_matter_of_the_level(machine: Machine) -> None:
    machine.user(pid=str(OTHER))
    assert "needs 1 or less" in str(denied(errno.EACCES, attr(exclude_kernel=False), pid=OTHER))


@pytest.mark.usefixtures("machine")
def test_namespace_records_need_a_capability_at_any_level() -> None:
    assert "namespace records need CAP_PERFMON" in str(denied(errno.EACCES, attr(namespaces=True)))


def test_k32_mmap_without_the_right_to_lock_shows_the_arithmetic(machine: Machine) -> None:
    machine.limits(memlock=0)
    found = denied(errno.EPERM, pages=256, mapped=True)
    assert "mapping 256 pages for clock for this thread on cpu 0 was refused with EPERM" in str(found)
    assert "the largest that fits is 128 pages" in str(found)
    assert found.findings[0].topic == "mlock"


@pytest.mark.usefixtures("machine")
def test_k32_mmap_that_should_have_fitted_blames_the_users_other_rings() -> None:
    assert "other rings of this user hold the memory" in str(denied(errno.EPERM, mapped=True))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_k33_a_privileged_process_behind_a_filter_is_told_of_it(machine: Machine, number: int) -> None:
    machine.user(uid=0, capabilities=ALL_CAPABILITIES, seccomp=2)
    machine.write("/.dockerenv", "")
    found = denied(number, pid=MACHINE_WIDE)
    assert "a filter on system calls is active (in a docker container)" in str(found)
    assert "--cap-add PERFMON" in str(found)


def test_a_kernel_without_perf_events_is_told_from_a_filter(machine: Machine) -> None:
    machine.remove("/proc/sys/kernel/perf_event_paranoid")
    assert "built without perf events" in str(denied(errno.ENOSYS))


def test_a_refusal_without_a_trace_points_to_the_security_modules(machine: Machine) -> None:
    machine.user(uid=0, capabilities=ALL_CAPABILITIES)
    assert "SELinux" in str(denied(errno.EACCES))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EMFILE, "all 1024 descriptors that RLIMIT_NOFILE allows are open"),
        (errno.ENFILE, "the whole machine is out of open files"),
        (errno.ENOMEM, "ask for fewer pages"),
        (errno.ENOENT, "hardware events need a PMU, most virtual machines have none: take cpu-clock"),
        (errno.EOPNOTSUPP, "this PMU cannot do it"),
        (errno.EBUSY, "pinned or exclusive"),
        (errno.E2BIG, "newer than this kernel"),
        (errno.ENODEV, "does not serve this CPU"),
        (errno.EINVAL, "no such combination of attributes: PerfEventAttr("),
        (errno.EIO, "Input/output error"),
    ],
)
def test_other_errnos_keep_their_number_and_say_what_it_means(number: int, text: str) -> None:
    found = refused(number)
    assert isinstance(found, EventRefused)
    assert found.errno == number
    assert text in str(found)


@pytest.mark.usefixtures("machine")
def test_out_of_descriptors_comes_with_the_command() -> None:
    assert str(refused(errno.EMFILE)).endswith("ulimit -n 2048")


@pytest.mark.usefixtures("machine")
def test_more_descriptors_than_the_limit_come_with_the_command_that_gives_enough() -> None:
    assert too_few_files(file_kernel(), 1024) is None
    text = too_few_files(file_kernel(), 1025)
    assert text is not None
    assert text.startswith("needs 1025 descriptors, and RLIMIT_NOFILE allows 1024: record fewer events, or raise it\n")
    assert text.endswith("ulimit -n 2048")


def test_without_a_limit_no_session_needs_too_many_descriptors(machine: Machine) -> None:
    machine.limits(files="unlimited")
    assert too_few_files(file_kernel(), 1 << 30) is None


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("number", "event", "text"),
    [
        (errno.EPERM, "irq_vectors:irq_work_exit", "nobody may sample it"),
        (errno.EINVAL, "ftrace:bprint", "below ftrace are the tracer's own entries"),
    ],
)
def test_a_tracepoint_that_perf_does_not_take_is_told_as_such(number: int, event: str, text: str) -> None:
    error = OSError(number, os.strerror(number))
    assert text in str(explain(file_kernel(), error, attr=raw_tracepoint(), pid=-1, cpu=0, event=event))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENODEV])
def test_a_cpu_that_is_not_online_is_named(number: int) -> None:
    text = str(refused(number, cpu=9))
    assert "cpu 9" in text
    assert "online are 0-3" in text


@pytest.mark.usefixtures("machine")
def test_k30_a_frequency_above_the_limit_is_named_with_it() -> None:
    text = str(refused(errno.EINVAL, attr(freq=True, sample_freq=200_000)))
    assert "sample_freq 200000 is above kernel.perf_event_max_sample_rate, 100000" in text
    assert text.endswith("kernel.perf_event_max_sample_rate=200000")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("number", "wanted", "cpu", "pages", "text"),
    [
        (errno.EINVAL, attr(), 0, 3, "3 data pages are not a power of two"),
        (errno.EINVAL, attr(inherit=True), -1, 4, "inherited cannot be mapped with cpu -1"),
        (errno.EINVAL, attr(), 0, 4, "same size"),
        (errno.EBUSY, attr(), 0, 4, "writes into another event's ring"),
    ],
)
def test_k1_k27_k28_refused_mappings_are_explained(
    number: int, wanted: abi.PerfEventAttr, cpu: int, pages: int, text: str
) -> None:
    assert text in str(refused(number, wanted, cpu=cpu, pages=pages, mapped=True))


@pytest.mark.usefixtures("machine")
def test_a_thread_that_has_ended_is_a_target_not_found() -> None:
    found = refused(errno.ESRCH, pid=OTHER)
    assert isinstance(found, TargetNotFound)
    assert found.pid == OTHER
