"""A consumer of perf rings, and what check_consumer says of it: python check_my_consumer.py. Needs no privileges."""

from simkernel.contract import ConsumerSetup, OpenedRing, check_consumer

HEAD, TAIL, POLLIN, POLLHUP = 1024, 1032, 0x1, 0x10


class MyConsumer:
    def __init__(self, setup: ConsumerSetup) -> None:
        if setup.watermark >= setup.pages * setup.kernel.page_size:
            raise ValueError("this watermark would never wake us")
        self.kernel, self.rings, self.lost = setup.kernel, setup.rings, 0
        self.live = {fd for ring in self.rings for fd in ring.fds}
        self.epoll, self.waker = setup.kernel.epoll(), setup.kernel.waker()
        for fd in (self.waker.fileno(), *self.live):
            self.epoll.register(fd, POLLIN)  # takes a wakeup that came before, so:
        self.first, self.closed, self.waiting = True, False, False

    def read(self, timeout: float | None) -> list[tuple[int, bytes]] | None:
        if self.closed or not self.live:
            return None
        if not self.first:
            self.wait(timeout)
        self.first = False
        return [(ring.cpu, record) for ring in self.rings for record in self.drain(ring)]

    def wait(self, timeout: float | None) -> None:
        self.waiting = True
        for fd, events in self.epoll.poll(timeout):
            if events & POLLHUP:  # stays for ever; the ring goes on with its other events
                self.epoll.unregister(fd)
                self.live.remove(fd)
        self.waiting = False
        if self.closed:
            self.release()

    def drain(self, ring: OpenedRing) -> list[bytes]:
        head, tail = ring.mapping.load_u64(HEAD), ring.mapping.load_u64(TAIL)
        start, length = tail % len(ring.mapping.data), (head - tail) % 2**64
        unread = (bytes(ring.mapping.data) * 2)[start : start + length]
        records = []
        while unread:
            size = int.from_bytes(unread[6:8], "little")
            if not 8 <= size <= len(unread):
                break
            records.append(unread[:size])
            unread = unread[size:]
        ring.mapping.store_u64(TAIL, head)
        return records

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.waiting:  # read() lets go of what it waits in
                self.waker.set()
            else:
                self.release()

    def release(self) -> None:
        counts = [self.kernel.read(fd, 16) for ring in self.rings for fd in ring.fds]
        self.lost = sum(int.from_bytes(count[8:], "little") for count in counts)
        self.epoll.close()
        self.waker.close()


if __name__ == "__main__":
    report = check_consumer(MyConsumer)
    print(report)
    raise SystemExit(not report.ok)
