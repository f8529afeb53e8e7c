"""A kernel of one task that renames itself: just enough of the seam for `perfring.verify`.

It does what K6, K7, K8, K12, K14 and K21 say, and can be told to do one of them wrongly.
"""

from __future__ import annotations

import errno
import operator
import struct
from collections.abc import Callable, Sequence
from typing import cast

from perfring import abi
from perfring.kernel import Kernel
from perfring.verify import Arm

POLLIN = 1


class Ring:
    """The ring of one event. Records are headers only; nothing wraps, for nobody reads them."""

    def __init__(self, attr: abi.PerfEventAttr) -> None:
        self.attr = attr
        self.enabled = self.latch = False
        self.size = self.head = self.tail = self.cursor = self.lost = 0
        self.data = memoryview(bytearray(8))

    def map(self, size: int) -> None:
        self.size = size
        self.watermark = min(self.attr.wakeup_watermark, size) or size // 2

    def load_u64(self, offset: int) -> int:
        assert offset == abi.MMAP_PAGE_DATA_HEAD
        return self.head

    def store_u64(self, offset: int, value: int) -> None:
        assert offset == abi.MMAP_PAGE_DATA_TAIL
        self.tail = value

    def close(self) -> None:
        self.size = 0


class RenameKernel:
    """One task, the producer as well: ``arm()`` is what `perfring.verify` measures.

    Args:
        crosses: the comparison of K7, ``operator.gt``.
        drops_signal: a record that is refused wakes the reader, against K12.
        refuses: perf_event_open fails with this errno.
    """

    pid = 4711
    page_size = 4096
    release = "0"

    def __init__(
        self,
        *,
        crosses: Callable[[int, int], bool] = operator.gt,
        drops_signal: bool = False,
        refuses: int | None = None,
    ) -> None:
        self.crosses = crosses
        self.drops_signal = drops_signal
        self.refuses = refuses
        self.rings: dict[int, Ring] = {}

    def arm(self, name: str = "model") -> Arm:
        return Arm(name, cast("Kernel", self), self)

    def perf_event_open(self, attr: abi.PerfEventAttr, pid: int, cpu: int, flags: int = 0) -> int:
        assert (pid, cpu) == (self.pid, -1)
        if self.refuses is not None:
            raise OSError(self.refuses, errno.errorcode[self.refuses])
        fd = max(self.rings, default=1 << 30) + 1
        self.rings[fd] = Ring(attr)
        return fd

    def mmap(self, fd: int, length: int) -> Ring:
        self.rings[fd].map(length - self.page_size)
        return self.rings[fd]

    def ioctl(self, fd: int, request: int) -> int:
        assert request == abi.PERF_EVENT_IOC_ENABLE
        self.rings[fd].enabled = True
        return 0

    def close(self, fd: int) -> None:
        del self.rings[fd]

    def poll(self, fds: Sequence[tuple[int, int]], timeout: float) -> list[tuple[int, int]]:
        ((fd, events),) = fds
        ready, self.rings[fd].latch = self.rings[fd].latch, False
        return [(fd, events & POLLIN)] if ready else []

    def rename(self, comm: str) -> None:
        for ring in self.rings.values():
            if ring.enabled and ring.attr.comm:
                self._write(ring, 16 + (len(comm) // 8 + 1) * 8, ring.attr)

    def _write(self, ring: Ring, record: int, attr: abi.PerfEventAttr) -> None:
        trailer = 8 * attr.sample_type.bit_count() * attr.sample_id_all
        record += trailer
        needed = record + (24 + trailer if ring.lost else 0)
        if ring.head + needed - ring.tail > ring.size - 1:
            ring.lost += 1
            ring.latch |= self.drops_signal
            return
        struct.pack_into("IHH", ring.data, 0, abi.PERF_RECORD_COMM, 0, record)
        ring.head, ring.lost = ring.head + needed, 0
        if self.crosses(ring.head - ring.cursor, ring.watermark):
            ring.cursor += ring.watermark
            ring.latch = True
