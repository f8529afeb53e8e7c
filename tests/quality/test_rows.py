"""What is done at once is as what is done one by one: each bug that is planted there is found by the properties."""

from __future__ import annotations

import pytest

from tests.property.test_many_records import walk_together
from tests.property.test_repeated_calls import compare_many
from tests.quality.kernel_mutants.mutant import Mutant, mutant

MANY, ROOM, REFUSES = (f"ringbuf:RingBuffer.{name}" for name in ("output_many", "quiet", "refuses"))
REFUSE, WRITE = "ringbuf:RingBuffer.refuse", "ringbuf:RingBuffer.output_quietly"
NEED = "size + 24 + writer.trailer_bytes if self.lost else size"

OF_RECORDS = (
    mutant("inner writers publish", (ROOM, "self._nest or", "")),
    mutant("losses are not told", (ROOM, "self.lost or", "")),
    mutant("backward rings grow", (ROOM, "or self.backward", "")),
    mutant("the watermark is passed unheard", (ROOM, "room = self.watermark", "room = 8 + self.watermark")),
    mutant(
        "an overwriting ring fills up",
        (ROOM, "if not self.overwrite:", "if True:"),
        (REFUSES, "not self.overwrite and", ""),
    ),
    mutant("the last byte is used", (ROOM, "- 1) & self._mask", "- 0) & self._mask")),
    mutant("one sample too many for wakeup_events", (ROOM, "- 1 - self.events", "- self.events")),
    mutant("earlier samples do not count", (ROOM, "- 1 - self.events", "- 1")),
    mutant("quiet samples do not count", (WRITE, "self.events += events", "pass")),
    mutant("head is not shown", (WRITE, "self._words[_HEAD] = ", "")),
    mutant("a pause is not seen", (REFUSES, "if self.paused:", "if False:")),
    mutant("there is always a LOST to come", (REFUSES, NEED, "size + 24 + writer.trailer_bytes")),
    mutant("no room is asked for the LOST", (REFUSES, NEED, "size")),
    mutant("backward rings have another room", (REFUSES, "(distance if self.backward else -distance)", "(-distance)")),
    mutant("every record counts as a sample", (MANY, "if sample else 0", "")),
    mutant("no record counts as a sample", (MANY, "sample=sample", "sample=False")),
    mutant("one loss is counted for all", (MANY, "self.refuse(writer, total - written)", "self.refuse(writer, 1)")),
    mutant("the writer's losses are not counted", (REFUSE, "writer.lost += count", "pass")),
)

AT_ONCE, HITS = "repeating:Repeater._at_once", "repeating:Repeater._hits"
QUIET, COUNT, EACH = (f"repeating:{name}" for name in ("_quiet_calls", "_count", "_samples_each"))

OF_CALLS = (
    mutant("a timer comes late", (AT_ONCE, "- 1) // ns", "+ 300) // ns")),
    mutant("timers are forgotten", (AT_ONCE, "if due is not None:", "if False:")),
    mutant("time stands still", (AT_ONCE, "self._clock.pass_time(times * ns)", "pass")),
    mutant("wakeup_events is forgotten", (AT_ONCE, "wakeup_events=each.wakeup_events()", "")),
    mutant("two writers count as one", ("repeating:_Round.wakeup_events", "if len(self.writers) == 1 else 1", "")),
    mutant("quiet samples do not count", ("repeating:_write", "events=times if each.wakeup_events() else 0", "")),
    mutant("reads are all the same", (QUIET, "event.attr.sample_type & PERF_SAMPLE_READ or", "")),
    mutant("signals are swallowed", (QUIET, "or (file is not None and file.is_async)", "")),
    mutant("REFRESH permits one more", (QUIET, "event.limit - 1 if", "event.limit if")),
    mutant("REFRESH is forgotten", (COUNT, "event.limit -= times if event.limit else 0", "pass")),
    mutant("a period ends unheard", (QUIET, "-1 - event.period_left", "-event.period_left")),
    mutant("a period does not go on", (COUNT, "event.period_left += times", "pass")),
    mutant("hits count once", (COUNT, "event.count += times", "event.count += 1")),
    mutant("no signal is pending", (COUNT, "event.first.pending = _POLL_IN", "pass")),
    mutant("a hit weighs its period", ("repeating:Repeater._heard", "1 if event.samples_each else event", "event")),
    mutant("the exit has the time of the entry", (HITS, "self._clock.now + each.after_ns", "self._clock.now")),
    mutant("the calls are the kernel's", (HITS, "user=each.user, raw", "user=False, raw")),
    mutant("times go back", ("repeating:_Round.image", ", step))", ", step))[::-1]")),
    mutant("a frequency is a period", (EACH, "and not event.freq", "")),
    mutant("a weight needs no sample", (EACH, "event.samples_each or", "")),
)


@pytest.mark.parametrize("planted", [pytest.param(planted, id=planted.name) for planted in OF_RECORDS])
def test_a_bug_in_many_records_is_found(planted: Mutant) -> None:
    with planted.planted(), pytest.raises((AssertionError, ValueError)):
        walk_together(500)


@pytest.mark.parametrize("planted", [pytest.param(planted, id=planted.name) for planted in OF_CALLS])
def test_a_bug_in_a_row_of_calls_is_found(planted: Mutant) -> None:
    with planted.planted(), pytest.raises(AssertionError, match="assert"):
        compare_many(400)
