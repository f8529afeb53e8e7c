"""Who may do what on the kernel underneath, tried as uid 65534: what is expected follows from the level found."""

from __future__ import annotations

import errno
import resource

import pytest

from perfring import abi, tracefs
from perfring.errors import PermissionDenied
from perfring.findings import Finding, Severity, diagnose, gather
from perfring.kernel import Mapping
from perfring.linux import LinuxKernel
from perfring.permissions import explain, required_level
from perfring.probing import try_opening
from tests.linux._rig import as_nobody

DUMMY = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)
ME, MACHINE_WIDE = 0, -1
# Mainline takes 3 and 4 as 2; Debian, Ubuntu and Android do not (K31).
ABOVE_MAINLINE = 3


def level(kernel: LinuxKernel) -> int:
    found = gather(kernel).level
    assert found is not None
    if found >= ABOVE_MAINLINE:
        pytest.skip(f"kernel.perf_event_paranoid is {found}, which distributions define; set it to 2 to run this")
    return found


def refused_with(kernel: LinuxKernel, attr: abi.PerfEventAttr, pid: int, cpu: int) -> OSError | None:
    try:
        kernel.close(kernel.perf_event_open(attr, pid, cpu))
    except OSError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("attr", "pid", "cpu"),
    [
        (DUMMY.copy(exclude_kernel=True), ME, -1),
        (DUMMY, ME, -1),
        (DUMMY.copy(exclude_kernel=True, sample_period=1, sample_type=abi.PERF_SAMPLE_PHYS_ADDR), ME, -1),
        (DUMMY.copy(exclude_kernel=True), MACHINE_WIDE, 0),
        (DUMMY.copy(exclude_kernel=True, namespaces=True), ME, -1),
    ],
    ids=["user part", "kernel part", "physical addresses", "whole cpu", "namespaces"],
)
def test_k31_an_event_opens_exactly_up_to_its_level(
    kernel: LinuxKernel, attr: abi.PerfEventAttr, pid: int, cpu: int
) -> None:
    found, needed = level(kernel), required_level(attr, pid)
    permitted = needed is not None and found <= needed

    def tried() -> None:
        error = refused_with(kernel, attr, pid, cpu)
        assert (error.errno if error else 0) == (0 if permitted else errno.EACCES)

    as_nobody(tried)


@pytest.mark.parametrize(("name", "secret"), [("sched:sched_switch", True), ("syscalls:sys_enter_getppid", False)])
def test_k31_a_payload_is_refused_with_eperm_unless_it_is_of_an_own_system_call(
    kernel: LinuxKernel, name: str, secret: bool
) -> None:
    refused = secret and level(kernel) > -1
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_TRACEPOINT,
        config=tracefs.read_format(kernel, name).id,
        sample_period=1,
        sample_type=abi.PERF_SAMPLE_RAW,
        exclude_kernel=True,
    )

    def tried() -> None:
        error = refused_with(kernel, attr, ME, -1)
        assert (error.errno if error else 0) == (errno.EPERM if refused else 0)

    as_nobody(tried)


def test_k31_a_refused_cpu_is_explained_with_the_level_that_was_found(kernel: LinuxKernel) -> None:
    found = level(kernel)
    if found <= 0:
        pytest.skip(f"kernel.perf_event_paranoid is {found}: nothing is refused; set it to 1 or more to run this")

    def tried() -> None:
        error = refused_with(kernel, DUMMY, MACHINE_WIDE, 0)
        assert error is not None
        told = explain(kernel, error, attr=DUMMY, pid=MACHINE_WIDE, cpu=0, event="dummy")
        assert isinstance(told, PermissionDenied)
        assert f"kernel.perf_event_paranoid is {found}, and recording a whole CPU needs 0 or less" in str(told)

    as_nobody(tried)


def test_another_users_thread_is_refused_and_its_owner_named(kernel: LinuxKernel) -> None:
    attr = DUMMY.copy(exclude_kernel=True)

    def tried() -> None:
        error = refused_with(kernel, attr, 1, -1)
        assert error is not None
        assert "belongs to uid 0 and this process to uid 65534" in str(explain(kernel, error, attr=attr, pid=1, cpu=-1))

    as_nobody(tried)


def test_k32_rings_map_up_to_the_last_page_that_was_foretold(kernel: LinuxKernel) -> None:
    if level(kernel) < 0:
        pytest.skip("kernel.perf_event_paranoid is -1: no limit applies; set it to 0 or more to run this")

    def tried() -> None:
        # Metadata pages alone are mapped one by one, so that the limit is met to the page.
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (3 * kernel.page_size, 3 * kernel.page_size))
        free = gather(kernel).locked_pages_free
        assert free is not None
        largest = 1 << (free - 1).bit_length() - 1
        assert mapped_pages(kernel, [largest, *[0] * (free - largest)]) == free
        assert mapped_pages(kernel, [2 * largest]) == 0

    as_nobody(tried)


def mapped_pages(kernel: LinuxKernel, sizes: list[int]) -> int:
    """Maps rings of so many data pages, all at a time, until one is refused; how many pages could be mapped."""
    attr = DUMMY.copy(exclude_kernel=True)
    fds: list[int] = []
    mappings: list[Mapping] = []
    try:
        for size in sizes:
            fds.append(kernel.perf_event_open(attr, ME, -1))
            mappings.append(kernel.mmap(fds[-1], (1 + size) * kernel.page_size))
    except PermissionError:
        pass
    finally:
        for mapping in mappings:
            mapping.close()
        for fd in fds:
            kernel.close(fd)
    return sum(1 + size for size in sizes[: len(mappings)])


def test_k32_a_refused_mapping_is_explained_with_the_arithmetic(kernel: LinuxKernel) -> None:
    if level(kernel) < 0:
        pytest.skip("kernel.perf_event_paranoid is -1: no limit applies; set it to 0 or more to run this")

    def tried() -> None:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        (rings,) = try_opening(kernel, pages=1 << 12, user_only=True)
        assert rings.severity is Severity.ERROR
        assert "the largest that fits is" in rings.text

    as_nobody(tried)


def topics(found: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.topic: finding.severity.value for finding in found}


def test_root_can_open_everything_that_doctor_tries(kernel: LinuxKernel) -> None:
    assert topics(try_opening(kernel)) == {"rings": "ok", "clock": "ok", "tracepoints": "ok"}


def test_nobody_can_record_himself_at_level_2(kernel: LinuxKernel) -> None:
    level(kernel)

    def tried() -> None:
        found = topics(try_opening(kernel, user_only=True))
        assert (found["rings"], found["clock"]) == ("ok", "ok")

    as_nobody(tried)


def test_what_is_foretold_of_rings_comes_true(kernel: LinuxKernel) -> None:
    level(kernel)

    def tried() -> None:
        for user_only in (False, True):
            foretold = [one.severity for one in diagnose(kernel, user_only=user_only)]
            (rings, *_) = try_opening(kernel, user_only=user_only)
            assert (rings.severity is Severity.ERROR) == (Severity.ERROR in foretold)

    as_nobody(tried)
