"""A right consumer of perf rings, and plausible wrong ones: each is the right one with one mistake."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from perfring.kernel import Epoll
from simkernel.contract import ConsumerSetup, OpenedRing

HEAD: Final = 1024
TAIL: Final = 1032
IN: Final = 0x1
HUP: Final = 0x10
LOST: Final = 2
U64: Final = (1 << 64) - 1

Found = list[tuple[int, bytes]]


class Right:
    """Reads rings that are open already: an epoll, a loop, and the rules of the ring."""

    def __init__(self, setup: ConsumerSetup) -> None:
        self.kernel = setup.kernel
        self.setup = setup
        self.check(setup)
        self.rings = setup.rings
        self.live = {fd: ring for ring in self.rings for fd in ring.fds}
        self.waker = self.kernel.waker()
        self.epoll = self.make_epoll()
        self.look_again = True  # to register takes the wakeups (K15)
        self.closed = self.waiting = False
        self.lost = 0

    def check(self, setup: ConsumerSetup) -> None:
        if setup.watermark >= setup.pages * self.kernel.page_size:
            raise ValueError(f"a watermark of {setup.watermark} bytes would never wake us")

    def make_epoll(self) -> Epoll:
        epoll = self.kernel.epoll()
        for fd in (self.waker.fileno(), *self.live):
            epoll.register(fd, IN)
        return epoll

    def read(self, timeout: float | None) -> Sequence[tuple[int, bytes]] | None:
        if self.closed or not (self.live or self.look_again):
            return None
        if not self.look_again:
            self.wait(timeout)
        self.look_again = False
        found = [] if self.closed else self.drain_all()
        return found if found or self.live and not self.closed else None

    def wait(self, timeout: float | None) -> None:
        self.waiting = True
        ready = self.epoll.poll(timeout)
        self.waiting = False
        if self.closed:
            self.release()
            return
        for fd, events in ready:
            if events & HUP:
                self.hang_up(fd)

    def hang_up(self, fd: int) -> None:
        self.epoll.unregister(fd)
        del self.live[fd]

    def drain_all(self) -> Found:
        return [(ring.cpu, data) for ring in self.rings for data in self.drain(ring)]

    def drain(self, ring: OpenedRing) -> list[bytes]:
        head, tail = ring.mapping.load_u64(HEAD), ring.mapping.load_u64(TAIL)
        records = list(self.walk(ring, tail, head))
        self.count(records)
        ring.mapping.store_u64(TAIL, head)
        return records

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        while (unread := (head - tail) & U64) >= 8:
            size = self.size_at(ring, tail)
            if not 8 <= size <= unread:
                return
            yield self.copy(ring, tail, size)
            tail += size

    def size_at(self, ring: OpenedRing, position: int) -> int:
        return int.from_bytes(self.copy(ring, position, 8)[6:], "little")

    def copy(self, ring: OpenedRing, position: int, length: int) -> bytes:
        data = ring.mapping.data
        start = position % len(data)
        first = bytes(data[start : start + length])
        return first + bytes(data[: length - len(first)])

    def count(self, records: list[bytes]) -> None:
        """Losses that records tell of are in what read(2) tells as well."""

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.waiting:  # in another thread, which must not lose the epoll under its feet (K45)
            self.waker.set()
        else:
            self.release()

    def release(self) -> None:
        self.lost += self.lost_by_read()
        self.epoll.close()
        self.waker.close()

    def lost_by_read(self) -> int:
        total = 0
        for ring in self.rings:
            for fd in ring.fds:
                total += struct.unpack("=QQ", self.kernel.read(fd, 16))[1]
        return total
