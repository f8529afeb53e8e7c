"""K1 to K4: the shape of a ring, as the kernel has it."""

from __future__ import annotations

import ctypes
import errno
import os
import signal

import pytest

from perfring import abi
from tests.linux._rig import (
    DATA_OFFSET,
    DATA_SIZE,
    HEAD,
    IN,
    TAIL,
    Rig,
    dummy,
    free,
    getppid,
    getppid_samples,
    head,
    refused,
    status_of,
    waking,
)


@pytest.mark.parametrize("pages", [0, 1, 2, 8, 64])
def test_k01_a_power_of_two_of_data_pages_maps_and_so_does_none(rig: Rig, pages: int) -> None:
    mapping = rig.map(rig.open(dummy()), pages)
    assert len(mapping.data) == pages * rig.kernel.page_size


@pytest.mark.parametrize("pages", [3, 5, 6, 7, 12])
def test_k01_another_number_of_data_pages_is_refused(rig: Rig, pages: int) -> None:
    fd = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.map(fd, pages)


def test_k01_nothing_is_written_without_data_pages(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(), pages=0)
    getppid(3)
    assert head(mapping) == 0
    assert rig.counts(fd) == (3,)


def test_k01_a_private_mapping_is_refused(rig: Rig) -> None:
    fd = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.kernel.mmap(fd, 2 * rig.kernel.page_size, shared=False)


@pytest.mark.parametrize("pages", [0, 1])
def test_k01_an_offset_is_refused(rig: Rig, pages: int) -> None:
    fd = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.kernel.mmap(fd, (1 + pages) * rig.kernel.page_size, offset=rig.kernel.page_size)


def test_k01_a_length_of_0_is_refused(rig: Rig) -> None:
    fd = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.kernel.mmap(fd, 0)


def test_k02_the_metadata_page_tells_where_the_data_is(rig: Rig) -> None:
    mapping = rig.map(rig.open(dummy()), 4)
    assert mapping.load_u64(DATA_OFFSET) == rig.kernel.page_size
    assert mapping.load_u64(DATA_SIZE) == 4 * rig.kernel.page_size


def test_k02_head_and_tail_begin_at_0_and_head_grows_by_what_is_written(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    assert (mapping.load_u64(HEAD), mapping.load_u64(TAIL)) == (0, 0)
    getppid(2)
    assert (mapping.load_u64(HEAD), mapping.load_u64(TAIL)) == (32, 0)


def test_k03_a_second_mapping_of_the_same_size_shares_the_ring(rig: Rig) -> None:
    fd, first = rig.ring(getppid_samples())
    getppid(3)
    second = rig.map(fd)
    assert head(second) == head(first) == 48
    assert bytes(second.data[:48]) == bytes(first.data[:48])


@pytest.mark.parametrize("pages", [0, 2])
def test_k03_a_second_mapping_of_another_size_is_refused(rig: Rig, pages: int) -> None:
    fd, _ = rig.ring(dummy())
    with refused(errno.EINVAL):
        rig.map(fd, pages)


def test_k03_the_ring_lives_until_its_last_mapping_goes(rig: Rig) -> None:
    fd, first = rig.ring(getppid_samples())
    second = rig.map(fd)
    first.close()
    getppid(1)
    assert head(second) == 16


def test_k03_a_mapping_after_the_last_munmap_starts_at_head_0(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    getppid(3)
    mapping.close()
    assert head(rig.map(fd, 2)) == 0


def _address(fd: int) -> int:
    """Where this process has the ring mapped: the seam does not tell."""
    with open("/proc/self/maps") as maps:
        return next(int(line.split("-")[0], 16) for line in maps if "anon_inode:[perf_event]" in line)


def test_k03_a_forked_child_does_not_have_the_mapping(rig: Rig) -> None:
    fd, _ = rig.ring(dummy())
    address = _address(fd)
    assert os.WTERMSIG(status_of(lambda: ctypes.c_uint64.from_address(address).value)) == signal.SIGSEGV


def _store(rig: Rig, fd: int, offset: int) -> None:
    mapping = rig.map(fd)
    assert mapping is not None
    ctypes.c_uint64.from_address(_address(fd) + offset).value = 1


def test_k03_storing_to_a_data_page_is_sigbus(rig: Rig) -> None:
    fd = rig.open(dummy())
    assert os.WTERMSIG(status_of(lambda: _store(rig, fd, rig.kernel.page_size))) == signal.SIGBUS


@pytest.mark.parametrize("offset", [0, HEAD, TAIL])
def test_k03_the_metadata_page_can_be_stored_to(rig: Rig, offset: int) -> None:
    fd = rig.open(dummy())
    assert status_of(lambda: _store(rig, fd, offset)) == 0


def test_k03_scribbling_over_data_head_does_not_disturb_the_kernels_own(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    getppid(2)
    mapping.store_u64(HEAD, 999_999)
    getppid(1)
    assert head(mapping) == 48


def test_k03_the_kernel_does_not_read_data_size_back(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    mapping.store_u64(DATA_SIZE, 8)
    getppid(2)
    assert (head(mapping), mapping.load_u64(DATA_SIZE)) == (32, 8)


def test_k04_read_only_there_is_no_space_check(rig: Rig) -> None:
    fd = rig.open(getppid_samples())
    mapping = rig.map(fd, writable=False)
    times = 3 * len(mapping.data) // 16
    getppid(times)
    assert head(mapping) == times * 16


def test_k04_writable_the_same_ring_fills_up(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    getppid(3 * len(mapping.data) // 16)
    assert head(mapping) == len(mapping.data) - 16


def test_k04_the_oldest_records_are_overwritten(rig: Rig) -> None:
    fd = rig.open(getppid_samples(sample_type=abi.PERF_SAMPLE_TIME))
    mapping = rig.map(fd, writable=False)
    slots = len(mapping.data) // 16
    getppid(slots)
    oldest = bytes(mapping.data[:16])
    getppid(1)
    assert bytes(mapping.data[:16]) != oldest


def test_k04_wakeups_still_happen(rig: Rig) -> None:
    fd = rig.open(waking(1024))
    mapping = rig.map(fd, writable=False)
    getppid(2 * len(mapping.data) // 16)
    assert rig.ask(fd) == IN


def test_k04_a_watermark_of_the_whole_ring_wakes_an_overwriting_reader(rig: Rig) -> None:
    fd = rig.open(waking(1 << 20))
    mapping = rig.map(fd, writable=False)
    getppid(len(mapping.data) // 16)
    assert rig.ask(fd) == 0
    getppid(1)
    assert rig.ask(fd) == IN


def test_k04_a_later_writable_mapping_does_not_bring_the_space_check(rig: Rig) -> None:
    fd = rig.open(getppid_samples())
    rig.map(fd, writable=False)
    mapping = rig.map(fd)
    getppid(2 * len(mapping.data) // 16)
    assert head(mapping) == 2 * len(mapping.data)


def test_k04_a_later_read_only_mapping_does_not_lift_the_space_check(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    rig.map(fd, writable=False)
    getppid(2 * len(mapping.data) // 16)
    assert head(mapping) == len(mapping.data) - 16


def test_k04_the_tail_of_a_writable_ring_makes_room(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    getppid(len(mapping.data) // 16)
    free(mapping)
    before = head(mapping)
    os.getppid()  # brings the LOST record of the one that did not fit
    assert head(mapping) == before + 16 + 24
