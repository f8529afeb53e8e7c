"""perf_event_open(2), ioctl(2), fcntl(2), read(2), write(2), close(2) through the seam."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterator

import pytest

from perfring import abi
from perfring.linux import LinuxKernel
from tests.linux._rings import COMM, DUMMY, opened

GETPPID = "/sys/kernel/tracing/events/syscalls/sys_enter_getppid/id"
NEWEST_KNOWN = abi.PERF_ATTR_SIZE_VER9


def refusal(kernel: LinuxKernel, attr: abi.PerfEventAttr, pid: int = 0, cpu: int = -1) -> int | None:
    """The errno of opening, None when it opens."""
    try:
        kernel.close(kernel.perf_event_open(attr, pid, cpu))
    except OSError as refused:
        return refused.errno
    return None


def kernel_attr_size(kernel: LinuxKernel) -> int:
    attr = DUMMY.copy(size=1)
    assert refusal(kernel, attr) == errno.E2BIG
    return attr.size


def test_an_opened_event_is_an_fd_of_the_event(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[perf_event]"


def test_the_cloexec_flag_is_passed_on(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert not os.get_inheritable(fd)


def test_without_the_cloexec_flag_the_fd_is_inherited(kernel: LinuxKernel) -> None:
    fd = kernel.perf_event_open(DUMMY, 0, -1)
    assert os.get_inheritable(fd)
    kernel.close(fd)


@pytest.mark.parametrize("size", [0, 64, 72, 120, NEWEST_KNOWN, 4096])
def test_k29_these_sizes_are_accepted(kernel: LinuxKernel, size: int) -> None:
    assert refusal(kernel, DUMMY.copy(size=size)) is None


@pytest.mark.parametrize("size", [1, 7, 63, 4097, 2**32 - 1])
def test_k29_these_sizes_are_answered_with_the_kernels_own(kernel: LinuxKernel, size: int) -> None:
    attr = DUMMY.copy(size=size)
    assert refusal(kernel, attr) == errno.E2BIG
    assert attr.size in range(120, 4096, 8)


def test_k29_bytes_the_kernel_does_not_know_are_refused(kernel: LinuxKernel) -> None:
    unknown = NEWEST_KNOWN + 64
    attr = DUMMY.copy(size=unknown, extra=bytes(63) + b"\1")
    assert refusal(kernel, attr) == errno.E2BIG
    assert attr.size == kernel_attr_size(kernel)


def test_k30_a_flag_no_kernel_knows_is_refused(kernel: LinuxKernel) -> None:
    assert refusal(kernel, DUMMY.copy(reserved_1=1 << 23)) == errno.EINVAL


def test_k30_no_such_task_is_esrch(kernel: LinuxKernel) -> None:
    with pytest.raises(ProcessLookupError):
        kernel.perf_event_open(DUMMY, 2**22 + 1, -1)


@pytest.mark.parametrize(("pid", "cpu"), [(2**32, -1), (0, -(2**32) - 1)])
def test_a_number_that_ctypes_would_cut_short_is_refused(kernel: LinuxKernel, pid: int, cpu: int) -> None:
    with pytest.raises(ValueError, match="must be between"):
        kernel.perf_event_open(DUMMY, pid, cpu)


def test_a_failed_open_changes_nothing_but_on_e2big(kernel: LinuxKernel) -> None:
    attr = DUMMY.copy(size=72, sample_type=1 << 40)
    assert (refusal(kernel, attr), attr.size) == (errno.EINVAL, 72)


def test_ioctl_writes_into_a_buffer(kernel: LinuxKernel) -> None:
    with opened(kernel, DUMMY.copy(read_format=abi.PERF_FORMAT_ID)) as fd:
        answer = bytearray(8)
        assert kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer) == 0
        assert struct.unpack("=QQ", kernel.read(fd, 16))[1] == int.from_bytes(answer, sys.byteorder)


def test_ioctl_writes_into_a_memoryview(kernel: LinuxKernel) -> None:
    backing = bytearray(16)
    with opened(kernel) as fd:
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, memoryview(backing)[4:12])
    assert any(backing[4:12])
    assert not any(backing[:4] + backing[12:])


def test_ioctl_does_not_write_past_a_short_buffer(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, pytest.raises(ValueError, match="at least 8 bytes, not 4"):
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, bytearray(4))


def test_ioctl_does_not_write_into_bytes(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, pytest.raises(TypeError, match="pass a bytearray"):
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, bytes(8))


@pytest.fixture
def tracepoint(kernel: LinuxKernel) -> Iterator[int]:
    number = int(kernel.read_text(GETPPID))
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_TRACEPOINT, config=number, sample_period=1, disabled=True)
    with opened(kernel, attr) as fd:
        yield fd


def test_ioctl_passes_bytes_by_address(kernel: LinuxKernel, tracepoint: int) -> None:
    assert kernel.ioctl(tracepoint, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid == 1") == 0


def test_k38_a_second_filter_is_eexist(kernel: LinuxKernel, tracepoint: int) -> None:
    kernel.ioctl(tracepoint, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid == 1")
    with pytest.raises(FileExistsError):
        kernel.ioctl(tracepoint, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid == 2")


def test_k38_a_filter_on_an_unknown_field_is_refused(kernel: LinuxKernel, tracepoint: int) -> None:
    with pytest.raises(OSError) as refused:
        kernel.ioctl(tracepoint, abi.PERF_EVENT_IOC_SET_FILTER, b"no_such_field == 1")
    assert refused.value.errno == errno.EINVAL


def test_ioctl_passes_a_negative_number(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_OUTPUT, -1) == 0  # detaches


def test_ioctl_passes_null(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, pytest.raises(OSError) as refused:
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, 0)
    assert refused.value.errno == errno.EFAULT


def test_k38_an_unknown_request_is_enotty(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, pytest.raises(OSError) as refused:
        kernel.ioctl(fd, abi.ioctl_request("", 99, 0))
    assert refused.value.errno == errno.ENOTTY


def test_k38_write_is_refused(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, pytest.raises(OSError) as refused:
        kernel.write(fd, b"x")
    assert refused.value.errno == errno.EINVAL


def test_k41_a_short_read_is_enospc(kernel: LinuxKernel) -> None:
    with opened(kernel, DUMMY.copy(read_format=abi.PERF_FORMAT_ID)) as fd, pytest.raises(OSError) as refused:
        kernel.read(fd, 8)
    assert refused.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "read_format",
    [
        0,
        abi.PERF_FORMAT_ID,
        abi.PERF_FORMAT_TOTAL_TIME_ENABLED | abi.PERF_FORMAT_TOTAL_TIME_RUNNING,
        abi.PERF_FORMAT_GROUP | abi.PERF_FORMAT_ID | abi.PERF_FORMAT_TOTAL_TIME_ENABLED,
    ],
)
def test_read_gives_as_many_bytes_as_the_layout_says(kernel: LinuxKernel, read_format: int) -> None:
    with opened(kernel, DUMMY.copy(read_format=read_format)) as fd:
        assert len(kernel.read(fd, 4096)) == abi.read_format_size(read_format)


def test_fcntl_reads_and_sets_flags(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        kernel.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
        assert kernel.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


@pytest.mark.parametrize("call", ["ioctl", "fcntl", "read", "write", "close"])
def test_a_closed_fd_is_ebadf(kernel: LinuxKernel, call: str) -> None:
    with opened(kernel, COMM) as fd:
        pass
    arguments: dict[str, tuple[int | bytes, ...]] = {
        "ioctl": (fd, abi.PERF_EVENT_IOC_ENABLE),
        "fcntl": (fd, fcntl.F_GETFL),
        "read": (fd, 8),
        "write": (fd, b"x"),
        "close": (fd,),
    }
    with pytest.raises(OSError) as refused:
        getattr(kernel, call)(*arguments[call])
    assert refused.value.errno == errno.EBADF
