"""Bugs of the rule and of the simulated kernel: verdict, ring, readiness."""

from __future__ import annotations

from typing import Final

from tests.quality.layers.bug import bug

__all__ = ["BUGS"]

_JUDGE: Final = "perfring.geometry:watermark_verdict"
_TAKEN: Final = "perfring.geometry:kernel_watermark"
_SAFE: Final = "size - 1 - largest - lost_bytes"
_RESERVE: Final = "ringbuf:RingBuffer.reserve"
_OUTPUT: Final = "ringbuf:RingBuffer.output"
_PUBLISH: Final = "ringbuf:RingBuffer.publish"
_MOVED: Final = "self.wakeup = (self.wakeup + self.watermark) & _U64"
_COLLECT: Final = "readiness:EpollFile.collect"
_ASK: Final = "if item.ask():"

_VERDICT: Final = (
    bug("verdict", "LIVE forgets the LOST", (_JUDGE, _SAFE, "size - 1 - largest")),
    bug("verdict", "LIVE is said one byte too high", (_JUDGE, _SAFE, "size - largest - lost_bytes")),
    bug("verdict", "LIVE counts on the smallest record", (_JUDGE, _SAFE, "size - 1 - smallest - lost_bytes")),
    bug("verdict", "a watermark of the fullest level is not said to stall", (_JUDGE, ">= fullest", "> fullest")),
    bug("verdict", "records fill the ring to the last byte", (_JUDGE, "min((size - 8) //", "min(size //")),
    bug(
        "verdict",
        "the fullest level is one of equal records",
        (_JUDGE, "// smallest * largest", "// largest * largest"),
    ),
    bug("verdict", "a watermark of 0 stays 0", (_TAKEN, " or ring_bytes // 2", "")),
    bug(
        "verdict",
        "a ring has twice the pages that are a power of two",
        ("perfring.geometry:ring_data_bytes", "(page_count - 1).bit_length()", "page_count.bit_length()"),
    ),
    bug(
        "verdict",
        "the first wake comes when the watermark is reached",
        ("perfring.geometry:first_wake_bytes", "watermark // record_bytes + 1", "-(-watermark // record_bytes)"),
    ),
)

_RING: Final = (
    bug(
        "ring",
        "a watermark that is just reached wakes",
        (_RESERVE, "& _U64 > self.watermark", "& _U64 >= self.watermark"),
    ),
    bug(
        "ring",
        "the quick way wakes when the watermark is just reached",
        (_OUTPUT, "& _U64 > self.watermark", "& _U64 >= self.watermark"),
    ),
    bug("ring", "no byte stays free", (_RESERVE, "- 1) & self._mask", "- 0) & self._mask")),
    bug("ring", "the wakeup cursor moves up to head", (_RESERVE, _MOVED, "self.wakeup = written & _U64")),
    bug("ring", "no room is asked for the LOST", (_RESERVE, "if need > ((", "if size > ((")),
    bug("ring", "a loss is told again and again", ("ringbuf:RingBuffer._write_lost", "self.lost = 0", "pass")),
    bug("ring", "an inner writer shows what the outer one has not written", (_PUBLISH, "if self._nest:", "if False:")),
    bug("ring", "the signal of an inner writer is forgotten", (_RESERVE, "if not self._nest:\n", "if True:\n")),
    bug("ring", "the quick way forgets the pause", (_OUTPUT, "or self.paused or", "or")),
    bug("ring", "the quick way forgets an untold loss", (_OUTPUT, "self._nest or self.lost or", "self._nest or")),
    bug(
        "ring",
        "what wraps is written from the wrong place on",
        ("ringbuf:RingBuffer._write_wrapped", "view[len(part) :], 0", "view[len(part) :], 8"),
    ),
    bug(
        "ring",
        "every n-th sample wakes one sample late",
        ("ringbuf:RingBuffer.count_sample", "self.events >= writer", "self.events > writer"),
    ),
    bug(
        "ring",
        "freed bytes stay as they are",
        ("ringbuf:RingBuffer._poison", "if freed <= ", "if 0 > freed <= "),
    ),
)

_READINESS: Final = (
    bug(
        "readiness",
        "asking leaves the latch set",
        ("ringbuf:RingBuffer.take_latch", "self.latch, 0", "self.latch, self.latch"),
    ),
    bug("readiness", "registering does not ask", ("readiness:EpollFile.add", _ASK, "if False:")),
    bug("readiness", "modifying does not ask", ("readiness:EpollFile.modify", _ASK, "if False:")),
    bug(
        "readiness",
        "level-triggered items are reported once",
        (_COLLECT, "elif not item.events & _EDGE:", "elif False:"),
    ),
    bug("readiness", "a one-shot item stays armed", (_COLLECT, "item.events &= _PRIVATE", "pass")),
    bug(
        "readiness",
        "an epoll that is asked leaves the latches of what it watches",
        ("readiness:EpollFile.ask", "if self._ready[0].ask():", "if self._ready:"),
    ),
    bug(
        "readiness",
        "data is told before the hangup",
        (
            "perffile:PerfFile.ask",
            "if self.event.hung_up or self.event.ring is None:",
            "if self.event.ring is None or (self.event.hung_up and not self.event.ring.buffer.latch):",
        ),
    ),
    bug(
        "readiness",
        "the last munmap wakes nobody",
        ("perf:Perf.unmap", "if event.file is not None:", "if False:"),
    ),
)

BUGS: Final = (*_VERDICT, *_RING, *_READINESS)
