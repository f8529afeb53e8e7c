"""LinuxMapping over plain memory: no perf event, no privilege, but munmap(2) is real."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from perfring import abi
from perfring._libc import libc
from perfring._mapping import LinuxMapping

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="maps memory through Linux's libc")

PAGE = mmap.PAGESIZE
HEAD, TAIL = abi.MMAP_PAGE_DATA_HEAD, abi.MMAP_PAGE_DATA_TAIL


@contextmanager
def ring(
    *, data_offset: int = PAGE, data_size: int = PAGE, pages: int = 3, fence: Callable[[], object] | None = None
) -> Iterator[LinuxMapping]:
    """A mapping whose metadata page says so."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = libc().mmap(pages * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    for offset, value in ((abi.MMAP_PAGE_DATA_OFFSET, data_offset), (abi.MMAP_PAGE_DATA_SIZE, data_size)):
        ctypes.c_uint64.from_address(address + offset).value = value
    ctypes.c_uint8.from_address(address + data_offset).value = 0xD1
    mapping = LinuxMapping(address, pages * PAGE, page_size=PAGE, writable=True, fence=fence)
    try:
        yield mapping
    finally:
        mapping.close()


def test_k2_data_starts_where_the_page_says_and_not_behind_it() -> None:
    with ring(data_offset=2 * PAGE) as mapping:
        assert (mapping.data[0], len(mapping.data)) == (0xD1, PAGE)


def test_k2_data_is_as_long_as_the_page_says() -> None:
    with ring(data_size=2 * PAGE) as mapping:
        assert len(mapping.data) == 2 * PAGE


def test_a_stored_value_is_loaded_again() -> None:
    with ring() as mapping:
        mapping.store_u64(TAIL, 2**64 - 8)
        assert (mapping.load_u64(TAIL), mapping.load_u64(HEAD)) == (2**64 - 8, 0)


def test_k37_the_fence_of_a_load_comes_behind_it() -> None:
    def the_kernel_goes_on() -> None:
        mapping._words[HEAD // 8] = 64

    with ring(fence=the_kernel_goes_on) as mapping:
        assert mapping.load_u64(HEAD) == 0


def test_k37_the_fence_of_a_store_comes_before_it() -> None:
    seen: list[int] = []
    with ring(fence=lambda: seen.append(mapping._words[TAIL // 8])) as mapping:
        mapping.store_u64(TAIL, 64)
    assert seen == [0]


def test_one_fence_for_each_load_and_store() -> None:
    calls: list[None] = []
    with ring(fence=lambda: calls.append(None)) as mapping:
        mapping.load_u64(HEAD)
        mapping.store_u64(TAIL, 8)
    assert len(calls) == 2


def test_repr_tells_size_and_state() -> None:
    with ring() as mapping:
        assert repr(mapping) == f"<LinuxMapping {PAGE} data bytes>"
    assert repr(mapping) == "<LinuxMapping closed>"
