"""One CPU: its ring, those who write into it in single steps, and what must hold after each.

The steps of one record, each a place where an interrupt of the same CPU, another CPU or the reader may come between::

    reserve -> write -> publish -> signal        (publish only shows head, and signal only is, for the outermost writer)

They are `RingBuffer`'s own. Only signal is cut out of `RingBuffer.publish`: what that does to head and to the latch is
shown to the reader as two steps, in the order in which the code did it.

The rules are kept by an account of its own for each ring: which records were accepted, which of them are published,
how many were lost that no LOST has told of. What the reader delivers is compared with that account and not with the
ring's bytes.
"""

from __future__ import annotations

from operator import attrgetter
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from perfring.abi import HEADER, MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL, PERF_RECORD_LOST, PERF_RECORD_SAMPLE
from perfring.geometry import MIN_LOST_BYTES
from simkernel.explore.scenario import record_bytes
from simkernel.ringbuf import POISON, READABLE, REFUSED, RingBuffer, Writer

if TYPE_CHECKING:
    from simkernel.explore.scenario import Scenario

__all__ = ["Broken", "Cpu", "Place"]

_U64: Final = (1 << 64) - 1
_HEAD: Final = MMAP_PAGE_DATA_HEAD >> 3
_TAIL: Final = MMAP_PAGE_DATA_TAIL >> 3
_PAGE: Final = 2048
"""The smallest metadata page that `RingBuffer` makes: of its words only head and tail change here."""
_TRAILER: Final = Struct("=QQ")
"""The sample_id of PERF_SAMPLE_TIME and PERF_SAMPLE_IDENTIFIER; the time is the record's number."""
_NUMBERS: Final = attrgetter("head", "wakeup", "latch", "lost", "paused", "events", "_nest", "_outer_wakeup")

# mypy would have these spelled out, and nothing but `Cpu.save` and `Cpu.load` looks into them.
Place: TypeAlias = tuple[Any, ...]
"""All that can change of one CPU and its ring, as a hashable copy."""
# What is to be done next, the record's number and bytes, where it goes (or what "show" stores), the writer's index.
_Frame: TypeAlias = tuple[str, int, bytes, int, int]


class Broken(BaseException):
    """A rule does not hold. No Exception, because the reader under test may catch those; its text is the finding."""


class Cpu:
    """One CPU: its ring, the writers that are in the middle of something on it, and the account.

    Attributes:
        index: 0 or 1.
        ring: where it writes.
        stack: the writers at work, the outermost first.
        place: what `save` returned for the present state, or None after a change.
        expected: the records that were accepted and not delivered yet, LOST included, oldest first.
        published: how many of them the reader may see.
        end: the position behind the last record that was delivered.
        untold: lost records that no LOST has told of.
        paused: by PAUSE_OUTPUT.
    """

    def __init__(self, index: int, scenario: Scenario, ring_class: type[RingBuffer]) -> None:
        self.index = index
        self.ring = ring_class(
            scenario.ring_bytes,
            page_size=_PAGE,
            watermark=scenario.watermark,
            start=scenario.start,
            on_wakeup=self._on_wakeup,
        )
        self._lost_bytes = scenario.lost_bytes
        self._number = 0  # of the record that is being reserved
        self.writers = (self._writer(0x10 + index), self._writer(0x20 + index))  # the task's event, and the interrupts'
        self._words = self.ring.memory[:_PAGE].cast("Q")
        self._data = self.ring.memory[_PAGE:]
        self._data[:] = bytes((POISON,)) * scenario.ring_bytes  # in the state in which everything else is left behind
        self._limit = scenario.ring_bytes - 1  # one byte stays free (K6)
        self._signals: list[int] = []  # what the reader saw as head at each signal of a publish
        self.stack: tuple[_Frame, ...] = ()
        self.place: Place | None = None
        self.expected: tuple[bytes, ...] = ()
        self.published = 0
        self.end = scenario.start
        self.untold = 0
        self.paused = False

    # Positions.

    @property
    def shown(self) -> int:
        """Head, as the reader sees it."""
        return self._words[_HEAD]

    @property
    def tail(self) -> int:
        """Tail, as the reader stored it last."""
        return self._words[_TAIL]

    def unread(self, tail: int, head: int) -> bytes:
        """The bytes between two positions in one piece, or nothing when they make no sense."""
        length, start = (head - tail) & _U64, tail % len(self._data)
        if length > len(self._data):
            return b""
        return (bytes(self._data[start:]) + bytes(self._data[:start]))[:length]

    # Going back.

    def save(self) -> Place:
        """A copy of the state."""
        if self.place is None:
            self.place = (
                _NUMBERS(self.ring),
                (self._words[_HEAD], self._words[_TAIL], bytes(self._data)),
                tuple(vars(self.ring).items()) if hasattr(self.ring, "__dict__") else (),
                (self.stack, self.expected, self.published, self.end, self.untold, self.paused),
            )
        return self.place

    def load(self, place: Place) -> None:
        """Goes back to a copy."""
        if place is self.place:
            return
        ring = self.ring
        numbers, (self._words[_HEAD], self._words[_TAIL], self._data[:]), more, account = place
        ring.head, ring.wakeup, ring.latch, ring.lost, ring.paused, ring.events, ring._nest, ring._outer_wakeup = (
            numbers
        )
        self.stack, self.expected, self.published, self.end, self.untold, self.paused = account
        for name, value in more:
            setattr(ring, name, value)
        self.place = place

    # The steps of a record.

    def reserve(self, number: int, size: int, kind: int) -> str:
        """The first step of a record. Refused, it is also the last.

        Raises:
            Broken: the ring took it without room, refused it with room, or moved the wakeup cursor wrongly.
        """
        ring, writer, what = self.ring, self.writers[kind], _named(number)
        need = size + self._lost_bytes if self.untold else size
        fits = not self.paused and ring.used + need <= self._limit
        cursor = self._cursor_after(need)
        self._number = number
        position = ring.reserve(writer, size)
        if fits != (position != REFUSED):
            verb, why = ("was refused", "has room") if fits else ("was accepted", "has no room")
            raise Broken(f"{what} {verb}, and the ring {'is paused' if self.paused else why} (K6, K23)")
        if position == REFUSED:
            self.untold += 1
            return f"{what}, {size} bytes, is lost"
        if ring.wakeup != cursor:
            raise Broken(f"the wakeup cursor is {ring.wakeup}: it had to be {cursor} (K7)")
        record = record_bytes(number, size, writer.id)
        self._expect_loss(writer)
        self.expected += (record,)
        self.stack += (("write", number, record, position, kind),)
        return f"reserves {need} bytes for {what}{' and the LOST before it' if need != size else ''}"

    def _cursor_after(self, need: int) -> int:
        """Where the wakeup cursor belongs when so much more is reserved (K7)."""
        ring = self.ring
        passed = (ring.head + need - ring.wakeup) & _U64 > ring.watermark
        return (ring.wakeup + ring.watermark) & _U64 if passed else ring.wakeup

    def _expect_loss(self, writer: Writer) -> None:
        if self.untold:
            words = [writer.id, self.untold, self._number, writer.id][: self._lost_bytes // 8 - 1]
            body = b"".join(word.to_bytes(8, "little") for word in words)
            self.expected += (HEADER.pack(PERF_RECORD_LOST, 0, self._lost_bytes) + body,)
            self.untold = 0

    def _writer(self, id: int) -> Writer:
        if self._lost_bytes == MIN_LOST_BYTES:
            return Writer(id)
        return Writer(id, trailer_bytes=16, trailer=lambda: _TRAILER.pack(self._number, id))

    def write(self) -> str:
        """The second step: the bytes."""
        _, number, record, position, kind = self.stack[-1]
        self.ring.write(position, record)
        self.stack = (*self.stack[:-1], ("publish", number, record, position, kind))
        return f"writes {_named(number)}"

    def publish(self) -> str:
        """The third: the reader may see it, if no other writer is at work beneath."""
        _, number, record, _, kind = self.stack[-1]
        ring, shown, latch = self.ring, self.shown, self.ring.latch
        self._signals.clear()
        ring.publish(self.writers[kind])
        self.stack = self.stack[:-1]
        if not any(frame[0] in ("write", "publish") for frame in self.stack):
            self.published = len(self.expected)
        if not self._signals:
            return f"publishes {_named(number)}" if self.shown != shown else f"leaves {_named(number)} to the outer one"
        if self._signals[0] == self.shown:
            ring.latch = latch
            self.stack += (("signal", number, record, 0, kind),)
            return f"publishes {_named(number)}, and is yet to signal"
        self.stack += (("show", number, record, self.shown, kind),)
        self._words[_HEAD] = shown
        return f"signals for {_named(number)}, and is yet to publish it"

    def signal(self) -> str:
        """The fourth, when the cursor had moved."""
        number = self.stack[-1][1]
        self.stack = self.stack[:-1]
        self.ring.latch = READABLE
        return f"signals for {_named(number)}"

    def show(self) -> str:
        """What a publish that signals first does in the end."""
        _, number, _, self._words[_HEAD], _ = self.stack[-1]
        self.stack = self.stack[:-1]
        return f"publishes {_named(number)}"

    def _on_wakeup(self, _: Writer) -> None:
        self._signals.append(self.shown)

    # What others do to the ring.

    def pause(self) -> str:
        """PAUSE_OUTPUT with 1."""
        self.ring.pause(True)
        self.paused = True
        return "pauses the ring"

    def resume(self) -> str:
        """PAUSE_OUTPUT with 0."""
        self.ring.pause(False)
        self.paused = False
        return "resumes the ring"

    def show_head(self) -> int:
        """What the reader loads as head.

        Raises:
            Broken: the writers that it covers are not all done.
        """
        published = (self.end + sum(map(len, self.expected[: self.published]))) & _U64
        if _is_past(self.shown, published):
            raise Broken(f"the reader is shown head {self.shown}, and only what lies below {published} is published")
        return self.shown

    def store_tail(self, value: int) -> None:
        """What the reader gives back."""
        tail, shown = self.tail, self.shown
        if (value - tail) & _U64 > (shown - tail) & _U64:
            raise Broken(f"the reader stores {value} as its tail: that is not between its tail {tail} and head {shown}")
        self.place = None
        self.ring.store_u64(MMAP_PAGE_DATA_TAIL, value)

    def deliver(self, record: bytes) -> str:
        """A record that the reader hands on.

        Raises:
            Broken: it is not the one whose turn it is.
        """
        if not self.published or record != self.expected[0]:
            raise Broken(f"the reader delivers {self._explain(record)}")
        self.place = None
        self.expected = self.expected[1:]
        self.published -= 1
        self.end = (self.end + len(record)) & _U64
        return f"delivers {_called(record)}"

    def _explain(self, record: bytes) -> str:
        if not record:
            return "nothing at all as a record"
        if POISON in (record[0], record[-1]):
            return f"{len(record)} bytes that were never written, or freed before, or beyond the head that it loaded"
        if record not in self.expected:
            return f"{_called(record)}, which is no record that it owes, or had been delivered"
        if record not in self.expected[: self.published]:
            return f"{_called(record)}, which is not published"
        return f"{_called(record)} before {_called(self.expected[0])}"

    # What must hold.

    def check(self, *, waiting: bool) -> None:
        """The rules that need no event.

        Args:
            waiting: the reader waits for a wakeup, and this ring's latch cannot have been taken by that yet.

        Raises:
            Broken: one does not hold.
        """
        ring = self.ring
        if _is_past(ring.wakeup, ring.head):
            raise Broken(f"the wakeup cursor {ring.wakeup} is past head {ring.head}")
        if not waiting or ring.latch:
            return
        if _is_past(self.tail, self.end):
            raise Broken(f"the reader waits, has freed up to {self.tail}, and delivered only up to {self.end}")
        if not self.stack and ring.used > ring.watermark:
            raise Broken(
                f"the reader waits, the latch is clear, and {ring.used} bytes lie in the ring, above the watermark of "
                f"{ring.watermark}: the wakeup is lost"
            )

    def refuses(self, size: int) -> bool:
        """Whether a ring where nothing is under way has no room for a record of this size, and no signal to give."""
        need = size + self._lost_bytes if self.untold else size
        return not (self.stack or self.ring.latch or self.paused) and self.ring.used + need > self._limit

    def __str__(self) -> str:
        """Positions, latch and a bar of words: ``#`` unread, ``+`` not yet published, ``.`` free."""
        ring, size = self.ring, self.ring.data_size
        signs = ["."] * (size // 8)
        for position in range(self.tail, self.tail + ring.used, 8):
            signs[position % size // 8] = "#" if (position - self.tail) < ((self.shown - self.tail) & _U64) else "+"
        marks = ["latch set" if ring.latch else "latch clear"]
        marks += [f"{self.untold} lost"] * bool(self.untold) + ["paused"] * self.paused
        return (
            f"|{''.join(signs)}| tail {self.tail} published {self.shown} head {ring.head} wakeup {ring.wakeup} "
            + ", ".join(marks)
        )


def _is_past(position: int, other: int) -> bool:
    """Whether a position lies behind another; they are never half of all positions apart."""
    return 0 < (position - other) & _U64 < 1 << 63


def _named(number: int) -> str:
    return f"record {number}"


def _called(record: bytes) -> str:
    """What a reader delivers, in words."""
    if len(record) < HEADER.size:
        return f"{len(record)} bytes"
    kind, number, size = HEADER.unpack_from(record)
    if size != len(record):
        return f"{len(record)} bytes whose header says {size}"
    if kind == PERF_RECORD_LOST and size >= MIN_LOST_BYTES:
        return f"LOST of {int.from_bytes(record[16:24], 'little')}"
    return _named(number) if kind == PERF_RECORD_SAMPLE else f"a record of type {kind}"
