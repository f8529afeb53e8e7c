from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfring.findings import CAPABILITIES, Finding, Severity, diagnose, gather
from tests.unit._files import file_kernel
from tests.unit._machine import ALL_CAPABILITIES, Machine

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

PERFMON = 1 << CAPABILITIES["CAP_PERFMON"]
SYS_ADMIN = 1 << CAPABILITIES["CAP_SYS_ADMIN"]
IPC_LOCK = 1 << CAPABILITIES["CAP_IPC_LOCK"]


@pytest.fixture
def machine(fs: FakeFilesystem) -> Machine:
    return Machine(fs)


def finding(topic: str, *, pages: int = 16, user_only: bool = False, page_size: int = 4096) -> Finding:
    found = diagnose(file_kernel(page_size=page_size), pages=pages, user_only=user_only)
    return next(one for one in found if one.topic == topic)


@pytest.mark.parametrize(
    ("level", "user_only", "severity", "mend"),
    [
        (4, False, Severity.ERROR, "sudo sysctl -w kernel.perf_event_paranoid=0"),
        (2, False, Severity.ERROR, "sudo sysctl -w kernel.perf_event_paranoid=0"),
        (1, False, Severity.ERROR, "sudo sysctl -w kernel.perf_event_paranoid=0"),
        (0, False, Severity.WARN, "sudo sysctl -w kernel.perf_event_paranoid=-1"),
        (-1, False, Severity.OK, None),
        (4, True, Severity.WARN, "sudo sysctl -w kernel.perf_event_paranoid=2"),
        (3, True, Severity.WARN, "sudo sysctl -w kernel.perf_event_paranoid=2"),
        (2, True, Severity.OK, None),
    ],
)
def test_k31_the_level_is_held_against_what_is_asked(
    machine: Machine, level: int, user_only: bool, severity: Severity, mend: str | None
) -> None:
    machine.sysctl("paranoid", level)
    found = finding("paranoid", user_only=user_only)
    assert (found.severity, found.mend) == (severity, mend)
    assert f"kernel.perf_event_paranoid is {level}" in found.text


@pytest.mark.parametrize(("held", "name"), [(PERFMON, "CAP_PERFMON"), (SYS_ADMIN, "CAP_SYS_ADMIN")])
def test_k31_either_capability_makes_the_level_meaningless(machine: Machine, held: int, name: str) -> None:
    machine.user(capabilities=held)
    found = finding("paranoid")
    assert found.severity is Severity.OK
    assert f"this process has {name}" in found.text


def test_capabilities_of_a_namespace_of_its_own_do_not_count(machine: Machine) -> None:
    machine.user(uid=0, capabilities=ALL_CAPABILITIES)
    machine.namespace("0 1000 1")
    assert finding("paranoid").severity is Severity.ERROR
    assert "user namespace" in finding("capabilities").text


def test_missing_capabilities_are_named_with_the_command_that_grants_them(machine: Machine) -> None:
    machine.user(capabilities=IPC_LOCK)
    found = finding("capabilities")
    assert found.text == "uid 1000 lacks CAP_PERFMON, CAP_SYS_PTRACE"
    assert str(found.mend).startswith("sudo setcap cap_perfmon,cap_sys_ptrace=ep /")


def test_an_administrator_lacks_nothing(machine: Machine) -> None:
    machine.user(uid=0, capabilities=ALL_CAPABILITIES & ~PERFMON)
    assert finding("capabilities").severity is Severity.OK


def test_own_tasks_need_no_capability(machine: Machine) -> None:
    assert finding("capabilities", user_only=True).severity is Severity.OK


def test_a_kernel_without_perf_events_is_recognised(machine: Machine) -> None:
    machine.remove("/proc/sys/kernel/perf_event_paranoid")
    assert "built without perf events" in finding("paranoid").text


def test_k32_what_may_be_locked_is_the_users_share_per_cpu_plus_the_limit(machine: Machine) -> None:
    machine.limits(memlock=100 * 4096)
    assert gather(file_kernel()).locked_pages_free == 4 * 129 + 100


@pytest.mark.parametrize(("memlock", "severity"), [(512 * 4096, Severity.OK), (511 * 4096, Severity.ERROR)])
def test_k32_rings_fit_to_the_page(machine: Machine, memlock: int, severity: Severity) -> None:
    machine.limits(memlock=memlock)  # 4 rings of 1 + 256 pages; 516 are free without it
    assert finding("mlock", pages=256).severity is severity


def test_k32_too_much_locked_memory_shows_its_arithmetic(machine: Machine) -> None:
    machine.limits(memlock=4096)
    found = finding("mlock", pages=200)
    assert "4 rings of 1 + 256 pages are 4112 KiB; allowed are 2068 KiB: 516 KiB x 4 online CPUs" in found.text
    assert "RLIMIT_MEMLOCK 4 KiB; the largest that fits is 128 pages" in found.text


def test_k32_the_command_for_locked_memory_is_just_enough(machine: Machine) -> None:
    machine.limits(memlock=0)
    assert finding("mlock", pages=256).mend == "sudo sysctl -w kernel.perf_event_mlock_kb=1028"
    machine.sysctl("mlock_kb", 1028)
    assert finding("mlock", pages=256).severity is Severity.OK


def test_k32_the_share_is_rounded_down_to_large_pages(machine: Machine) -> None:
    machine.limits(memlock=0)
    assert gather(file_kernel(page_size=65536)).locked_pages_free == 4 * 8
    assert finding("mlock", pages=8, page_size=65536).severity is Severity.ERROR


def test_k32_not_even_one_page_is_said(machine: Machine) -> None:
    machine.limits(memlock=0)
    machine.sysctl("mlock_kb", 4)
    assert "not even 1 page fits" in finding("mlock").text


def test_k32_no_limit_applies_with_the_capability_level_or_limit_that_lifts_it(machine: Machine) -> None:
    machine.user(capabilities=IPC_LOCK)
    assert gather(file_kernel()).locked_pages_free is None
    machine.user(capabilities=PERFMON | SYS_ADMIN)
    assert gather(file_kernel()).locked_pages_free is not None
    machine.sysctl("paranoid", -1)
    assert gather(file_kernel()).locked_pages_free is None


def test_k33_a_filter_on_system_calls_is_a_warning_with_the_runtime_named(machine: Machine) -> None:
    machine.user(seccomp=2)
    machine.write("/proc/1/cgroup", "0::/kubepods/burstable/pod1\n")
    found = finding("seccomp")
    assert found.severity is Severity.WARN
    assert "in a kubepods container" in found.text


@pytest.mark.parametrize(
    ("files", "most", "mend"), [(60, 4096, "ulimit -n 1024"), (60, 60, "sudo prlimit --pid $$ --nofile=1024:1024")]
)
def test_too_few_descriptors_are_raised_within_the_hard_limit(
    machine: Machine, files: int, most: int, mend: str
) -> None:
    machine.limits(files=files, most_files=most)
    found = finding("files")
    assert (found.severity, found.mend) == (Severity.ERROR, mend)


def test_unlimited_limits_are_understood(machine: Machine) -> None:
    machine.limits(memlock="unlimited", files="unlimited")
    assert finding("files").severity is Severity.OK
    assert finding("mlock").severity is Severity.OK


def test_tracefs_that_is_not_mounted_comes_with_the_command(machine: Machine) -> None:
    machine.remove("/sys/kernel/tracing")
    assert finding("tracefs").mend == "sudo mount -t tracefs nodev /sys/kernel/tracing"


def test_lockdown_is_reported_where_the_kernel_has_it(machine: Machine) -> None:
    assert not [one for one in diagnose(file_kernel()) if one.topic == "lockdown"]
    machine.write("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n")
    assert finding("lockdown").severity is Severity.WARN


def test_a_machine_without_a_hardware_pmu_is_told_what_profiles_instead(machine: Machine) -> None:
    assert "cpu-clock" not in finding("pmus").text
    machine.remove("/sys/bus/event_source/devices/cpu")
    assert "cpu-clock does the profiling" in finding("pmus").text


@pytest.mark.usefixtures("machine")
def test_a_cpu_that_is_offline_is_an_error_that_names_it() -> None:
    found = diagnose(file_kernel(), cpus=(1, 4, 5))
    assert found[0] == Finding("cpus", Severity.ERROR, "cpu 4-5 is not online; online are 0-3")


@pytest.mark.usefixtures("machine")
def test_only_the_target_cpus_count_for_locked_memory() -> None:
    found = diagnose(file_kernel(), cpus=(1,), pages=16)
    assert any("1 rings of 1 + 16 pages are 68 KiB" in one.text for one in found)


def test_a_kernel_with_hardly_any_files_is_diagnosed_all_the_same(fs: FakeFilesystem) -> None:
    fs.create_file("/sys/devices/system/cpu/online", contents="0")
    found = diagnose(file_kernel())
    assert not [one for one in found if one.severity is Severity.ERROR]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("pages", [0, -1])
def test_a_ring_without_pages_is_refused(pages: int) -> None:
    with pytest.raises(ValueError, match=str(pages)):
        diagnose(file_kernel(), pages=pages)


@pytest.mark.usefixtures("machine")
def test_a_negative_number_of_events_is_refused() -> None:
    with pytest.raises(ValueError, match="events=-1"):
        diagnose(file_kernel(), events=-1)
