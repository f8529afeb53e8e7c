"""The same system call many times over, as fast as it can be written down.

Most calls of a long row differ in nothing but the time: no timer comes between them, no ring signals or begins to lose,
no period ends. So many of them are counted, and their samples written, as one; each call that something may come of is
made by itself, on the way that every hit goes (`simkernel.activity`). Nothing is decided here that is not decided
there: this file only knows when there is nothing to decide, and where it is not sure it says 0.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from perfring.abi import PERF_SAMPLE_READ
from simkernel.sampling import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from simkernel.event import PerfEvent
    from simkernel.machine import Machine
    from simkernel.mapping import Ring
    from simkernel.perf import Perf
    from simkernel.ringbuf import RingBuffer
    from simkernel.tasks import Task
    from simkernel.tracepoints import Value

__all__ = ["Pass", "Repeater"]

_WORTH_ASKING: Final = 8
"""Calls: to find out how many can be made at once costs about as much as these."""
_PATIENCE: Final = 64
"""Calls that are made singly at most before it is asked again."""
_POLL_IN: Final = 1
_TIME: Final = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class Pass:
    """A tracepoint that each call passes.

    Attributes:
        name: its name.
        after_ns: when: nanoseconds since the call began.
        fields: its fields.
        user: it tells of the registers of user space.
    """

    name: str
    after_ns: int
    fields: Mapping[str, Value]
    user: bool = True


@dataclass(slots=True)
class _Round:
    """What one call writes into one ring.

    Attributes:
        records: the samples of the first call, in order.
        writers: the events of those samples, as the program opened them.
        times: where in the round the times are.
        size: bytes of it all.
    """

    records: list[bytes] = field(default_factory=list)
    writers: list[PerfEvent] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    size: int = 0

    def add(self, event: PerfEvent, record: bytes) -> None:
        """One more sample."""
        if event.encoder.time_place is not None:
            self.times.append(self.size + event.encoder.time_place)
        self.records.append(record)
        self.writers.append(event.first)
        self.size += len(record)

    def wakeup_events(self) -> int:
        """The writer's; 1, which is never quiet, for several that count together: too rare to be worth more."""
        counting = [event.writer.wakeup_events for event in self.writers if event.writer.wakeup_events]
        return (counting[0] if len(self.writers) == 1 else 1) if counting else 0

    def is_refused(self, buffer: RingBuffer) -> bool:
        """Every sample is lost, so that nothing is written."""
        return all(
            buffer.refuses(event.writer, len(record)) for event, record in zip(self.writers, self.records, strict=True)
        )

    def image(self, count: int, step: int) -> bytearray:
        """The samples of so many calls, of which each comes ``step`` nanoseconds after the one before."""
        image = bytearray(b"".join(self.records)) * count
        words = memoryview(image).cast("Q")
        for place in self.times:
            (first,) = _TIME.unpack_from(image, place)
            words[place >> 3 :: self.size >> 3] = memoryview(array("Q", range(first, first + count * step, step)))
        return image


class Repeater:
    """Makes calls of one task.

    Args:
        machine: where the task is.
        perf: who listens.
        task: who calls.
    """

    def __init__(self, machine: Machine, perf: Perf, task: Task) -> None:
        self._clock = machine.clock
        self._tracepoints = machine.tracepoints
        self._output = perf.output
        self._activity = perf.activity
        self._task = task

    def run(self, times: int, passes: Sequence[Pass], ns: int, call: Callable[[], None]) -> None:
        """Makes so many calls, at once as far as nothing comes between, by ``call`` otherwise.

        Args:
            times: how many.
            passes: what each call passes, in order.
            ns: how long each takes.
            call: makes one.
        """
        singly = 1
        while times:
            at_once = self._at_once(times, passes, ns) if times > _WORTH_ASKING else 0
            singly = 1 if at_once > _WORTH_ASKING else min(2 * singly, _PATIENCE)
            times -= at_once
            for _ in range(min(singly, times)):
                call()
                times -= 1

    def _at_once(self, times: int, passes: Sequence[Pass], ns: int) -> int:
        """Makes calls that nothing comes of but counts and samples, at most ``times`` of them. Returns how many."""
        if self._output.is_watched:
            return 0
        due = self._clock.next_due()
        if due is not None:
            times = min(times, (due - self._clock.now - 1) // ns)
        heard, rounds = self._heard(passes)
        times = min(times, *map(_quiet_calls, heard)) if heard else times
        for ring, each in rounds.items():
            if not each.is_refused(ring.buffer):
                times = min(times, ring.buffer.quiet(each.size, wakeup_events=each.wakeup_events()))
        if times > 0:
            _count(heard, times)
            for ring, each in rounds.items():
                _write(ring.buffer, each, times, ns)
            self._clock.pass_time(times * ns)
        return max(times, 0)

    def _heard(self, passes: Iterable[Pass]) -> tuple[list[PerfEvent], dict[Ring, _Round]]:
        """Who hears of one call, and what is written of it: its first, which begins now."""
        heard: list[PerfEvent] = []
        rounds: dict[Ring, _Round] = {}
        for each in passes:
            for event, hit in self._hits(each):
                heard.append(event)
                ring = event.first.ring
                if _samples_each(event) and ring is not None:
                    period = 1 if event.samples_each else event.last_period
                    rounds.setdefault(ring, _Round()).add(event, event.encoder.sample(hit, period))
        return heard, rounds

    def _hits(self, each: Pass) -> Iterator[tuple[PerfEvent, Hit]]:
        point, task, fields = self._tracepoints[each.name], self._task, dict(each.fields)
        hearers = self._activity.hearers(
            point.key,
            task,
            user=each.user,
            values=lambda: point.values(task.pid, fields, comm=task.comm, cpu=task.cpu.id),
        )
        hit = Hit(
            task, task.cpu.id, self._clock.now + each.after_ns, user=each.user, raw=point.encode(task.pid, fields)
        )
        return ((event, hit) for event in hearers if not event.stopped)


def _samples_each(event: PerfEvent) -> bool:
    return event.sampling and (event.samples_each or (event.sample_period == 1 and not event.freq))


def _quiet_calls(event: PerfEvent) -> int:
    """How many hits of this event are sure to be the same: a count, or a sample that differs in its time only."""
    if not event.sampling:
        return 1 << 62
    if not _samples_each(event):
        return -1 - event.period_left
    file = event.first.file
    if event.attr.sample_type & PERF_SAMPLE_READ or (file is not None and file.is_async):
        return 0
    return event.limit - 1 if event.limit else 1 << 62


def _count(heard: Iterable[PerfEvent], times: int) -> None:
    for event in heard:
        event.count += times
        if not event.sampling:
            continue
        if _samples_each(event):
            event.first.pending = _POLL_IN
            event.limit -= times if event.limit else 0
        else:
            event.period_left += times


def _write(buffer: RingBuffer, each: _Round, times: int, ns: int) -> None:
    if each.is_refused(buffer):
        for event in each.writers:
            buffer.refuse(event.writer, times)
    else:
        buffer.output_quietly(each.image(times, ns), events=times if each.wakeup_events() else 0)
