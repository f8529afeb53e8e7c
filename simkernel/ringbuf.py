"""The kernel's side of a ring: reserve, lose, publish, wake.

One ring is memory of one metadata page and ``data_size`` bytes, and a handful of numbers that the kernel keeps to
itself, so that nothing the reader scribbles on the metadata page disturbs them (K3)::

      data area      free   |#### unread ####|++ reserved ++|       free
                            ^ tail           ^ data_head    ^ head
                            the reader's:    published      the kernel's own:
                            read from the    when the       where the next
                            page each time   outermost      record goes
                                             writer is done

A record is written in three steps, each of them a place where something may come between:

1. `RingBuffer.reserve` finds room (K6) or counts a loss (K12, K21), moves ``head``, and tests the watermark (K7);
2. `RingBuffer.write` copies bytes in, in one piece or two where they wrap (K5);
3. `RingBuffer.publish` shows the new head to the reader and, if the wakeup cursor moved since the outermost reserve,
   sets the latch. An interrupt that writes between another's reserve and publish nests: only the outermost publishes.

Positions are u64 and never wrap at the ring's size but at 2**64; only ``position & mask`` is a place. A backward ring
(K34) counts down from 0, which is the same arithmetic with the sign changed.

What this file adds to Linux: bytes that the reader gives back are poisoned at once, so that whoever frees before he
reads finds out every time, and not once a month.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from perfring.abi import (
    MMAP_PAGE_CAPABILITIES,
    MMAP_PAGE_DATA_HEAD,
    MMAP_PAGE_DATA_OFFSET,
    MMAP_PAGE_DATA_SIZE,
    MMAP_PAGE_DATA_TAIL,
    MMAP_PAGE_LOCK,
    MMAP_PAGE_OFFSET,
    MMAP_PAGE_SIZE,
    MMAP_PAGE_TIME_CYCLES,
    MMAP_PAGE_TIME_ENABLED,
    MMAP_PAGE_TIME_RUNNING,
    PERF_RECORD_LOST,
)
from perfring.geometry import MAX_RECORD_BYTES, kernel_watermark

if TYPE_CHECKING:
    from collections.abc import Callable

    Buffer = bytes | bytearray | memoryview

__all__ = ["POISON", "READABLE", "REFUSED", "RingBuffer", "Writer"]

POISON: Final = 0xDB
"""What freed bytes become: as a header its size is no multiple of 8, so that no reader can take it for a record."""
READABLE: Final = 0x41
"""POLLIN | POLLRDNORM: what a wakeup leaves in the latch (measured on 6.18)."""
REFUSED: Final = -1
"""What `RingBuffer.reserve` returns when the record is lost: no position is negative."""

_U64: Final = (1 << 64) - 1
_HEAD: Final = MMAP_PAGE_DATA_HEAD >> 3
_TAIL: Final = MMAP_PAGE_DATA_TAIL >> 3
_LOST: Final = struct.Struct("=IHHQQ")
# cap_bit0_is_deprecated: the one bit set on a machine whose events cannot be read with rdpmc.
_CAPABILITIES: Final = 2


def _no_trailer() -> bytes:
    return b""


def _nobody(writer: Writer) -> None:
    """Who is called on a wakeup of a ring that nobody waits for."""


class Writer:
    """What a ring has to know of an event that writes into it.

    Attributes:
        id: the event's id, which a LOST that it happens to write carries (K21).
        lost: records of this event that were refused, for PERF_FORMAT_LOST (K22).
        wakeup_events: signal at every n-th sample; 0 for an event with the ``watermark`` flag (K9, K10).
        trailer_bytes: length of the sample_id trailer behind a LOST (K44).
        trailer: makes that trailer.
        owner: whatever the maker of the writer wants to find again in `RingBuffer.on_wakeup`.
    """

    __slots__ = ("id", "lost", "owner", "trailer", "trailer_bytes", "wakeup_events")

    def __init__(
        self,
        id: int = 0,
        *,
        wakeup_events: int = 0,
        trailer_bytes: int = 0,
        trailer: Callable[[], bytes] = _no_trailer,
        owner: object = None,
    ) -> None:
        self.id = id
        self.owner = owner
        self.lost = 0
        self.wakeup_events = wakeup_events
        self.trailer_bytes = trailer_bytes
        self.trailer = trailer


class RingBuffer:
    """A ring, usable alone.

    Args:
        data_size: bytes of the data area: a power of two from 8 on, or 0 for the metadata page alone (K1).
        page_size: bytes of the metadata page.
        watermark: what the mapped event's attr asks for, as with the ``watermark`` flag: 0 is half the ring (K8).
        overwrite: mapped read-only: nothing is refused for want of room, and tail is ignored (K4).
        backward: written downwards (K34).
        start: the position of the first record; a ring that has been used for long begins near 2**32 or 2**64.
        on_wakeup: called with the writer whose record signalled, after the latch is set.

    Attributes:
        head: the kernel's own head, reserved bytes included.
        wakeup: the cursor that the watermark counts from (K7).
        watermark: as the kernel takes it (K8).
        latch: 0, or `READABLE` when a wakeup happened since somebody last asked (K14).
        paused: by PAUSE_OUTPUT; for ever without data pages (K1, K23).
        lost: records lost that no LOST has told of yet (K21).
        refused: records lost in all.
        memory: metadata page and data, as a mapping shows them.

    Raises:
        ValueError: a size that is no power of two, or a start that is not a multiple of 8 in 64 bits.
    """

    __slots__ = (
        "_data",
        "_mask",
        "_nest",
        "_outer_wakeup",
        "_words",
        "backward",
        "data_size",
        "events",
        "head",
        "latch",
        "lost",
        "memory",
        "on_wakeup",
        "overwrite",
        "page_size",
        "paused",
        "refused",
        "wakeup",
        "watermark",
    )

    def __init__(
        self,
        data_size: int,
        *,
        page_size: int = 4096,
        watermark: int = 0,
        overwrite: bool = False,
        backward: bool = False,
        start: int = 0,
        on_wakeup: Callable[[Writer], None] = _nobody,
    ) -> None:
        _check_geometry(data_size, page_size, start)
        self.data_size = data_size
        self.page_size = page_size
        self.overwrite = overwrite
        self.backward = backward
        self.on_wakeup = on_wakeup
        self.watermark = kernel_watermark(watermark, data_size) if data_size else 0
        self.head = start
        self.wakeup = -start & _U64 if backward else start
        self.events = 0
        self.latch = 0
        self.lost = 0
        self.refused = 0
        self.paused = not data_size
        self._nest = 0
        self._outer_wakeup = self.wakeup
        self._mask = data_size - 1
        self.memory = memoryview(bytearray(page_size + data_size))
        self._data = self.memory[page_size:]
        self._words = self.memory[:page_size].cast("Q")
        self._init_page(start)

    def _init_page(self, start: int) -> None:
        self._words[_HEAD] = self._words[_TAIL] = start
        self._words[MMAP_PAGE_DATA_OFFSET >> 3] = self.page_size
        self._words[MMAP_PAGE_DATA_SIZE >> 3] = self.data_size
        self._words[MMAP_PAGE_CAPABILITIES >> 3] = _CAPABILITIES
        struct.pack_into("=I", self.memory, MMAP_PAGE_SIZE, MMAP_PAGE_TIME_CYCLES + 16)

    def update_page(self, offset: int, time_enabled: int, time_running: int) -> None:
        """Writes what changes with the event's count: perf_event_update_userpage, under the page's sequence lock."""
        (lock,) = struct.unpack_from("=I", self.memory, MMAP_PAGE_LOCK)
        struct.pack_into("=I", self.memory, MMAP_PAGE_LOCK, (lock + 2) & 0xFFFFFFFF)
        self._words[MMAP_PAGE_OFFSET >> 3] = offset & _U64
        self._words[MMAP_PAGE_TIME_ENABLED >> 3] = time_enabled
        self._words[MMAP_PAGE_TIME_RUNNING >> 3] = time_running

    # The three steps. They run once for each record, so they do without helpers.

    def reserve(self, writer: Writer, size: int) -> int:
        """Makes room for a record of ``size`` bytes, and for a LOST before it if one is due.

        Returns:
            The position to `write` the record at, or `REFUSED`: it is lost and counted, and must not be published.

        Raises:
            ValueError: a size that no record has (K5).
        """
        if size & 7 or not 8 <= size <= MAX_RECORD_BYTES:
            raise ValueError(f"a record of {size} bytes: it must be a multiple of 8 from 8 to {MAX_RECORD_BYTES} (K5)")
        if self.paused:
            if self.data_size:
                self._refuse(writer)
            return REFUSED
        need = size + 24 + writer.trailer_bytes if self.lost else size
        start = self.head
        if not self.overwrite:
            distance = start - self._words[_TAIL]
            # One byte stays free (K6); the tail is whatever the page says, so only its low bits count.
            if need > ((distance if self.backward else -distance) - 1) & self._mask:
                self._refuse(writer)
                return REFUSED
        if not self._nest:
            self._outer_wakeup = self.wakeup
        self._nest += 1
        if self.backward:
            self.head = start = (start - need) & _U64
            written = -start
        else:
            self.head = written = (start + need) & _U64
        if (written - self.wakeup) & _U64 > self.watermark:
            self.wakeup = (self.wakeup + self.watermark) & _U64
        if need != size:
            start = self._write_lost(writer, start)
        return start

    def _refuse(self, writer: Writer) -> None:
        self.lost += 1
        self.refused += 1
        writer.lost += 1

    def _write_lost(self, writer: Writer, position: int) -> int:
        size = 24 + writer.trailer_bytes
        self.write(position, _LOST.pack(PERF_RECORD_LOST, 0, size, writer.id, self.lost) + writer.trailer())
        self.lost = 0
        return (position + size) & _U64

    def write(self, position: int, data: Buffer) -> None:
        """Copies bytes to a reserved position; more than the ring holds run over themselves (K4)."""
        start = position & self._mask
        end = start + len(data)
        if end <= self.data_size:
            self._data[start:end] = data
        else:
            self._write_wrapped(start, data)

    def _write_wrapped(self, start: int, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            part = view[: self.data_size - start]
            self._data[start : start + len(part)] = part
            view, start = view[len(part) :], 0

    def count_sample(self, writer: Writer) -> None:
        """Counts a sample between `write` and `publish`: every n-th of the ring moves the cursor by 1 (K9)."""
        if writer.wakeup_events:
            self.events += 1
            if self.events >= writer.wakeup_events:
                self.events -= writer.wakeup_events
                self.wakeup = (self.wakeup + 1) & _U64

    def publish(self, writer: Writer) -> bool:
        """Ends what `reserve` began; the outermost shows head to the reader. True when it signalled."""
        self._nest -= 1
        if self._nest:
            return False
        self._words[_HEAD] = self.head
        if self.wakeup == self._outer_wakeup:
            return False
        self.latch = READABLE
        self.on_wakeup(writer)
        return True

    def output(self, writer: Writer, record: bytes, *, sample: bool = False) -> bool:
        """All steps at once. True when the record was written, False when it is lost."""
        size, head = len(record), self.head
        start = head & self._mask
        # Nearly every record of a forward ring takes this way, which is the three steps without what cannot concern it.
        if (
            not (self._nest or self.lost or self.paused or self.backward or self.overwrite or size & 7)
            and 8 <= size <= (self._words[_TAIL] - head - 1) & self._mask
            and start + size <= self.data_size
            and not (sample and writer.wakeup_events)
            and size <= MAX_RECORD_BYTES
        ):
            self._data[start : start + size] = record
            self.head = self._words[_HEAD] = head = (head + size) & _U64
            if (head - self.wakeup) & _U64 > self.watermark:
                self.wakeup = (self.wakeup + self.watermark) & _U64
                self.latch = READABLE
                self.on_wakeup(writer)
            return True
        position = self.reserve(writer, size)
        if position == REFUSED:
            return False
        self.write(position, record)
        if sample:
            self.count_sample(writer)
        self.publish(writer)
        return True

    # Many at once.

    def output_many(self, writer: Writer, records: Buffer, size: int, *, sample: bool = False) -> int:
        """`output` of many records, one after the other: quicker, and in everything the same.

        Args:
            writer: whose records they are.
            records: one behind the other.
            size: bytes of each.
            sample: they are samples, as for `output`.

        Returns:
            how many were written; the others are lost and counted.

        Raises:
            ValueError: a size that no record has (K5), or bytes that are no whole records of this size.
        """
        view = memoryview(records).cast("B")
        _check_records(size, len(view))
        wakeup_events = writer.wakeup_events if sample else 0
        written, total = 0, len(view) // size
        while written < total:
            if self.refuses(writer, size):
                # Nobody reads meanwhile, so what follows finds no more room than this one.
                self.refuse(writer, total - written)
                break
            count = min(self.quiet(size, wakeup_events=wakeup_events), total - written)
            place, written = written * size, written + max(count, 1)
            if count:
                self.output_quietly(view[place : written * size], events=count if wakeup_events else 0)
            else:
                self.output(writer, bytes(view[place : written * size]), sample=sample)
        return written

    def quiet(self, size: int, *, wakeup_events: int = 0) -> int:
        """How many records of ``size`` bytes are sure to be written with nothing else: no signal, no LOST, no loss.

        Never too many; none at all where something rare is going on, which `output` then sees to.

        Args:
            size: bytes of each, or of several that are counted as one.
            wakeup_events: of their writer, if they are samples: the last of so many signals (K9).
        """
        if self._nest or self.lost or self.paused or self.backward:
            return 0
        room = self.watermark - ((self.head - self.wakeup) & _U64)
        if not self.overwrite:
            room = min(room, (self._words[_TAIL] - self.head - 1) & self._mask)
        count = room // size
        return max(min(count, wakeup_events - 1 - self.events) if wakeup_events else count, 0)

    def output_quietly(self, records: Buffer, *, events: int = 0) -> None:
        """Writes records as many as `quiet` permits, ``events`` of them samples that count for a signal (K9)."""
        self.write(self.head, records)
        self.head = self._words[_HEAD] = (self.head + len(records)) & _U64
        self.events += events

    def refuses(self, writer: Writer, size: int) -> bool:
        """Whether a record would be lost now, and with it all of that size until somebody reads or resumes."""
        if self.paused:
            return True
        distance = self.head - self._words[_TAIL]
        need = size + 24 + writer.trailer_bytes if self.lost else size
        return not self.overwrite and need > ((distance if self.backward else -distance) - 1) & self._mask

    def refuse(self, writer: Writer, count: int) -> None:
        """Counts records that are lost; a ring without data pages counts none."""
        if self.data_size:
            self.lost += count
            self.refused += count
            writer.lost += count

    # What system calls and the reader do.

    def take_latch(self) -> int:
        """Asks and thereby takes the readiness: one exchange with 0 (K14)."""
        taken, self.latch = self.latch, 0
        return taken

    def pause(self, paused: bool) -> None:
        """PAUSE_OUTPUT. A ring without data pages stays paused (K1, K23)."""
        self.paused = paused or not self.data_size

    def load_u64(self, offset: int) -> int:
        """The u64 at a byte offset of the metadata page."""
        return self._words[offset >> 3]

    def store_u64(self, offset: int, value: int) -> None:
        """Writes the metadata page as the reader does; what a new tail sets free is poisoned at once."""
        if offset == MMAP_PAGE_DATA_TAIL:
            self._poison(self._words[_TAIL], value)
        self._words[offset >> 3] = value

    def _poison(self, old: int, new: int) -> None:
        published = self._words[_HEAD]
        low, high, unread = (new, old, old - published) if self.backward else (old, new, published - old)
        freed = (high - low) & _U64
        # A tail that jumps back or past the head frees nothing: the reader is scribbling, as it may.
        if freed <= min(unread & _U64, self.data_size):
            self.write(low, bytes((POISON,)) * freed)

    @property
    def used(self) -> int:
        """Bytes between tail and the kernel's head, as far as the tail makes sense."""
        distance = self.head - self._words[_TAIL]
        return (-distance if self.backward else distance) & _U64

    def __str__(self) -> str:
        """One line: positions, watermark, latch, losses."""
        if not self.data_size:
            return "ring without data pages"
        modes = [("overwrite", self.overwrite), ("backward", self.backward), ("paused", self.paused)]
        mode = "".join(f", {name}" for name, on in modes if on)
        tail = "" if self.overwrite else f"tail {self._words[_TAIL]}, used {self.used}, "
        return (
            f"ring of {self.data_size} bytes{mode}: head {self.head}, {tail}wakeup {self.wakeup} + watermark "
            f"{self.watermark}, latch {'set' if self.latch else 'clear'}, {self.lost} lost and untold, "
            f"{self.refused} lost in all"
        )


def _check_records(size: int, total: int) -> None:
    if size & 7 or not 8 <= size <= MAX_RECORD_BYTES:
        raise ValueError(f"size is {size}: a record has a multiple of 8 bytes, from 8 to {MAX_RECORD_BYTES} (K5)")
    if total % size:
        raise ValueError(f"records have {total} bytes: they must be whole records of {size} bytes each")


def _check_geometry(data_size: int, page_size: int, start: int) -> None:
    if data_size and (data_size < 8 or data_size & (data_size - 1)):
        raise ValueError(f"data_size is {data_size}: it must be 0 or a power of two from 8 on (K1)")
    if page_size < 2048 or page_size & (page_size - 1):
        raise ValueError(f"page_size is {page_size}: it must be a power of two from 2048 on, to hold the metadata")
    if not 0 <= start <= _U64 or start & 7:
        raise ValueError(f"start is {start}: it must be a u64 and a multiple of 8")
