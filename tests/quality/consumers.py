"""A right consumer of perf rings, and plausible wrong ones: each is the right one with one mistake."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from perfring import abi
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
        self.rings = self.open_rings(setup)
        self.live = {fd: ring for ring in self.rings for fd in ring.fds}
        self.waker = self.kernel.waker()
        self.epoll = self.make_epoll()
        self.look_again = True  # to register takes the wakeups (K15)
        self.closed = self.waiting = False
        self.lost = 0

    def check(self, setup: ConsumerSetup) -> None:
        if setup.watermark >= setup.pages * self.kernel.page_size:
            raise ValueError(f"a watermark of {setup.watermark} bytes would never wake us")

    def open_rings(self, setup: ConsumerSetup) -> tuple[OpenedRing, ...]:
        return setup.rings

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
        return self.found()

    def found(self) -> Found | None:
        if self.closed:  # by another thread meanwhile
            return None
        found = self.drain_all()
        return found if found or self.live else None

    def wait(self, timeout: float | None) -> None:
        self.waiting = True
        ready = self.ask(timeout)
        self.waiting = False
        if self.closed:
            self.release()
            return
        for fd, events in ready:
            if events & HUP:
                self.hang_up(fd)

    def ask(self, timeout: float | None) -> list[tuple[int, int]]:
        return self.epoll.poll(timeout)

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


class OpensItself(Right):
    """Right as well, and opens its rings itself."""

    follower_flags: ClassVar[Mapping[str, Any]] = {"watermark": True, "wakeup_watermark": 1}

    def open_rings(self, setup: ConsumerSetup) -> tuple[OpenedRing, ...]:
        return tuple(self.open_ring(setup, cpu) for cpu in setup.cpus)

    def open_ring(self, setup: ConsumerSetup, cpu: int) -> OpenedRing:
        kernel = setup.kernel
        leader = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, read_format=16)
        leader = leader.copy(watermark=True, wakeup_watermark=setup.watermark)
        fds = [kernel.perf_event_open(leader, setup.pids[0], cpu)]
        mapping = kernel.mmap(fds[0], (1 + setup.pages) * kernel.page_size)
        for pid in setup.pids:
            fds.append(kernel.perf_event_open(setup.attr.copy(read_format=16, **self.follower_flags), pid, cpu))
            kernel.ioctl(fds[-1], abi.PERF_EVENT_IOC_SET_OUTPUT, fds[0])
        return OpenedRing(cpu, tuple(fds), mapping)

    def release(self) -> None:
        super().release()
        for ring in self.rings:
            ring.mapping.close()
            for fd in ring.fds:
                self.kernel.close(fd)


class RegistersLate(OpensItself):
    """Registers when it is first asked to read, and waits at once."""

    def make_epoll(self) -> Epoll:
        return self.kernel.epoll()

    def read(self, timeout: float | None) -> Sequence[tuple[int, bytes]] | None:
        if self.look_again and not self.closed:
            self.look_again = False
            self.epoll.close()
            self.epoll = super().make_epoll()
        return super().read(timeout)


class LeavesTheFlagOff(OpensItself):
    """Only the mapped event has the watermark, and the others ask to wake at each sample."""

    follower_flags: ClassVar[Mapping[str, Any]] = {"wakeup_events": 1}


class LeavesItsEventsOpen(OpensItself):
    """Unmaps, and thinks that this is enough."""

    def release(self) -> None:
        Right.release(self)
        for ring in self.rings:
            ring.mapping.close()


# Waking.


class DrainsOnlyWhenWoken(Right):
    """After registering it waits at once."""

    def __init__(self, setup: ConsumerSetup) -> None:
        super().__init__(setup)
        self.look_again = False


class AsksTwice(Right):
    """Asks whether it is worth while to wait, and then waits."""

    def wait(self, timeout: float | None) -> None:
        self.kernel.poll([(fd, IN) for fd in self.live], 0)
        super().wait(timeout)


class WaitsInNestedEpoll(Right):
    """Gives the descriptor of its epoll to the loop of a framework, which waits in an epoll of its own."""

    def make_epoll(self) -> Epoll:
        self.ready = list(self.rings)
        self.inner = super().make_epoll()
        outer = self.kernel.epoll()
        outer.register(self.inner.fileno(), IN)
        return outer

    def ask(self, timeout: float | None) -> list[tuple[int, int]]:
        self.epoll.poll(timeout)
        ready = self.inner.poll(0)
        self.ready = [self.live[fd] for fd, _ in ready if fd in self.live]
        return ready

    def drain_all(self) -> Found:
        rings, self.ready = self.ready, []
        return [(ring.cpu, data) for ring in rings for data in self.drain(ring)]

    def hang_up(self, fd: int) -> None:
        self.inner.unregister(fd)
        del self.live[fd]

    def release(self) -> None:
        super().release()
        self.inner.close()


class ForgetsToRearm(Right):
    """Registers with EPOLLONESHOT, and never again."""

    def make_epoll(self) -> Epoll:
        epoll = self.kernel.epoll()
        for fd in (self.waker.fileno(), *self.live):
            epoll.register(fd, IN | 1 << 30)
        return epoll


class PollsInALoop(Right):
    """Asks again and again instead of waiting."""

    def ask(self, timeout: float | None) -> list[tuple[int, int]]:
        while not (ready := self.epoll.poll(0)):
            pass
        return ready


class TakesAnEmptyWakeupForTheEnd(Right):
    """A wakeup without data: so the producer is gone."""

    def read(self, timeout: float | None) -> Sequence[tuple[int, bytes]] | None:
        first = self.look_again
        found = super().read(timeout)
        return found if first else found or None


class TakesATimeoutForTheEnd(Right):
    """Nothing came in time: so nothing will."""

    def read(self, timeout: float | None) -> Sequence[tuple[int, bytes]] | None:
        first = self.look_again
        found = super().read(timeout)
        return found if first or timeout is None else found or None


class SleepsOnAfterTheTimeout(Right):
    """Looks into the rings only when a descriptor was reported."""

    def read(self, timeout: float | None) -> Sequence[tuple[int, bytes]] | None:
        if self.look_again or timeout is None:
            return super().read(timeout)
        ready = self.epoll.poll(timeout)
        self.look_again = bool(ready)
        return super().read(timeout) if ready else []


class NobodyCanWakeIt(Right):
    """Closes descriptors, and hopes that this ends the wait."""

    def close(self) -> None:
        self.closed = True
        self.waiting = False


class TakesAnyWatermark(Right):
    """The kernel will know what it can do."""

    def check(self, setup: ConsumerSetup) -> None:
        pass


# Draining.


class StopsAtItsBudget(Right):
    """Takes 100 records at most, and then waits for the next wakeup."""

    def drain(self, ring: OpenedRing) -> list[bytes]:
        head, tail = ring.mapping.load_u64(HEAD), ring.mapping.load_u64(TAIL)
        records = [data for data, _ in zip(self.walk(ring, tail, head), range(100), strict=False)]
        taken = (tail + sum(map(len, records))) & U64
        ring.mapping.store_u64(TAIL, taken if len(records) == 100 else head)
        return records


class ReadsOnBehindTheEnd(Right):
    """Expects the bytes behind the data area where the ring goes on at its beginning."""

    def copy(self, ring: OpenedRing, position: int, length: int) -> bytes:
        start = position % len(ring.mapping.data)
        return bytes(ring.mapping.data[start : start + length]).ljust(length, b"\0")


class WrapsOneByteLate(Right):
    """The second part of a split record begins one byte further on."""

    def copy(self, ring: OpenedRing, position: int, length: int) -> bytes:
        data = ring.mapping.data
        start = position % len(data)
        first = bytes(data[start : start + length])
        return first + bytes(data[1 : 1 + length - len(first)])


class SkipsTheRestOfTheRing(Right):
    """Looks 16 bytes ahead, and where they do not fit goes on at the beginning, as other rings have it."""

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        size = len(ring.mapping.data)
        while head > tail:
            if size - tail % size < 16:
                tail += size - tail % size
            found = next(super().walk(ring, tail, head), None)
            if found is None:
                return
            yield found
            tail += len(found)


class KeepsThirtyTwoBits(Right):
    """Positions are ints of C."""

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        tail, head = tail & 0xFFFFFFFF, head & 0xFFFFFFFF
        return super().walk(ring, tail, head) if head >= tail else iter(())


class SubtractsWithoutModulo(Right):
    """Head is always above tail, until it is not."""

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        return super().walk(ring, tail, head) if head > tail else iter(())


class TakesHeadForAPlace(Right):
    """Reads from one place in the ring to another; when head has gone round, nothing lies between them."""

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        size = len(ring.mapping.data)
        return super().walk(ring, tail % size, max(head % size, tail % size))


class FreesBeforeItReads(Right):
    """Stores data_tail, and then reads."""

    def drain(self, ring: OpenedRing) -> list[bytes]:
        head, tail = ring.mapping.load_u64(HEAD), ring.mapping.load_u64(TAIL)
        ring.mapping.store_u64(TAIL, head)
        return list(self.walk(ring, tail, head))


class FreesWhatItNeverRead(Right):
    """Loads data_head a second time, to store it as the tail."""

    def drain(self, ring: OpenedRing) -> list[bytes]:
        head, tail = ring.mapping.load_u64(HEAD), ring.mapping.load_u64(TAIL)
        records = list(self.walk(ring, tail, head))
        ring.mapping.store_u64(TAIL, ring.mapping.load_u64(HEAD))
        return records


class NeverFrees(Right):
    """Remembers where it is, and tells nobody."""

    def __init__(self, setup: ConsumerSetup) -> None:
        super().__init__(setup)
        self.at = {ring.cpu: ring.mapping.load_u64(TAIL) for ring in self.rings}

    def drain(self, ring: OpenedRing) -> list[bytes]:
        head = ring.mapping.load_u64(HEAD)
        records = list(self.walk(ring, self.at[ring.cpu], head))
        self.at[ring.cpu] = head
        return records


class DrainsUntilEmpty(Right):
    """Goes on as long as there is something."""

    def drain(self, ring: OpenedRing) -> list[bytes]:
        records: list[bytes] = []
        while more := super().drain(ring):
            records += more
        return records


class DropsWhatIsLate(Right):
    """A record older than the one before it must be a mistake."""

    def drain(self, ring: OpenedRing) -> list[bytes]:
        newest, kept = 0, []
        for data in super().drain(ring):
            time = int.from_bytes(data[24:32], "little")
            if len(data) < 32 or time >= newest:
                kept.append(data)
                newest = max(newest, time)
        return kept


class TrustsEveryHeader(Right):
    """Goes on by the size in the header, whatever it is."""

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        while (head - tail) & U64:
            size = self.size_at(ring, tail)
            yield self.copy(ring, tail, size)
            tail = (tail + size) & U64


class StopsAtABadHeader(Right):
    """Raises, and leaves the tail where it is: it will find the same header again."""

    def walk(self, ring: OpenedRing, tail: int, head: int) -> Iterator[bytes]:
        for data in super().walk(ring, tail, head):
            yield data
            tail += len(data)
        if (head - tail) & U64:
            raise ValueError("a bad header")


# Losing.


class CountsLostRecordsAsOne(Right):
    """Counts the LOST records, not what they say."""

    def count(self, records: list[bytes]) -> None:
        self.lost += sum(data[0] == LOST for data in records)

    def lost_by_read(self) -> int:
        return 0


class CountsOnlyLostRecords(Right):
    """What no record tells of never happened."""

    def count(self, records: list[bytes]) -> None:
        self.lost += sum(struct.unpack_from("=Q", data, 16)[0] for data in records if data[0] == LOST)

    def lost_by_read(self) -> int:
        return 0


class CountsLossesTwice(Right):
    """Adds what LOST records say to what read(2) says."""

    def count(self, records: list[bytes]) -> None:
        self.lost += sum(struct.unpack_from("=Q", data, 16)[0] for data in records if data[0] == LOST)


class ExpectsOnlySamples(Right):
    """Every record has the size of the first."""

    def size_at(self, ring: OpenedRing, position: int) -> int:
        return 40


# Ending.


class SpinsOnHangup(Right):
    """Takes POLLHUP for a wakeup."""

    def hang_up(self, fd: int) -> None:
        pass


class LeavesWithoutTheRest(Right):
    """POLLHUP: the task is gone, and so is the consumer."""

    def hang_up(self, fd: int) -> None:
        self.closed = True
        self.release()


class EndsWithTheFirstTask(Right):
    """Only the event that is mapped is waited for, and its hangup ends the ring."""

    def make_epoll(self) -> Epoll:
        self.live = {ring.fds[0]: ring for ring in self.rings}
        return super().make_epoll()


class ForgetsToClose(Right):
    """Its epoll outlives it."""

    def release(self) -> None:
        self.lost += self.lost_by_read()


class CannotCloseTwice(Right):
    """The second close() finds nothing left."""

    def close(self) -> None:
        if self.closed and not self.waiting:
            raise ValueError("closed already")
        super().close()
