"""mmap(2) through the seam: geometry, access, and what is left after close and fork."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from perfring import abi
from perfring.linux import LinuxKernel
from tests.linux._rings import COMM_BYTES, mapped, opened, rename


def mmap_refusal(kernel: LinuxKernel, fd: int, length: int, *, shared: bool = True, offset: int = 0) -> int | None:
    try:
        kernel.mmap(fd, length, shared=shared, offset=offset).close()
    except OSError as refused:
        return refused.errno
    return None


def maps_of_rings() -> int:
    return Path("/proc/self/maps").read_text(errors="surrogateescape").count("anon_inode:[perf_event]")


@pytest.mark.parametrize("data_pages", [1, 2, 8])
def test_k1_a_power_of_two_of_data_pages_maps(kernel: LinuxKernel, data_pages: int) -> None:
    with opened(kernel) as fd, mapped(kernel, fd, data_pages=data_pages) as ring:
        assert len(ring.data) == data_pages * kernel.page_size


def test_k1_three_data_pages_are_refused(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert mmap_refusal(kernel, fd, 4 * kernel.page_size) == errno.EINVAL


def test_k1_the_metadata_page_alone_has_no_data(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd, data_pages=0) as ring:
        rename()
        assert (len(ring.data), ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)) == (0, 0)


def test_a_length_inside_a_page_is_rounded_up_as_the_kernel_does(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        ring = kernel.mmap(fd, 2 * kernel.page_size - 1)
        assert len(ring.data) == kernel.page_size
        ring.close()


def test_k1_a_private_mapping_is_refused(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert mmap_refusal(kernel, fd, 2 * kernel.page_size, shared=False) == errno.EINVAL


def test_k1_an_offset_is_refused(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert mmap_refusal(kernel, fd, 2 * kernel.page_size, offset=kernel.page_size) == errno.EINVAL


def test_an_offset_inside_a_page_is_refused(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        assert mmap_refusal(kernel, fd, 2 * kernel.page_size, offset=1) == errno.EINVAL


def test_k2_the_data_is_where_the_page_says(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        rename()
        assert ring.load_u64(abi.MMAP_PAGE_DATA_OFFSET) == kernel.page_size
        assert abi.HEADER.unpack_from(ring.data, 0) == (abi.PERF_RECORD_COMM, 0, COMM_BYTES)


def test_k2_the_head_is_the_bytes_written(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        rename()
        rename()
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == 2 * COMM_BYTES


def test_storing_the_tail_frees_space(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        for _ in range(len(ring.data) // COMM_BYTES):
            rename()
        full = ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
        ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, full)
        rename()
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) > full


def test_k3_a_second_mapping_shares_the_ring(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as one, mapped(kernel, fd) as other:
        rename()
        assert other.load_u64(abi.MMAP_PAGE_DATA_HEAD) == COMM_BYTES
        assert bytes(other.data) == bytes(one.data)


def test_k3_a_second_mapping_of_another_size_is_refused(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd):
        assert mmap_refusal(kernel, fd, 3 * kernel.page_size) == errno.EINVAL


def test_k3_a_new_ring_starts_at_head_0(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        with mapped(kernel, fd):
            rename()
        with mapped(kernel, fd) as ring:
            assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == 0


def test_k3_scribbling_over_the_head_does_not_disturb_the_kernel(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        rename()
        ring.store_u64(abi.MMAP_PAGE_DATA_HEAD, 12345)
        rename()
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == 2 * COMM_BYTES


def test_the_data_area_is_read_only(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring, pytest.raises(TypeError, match="read-only"):
        ring.data[0] = 1


def test_k4_a_read_only_ring_takes_no_tail(kernel: LinuxKernel) -> None:
    with (
        opened(kernel) as fd,
        mapped(kernel, fd, writable=False) as ring,
        pytest.raises(ValueError, match="read-only"),
    ):
        ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, 0)


@pytest.mark.parametrize("offset", [-8, 4, 1 << 20])
def test_an_offset_that_is_no_u64_of_the_page_is_refused(kernel: LinuxKernel, offset: int) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        with pytest.raises(ValueError, match=f"offset {offset}"):
            ring.load_u64(offset)
        with pytest.raises(ValueError, match=f"offset {offset}"):
            ring.store_u64(offset, 0)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_value_that_is_no_u64_is_refused(kernel: LinuxKernel, value: int) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring, pytest.raises(ValueError):
        ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, value)


def test_every_u64_can_be_stored_and_loaded(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, 2**64 - 8)
        assert ring.load_u64(abi.MMAP_PAGE_DATA_TAIL) == 2**64 - 8


def test_close_unmaps_and_may_be_repeated(kernel: LinuxKernel) -> None:
    before = maps_of_rings()
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        assert maps_of_rings() == before + 1
        ring.close()
        ring.close()
        assert maps_of_rings() == before


def test_a_closed_mapping_raises_instead_of_crashing(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        pass
    with pytest.raises(ValueError, match="released"):
        ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)


def test_a_slice_of_the_data_outlives_close(kernel: LinuxKernel) -> None:
    before = maps_of_rings()
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        rename()
        piece = ring.data[:8]
    assert abi.HEADER.unpack(piece)[0] == abi.PERF_RECORD_COMM
    piece.release()
    del piece
    assert maps_of_rings() == before


def test_the_mapping_does_not_duplicate_the_fd(kernel: LinuxKernel) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with opened(kernel) as fd, mapped(kernel, fd):
        assert len(os.listdir("/proc/self/fd")) == before + 1


def test_a_mapping_nobody_closed_is_reported(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd:
        ring = kernel.mmap(fd, 2 * kernel.page_size)
        with pytest.warns(ResourceWarning, match="unclosed <LinuxMapping"):
            del ring


def in_child(act: Callable[[], bytes]) -> bytes:
    """Runs a function in a forked child and returns what it returned."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, act())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return answer


def ring_address() -> int:
    maps = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
    (line,) = [line for line in maps if line.endswith("anon_inode:[perf_event]")]
    return int(line.split("-")[0], 16)


def map_zeroes_at(address: int, length: int) -> None:
    map_fixed = 0x10
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_fixed
    assert library.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == address


def test_k45_a_child_that_reads_the_mapping_gets_an_exception(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:

        def read() -> bytes:
            with pytest.raises(ValueError, match="released") as refused:
                ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
            return str(refused.value).encode()

        assert b"released" in in_child(read)


def test_k45_close_in_a_child_leaves_alone_what_is_there_now(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        address = ring_address()

        def reuse_the_address_then_close() -> bytes:
            map_zeroes_at(address, 2 * kernel.page_size)
            ring.close()
            return ctypes.string_at(address, 4)

        assert in_child(reuse_the_address_then_close) == bytes(4)


def test_k45_a_slice_dropped_in_a_child_leaves_alone_what_is_there_now(kernel: LinuxKernel) -> None:
    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        address = ring_address()
        held = [ring.data[:8]]

        def reuse_the_address_then_drop_the_slice() -> bytes:
            map_zeroes_at(address, 2 * kernel.page_size)
            held.clear()
            return ctypes.string_at(address, 4)

        assert in_child(reuse_the_address_then_drop_the_slice) == bytes(4)
        held.clear()


def test_k45_close_in_a_child_does_not_disturb_the_parent(kernel: LinuxKernel) -> None:
    def close() -> bytes:
        ring.close()
        return b"closed"

    with opened(kernel) as fd, mapped(kernel, fd) as ring:
        assert in_child(close) == b"closed"
        before = ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
        rename()
        assert ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) == before + COMM_BYTES


def test_closing_fd_and_mapping_frees_the_event(kernel: LinuxKernel) -> None:
    """A breakpoint takes one of the few slots of the CPU (4 on x86-64), and gives it back when the event is freed."""
    watched = ctypes.c_long()
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_BREAKPOINT, bp_type=3, bp_addr=ctypes.addressof(watched), bp_len=8, exclude_kernel=True
    )
    for _ in range(40):
        try:
            fd = kernel.perf_event_open(attr, 0, -1)
        except OSError as refused:
            if refused.errno in (errno.EOPNOTSUPP, errno.ENODEV):
                pytest.skip(f"no hardware breakpoints on this machine: {refused}")
            raise
        kernel.mmap(fd, 2 * kernel.page_size).close()
        kernel.close(fd)
