"""From an event to its ring: the one way that every record goes, and every wakeup."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from perfring.abi import PERF_RECORD_SAMPLE
from simkernel.misuse import SimulatorError
from simkernel.ringbuf import REFUSED
from simkernel.rules import DROP, PASS, Delay, Replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.clock import Clock
    from simkernel.event import PerfEvent
    from simkernel.mapping import Ring
    from simkernel.rules import Rules
    from simkernel.tasks import Task

__all__ = ["Output"]

_SAMPLE: Final = PERF_RECORD_SAMPLE.to_bytes(4, sys.byteorder)


class Output:
    """Writes records.

    Args:
        clock: the machine's.
        rules: asked about every record and wakeup.
        deliver: wakes whoever waits for an event of the ring; given the event whose record signalled.

    Attributes:
        between: called between reserve and write, and between write and publish, with the ring: where an interrupt
            may come. None while nobody explores.
    """

    def __init__(self, clock: Clock, rules: Rules, deliver: Callable[[Ring, PerfEvent], None]) -> None:
        self._clock = clock
        self._rules = rules
        self._deliver = deliver
        self.between: Callable[[Ring], None] | None = None

    @property
    def is_watched(self) -> bool:
        """Whether somebody wants to see each record: a rule, or an exploration."""
        return bool(self._rules) or self.between is not None

    def write(self, event: PerfEvent, task: Task, cpu: int, record: bytes) -> None:
        """Writes a whole record for an event, where it has a ring."""
        first = event.parent or event
        ring = first.ring
        if ring is None:
            return
        buffer, writer = ring.buffer, first.writer
        is_sample = record[:4] == _SAMPLE
        if self._rules:
            changed = self._ask(event, ring, record)
            if changed is None:
                return
            record = changed
        if buffer.lost:
            trailer = first.encoder.trailer(task, self._clock.now, cpu)
            writer.trailer = lambda: trailer
        if self.between is None:
            buffer.output(writer, record, sample=is_sample)
            return
        position = buffer.reserve(writer, len(record))
        if position == REFUSED:
            return
        self.between(ring)
        buffer.write(position, record)
        if is_sample:
            buffer.count_sample(writer)
        self.between(ring)
        buffer.publish(writer)

    def _ask(self, event: PerfEvent, ring: Ring, record: bytes) -> bytes | None:
        """What the rules make of a record; None when it is to vanish."""
        answer = self._rules.ask("record", "ring", event=event, ring=ring, data=record)
        if answer is PASS:
            return record
        if answer is DROP:
            return None
        if isinstance(answer, Replace) and len(answer.data) == len(record):
            return answer.data
        raise SimulatorError(f"a rule answered {answer!r} to a record: PASS, DROP, or Replace of the same length")

    def signal(self, ring: Ring, event: PerfEvent) -> None:
        """The ring's latch was set by a record of ``event``: tells who waits, as far as the rules permit."""
        if self._rules:
            answer = self._rules.ask("wakeup", "ring", event=event, ring=ring)
            if answer is DROP:
                ring.buffer.latch = 0
                return
            if isinstance(answer, Delay):
                taken = ring.buffer.take_latch()
                self._clock.after(answer.ns, lambda: self._deliver_late(ring, event, taken))
                return
            if answer is not PASS:
                raise SimulatorError(f"a rule answered {answer!r} to a wakeup: PASS, DROP or Delay")
        self._deliver(ring, event)

    def _deliver_late(self, ring: Ring, event: PerfEvent, latch: int) -> None:
        ring.buffer.latch |= latch
        self._deliver(ring, event)
