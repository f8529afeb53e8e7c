"""K29 to K32: what perf_event_open(2) and mmap(2) refuse, and with which errno."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from perfring import abi
from perfring._libc import libc
from tests.linux._rig import Rig, as_nobody, dummy, getppid_samples, head, refused

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


def open_raw(size: int, *, tail: bytes = b"") -> tuple[int, int]:
    """A dummy event with this ``size`` field: the result or -errno, and the size afterwards."""
    packed = dummy().pack()
    buffer = ctypes.create_string_buffer(packed[:4] + size.to_bytes(4, "little") + packed[8:] + tail, 8192)
    try:
        os.close(fd := libc().perf_event_open(buffer, 0, -1, -1, 0))
    except OSError as refusal:
        fd = -(refusal.errno or 0)
    return min(fd, 0), int.from_bytes(buffer.raw[4:8], "little")


@pytest.mark.parametrize("size", [0, 64, 65, 72, 136, 200, 4096])
def test_k29_sizes_of_0_and_from_64_to_4096_are_accepted(size: int) -> None:
    assert open_raw(size) == (0, size)


@pytest.mark.parametrize("size", [1, 63, 4097, 0xFFFF_FFFF])
def test_k29_other_sizes_are_e2big_and_the_kernels_own_is_written_back(size: int) -> None:
    result, own = open_raw(size)
    assert result == -errno.E2BIG
    assert own in (120, 128, 136, 144)


def test_k29_a_larger_struct_must_be_0_past_the_kernels_size() -> None:
    assert open_raw(200, tail=bytes(50) + b"\1")[0] == -errno.E2BIG


REFUSED = [
    (errno.ENOENT, {"type": 99}),
    (errno.ENOENT, {"config": 12}),
    (errno.EINVAL, {"type": abi.PERF_TYPE_TRACEPOINT, "config": 999_999}),
    (errno.EINVAL, {"sample_type": 1 << 25}),
    (errno.EINVAL, {"read_format": 1 << 5}),
    (errno.EINVAL, {"freq": True, "sample_freq": 1_000_000_000}),
]


@pytest.mark.parametrize(("expected", "changes"), REFUSED)
def test_k30_a_bad_attr_is_refused(rig: Rig, expected: int, changes: dict[str, Any]) -> None:
    with refused(expected):
        rig.open(dummy(**changes))


CALLS = [
    (errno.EINVAL, {"flags": 1 << 9}),
    (errno.EINVAL, {"cpu": 1 << 20}),
    (errno.EINVAL, {"pid": -1, "cpu": -1}),
    (errno.ESRCH, {"pid": (1 << 31) - 1}),
    (errno.EBADF, {"group_fd": 1 << 20}),
]


@pytest.mark.parametrize(("expected", "changes"), CALLS)
def test_k30_a_bad_call_is_refused(rig: Rig, expected: int, changes: dict[str, int]) -> None:
    with refused(expected):
        rig.open(dummy(), **changes)


def test_k30_every_software_event_opens(rig: Rig) -> None:
    for config in range(abi.PERF_COUNT_SW_BPF_OUTPUT + 1):
        rig.open(dummy(config=config))


@pytest.fixture
def paranoid_2() -> None:
    if int(PARANOID.read_text()) != 2:
        pytest.skip("perf_event_paranoid is not 2")


def test_k31_at_paranoid_2_kernel_samples_need_a_capability(rig: Rig, paranoid_2: None) -> None:
    def body() -> None:
        with refused(errno.EACCES):
            rig.open(dummy())

    as_nobody(body)


def test_k31_at_paranoid_2_so_do_whole_cpus(rig: Rig, paranoid_2: None) -> None:
    def body() -> None:
        with refused(errno.EACCES):
            rig.open(dummy(exclude_kernel=True), pid=-1, cpu=0)

    as_nobody(body)


def test_k31_at_paranoid_2_ones_own_user_side_can_be_recorded(rig: Rig, paranoid_2: None) -> None:
    def body() -> None:
        _, mapping = rig.ring(dummy(exclude_kernel=True, comm=True))
        Path("/proc/thread-self/comm").write_text("nobody")
        assert head(mapping) > 0

    as_nobody(body)


def test_k31_raw_tracepoint_data_of_a_whole_cpu_is_eperm(rig: Rig, paranoid_2: None) -> None:
    attr = getppid_samples(sample_type=abi.PERF_SAMPLE_RAW, exclude_kernel=True)

    def body() -> None:
        with refused(errno.EPERM):
            rig.open(attr, pid=-1, cpu=0)

    as_nobody(body)


def test_k32_pages_beyond_the_users_budget_are_eperm(rig: Rig, paranoid_2: None) -> None:
    budget = int(Path("/proc/sys/kernel/perf_event_mlock_kb").read_text()) * 1024 * len(rig.kernel.online_cpus())
    pages = 1 << (budget // rig.kernel.page_size).bit_length()

    def body() -> None:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        fd = rig.open(dummy(exclude_kernel=True))
        with refused(errno.EPERM):
            rig.map(fd, pages)
        rig.map(fd, 1)

    as_nobody(body)
