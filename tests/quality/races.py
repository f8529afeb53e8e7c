"""Right readers of rings for `simkernel.explore`, plausible wrong ones, and wrong rings: each has one mistake."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

from perfring.abi import HEADER, MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL, PERF_RECORD_LOST
from simkernel import RingBuffer, Writer
from simkernel.explore import ExploredMapping, View
from simkernel.ringbuf import READABLE, REFUSED

U64: Final = (1 << 64) - 1
HEAD_WORD: Final = MMAP_PAGE_DATA_HEAD >> 3


class Right:
    """Registers, looks, waits, looks: each turn of it is an object of its own."""

    def __init__(self, view: View, kept: Hashable) -> None:
        self.view = view
        self.kept = kept

    def turn(self) -> Hashable:
        if self.kept is None:
            self.begin()
        else:
            self.wait()
            self.look()
        return "registered"

    def begin(self) -> None:
        self.view.register()
        self.look()

    def wait(self) -> None:
        self.view.wait()

    def look(self) -> None:
        for ring in self.rings():
            self.drain(ring)

    def rings(self) -> Sequence[ExploredMapping]:
        return self.view.rings

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        if head != tail:
            self.take(ring, self.copy(ring, tail, head))
            self.free(ring, head)

    def head(self, ring: ExploredMapping) -> int:
        return ring.load_u64(MMAP_PAGE_DATA_HEAD)

    def tail(self, ring: ExploredMapping) -> int:
        return ring.load_u64(MMAP_PAGE_DATA_TAIL)

    def free(self, ring: ExploredMapping, position: int) -> None:
        ring.store_u64(MMAP_PAGE_DATA_TAIL, position)

    def copy(self, ring: ExploredMapping, tail: int, head: int) -> bytes:
        start, length = tail % len(ring.data), (head - tail) & U64
        return (bytes(ring.data[start:]) + bytes(ring.data[:start]))[:length]

    def take(self, ring: ExploredMapping, image: bytes) -> None:
        for record in split(image):
            self.deliver(ring, record)

    def deliver(self, ring: ExploredMapping, record: bytes) -> None:
        self.view.deliver(ring.cpu, record)


def split(image: bytes) -> Iterator[bytes]:
    """Records, as far as their headers make sense."""
    while len(image) >= HEADER.size:
        _, _, size = HEADER.unpack_from(image)
        if not HEADER.size <= size <= len(image):
            return
        yield image[:size]
        image = image[size:]


# Right as well.


class FreesEachRecord(Right):
    """Gives each record back as soon as it has it."""

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        for record in split(self.copy(ring, tail, head)):
            tail = (tail + len(record)) & U64
            self.deliver(ring, record)
            self.free(ring, tail)


class DrainsUntilEmpty(Right):
    """Looks again until nothing is there: right, if not wise (K14)."""

    def drain(self, ring: ExploredMapping) -> None:
        while (head := self.head(ring)) != (tail := self.tail(ring)):
            self.take(ring, self.copy(ring, tail, head))
            self.free(ring, head)


class LooksWhereItIsTold(Right):
    """Looks only into the rings that were ready: each has its own latch (K17)."""

    def wait(self) -> None:
        self.ready = self.view.wait()

    def rings(self) -> Sequence[ExploredMapping]:
        return self.view.rings if self.kept is None else [self.view.rings[cpu] for cpu in self.ready]


class AsksBeforeItDrains(Right):
    """Asks once more before it looks: a wakeup that is taken so is looked after."""

    def look(self) -> None:
        self.view.ask()
        super().look()


# Freeing.


class FreesBeforeItCopies(Right):
    """Stores the tail, then reads."""

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        if head != tail:
            self.free(ring, head)
            self.take(ring, self.copy(ring, tail, head))


class HandsOutTheRingItself(Right):
    """Delivers what it did not copy, after it was freed."""

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        start, length = tail % len(ring.data), (head - tail) & U64
        if length and start + length <= len(ring.data):
            sizes = [len(record) for record in split(self.copy(ring, tail, head))]
            self.free(ring, head)
            for size in sizes:
                self.view.deliver(ring.cpu, ring.data[start : start + size])
                start += size
        else:
            super().drain(ring)


class FreesUpToASecondHead(Right):
    """Loads head a second time for the store: what came between is freed unread."""

    def free(self, ring: ExploredMapping, position: int) -> None:
        super().free(ring, self.head(ring))


class FreesWhatItDidNotTake(Right):
    """Takes one record, and stores head all the same."""

    def take(self, ring: ExploredMapping, image: bytes) -> None:
        self.deliver(ring, next(split(image)))


class FreesTwice(Right):
    """Gives each record back, and then all of them once more."""

    def drain(self, ring: ExploredMapping) -> None:
        before, head = self.tail(ring), self.head(ring)
        for record in split(self.copy(ring, before, head)):
            self.deliver(ring, record)
            self.free(ring, (self.tail(ring) + len(record)) & U64)
        if head != before:
            self.free(ring, (self.tail(ring) + head - before) & U64)


class FreesAllButTheLast(Right):
    """Leaves the last record in the ring, to be sure, and finds it there again."""

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        records = list(split(self.copy(ring, tail, head)))
        for record in records:
            self.deliver(ring, record)
        if len(records) > 1:
            self.free(ring, (head - len(records[-1])) & U64)


class StoresAPlace(Right):
    """Takes the tail for a place in the data area."""

    def free(self, ring: ExploredMapping, position: int) -> None:
        super().free(ring, position % len(ring.data))


class NeverFrees(Right):
    """Thinks that to read is to take."""

    def free(self, ring: ExploredMapping, position: int) -> None:
        pass


class FreesAfterTheNextWait(Right):
    """Gives back what it took when it was woken again."""

    def turn(self) -> Hashable:
        self.late = self.kept if isinstance(self.kept, int) else None
        super().turn()
        return self.late

    def drain(self, ring: ExploredMapping) -> None:
        if self.late is not None:
            self.free(ring, self.late)
        self.late = self.head(ring)
        self.take(ring, self.copy(ring, self.tail(ring), self.late))


# Reading.


class ReadsBeforeItLoadsHead(Right):
    """Copies first, and then asks how much of it was there: no acquire (K37)."""

    def drain(self, ring: ExploredMapping) -> None:
        tail = self.tail(ring)
        image = self.copy(ring, tail, tail + len(ring.data))
        head = self.head(ring)
        if head != tail:
            self.take(ring, image[: (head - tail) & U64])
            self.free(ring, head)


class ReadsOneRecordTooFar(Right):
    """Looks at the end of a record only behind it."""

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        while tail <= head:
            size = HEADER.unpack_from(self.copy(ring, tail, tail + 8))[2]
            self.deliver(ring, self.copy(ring, tail, tail + size))
            tail += size
            self.free(ring, tail)


class StopsAtTheEndOfTheRing(Right):
    """Does not go on at the beginning."""

    def copy(self, ring: ExploredMapping, tail: int, head: int) -> bytes:
        start, length = tail % len(ring.data), (head - tail) & U64
        return bytes(ring.data[start : start + length])


class ComparesWithoutModulo(Right):
    """Thinks that head is never below tail."""

    def drain(self, ring: ExploredMapping) -> None:
        if self.head(ring) > self.tail(ring):
            super().drain(ring)


class LeavesLostAside(Right):
    """Takes PERF_RECORD_LOST for noise."""

    def deliver(self, ring: ExploredMapping, record: bytes) -> None:
        if HEADER.unpack_from(record)[0] != PERF_RECORD_LOST:
            super().deliver(ring, record)


# Waiting.


class AsksAfterItDrained(Right):
    """Asks with poll whether it may sleep, and takes the wakeup by that (K14)."""

    def look(self) -> None:
        super().look()
        self.view.ask()


class RegistersAfterItsFirstLook(Right):
    """What comes between the two is told to nobody (K15)."""

    def begin(self) -> None:
        self.look()
        self.view.register()


class WaitsAtOnce(Right):
    """Registers, and does not look for what was there before (K15)."""

    def begin(self) -> None:
        self.view.register()


class KeepsTheHeadFromBeforeTheWait(Right):
    """Loads head at the end of a round, for the next."""

    def turn(self) -> Hashable:
        self.known = self.kept
        super().turn()
        return super().head(self.view.rings[0])

    def head(self, ring: ExploredMapping) -> int:
        return self.known if isinstance(self.known, int) else super().head(ring)


class TakesOneRecordForEachWakeup(Right):
    """Thinks that the rest will be told again (K14)."""

    def drain(self, ring: ExploredMapping) -> None:
        tail, head = self.tail(ring), self.head(ring)
        for record in list(split(self.copy(ring, tail, head)))[:1]:
            self.deliver(ring, record)
            self.free(ring, (tail + len(record)) & U64)


class TakesAnEmptyWakeupForTheEnd(Right):
    """Leaves when it was woken for nothing (K18)."""

    def turn(self) -> Hashable:
        if self.kept == "ended":
            self.view.wait()
            return self.kept
        self.taken = self.kept is None
        super().turn()
        return "registered" if self.taken else "ended"

    def take(self, ring: ExploredMapping, image: bytes) -> None:
        self.taken = True
        super().take(ring, image)


class RegistersAnewAfterALoss(Right):
    """Thinks that a ring which was paused has to be registered again, and takes a wakeup by that (K15, K23)."""

    def deliver(self, ring: ExploredMapping, record: bytes) -> None:
        super().deliver(ring, record)
        if HEADER.unpack_from(record)[0] == PERF_RECORD_LOST:
            self.view.register(ring.cpu)


# Two CPUs.


class LooksAtOneRing(Right):
    """The task that it watches was on this CPU when it began."""

    def rings(self) -> Sequence[ExploredMapping]:
        return self.view.rings[:1]


class LooksAtTheFirstReadyRing(LooksWhereItIsTold):
    """There will be another wakeup for the other."""

    def rings(self) -> Sequence[ExploredMapping]:
        return self.view.rings if self.kept is None else super().rings()[:1]


class FollowsTheTask(Right):
    """Begins anew where the task has gone, by registering there alone."""

    def look(self) -> None:
        super().look()
        if self.kept is not None and len(self.view.rings) > 1:
            self.view.register(1)


# Wrong rings.


class PublishesForNestedWriters(RingBuffer):
    """An interrupt shows head, and with it what lies unwritten below."""

    def publish(self, writer: Writer) -> bool:
        self._words[HEAD_WORD] = self.head
        return super().publish(writer)


class PublishesBeforeItWrites(RingBuffer):
    """Room is shown as soon as it is reserved."""

    def reserve(self, writer: Writer, size: int) -> int:
        position = super().reserve(writer, size)
        self._words[HEAD_WORD] = self.head
        return position


class SignalsBeforeItPublishes(RingBuffer):
    """The latch first, then head: who comes between finds nothing, and the signal is gone."""

    def publish(self, writer: Writer) -> bool:
        if self._nest == 1 and self.wakeup != self._outer_wakeup:
            self.latch = READABLE
            self.on_wakeup(writer)
            self._outer_wakeup = self.wakeup
        return super().publish(writer)


class SignalsWhenItReserves(RingBuffer):
    """As soon as the cursor moves."""

    def reserve(self, writer: Writer, size: int) -> int:
        cursor = self.wakeup
        position = super().reserve(writer, size)
        if self.wakeup != cursor:
            self.latch = READABLE
        return position

    def publish(self, writer: Writer) -> bool:
        self._outer_wakeup = self.wakeup
        return super().publish(writer)


class ForgetsTheSignalOfNestedWriters(RingBuffer):
    """The outer writer looks whether the cursor moved since the inner one came."""

    def reserve(self, writer: Writer, size: int) -> int:
        cursor = self.wakeup
        position = super().reserve(writer, size)
        if position != REFUSED:
            self._outer_wakeup = cursor
        return position


class MovesTheCursorToHead(RingBuffer):
    """Counts anew from where it signalled (K7)."""

    def reserve(self, writer: Writer, size: int) -> int:
        cursor = self.wakeup
        position = super().reserve(writer, size)
        if self.wakeup != cursor:
            self.wakeup = self.head
        return position


class MovesTheCursorTooFar(RingBuffer):
    """By two watermarks."""

    def reserve(self, writer: Writer, size: int) -> int:
        cursor = self.wakeup
        position = super().reserve(writer, size)
        if self.wakeup != cursor:
            self.wakeup += self.watermark
        return position


class ForgetsToTellLosses(RingBuffer):
    """No LOST comes (K21)."""

    def reserve(self, writer: Writer, size: int) -> int:
        self.lost = 0
        return super().reserve(writer, size)


class DropsUncountedWhilePaused(RingBuffer):
    """What a paused ring refuses is not counted (K23)."""

    def reserve(self, writer: Writer, size: int) -> int:
        lost = self.lost
        position = super().reserve(writer, size)
        if self.paused:
            self.lost = lost
        return position


class FillsTheLastByte(RingBuffer):
    """No byte stays free, so that a full ring looks like an empty one (K6)."""

    def reserve(self, writer: Writer, size: int) -> int:
        if not self.lost and self.used + size == self.data_size and not self.paused:
            self._nest += 1
            position, self.head = self.head, self.head + size
            return position
        return super().reserve(writer, size)


class KeepsQuietWhileALossIsUntold(RingBuffer):
    """Another record is to come first, with a LOST before it."""

    def publish(self, writer: Writer) -> bool:
        if self._nest == 1 and self.lost:
            self._outer_wakeup = self.wakeup
        return super().publish(writer)


class MovesTheCursorOnceMore(RingBuffer):
    """When it publishes, too."""

    def publish(self, writer: Writer) -> bool:
        if self._nest == 1 and self.wakeup != self._outer_wakeup:
            self.wakeup += self.watermark
        return super().publish(writer)


class TakesNoWatermark(RingBuffer):
    """Whatever is asked for, it signals at half the ring, which is what 0 means (K8)."""

    def __init__(self, data_size: int, **arguments: Any) -> None:
        super().__init__(data_size, **arguments | {"watermark": 0})
