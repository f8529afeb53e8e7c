"""K33: a filter on system calls answers before perf_event_open is even looked at. A forked child wears it."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

import pytest

from perfring import abi
from perfring.errors import PermissionDenied
from perfring.findings import gather
from perfring.linux import LinuxKernel
from perfring.permissions import explain
from tests.linux._rig import status_of

# From linux/prctl.h, linux/seccomp.h and linux/bpf_common.h.
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
DUMMY = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)


def forbid_perf_events(number: int) -> None:
    """From now on this process gets that errno from perf_event_open(2), as in a container."""
    steps = [
        (LOAD_WORD, 0, 0, 0),  # the call's number
        (JUMP_IF_EQUAL, 0, 1, PERF_EVENT_OPEN[platform.machine()]),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | number),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(0)] * 2
    if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *words, ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), program, *words):
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_k33_a_filter_refuses_what_everything_else_permits_and_is_named(kernel: LinuxKernel, number: int) -> None:
    def filtered() -> None:
        forbid_perf_events(number)
        status = gather(kernel).status
        assert status is not None
        assert status.seccomp == SECCOMP_MODE_FILTER
        with pytest.raises(OSError) as caught:
            kernel.perf_event_open(DUMMY, 0, -1)
        assert caught.value.errno == number
        told = explain(kernel, caught.value, attr=DUMMY, pid=0, cpu=-1)
        assert isinstance(told, PermissionDenied)
        assert "a filter on system calls is active" in str(told)

    kernel.close(kernel.perf_event_open(DUMMY, 0, -1))
    assert os.waitstatus_to_exitcode(status_of(filtered)) == 0
