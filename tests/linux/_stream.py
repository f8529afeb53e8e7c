"""One ring and what writes one record into it, for tests that count records."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Unpack

from perfring import abi
from perfring.kernel import Mapping
from perfring.linux import LinuxKernel
from perfring.tracefs import read_format
from perfring.verify import Arm, Shape
from tests.linux._rings import mapped, opened

POLLIN = 1
# A header and six words: 56 bytes.
SAMPLE_56 = abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME
SAMPLE_56 |= abi.PERF_SAMPLE_ID | abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_PERIOD


class Record(NamedTuple):
    type: int
    size: int
    body: bytes


class Stream:
    """One ring of one event of this thread, and what writes one record into it."""

    def __init__(self, kernel: LinuxKernel, fd: int, ring: Mapping, produce: Callable[[], object]) -> None:
        self.kernel, self.fd, self.ring, self.produce = kernel, fd, ring, produce
        self.size = len(ring.data)

    @property
    def head(self) -> int:
        return self.ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)

    @property
    def tail(self) -> int:
        return self.ring.load_u64(abi.MMAP_PAGE_DATA_TAIL)

    def write(self, times: int = 1) -> None:
        for _ in range(times):
            self.produce()

    def woken(self) -> bool:
        """Whether a reader would wake now; asking takes the latch."""
        return bool(self.kernel.poll([(self.fd, POLLIN)], 0))

    def wakes(self, times: int) -> list[int]:
        """Head at each wake while that many records are written and nobody drains."""
        found = []
        for _ in range(times):
            self.write()
            if self.woken():
                found.append(self.head)
        return found

    def fill(self) -> int:
        """Writes until one record is lost; head then."""
        before = -1
        while before != self.head:
            before = self.head
            self.write()
        return before

    def drain(self, *, to: int | None = None) -> None:
        self.ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, self.head if to is None else to)

    def control(self, request: int, argument: int = 0) -> None:
        self.kernel.ioctl(self.fd, request, argument)

    def lost(self) -> int:
        """What read(2) says; the event must have PERF_FORMAT_LOST."""
        _, lost = struct.unpack("=QQ", self.kernel.read(self.fd, 16))
        return int(lost)

    def record(self, position: int) -> Record:
        kind, _, size = struct.unpack("=IHH", self.raw(position, 8))
        return Record(kind, size, self.raw(position + 8, size - 8))

    def raw(self, position: int, length: int) -> bytes:
        return bytes(self.ring.data[(position + i) % self.size] for i in range(length))

    def records(self) -> list[Record]:
        found, position = [], self.tail
        while position < self.head:
            found.append(self.record(position))
            position += found[-1].size
        return found


@contextmanager
def open_stream(kernel: LinuxKernel, attr: abi.PerfEventAttr, produce: Callable[[], object]) -> Iterator[Stream]:
    """The ring, of one page, of one event of this thread; closed again."""
    with opened(kernel, attr) as fd, mapped(kernel, fd) as ring:
        yield Stream(kernel, fd, ring, produce)


@contextmanager
def renames(arm: Arm, shape: Shape, level: int, **changes: Unpack[abi.PerfEventAttrFields]) -> Iterator[Stream]:
    """COMM records of one size, one for each renaming of this thread, at a watermark of ``level`` bytes."""
    attr = shape.attr(level).copy(disabled=False).copy(**changes)
    assert isinstance(arm.kernel, LinuxKernel)
    with open_stream(arm.kernel, attr, lambda: arm.producer.rename(shape.comm)) as stream:
        yield stream


@contextmanager
def getppids(kernel: LinuxKernel, watermark: int) -> Iterator[Stream]:
    """Samples of 56 bytes, one for each getppid of this thread; without a trailer, so that a LOST is 24 bytes (K44)."""
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_TRACEPOINT,
        config=read_format(kernel, "syscalls:sys_enter_getppid").id,
        sample_period=1,
        sample_type=SAMPLE_56,
        watermark=True,
        wakeup_watermark=watermark,
    )
    with open_stream(kernel, attr, os.getppid) as stream:
        yield stream
