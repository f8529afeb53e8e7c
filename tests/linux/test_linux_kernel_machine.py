"""What LinuxKernel says about the machine: CPUs, clocks, files, fences."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from perfring import abi
from perfring._fence import fence_for, libatomic_fence, membarrier_fence
from perfring.kernel import Kernel
from perfring.linux import LinuxKernel


def test_linux_kernel_is_a_kernel(kernel: LinuxKernel) -> None:
    assert isinstance(kernel, Kernel)


def test_the_release_is_that_of_uname(kernel: LinuxKernel) -> None:
    assert kernel.release == os.uname().release


def test_the_page_size_is_that_of_sysconf(kernel: LinuxKernel) -> None:
    assert kernel.page_size == os.sysconf("SC_PAGESIZE")


def test_the_online_cpus_are_those_of_sysfs(kernel: LinuxKernel) -> None:
    directory = Path("/sys/devices/system/cpu")
    online = [
        cpu
        for cpu in range(os.cpu_count() or 1)
        if not (directory / f"cpu{cpu}/online").exists() or (directory / f"cpu{cpu}/online").read_text() == "1\n"
    ]
    assert list(kernel.online_cpus()) == online


@pytest.mark.parametrize("clock", [abi.CLOCK_MONOTONIC, abi.CLOCK_MONOTONIC_RAW, abi.CLOCK_BOOTTIME])
def test_a_clock_goes_on(kernel: LinuxKernel, clock: int) -> None:
    before = time.clock_gettime_ns(clock)
    assert before <= kernel.clock_ns(clock) <= time.clock_gettime_ns(clock)


def test_read_bytes_and_read_text_agree(kernel: LinuxKernel) -> None:
    assert kernel.read_text("/proc/version").encode() == kernel.read_bytes("/proc/version")


def test_read_text_survives_bytes_that_are_no_utf8(kernel: LinuxKernel, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"a\xff\r\n")
    assert kernel.read_text(str(tmp_path / "odd")) == "a\udcff\r\n"


def test_list_dir_names_the_entries(kernel: LinuxKernel) -> None:
    assert str(os.getpid()) in kernel.list_dir("/proc")


def test_a_missing_file_is_enoent(kernel: LinuxKernel) -> None:
    with pytest.raises(FileNotFoundError):
        kernel.read_text("/proc/no-such-file")


def test_the_kernel_has_a_membarrier_for_a_fence() -> None:
    fence = membarrier_fence()
    fence()


def test_a_machine_that_reorders_gets_a_fence() -> None:
    assert fence_for("aarch64") is not None


def test_libatomic_serves_where_it_is_installed() -> None:
    try:
        fence = libatomic_fence()
    except OSError as missing:
        pytest.skip(f"libatomic is not installed: {missing}")
    fence()
