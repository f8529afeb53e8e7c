"""Which single capability lifts which refusal, tried in a child of uid 65534 that keeps just that one (K31, K32)."""

from __future__ import annotations

import ctypes
import os
import resource
import struct

import pytest

from perfring import abi
from perfring.findings import CAPABILITIES, gather
from perfring.linux import LinuxKernel
from tests.linux._rig import NOBODY, status_of

# From linux/prctl.h and linux/capability.h.
PR_SET_KEEPCAPS = 8
CAPABILITY_VERSION_3 = 0x20080522
DUMMY = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)
WHOLE_CPU = (DUMMY, -1, 0)
ROOTS_THREAD = (DUMMY.copy(exclude_kernel=True), os.getpid(), -1)
PAGES = 1 << 10


def become_nobody_with(capability: str) -> None:
    """Gives up root and keeps one capability."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    mask = 1 << CAPABILITIES[capability]
    low, high = mask & 0xFFFFFFFF, mask >> 32
    wanted = struct.pack("=6I", low, low, 0, high, high, 0)  # effective, permitted, inheritable, twice
    if libc.capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), wanted):
        raise OSError(ctypes.get_errno(), "capset")


def opens(kernel: LinuxKernel, attr: abi.PerfEventAttr, pid: int, cpu: int) -> bool:
    try:
        kernel.close(kernel.perf_event_open(attr, pid, cpu))
    except PermissionError:
        return False
    return True


def maps_without_limit(kernel: LinuxKernel) -> bool:
    """Whether a ring can be mapped that is larger than the user's share, with nothing to be locked beyond it."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    fd = kernel.perf_event_open(DUMMY.copy(exclude_kernel=True), 0, -1)
    try:
        kernel.mmap(fd, (1 + PAGES) * kernel.page_size).close()
    except PermissionError:
        return False
    finally:
        kernel.close(fd)
    return True


@pytest.mark.parametrize(
    ("capability", "whole_cpu", "roots_thread", "any_memory"),
    [
        ("CAP_PERFMON", True, True, False),
        ("CAP_SYS_ADMIN", True, True, False),
        ("CAP_SYS_PTRACE", False, True, False),
        ("CAP_IPC_LOCK", False, False, True),
    ],
)
def test_k31_k32_each_capability_lifts_just_its_own_refusals(
    kernel: LinuxKernel, capability: str, whole_cpu: bool, roots_thread: bool, any_memory: bool
) -> None:
    facts = gather(kernel)
    assert facts.level is not None
    if facts.level < 1:
        pytest.skip(f"kernel.perf_event_paranoid is {facts.level}: nothing is refused; set it to 1 or 2 to run this")

    def tried() -> None:
        become_nobody_with(capability)
        found = opens(kernel, *WHOLE_CPU), opens(kernel, *ROOTS_THREAD), maps_without_limit(kernel)
        assert found == (whole_cpu, roots_thread, any_memory)

    assert status_of(tried) == 0
