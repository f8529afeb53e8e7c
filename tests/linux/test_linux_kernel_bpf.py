"""bpf(2) through the seam: BPF output arrives in a ring of ours."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfring import abi
from perfring.linux import LinuxKernel
from tests.linux._bpf import LARGEST_RECORDED_PAYLOAD, BpfOutput
from tests.linux._rings import mapped, opened

SLOTS = 64
OUTPUT = abi.PerfEventAttr(
    type=abi.PERF_TYPE_SOFTWARE,
    config=abi.PERF_COUNT_SW_BPF_OUTPUT,
    sample_type=abi.PERF_SAMPLE_RAW,
    sample_period=1,
)


@pytest.fixture
def output() -> Iterator[BpfOutput]:
    with BpfOutput(slots=SLOTS) as output:
        yield output


@pytest.fixture
def cpu(kernel: LinuxKernel) -> int:
    return kernel.online_cpus()[-1]


@pytest.fixture
def fd(kernel: LinuxKernel, cpu: int) -> Iterator[int]:
    with opened(kernel, OUTPUT, -1, cpu) as fd:
        yield fd


def test_an_empty_slot_takes_nothing(output: BpfOutput, cpu: int) -> None:
    assert output.emit(b"x", cpu=cpu) == -errno.ENOENT


@pytest.mark.parametrize(("payload", "record"), [(b"", 16), (b"1234", 16), (b"12345", 24), (b"x" * 100, 112)])
def test_a_payload_becomes_a_record_of_this_size(
    kernel: LinuxKernel, output: BpfOutput, cpu: int, fd: int, payload: bytes, record: int
) -> None:
    with mapped(kernel, fd) as ring:
        kernel.bpf_map_update(output.map_fd, cpu, fd)
        assert output.emit(payload, cpu=cpu) == 0
        assert abi.HEADER.unpack_from(ring.data)[::2] == (abi.PERF_RECORD_SAMPLE, record)
        assert bytes(ring.data[12 : 12 + len(payload)]) == payload


def test_k5_the_largest_record_is_65528_bytes(kernel: LinuxKernel, output: BpfOutput, cpu: int, fd: int) -> None:
    with mapped(kernel, fd, data_pages=32) as ring:
        kernel.bpf_map_update(output.map_fd, cpu, fd)
        assert output.emit(bytes(LARGEST_RECORDED_PAYLOAD), cpu=cpu) == 0
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == abi.max_record_bytes(OUTPUT) == 65528


def test_k5_a_payload_one_byte_longer_wraps_the_size_to_zero(
    kernel: LinuxKernel, output: BpfOutput, cpu: int, fd: int
) -> None:
    with mapped(kernel, fd, data_pages=32) as ring:
        kernel.bpf_map_update(output.map_fd, cpu, fd)
        assert output.emit(bytes(LARGEST_RECORDED_PAYLOAD + 1), cpu=cpu) == 0
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == 0


def test_a_full_ring_is_enospc(kernel: LinuxKernel, output: BpfOutput, cpu: int, fd: int) -> None:
    with mapped(kernel, fd):
        kernel.bpf_map_update(output.map_fd, cpu, fd)
        assert output.emit(bytes(3000), cpu=cpu) == 0
        assert output.emit(bytes(3000), cpu=cpu) == -errno.ENOSPC


def test_a_map_is_found_by_its_id(kernel: LinuxKernel, output: BpfOutput, cpu: int, fd: int) -> None:
    map_fd = kernel.bpf_map_fd(output.map_id())
    with mapped(kernel, fd) as ring:
        kernel.bpf_map_update(map_fd, cpu, fd)
        output.emit(b"x", cpu=cpu)
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == 16
    kernel.close(map_fd)


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    mount = subprocess.run(["mount", "-t", "bpf", "bpf", tmp_path], capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"cannot mount bpffs (needs CAP_SYS_ADMIN and mount(8)): {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_map_is_found_by_its_pin(kernel: LinuxKernel, output: BpfOutput, bpffs: Path, cpu: int, fd: int) -> None:
    output.pin(str(bpffs / "output"))
    map_fd = kernel.bpf_map_fd(str(bpffs / "output"))
    kernel.bpf_map_update(map_fd, cpu, fd)
    assert not os.get_inheritable(map_fd)
    kernel.close(map_fd)


def test_a_map_id_nobody_has_is_enoent(kernel: LinuxKernel) -> None:
    with pytest.raises(FileNotFoundError):
        kernel.bpf_map_fd(2**32 - 1)


def test_a_pin_that_is_not_there_is_enoent(kernel: LinuxKernel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kernel.bpf_map_fd(str(tmp_path / "nothing"))


def test_a_slot_the_array_does_not_have_is_e2big(kernel: LinuxKernel, output: BpfOutput, fd: int) -> None:
    with pytest.raises(OSError) as refused:
        kernel.bpf_map_update(output.map_fd, SLOTS, fd)
    assert refused.value.errno == errno.E2BIG


def test_a_map_fd_that_is_none_is_refused(kernel: LinuxKernel, fd: int) -> None:
    with pytest.raises(OSError) as refused:
        kernel.bpf_map_update(fd, 0, fd)
    assert refused.value.errno == errno.EINVAL
