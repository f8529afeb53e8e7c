"""Serves ring images as live rings: a kernel behind the seam that opens what was recorded, and rings that grow.

The reading path is perfring's own, from `Session` down; what stands below the seam is here. Space that the reader frees
is poisoned at once, so what is read after that is found out.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

from perfring import abi
from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL, PerfEventAttr

if TYPE_CHECKING:
    from perfring.kernel import Kernel
    from tests.conformance._ring_images import ImageEvent, SessionImage

__all__ = ["NOW", "ImageKernel", "ServedRing"]

NOW: Final = 1 << 62
"""Nanoseconds: later than every recorded time."""
_U64: Final = (1 << 64) - 1
_POISON: Final = 0xA5
_IN: Final = 0x1
_FIRST_FD: Final = 1 << 30
_FIRST_WAKER: Final = _FIRST_FD + (1 << 20)


class ServedRing:
    """The kernel's side of a ring, and the `Mapping` of it.

    Args:
        size: bytes of the data area.
        start: the position of the first byte.

    Attributes:
        head: what the kernel published.
        heads: what the next loads of head give instead, one after the other.
        tails: every tail that the reader stored.
        loads: how many times it looked.
    """

    def __init__(self, size: int, *, start: int = 0) -> None:
        self.memory = bytearray([_POISON]) * size
        self.data = memoryview(self.memory)
        self.head = self.tail = start
        self.heads: deque[int] = deque()
        self.tails: list[int] = []
        self.loads = 0

    def write(self, stream: bytes) -> None:
        """Appends bytes, and publishes them."""
        assert len(stream) <= len(self.memory), f"{len(stream)} bytes do not fit into a ring of {len(self.memory)}"
        self._put(self.head, stream)
        self.head = (self.head + len(stream)) & _U64

    def write_backward(self, stream: bytes) -> None:
        """Puts bytes in front of head, as a backward ring grows (K34)."""
        self.head = (self.head - len(stream)) & _U64
        self._put(self.head, stream[: len(self.memory)])

    def _put(self, position: int, stream: bytes) -> None:
        size = len(self.memory)
        at = position % size
        first = stream[: size - at]
        self.memory[at : at + len(first)] = first
        self.memory[: len(stream) - len(first)] = stream[len(first) :]

    def load_u64(self, offset: int) -> int:
        if offset == MMAP_PAGE_DATA_TAIL:
            return self.tail
        assert offset == MMAP_PAGE_DATA_HEAD
        self.loads += 1
        return self.heads.popleft() if self.heads else self.head

    def store_u64(self, offset: int, value: int) -> None:
        assert offset == MMAP_PAGE_DATA_TAIL, f"a reader stores its tail and nothing else, not at {offset}"
        freed = (value - self.tail) & _U64
        if freed <= len(self.memory):  # a tail from elsewhere gives nothing back that is known
            self._put(self.tail, bytes([_POISON]) * freed)
        self.tail = value
        self.tails.append(value)

    def close(self) -> None:
        """The memory stays: the test has to look at it."""


class ImageKernel:
    """Opens a recorded session: fds and ids as they come, rings as the test made them.

    Args:
        image: whose events there are.
        rings: by CPU.
    """

    def __init__(self, image: SessionImage, rings: dict[int, ServedRing]) -> None:
        self.page_size = image.page_size
        self.release = image.release
        self.now = NOW
        self.rings = rings
        self.latches: dict[int, bool] = {}
        self._wakers = count(_FIRST_WAKER)
        self.paused: list[bool] = []
        self._recorded = {ring.cpu: iter(ring.events) for ring in image.rings}
        self._events: dict[int, tuple[int, ImageEvent]] = {}

    def as_kernel(self) -> Kernel:
        """Itself, as the code under test knows it."""
        return cast("Kernel", self)

    def wake(self) -> None:
        """Every ring crosses its watermark."""
        for fd, (_, event) in self._events.items():
            self.latches[fd] = event.kind == "leader"

    def online_cpus(self) -> tuple[int, ...]:
        return tuple(self.rings)

    def perf_event_open(self, attr: PerfEventAttr, pid: int, cpu: int, group_fd: int = -1, flags: int = 0) -> int:
        fd = _FIRST_FD + len(self._events)
        self._events[fd] = cpu, next(self._recorded[cpu])
        self.latches[fd] = False
        return fd

    def mmap(self, fd: int, length: int, *, writable: bool = True, shared: bool = True, offset: int = 0) -> ServedRing:
        return self.rings[self._events[fd][0]]

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> int:
        if request == abi.PERF_EVENT_IOC_ID:
            struct.pack_into("=Q", argument, 0, self._events[fd][1].id)
        elif request == abi.PERF_EVENT_IOC_PAUSE_OUTPUT:
            self.paused.append(bool(argument))
        return 0

    def read(self, fd: int, size: int) -> bytes:
        """Counts of 0, in the form that the event's read_format asks for."""
        asked = PerfEventAttr.unpack(self._events[fd][1].attr).read_format
        first = 1 if asked & abi.PERF_FORMAT_GROUP else 0
        return struct.pack("=Q", first) + bytes(8 * asked.bit_count())

    def close(self, fd: int) -> None:
        del self.latches[fd]

    def clock_ns(self, clock_id: int) -> int:
        return self.now

    def ask(self, fd: int) -> int:
        """Takes the latch (K14); a waker stays ready."""
        ready, self.latches[fd] = self.latches[fd], fd >= _FIRST_WAKER and self.latches[fd]
        return _IN if ready else 0

    def poll(self, fds: Sequence[tuple[int, int]], timeout: float | None = None) -> list[tuple[int, int]]:
        return [(fd, events) for fd, _ in fds if (events := self.ask(fd))]

    def epoll(self) -> ImageEpoll:
        return ImageEpoll(self)

    def waker(self) -> ImageWaker:
        return ImageWaker(self.latches, next(self._wakers))


class ImageEpoll:
    """Asks each fd once a wait. A wait without an end fails the test: nothing else could end it."""

    def __init__(self, kernel: ImageKernel) -> None:
        self._kernel = kernel
        self._fds: list[int] = []

    def register(self, fd: int, eventmask: int) -> None:
        self._kernel.ask(fd)
        self._fds.append(fd)

    def unregister(self, fd: int) -> None:
        self._fds.remove(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        ready = self._kernel.poll([(fd, _IN) for fd in self._fds])
        if not ready:
            assert timeout is not None, "this would wait for ever"
            self._kernel.now += round(timeout * 1e9)
        return ready

    def close(self) -> None:
        self._fds.clear()


class ImageWaker:
    def __init__(self, latches: dict[int, bool], fd: int) -> None:
        self._latches = latches
        self._fd = fd
        self.clear()

    def fileno(self) -> int:
        return self._fd

    def set(self) -> None:
        self._latches[self._fd] = True

    def clear(self) -> None:
        self._latches[self._fd] = False

    def close(self) -> None:
        """Nothing is held."""
