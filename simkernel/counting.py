"""When an event counts, what it has counted, and when a hit becomes a sample.

The kernel schedules events in and out with the tasks they follow. Here a context arrives on a CPU and leaves it
(`context_in`, `context_out`), and its events become active where they are enabled, allowed on that CPU, and their
group's leader is active, too. Only active events are in the context's table of who listens to what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simkernel.event import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.clock import Clock
    from simkernel.event import Context, PerfEvent
    from simkernel.tasks import Cpu

__all__ = ["Counting", "adjust_frequency", "overflows"]

_LEAST_TIMER_NS: Final = 10_000
"""The shortest period of cpu-clock and task-clock."""
_SECOND: Final = 1_000_000_000
_TICK_NS: Final = 4_000_000


class Counting:
    """Moves events between their states.

    Args:
        clock: the machine's.
        on_timer: called when the timer of a sampling cpu-clock or task-clock expires.
        arms_tracepoints: a tracepoint that is scheduled in begins a period, as other events do (K49).
    """

    def __init__(self, clock: Clock, on_timer: Callable[[PerfEvent], None], *, arms_tracepoints: bool) -> None:
        self._clock = clock
        self._arms_tracepoints = arms_tracepoints
        self._on_timer = on_timer

    def context_in(self, context: Context, cpu: Cpu) -> None:
        """The context is on a CPU now."""
        context.arrive(cpu)
        for event in context.events:
            self._activate_if_possible(event)

    def context_out(self, context: Context) -> None:
        """It no longer is."""
        for event in context.events:
            self._deactivate(event)
        context.leave()

    def install(self, event: PerfEvent) -> None:
        """A new event begins its life."""
        event.context.events.append(event)
        self._activate_if_possible(event)

    def enable(self, event: PerfEvent) -> None:
        """PERF_EVENT_IOC_ENABLE of one event. Nothing for one that is enabled, or whose task is gone."""
        if event.state >= State.INACTIVE or event.state <= State.EXIT:
            return
        event.set_state(State.INACTIVE)
        for member in (event, *event.siblings):
            self._activate_if_possible(member)

    def disable(self, event: PerfEvent) -> None:
        """PERF_EVENT_IOC_DISABLE of one event; a leader takes its group along until it is enabled again."""
        if event.state <= State.OFF:
            return
        for member in (event, *event.siblings):
            self._deactivate(member)
        event.set_state(State.OFF)

    def retire(self, event: PerfEvent, state: State) -> None:
        """An event counts no longer, for good: its task has exited, or it is closed."""
        self._deactivate(event)
        if event.state > state:
            event.set_state(state)
        if event in event.context.events:
            event.context.events.remove(event)

    def set_period(self, event: PerfEvent, period: int) -> None:
        """PERF_EVENT_IOC_PERIOD: the event stops and starts, but is not scheduled in anew (K49)."""
        running = event.state is State.ACTIVE
        if running:
            event.stopped = False
            if event.is_clock:
                self._stop_timer(event)
        if event.freq:
            event.attr.sample_freq = period
        else:
            event.attr.sample_period = event.sample_period = period
        event.period_left = 0
        if running and event.is_clock:
            self._start_timer(event)

    def _activate_if_possible(self, event: PerfEvent) -> None:
        cpu = event.context.on
        if event.state is not State.INACTIVE or cpu is None or event.cpu not in (-1, cpu.id):
            return
        if event.leader is not event and event.leader.state is not State.ACTIVE:
            return
        event.set_state(State.ACTIVE)
        if event.is_clock:
            self._start_timer(event)
        else:
            if event.sampling and (self._arms_tracepoints or not event.is_tracepoint):
                event.last_period = event.sample_period
                overflows(event)
            listeners = event.context.active.setdefault(event.key, [])
            listeners.append(event)
            # The kernel puts each event it schedules in at the front of its list: the last one in hears first.
            if len(listeners) > 1:
                listeners.sort(key=_schedule_order, reverse=True)

    def _deactivate(self, event: PerfEvent) -> None:
        if event.state is not State.ACTIVE:
            return
        event.set_state(State.INACTIVE)
        if event.is_clock:
            self._stop_timer(event)
        else:
            event.context.active[event.key].remove(event)

    def _start_timer(self, event: PerfEvent) -> None:
        if not event.sampling:
            return
        # The first period is what was left when the timer was stopped last.
        due = event.period_left or max(_LEAST_TIMER_NS, event.sample_period)
        event.period_left = 0
        event.timer = self._clock.after(max(due, 1), lambda: self._expired(event))

    def _stop_timer(self, event: PerfEvent) -> None:
        if event.timer is not None:
            event.period_left = max(event.timer.when - self._clock.now, 0)
            event.timer.cancel()
            event.timer = None

    def hold(self, event: PerfEvent, until: int, resume: Callable[[], None]) -> None:
        """A timer that is throttled: it goes on at ``until``, after ``resume``."""
        if event.timer is None:
            return
        event.timer.cancel()

        def go_on() -> None:
            resume()
            event.timer = None
            self._start_timer(event)

        event.timer = self._clock.at(until, go_on)

    def _expired(self, event: PerfEvent) -> None:
        if event.state is not State.ACTIVE:
            return
        period = max(_LEAST_TIMER_NS, event.sample_period)
        event.timer = self._clock.after(period, lambda: self._expired(event))
        self._on_timer(event)


def _schedule_order(event: PerfEvent) -> tuple[bool, int, bool, int]:
    return event.schedule_order


def overflows(event: PerfEvent) -> int:
    """How many periods are over: perf_swevent_set_period. Starts the next one, which may have another length."""
    period, event.last_period = event.last_period, event.sample_period
    if event.period_left < 0:
        return 0
    count = (period + event.period_left) // period
    event.period_left -= count * period
    return count


def adjust_frequency(event: PerfEvent, now: int) -> None:
    """Moves the period of an event with a frequency towards it, an eighth of the way: perf_adjust_period."""
    passed, event.freq_stamp = now - event.freq_stamp, now
    if not 0 < passed < 2 * _TICK_NS:
        return
    wanted = event.last_period * _SECOND // (passed * event.attr.sample_freq)
    step = wanted - event.sample_period
    step = (step + 7) // 8 if step >= 0 else -((7 - step) // 8)
    event.sample_period = max(event.sample_period + step, 1)
    if event.period_left > 8 * event.sample_period:
        event.period_left = 0
