"""What tasks do, as perf sees it: hits, switches, and the records that tell of tasks.

Every observable thing comes through here: it looks who listens on the task and on its CPU, counts, makes samples and
side-band, and hands them to `simkernel.output`.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from perfring.abi import (
    PERF_COUNT_SW_CONTEXT_SWITCHES,
    PERF_COUNT_SW_CPU_MIGRATIONS,
    PERF_RECORD_COMM,
    PERF_RECORD_EXIT,
    PERF_RECORD_FORK,
    PERF_RECORD_MISC_COMM_EXEC,
    PERF_RECORD_MISC_MMAP_DATA,
    PERF_RECORD_MISC_SWITCH_OUT,
    PERF_RECORD_MISC_SWITCH_OUT_PREEMPT,
    PERF_RECORD_MISC_USER,
    PERF_RECORD_MMAP,
    PERF_RECORD_MMAP2,
    PERF_RECORD_NAMESPACES,
    PERF_RECORD_READ,
    PERF_RECORD_SWITCH,
    PERF_RECORD_SWITCH_CPU_WIDE,
    PERF_RECORD_THROTTLE,
    PERF_RECORD_UNTHROTTLE,
    PERF_TYPE_SOFTWARE,
)
from simkernel import sideband
from simkernel.counting import Counting, adjust_frequency, overflows
from simkernel.event import State
from simkernel.readformat import read_values
from simkernel.sampling import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simkernel.clock import Clock
    from simkernel.event import Context, PerfEvent
    from simkernel.filters import Values
    from simkernel.output import Output
    from simkernel.releases import Release
    from simkernel.tasks import Scheduler, Task, VirtualMapping
    from simkernel.tracepoints import Tracepoints, Value

__all__ = ["Activity"]

_POLL_IN: Final = 1
_POLL_HUP: Final = 6
_EXECUTABLE: Final = 4
_SECOND: Final = 1_000_000_000
_TICK_NS: Final = 4_000_000


class Activity:
    """Turns what tasks do into counts and records.

    Args:
        clock: the machine's.
        scheduler: who runs where.
        output: where records go.
        tracepoints: the machine's.
        events: all that are open, without inherited ones; they come and go.
        on_overflow: told of each overflow, for SIGIO (K20).
        on_hangup: told of events whose task is gone (K19).
        on_exit: told of tasks that exit.
        max_rate: samples a second of one event, beyond which it is throttled (K24).
        release: what differs between releases.
    """

    def __init__(
        self,
        clock: Clock,
        scheduler: Scheduler,
        output: Output,
        tracepoints: Tracepoints,
        events: Sequence[PerfEvent],
        *,
        on_overflow: Callable[[PerfEvent], None],
        on_hangup: Callable[[PerfEvent], None],
        on_exit: Callable[[Task, int], None],
        max_rate: Callable[[], int],
        release: Release,
    ) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._output = output
        self._tracepoints = tracepoints
        self._events = events
        self._on_overflow = on_overflow
        self._on_hangup = on_hangup
        self._on_exit = on_exit
        self.counting = Counting(clock, self._timer_expired, arms_tracepoints=release.arms_tracepoints)
        self._max_rate = max_rate
        self._release = release

    # Hits.

    def software(self, task: Task, config: int, *, count: int = 1, user: bool = False, addr: int = 0) -> None:
        """A software event happens ``count`` times at once."""
        self._hit((PERF_TYPE_SOFTWARE, config), task, count, user=user, addr=addr)

    def tracepoint(self, task: Task, name: str, *, user: bool = False, **fields: Value) -> None:
        """A tracepoint is passed."""
        point = self._tracepoints[name]
        key = point.key
        if not (task.cpu.context.active.get(key) or task.context.active.get(key)):
            return
        raw = point.encode(task.pid, fields)

        def values() -> Values:
            return point.values(task.pid, fields, comm=task.comm, cpu=task.cpu.id)

        self._hit(key, task, 1, user=user, raw=raw, values=values)

    def _hit(
        self,
        key: tuple[int, int],
        task: Task,
        count: int,
        *,
        user: bool,
        addr: int = 0,
        raw: bytes | None = None,
        values: Callable[[], Values] = dict,
    ) -> None:
        hit = None
        for event in self.hearers(key, task, user=user, values=values):
            hit = hit or Hit(task, task.cpu.id, self._clock.now, user=user, addr=addr, raw=raw)
            self._count(event, count, hit)

    def hearers(
        self, key: tuple[int, int], task: Task, *, user: bool, values: Callable[[], Values]
    ) -> Iterator[PerfEvent]:
        """The events that hear of a hit, in the order in which they do; a filter is given its ``values``."""
        # What a task brings along is scheduled in last, so it hears first.
        for context in (task.context, task.cpu.context):
            for event in tuple(context.active.get(key, ())):
                if not self._excluded(event, task, user=user) and (not event.filter or event.filter(values())):
                    yield event

    @staticmethod
    def _excluded(event: PerfEvent, task: Task, *, user: bool) -> bool:
        return not (event.hears_user if user else event.hears_kernel) or not (task.pid or event.hears_idle)

    def _count(self, event: PerfEvent, count: int, hit: Hit) -> None:
        """perf_swevent_event: counts, and samples where a period is over."""
        if event.stopped:
            return
        event.count += count
        if not event.sampling:
            return
        if event.samples_each:
            self._overflow(event, hit, count)
            return
        if event.sample_period == 1 and count == 1 and not event.freq:
            self._overflow(event, hit, event.last_period)
            return
        event.period_left += count
        if event.period_left < 0:
            return
        period = event.last_period
        for _ in range(overflows(event)):
            if not self._overflow(event, hit, period):
                break

    def _overflow(self, event: PerfEvent, hit: Hit, period: int) -> bool:
        """One sample. False when it was the last that REFRESH permits (K39)."""
        if event.freq:
            adjust_frequency(event, self._clock.now)
        first = event.parent or event
        first.pending = _POLL_IN
        goes_on = True
        if event.limit:
            event.limit -= 1
            if not event.limit:
                goes_on = False
                event.stopped = self._release.limit_stops_tracepoints and event.is_tracepoint
                first.pending = _POLL_HUP
        self._output.write(event, hit.task, hit.cpu, event.encoder.sample(hit, period))
        self._on_overflow(first)
        if not goes_on:
            self.counting.disable(event)
        return goes_on

    def bpf_output(self, event: PerfEvent, task: Task, payload: bytes) -> None:
        """bpf_perf_event_output: a sample, whatever the period, that counts nothing."""
        hit = Hit(task, task.cpu.id, self._clock.now, raw=payload)
        self._output.write(event, task, task.cpu.id, event.encoder.sample(hit, 0))

    def _timer_expired(self, event: PerfEvent) -> None:
        cpu = event.context.on
        if cpu is None:
            return
        task = cpu.current
        user = task.pid != 0
        if not self._excluded(event, task, user=user):
            event.update_times()
            too_many = self._count_interrupt(event)
            if too_many:
                self._throttle_record(event, task, PERF_RECORD_THROTTLE)
            goes_on = self._overflow(event, Hit(task, cpu.id, self._clock.now, user=user), event.last_period)
            if too_many and goes_on:
                self.counting.hold(event, self._next_tick(), lambda: self._unthrottle(event))

    def _count_interrupt(self, event: PerfEvent) -> bool:
        """Whether this is more than a tick may bring: only timers are throttled (K24)."""
        tick = self._clock.now // _TICK_NS
        event.interrupts = event.interrupts + 1 if event.interrupts_tick == tick else 1
        event.interrupts_tick = tick
        return event.interrupts > -(-self._max_rate() * _TICK_NS // _SECOND)

    def _next_tick(self) -> int:
        return (self._clock.now // _TICK_NS + 1) * _TICK_NS

    def _unthrottle(self, event: PerfEvent) -> None:
        cpu = event.context.on
        if cpu is not None:
            self._throttle_record(event, cpu.current, PERF_RECORD_UNTHROTTLE)

    def _throttle_record(self, event: PerfEvent, task: Task, record_type: int) -> None:
        body = struct.pack("=QQQ", self._clock.now + event.clock_offset, event.first.id, event.id)
        self._side_band(event, task, record_type, 0, body)

    # Switches: the order of things is that of the kernel's __schedule.

    def switched_out(self, task: Task, to: Task, *, preempted: bool) -> None:
        """``task`` stops running."""
        state = 0 if preempted or not task.pid else 1 if task.alive else 0x10
        self.tracepoint(
            task,
            "sched:sched_switch",
            prev_comm=task.comm,
            prev_pid=task.pid,
            prev_prio=120,
            prev_state=state,
            next_comm=to.comm,
            next_pid=to.pid,
            next_prio=120,
        )
        self.software(task, PERF_COUNT_SW_CONTEXT_SWITCHES)
        misc = PERF_RECORD_MISC_SWITCH_OUT | (PERF_RECORD_MISC_SWITCH_OUT_PREEMPT if preempted or not task.pid else 0)
        self._switch_records(task, to, misc)
        if task.pid:
            self.counting.context_out(task.context)

    def switched_in(self, task: Task, was: Task) -> None:
        """``task`` runs."""
        if task.pid and task.alive:
            self.counting.context_in(task.context, task.cpu)
        self._switch_records(task, was, 0)
        if task.migrated:
            task.migrated = False
            self.software(task, PERF_COUNT_SW_CPU_MIGRATIONS)

    def woken(self, task: Task, *, new: bool = False) -> None:
        """``task`` becomes runnable, by whoever runs on that CPU; ``new``: for the first time in its life."""
        self.wakeup(task.cpu.current, task, new=new)

    def wakeup(self, waker: Task, task: Task, *, new: bool = False) -> None:
        """Passes the tracepoint of a wakeup."""
        name = "sched:sched_wakeup_new" if new else "sched:sched_wakeup"
        self.tracepoint(waker, name, comm=task.comm, pid=task.pid, prio=120, target_cpu=task.cpu.id)

    def _switch_records(self, task: Task, other: Task, misc: int) -> None:
        for event in self._told(task):
            if not event.wants_switches:
                continue
            if event.target is not None:
                self._side_band(event, task, PERF_RECORD_SWITCH, misc, b"")
            else:
                self._side_band(event, task, PERF_RECORD_SWITCH_CPU_WIDE, misc, sideband.switch_body(other))

    # Side-band.

    def _told(self, task: Task, *, also: Context | None = None) -> Iterator[PerfEvent]:
        """The enabled events that hear of what a task does: of its CPU, and its own."""
        for context in (task.cpu.context, also or task.context):
            for event in reversed(tuple(context.events)):  # the newest is told first
                # A disabled event, or one that waits for another CPU, tells nothing (K40).
                if event.state >= State.INACTIVE and event.cpu in (-1, task.cpu.id):
                    yield event

    def _side_band(self, event: PerfEvent, task: Task, record_type: int, misc: int, body: bytes) -> None:
        trailer = event.encoder.trailer(task, self._clock.now, task.cpu.id)
        header = struct.pack("=IHH", record_type, misc, 8 + len(body) + len(trailer))
        self._output.write(event, task, task.cpu.id, header + body + trailer)

    def _anybody_asks(self, *flags: str) -> bool:
        """Linux counts over the whole machine who asks for a kind of record, and without one looks no further.

        ``mmap2`` is not counted: alone it brings nothing (measured on 6.18).
        """
        return any(getattr(event.attr, flag) for event in self._events for flag in flags)

    def comm(self, task: Task, *, exec: bool = False) -> None:
        """The task has another name."""
        body = sideband.comm_body(task)
        for event in self._told(task):
            if event.attr.comm:
                self._side_band(event, task, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC if exec else 0, body)

    def mapped(self, task: Task, mapping: VirtualMapping) -> None:
        """The task has mapped something."""
        if not self._anybody_asks("mmap", "mmap_data"):
            return
        executable = mapping.prot & _EXECUTABLE
        misc = PERF_RECORD_MISC_USER | (0 if executable else PERF_RECORD_MISC_MMAP_DATA)
        mapping = replace(mapping, flags=mapping.flags | self._release.mmap2_flags)
        for event in self._told(task):
            attr = event.attr
            if not ((attr.mmap or attr.mmap2) if executable else attr.mmap_data):
                continue
            if attr.mmap2:
                self._side_band(event, task, PERF_RECORD_MMAP2, misc, sideband.mmap2_body(task, mapping))
            else:
                self._side_band(event, task, PERF_RECORD_MMAP, misc, sideband.mmap_body(task, mapping))

    def forked(self, parent: Task, child: Task) -> None:
        """There is a new task; it is the parent that says so."""
        self._task_records(parent, child, PERF_RECORD_FORK, parent.pid)
        self.namespaces(parent, child)

    def namespaces(self, teller: Task, task: Task) -> None:
        """PERF_RECORD_NAMESPACES: which namespaces a task is in."""
        for event in self._told(teller):
            if event.attr.namespaces:
                self._side_band(event, teller, PERF_RECORD_NAMESPACES, 0, sideband.namespaces_body(task))

    def _task_records(self, teller: Task, task: Task, record_type: int, parent: int) -> None:
        if not self._anybody_asks("task", "comm", "mmap", "mmap_data"):
            return
        for event in self._told(teller):
            attr = event.attr
            if attr.task or attr.comm or attr.mmap or attr.mmap2 or attr.mmap_data:
                body = sideband.task_body(task, parent, self._clock.now + event.clock_offset)
                self._side_band(event, teller, record_type, 0, body)

    # Life and death.

    def inherit(
        self, parent: Task, child: Task, make: Callable[[PerfEvent, Task, PerfEvent | None], PerfEvent]
    ) -> None:
        """fork(2): the child gets events of its own for those of its parent's that have ``inherit``."""
        for event in tuple(parent.context.events):
            if event.leader is event and event.attr.inherit and not event.attr.inherit_thread:
                copy = make(event, child, None)
                for sibling in event.siblings:
                    make(sibling, child, copy)
                copy.generation = event.generation

    def execute(self, task: Task) -> None:
        """execve(2), as far as events are enabled or removed by it; the records come afterwards."""
        for event in tuple(task.context.events):
            if event.attr.remove_on_exec:
                self._end(event, task)
            elif event.attr.enable_on_exec:
                event.attr.enable_on_exec = False
                self.counting.enable(event)

    def finish(self, task: Task, status: int) -> None:
        """A program has come to its end: it exits."""
        self.exited(task, status)

    def exited(self, task: Task, status: int) -> None:
        """_exit(2): counting ends, then the EXIT is written, then the events hang up."""
        self._on_exit(task, status)
        for event in tuple(task.context.events):
            if event.state is State.ACTIVE:
                event.update_times()
        self._task_records(task, task, PERF_RECORD_EXIT, task.ppid)
        for event in tuple(task.context.events):
            self._end(event, task)
        task.alive = False

    def _end(self, event: PerfEvent, task: Task) -> None:
        self.counting.retire(event, State.EXIT)
        first = event.parent
        if first is not None:
            if event.attr.inherit_stat:
                body = sideband.read_body(task, read_values(event))
                self._side_band(event, task, PERF_RECORD_READ, 0, body)
            first.children.remove(event)
            first.child_count += event.count
            first.child_enabled += event.enabled_ns
            first.child_running += event.running_ns
        self._on_hangup(first or event)
