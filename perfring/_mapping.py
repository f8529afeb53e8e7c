"""A perf ring in this process's memory: the metadata page and the data area."""

from __future__ import annotations

import ctypes
import os
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Final

from perfring._libc import libc
from perfring.abi import MMAP_PAGE_DATA_OFFSET, MMAP_PAGE_DATA_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.engine import Core

__all__ = ["LinuxMapping"]

_alive: Final[weakref.WeakSet[LinuxMapping]] = weakref.WeakSet()


def _forget_all() -> None:
    """After fork: the child has the objects but not the memory (K45), and touching it would be SIGSEGV."""
    for mapping in list(_alive):
        mapping._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class LinuxMapping:
    """The seam's Mapping over munmap(2); `LinuxKernel.mmap` makes it.

    `data` is read-only: writing a data page is SIGBUS (K3). The memory goes away when `close` was called
    and the last slice of `data` is gone: a forgotten slice then holds memory, where it would otherwise
    be a segmentation fault. In a forked child every access raises ValueError, and nothing is unmapped.

    Args:
        address: where it is mapped.
        length: bytes, metadata page and all.
        page_size: of the metadata page.
        writable: not in overwrite mode (K4).
        fence: called between the accesses that must not change places (K37); None where none is needed.
        core: the compiled engine, whose accesses have their order themselves; None without it.
    """

    def __init__(
        self,
        address: int,
        length: int,
        *,
        page_size: int,
        writable: bool,
        fence: Callable[[], object] | None = None,
        core: Core | None = None,
    ) -> None:
        memory = (ctypes.c_char * length).from_address(address)
        # Unmaps when the array is collected, and so never below a view: views keep the array alive.
        self._unmap: weakref.finalize[[int, int], Any] = weakref.finalize(memory, libc().munmap, address, length)
        self._unmap.atexit = False
        whole = memoryview(memory).cast("B")
        self._words = whole[:page_size].cast("Q")
        start, size = (self._words[offset >> 3] for offset in (MMAP_PAGE_DATA_OFFSET, MMAP_PAGE_DATA_SIZE))
        self.data = whole[start : start + size].toreadonly()
        self._writable = writable
        self._fence = fence
        self._core = core
        self._page_size = page_size
        self._closed = False
        _alive.add(self)

    def load_u64(self, offset: int) -> int:
        """Reads the u64 at a byte offset of the metadata page; what is read later is not older (K37).

        Raises:
            ValueError: The offset is not a multiple of 8 in the page, or the mapping is closed.
        """
        if self._core is not None:
            return self._core.load_acquire(self._words, offset)
        value = self._words[self._index(offset)]
        if self._fence is not None:
            self._fence()
        return value

    def store_u64(self, offset: int, value: int) -> None:
        """Writes the u64 at a byte offset of the metadata page; what was read before is not newer (K37).

        Raises:
            ValueError: As `load_u64`; or the value is not a u64; or the ring is mapped read-only (K4).
        """
        index = self._index(offset)
        if not self._writable:
            raise ValueError(f"cannot store at {offset}: the ring is mapped read-only, that is, in overwrite mode (K4)")
        if self._core is not None:
            self._core.store_release(self._words, offset, value)
            return
        if self._fence is not None:
            self._fence()
        self._words[index] = value

    def _index(self, offset: int) -> int:
        if offset & 7 or not 0 <= offset < self._page_size:
            raise ValueError(f"offset {offset} is no u64 of the metadata page: a multiple of 8 below {self._page_size}")
        return offset >> 3

    def close(self) -> None:
        """munmap(2), once; in a forked child, which has no mapping, nothing happens."""
        self._closed = True
        _alive.discard(self)
        self._words.release()
        self.data.release()

    def _forget(self) -> None:
        self._unmap.detach()
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.data)} data bytes"
        return f"<LinuxMapping {state}>"
