"""Bugs of those who read: the ring's reader, the drain, the decoder, and the session around them."""

from __future__ import annotations

from typing import Final

from tests.quality.layers.bug import bug

__all__ = ["BUGS"]

_COPY: Final = "perfring.ring:RingReader.copy"
_UNREAD: Final = "perfring.ring:RingReader.unread"
_PUBLISH: Final = "perfring.ring:RingReader.publish"
_HEAD: Final = "perfring.draining:RingDrain.head"
_DRAIN: Final = "perfring.draining:RingDrain.drain"
_COUNT: Final = "perfring.draining:RingDrain._counted"
_RUN: Final = "perfring.decoding:Decoder.decode_run"
_SWEEP: Final = "perfring.sweeping:Sweeper._sweep_all"
_RELEASE: Final = "perfring.ordering:TimeOrder.release"
_LATE: Final = "perfring.ordering:TimeOrder._count_late"
_SORT_OUT: Final = "perfring.waiting:EpollWaiter._sort_out"

_READER: Final = (
    bug(
        "reader",
        "the second part of a record that wraps begins 8 bytes late",
        ("perfring.ring:RingReader.pieces", "self._data[: end - self.size]", "self._data[8 : end - self.size + 8]"),
    ),
    bug(
        "reader",
        "a copy is a view of the ring",
        (
            _COPY,
            'b"".join(self.pieces(length))',
            'self.pieces(length)[0] if len(self.pieces(length)) == 1 else b"".join(self.pieces(length))',
        ),
    ),
    bug(
        "reader",
        "unread bytes are counted without modulo",
        (_UNREAD, "(head - self.tail) & _U64", "head - self.tail"),
    ),
    bug(
        "reader",
        "a ring that is full to the last byte is taken for a corrupt one",
        (_UNREAD, "distance > self.size", "distance >= self.size"),
    ),
    bug(
        "reader",
        "the tail grows beyond 64 bits",
        ("perfring.ring:RingReader.after", "(self.tail + length) & _U64", "self.tail + length"),
    ),
    bug("reader", "the tail is stored 8 bytes too far", (_PUBLISH, "tail = self.tail\n", "tail = self.tail + 8\n")),
    bug("reader", "the tail is kept, and nobody is told", (_PUBLISH, "TAIL, tail)", "TAIL, self.published)")),
    bug(
        "reader",
        "the tail is stored before the bytes are copied",
        (
            _DRAIN,
            "taken, consumed = self._take(",
            "at = reader.tail; reader.free(length); reader.tail = at; taken, consumed = self._take(",
        ),
    ),
    bug(
        "reader",
        "the head is loaded anew to be stored as the tail",
        (_DRAIN, "position = reader.after(consumed)", "position = reader.head()"),
    ),
    bug(
        "reader",
        "a drain goes to the head of now and not to the snapshot",
        (_DRAIN, "unread = reader.unread(target)", "unread = reader.unread(reader.head())"),
    ),
    bug(
        "reader",
        "one small record does not count as something to read",
        ("perfring.draining:RingDrain.has_reached", "not 0 < ", "not 24 < "),
    ),
    bug("reader", "a head that makes no sense is reported for ever", (_HEAD, "reader.skip_to(head)", "pass")),
    bug("reader", "the spurious wakeups are the others", (_HEAD, "+= not unread", "+= bool(unread)")),
    bug(
        "reader",
        "the highest fill is the last one",
        (_HEAD, "max(counts.highest_fill, unread)", "unread"),
    ),
    bug("reader", "a LOST counts as one record lost", (_COUNT, "sum(record.lost for", "sum(1 for")),
    bug("reader", "the last record's time is the first one's", (_COUNT, "= records[-1].time", "= records[0].time")),
    bug(
        "reader",
        "losses told twice are counted twice",
        (
            "perfring.statistics:RingStatistics.lost",
            "max(self.lost_reported, self.lost_counted or 0)",
            "self.lost_reported + (self.lost_counted or 0)",
        ),
    ),
    bug("reader", "the record that ends at the head is left out", (_RUN, "if stop > end or", "if stop >= end or")),
    bug(
        "reader", "records have the position of their image", (_RUN, "(position + offset) & _U64_MASK\n", "position\n")
    ),
)

_SESSION: Final = (
    bug(
        "session",
        "a ring with more to come does not hold the others back",
        (_SWEEP, "release(min(began, reached))", "release(began)"),
    ),
    bug("session", "the ring that is ahead sets the pace", (_SWEEP, "reached = min(", "reached = max(")),
    bug(
        "session",
        "nothing is held back for a slower ring",
        (_SWEEP, "None if everything else began", "None"),
    ),
    bug(
        "session",
        "what is held back at the end stays there",
        (_SWEEP, "None if everything else began", "began"),
    ),
    bug(
        "session",
        "the rings are not looked at a second time",
        (_SWEEP, "for ring in self._rings:\n", "for ring in ():\n"),
    ),
    bug("session", "rings are delivered one after the other", (_RELEASE, "pending.sort(key=_time)", "pass")),
    bug(
        "session",
        "late records are not counted",
        (_LATE, "self._released_until, key=_time) - timeless", "0, key=_time) - timeless"),
    ),
    bug(
        "session",
        "what was taken back comes last",
        (
            "perfring.ordering:TimeOrder.settle",
            "[*self.leaving.left(), *self.outbox]",
            "[*self.outbox, *self.leaving.left()]",
        ),
    ),
    bug(
        "session",
        "nobody looks after registering",
        ("perfring.reading:Reader._open_waiter", "self._begin(Reason.START)", "pass"),
    ),
    bug("session", "a second waiter is let in", ("perfring.reading:Reader._take_role", "is not me", "is None")),
    bug(
        "session",
        "what an interrupted wait took is forgotten",
        ("perfring.reading:Reader.upcoming", "self._unsure = True\n", "raise\n"),
    ),
    bug(
        "session",
        "the end is announced before the data",
        ("perfring.reading:Reader._advance", "if records:\n", "if records and self._reason is not Reason.END:\n"),
    ),
    bug(
        "session",
        "the later of deadline and latency bound counts",
        ("perfring.reading:Reader._soonest", "due < left", "due > left"),
    ),
    bug(
        "session",
        "a busy ring puts off every deadline",
        ("perfring.reading:Reader._begin_for", "elif over:", "elif False:"),
    ),
    bug(
        "session",
        "an event that hung up stays registered",
        ("perfring.waiting:EpollWaiter._replace", "self._epoll.unregister(watch.fd)\n", "return\n"),
    ),
    bug(
        "session",
        "a ring ends with its first event",
        ("perfring.waiting:_Watch.move_on", "if not self._ask(fd) & _GONE:", "if False:"),
    ),
    bug(
        "session",
        "a hangup is no reason to drain",
        (_SORT_OUT, "hung_up = True", "pass"),
    ),
    bug("session", "wakeups are counted at hangups only", (_SORT_OUT, "watch.ring.note_wakeup()", "pass")),
    bug(
        "session",
        "the waker is never cleared",
        (_SORT_OUT, "self._waker.clear()", "pass"),
    ),
    bug(
        "session",
        "a failing callback is not counted",
        ("perfring.dispatch:Dispatcher._failed", "self.errors += 1", "pass"),
    ),
    bug(
        "session",
        "a watermark of the whole ring is accepted",
        ("perfring.planning:_check_watermark", "watermark >= ring_bytes", "watermark > ring_bytes"),
    ),
)

BUGS: Final = (*_READER, *_SESSION)
