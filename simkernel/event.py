"""A perf event, and the context that holds the events of one task or of one CPU.

An event is OFF, INACTIVE (enabled, but what it follows does not run), ACTIVE (counting), in ERROR, or in EXIT (what it
followed is gone; K19). `simkernel.counting` moves it between these; here is only what it is.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from perfring.abi import (
    PERF_COUNT_SW_BPF_OUTPUT,
    PERF_COUNT_SW_CPU_CLOCK,
    PERF_COUNT_SW_TASK_CLOCK,
    PERF_SAMPLE_PERIOD,
    PERF_TYPE_SOFTWARE,
    PERF_TYPE_TRACEPOINT,
)
from simkernel.readformat import read_values, room_left
from simkernel.ringbuf import Writer
from simkernel.sampling import Encoder

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from simkernel.clock import Clock, Timer
    from simkernel.filters import Filter
    from simkernel.mapping import Ring
    from simkernel.perffile import PerfFile
    from simkernel.tasks import Cpu, Task

__all__ = ["Context", "Key", "PerfEvent", "State"]

Key = tuple[int, int]
"""(type, config): what happens, for software events and tracepoints."""

_NO_LIMIT: Final = 0


class State(enum.IntEnum):
    """enum perf_event_state, as far as it can be told from outside."""

    EXIT = -3
    ERROR = -2
    OFF = -1
    INACTIVE = 0
    ACTIVE = 1


class Context:
    """The events of one task or one CPU.

    The time of a task's context goes on only while the task runs: so an event that waits for its CPU is neither
    enabled nor running meanwhile, as on Linux.

    Attributes:
        task: whose, or None for a CPU's.
        events: all, oldest first.
        active: those that count at the moment, by what they count, in the order in which they hear of a hit.
        on: the CPU on which it is counting, or None.
    """

    __slots__ = ("_clock", "_since", "_time", "_turns", "active", "events", "on", "task")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.task: Task | None = None
        self.events: list[PerfEvent] = []
        self.active: dict[Key, list[PerfEvent]] = {}
        self.on: Cpu | None = None
        self._time = 0
        self._turns = 0
        self._since = clock.now

    def take_turn(self) -> int:
        """The next place in the order in which groups are scheduled in."""
        self._turns += 1
        return self._turns

    @property
    def time(self) -> int:
        """Nanoseconds that the context has been on a CPU."""
        return self._time + (self._clock.now - self._since if self.on is not None else 0)

    def arrive(self, cpu: Cpu) -> None:
        """The task runs: time goes on."""
        self.on, self._since = cpu, self._clock.now

    def leave(self) -> None:
        """It runs no longer: time stands still."""
        self._time, self.on = self.time, None


class PerfEvent:
    """One perf event.

    Args:
        attr: a copy that belongs to the event.
        id: its own id.
        context: where it is counted.
        cpu: the CPU it is restricted to, -1 for all of a task's.
        clock: the machine's clock.
        clock_offset: what its clockid adds.
        leader: of its group; None for a leader.
        parent: the event that it was inherited from, as the first ancestor.

    Attributes:
        state: see `State`.
        is_tracepoint: it counts a tracepoint.
        hears_user, hears_kernel, hears_idle: whose doings it counts, by the ``exclude_*`` flags that its kind looks at.
        count: the value read(2) gives, without the children's.
        ring: where its records go, or None.
        writer: what the ring knows of it; children share their parent's (K21).
        limit: overflows until REFRESH disables it; 0 for no limit (K39).
        stopped: it hears nothing, whatever its state: what 6.18 makes of a tracepoint that REFRESH has used up.
        generation: of a leader: how often its group has changed.
        siblings: the others of a leader's group.
        room_for: the counts of how many members its reads have room for; 0 for as many as there are (K50).
        children: inherited ones that are still there.
        child_count, child_enabled, child_running: what the children that are gone have left.
    """

    __slots__ = (
        "attr",
        "child_count",
        "child_enabled",
        "child_running",
        "children",
        "clock_offset",
        "context",
        "count",
        "cpu",
        "enabled_ns",
        "encoder",
        "file",
        "filter",
        "filter_text",
        "freq",
        "freq_stamp",
        "generation",
        "hears_idle",
        "hears_kernel",
        "hears_user",
        "id",
        "interrupts",
        "interrupts_tick",
        "is_clock",
        "is_tracepoint",
        "key",
        "last_period",
        "leader",
        "limit",
        "parent",
        "pending",
        "period_left",
        "ring",
        "room_for",
        "running_ns",
        "sample_period",
        "samples_each",
        "sampling",
        "siblings",
        "stamp",
        "state",
        "stopped",
        "target",
        "timer",
        "turn",
        "wants_switches",
        "writer",
    )

    def __init__(
        self,
        attr: PerfEventAttr,
        id: int,
        context: Context,
        cpu: int,
        *,
        clock_offset: int,
        max_stack: int,
        no_data_source: int,
        leader: PerfEvent | None = None,
        parent: PerfEvent | None = None,
    ) -> None:
        self.attr = attr
        self.id = id
        self.context = context
        self.target = context.task
        self.cpu = cpu
        self.clock_offset = clock_offset
        self.leader = leader or self
        self.turn = context.take_turn()
        self.parent = parent
        self.state = State.OFF if attr.disabled else State.INACTIVE
        self.key: Key = (attr.type, attr.config)
        self.is_clock = attr.type == PERF_TYPE_SOFTWARE and attr.config in (
            PERF_COUNT_SW_CPU_CLOCK,
            PERF_COUNT_SW_TASK_CLOCK,
        )
        self.is_tracepoint = attr.type == PERF_TYPE_TRACEPOINT
        # Asked at every hit, and each flag of an attr is a computation.
        self.hears_user = self.is_tracepoint or not attr.exclude_user
        self.hears_kernel = not attr.exclude_kernel
        self.hears_idle = self.is_tracepoint or not attr.exclude_idle
        self.wants_switches = attr.context_switch
        self.count = 0
        self.enabled_ns = self.running_ns = 0
        self.stamp = context.time
        self.siblings: list[PerfEvent] = []
        self.generation = 0
        self.children: list[PerfEvent] = []
        self.room_for = 0
        self.child_count = self.child_enabled = self.child_running = 0
        self.file: PerfFile | None = None
        self.ring: Ring | None = None
        self.filter: Filter | None = None
        self.filter_text: str | None = None
        self.timer: Timer | None = None
        self.limit = _NO_LIMIT
        self.stopped = False
        self.pending = 0
        self._init_period(attr)
        first = parent or self
        self.encoder = Encoder(
            attr,
            identifier=first.id,
            stream_id=id,
            clock_offset=clock_offset,
            max_stack=max_stack,
            no_data_source=no_data_source,
            read=lambda: read_values(self, own=True),
            room_left=lambda: room_left(self),
        )
        self.writer: Writer = parent.writer if parent else self._make_writer(attr)

    def _init_period(self, attr: PerfEventAttr) -> None:
        self.sampling = attr.sample_period != 0
        self.freq = attr.freq
        self.sample_period = 1 if attr.freq and attr.sample_freq else attr.sample_period
        self.last_period = self.period_left = self.sample_period
        self.freq_stamp = 0
        self.interrupts = 0
        self.interrupts_tick = -1
        # With PERF_SAMPLE_PERIOD and a fixed period every hit is a sample, and tells its weight (measured on 6.18).
        self.samples_each = bool(attr.sample_type & PERF_SAMPLE_PERIOD) and not attr.freq

    def _make_writer(self, attr: PerfEventAttr) -> Writer:
        return Writer(
            self.id,
            wakeup_events=0 if attr.watermark else attr.wakeup_events,
            trailer_bytes=self.encoder.trailer_bytes,
            owner=self,
        )

    @property
    def first(self) -> PerfEvent:
        """The event that the program opened: itself, unless it was inherited."""
        return self.parent or self

    @property
    def schedule_order(self) -> tuple[bool, int, bool, int]:
        """Who is scheduled in before whom: pinned groups, then the others as they were opened, leaders first."""
        leader = self.leader
        return (not leader.attr.pinned, leader.turn, self is not leader, self.turn)

    @property
    def is_bpf_output(self) -> bool:
        """Whether a BPF program writes its samples."""
        return self.attr.type == PERF_TYPE_SOFTWARE and self.attr.config == PERF_COUNT_SW_BPF_OUTPUT

    @property
    def hung_up(self) -> bool:
        """POLLHUP: what it followed is gone, and every child with it (K19)."""
        return self.state <= State.EXIT and not self.children

    def update_times(self) -> None:
        """Accounts for the time since this was last done."""
        now = self.context.time
        passed, self.stamp = now - self.stamp, now
        state = self.state
        # A sibling is no more enabled than its leader.
        if self.leader is not self and self.leader.state <= State.OFF:
            state = self.leader.state
        if state >= State.INACTIVE:
            self.enabled_ns += passed
        if state >= State.ACTIVE:
            self.running_ns += passed
            if self.is_clock:
                self.count += passed

    def set_state(self, state: State) -> None:
        """Moves to another state, after accounting for the time in the old one."""
        for member in (self, *self.siblings):  # what a sibling is worth depends on its leader's state
            member.update_times()
        self.state = state

    def __str__(self) -> str:
        """One line: what, of whom, in which state."""
        whom = f"cpu {self.cpu}" if self.target is None else f"task {self.target.pid} on cpu {self.cpu}"
        return f"event {self.id} type {self.attr.type} config {self.attr.config} of {whom}, {self.state.name}"
