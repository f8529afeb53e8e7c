"""A kernel that opens perf events on paper: it hands out numbers, refuses what a test says, and knows what is open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from tests.unit._files import FileKernel

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from perfring.kernel import Kernel

__all__ = ["PaperKernel"]


class _PaperMapping:
    def __init__(self, kernel: PaperKernel) -> None:
        self._kernel = kernel
        kernel.mapped += 1

    def close(self) -> None:
        self._kernel.mapped -= 1


class PaperKernel(FileKernel):
    """Refuses calls by what they are for: ``refuse[("open", type)]`` and ``refuse["mmap"]`` are errnos."""

    def __init__(self, *, page_size: int = 4096) -> None:
        super().__init__(page_size=page_size)
        self.refuse: dict[object, int] = {}
        self.open: set[int] = set()
        self.mapped = 0
        self.attrs: list[PerfEventAttr] = []
        self.pids: set[int] = set()
        self.redirected: list[tuple[int, int]] = []

    def as_kernel(self) -> Kernel:
        """Itself, as the code under test knows it."""
        return cast("Kernel", self)

    def _check(self, what: object) -> None:
        number = self.refuse.get(what)
        if number is not None:
            raise OSError(number, os.strerror(number))

    def perf_event_open(self, attr: PerfEventAttr, pid: int, cpu: int, group_fd: int = -1, flags: int = 0) -> int:
        self._check(("open", attr.type))
        self._check(("open on", cpu))
        self.attrs.append(attr)
        self.pids.add(pid)
        fd = 1000 + len(self.attrs)
        self.open.add(fd)
        return fd

    def mmap(self, fd: int, length: int) -> _PaperMapping:
        self._check("mmap")
        return _PaperMapping(self)

    def ioctl(self, fd: int, request: int, argument: int) -> int:
        self._check("ioctl")
        self.redirected.append((fd, argument))
        return 0

    def close(self, fd: int) -> None:
        self.open.remove(fd)
