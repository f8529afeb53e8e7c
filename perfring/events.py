"""Which events to open: one immutable group for each kind, with the options that it understands.

A group knows only its own part of the attr: what is counted, when a sample is written, what is in it. What all events
of a session share (clock, identifiers, wakeups, inheritance) is added by `perfring.common_attr`.

Example::

    SessionBuilder().with_profiling_events(ProfilingEvents(997, callchain=True))
    SessionBuilder().with_tracepoint_events(TracepointEvents("sched:sched_switch", filter="prev_prio < 100"))
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Unpack

from perfring import abi, tracefs
from perfring._checks import require_bool, require_int
from perfring.plan import EventKind, EventSpec
from perfring.sampling import Sampling

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr, PerfEventAttrFields
    from perfring.kernel import Kernel

__all__ = [
    "PROFILING_EVENTS",
    "BpfOutputEvents",
    "ContextSwitchEvents",
    "CustomEvent",
    "EventGroup",
    "HardPageFaultEvents",
    "KernelEvents",
    "ProfilingEvents",
    "Sampling",
    "SoftPageFaultEvents",
    "Tracepoint",
    "TracepointEvents",
    "TracepointGlob",
]


class EventGroup(Protocol):
    """What the builder asks of a group; `CustomEvent` is the way to events that have none."""

    @property
    def kind(self) -> EventKind:
        """Of all its events."""
        ...

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:
        """Its events, with only their own part of the attr filled in.

        Args:
            kernel: asked for what only the machine knows, such as the ids of tracepoints.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelEvents:
    """Side-band records: which processes there are, what they are called, what they map, when they run.

    Attributes:
        mmap: PERF_RECORD_MMAP2 for each new "executable" mapping, for "all", or None for no mappings.
        comm: PERF_RECORD_COMM when a thread is renamed or calls execve(2).
        task: PERF_RECORD_FORK and PERF_RECORD_EXIT; with ``mmap`` or ``comm`` the kernel writes them anyway.
        context_switch: PERF_RECORD_SWITCH (or SWITCH_CPU_WIDE) whenever a thread starts or stops running.

    Raises:
        TypeError: an option of the wrong type.
        ValueError: a word for ``mmap`` that is none of these, or nothing to record at all.
    """

    mmap: Literal["executable", "all"] | None = "executable"
    comm: bool = True
    task: bool = True
    context_switch: bool = False

    kind: ClassVar[EventKind] = EventKind.KERNEL

    def __post_init__(self) -> None:
        if self.mmap not in ("executable", "all", None):
            raise ValueError(f"mmap is {self.mmap!r}: it must be 'executable', 'all' or None")
        flags = [require_bool(name, getattr(self, name)) for name in ("comm", "task", "context_switch")]
        if self.mmap is None and not any(flags):
            raise ValueError("KernelEvents with everything off records nothing: leave the group out")

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """One event that writes the records asked for."""
        mapped = self.mmap is not None
        attr = _software(
            abi.PERF_COUNT_SW_DUMMY,
            mmap=mapped,
            mmap2=mapped,
            mmap_data=self.mmap == "all",
            comm=self.comm,
            comm_exec=self.comm,
            task=self.task,
            context_switch=self.context_switch,
        )
        return (EventSpec(name="side-band", kind=self.kind, attr=attr),)


@dataclass(frozen=True, slots=True)
class ProfilingEvents(Sampling):
    """Samples by frequency: where the time goes.

    Attributes:
        frequency: samples per second and CPU; at most ``kernel.perf_event_max_sample_rate``.
        event: the clock or counter that is sampled, by its ``perf`` name. "cpu-clock" exists on every machine; "cycles"
            and the like need a hardware PMU.

    The options of `Sampling` follow as keywords.
    """

    frequency: int
    _: KW_ONLY
    event: str = "cpu-clock"

    kind: ClassVar[EventKind] = EventKind.PROFILE

    def __post_init__(self) -> None:
        Sampling.__post_init__(self)
        require_int("frequency", self.frequency, least=1, most=(1 << 63) - 1)
        if self.event not in PROFILING_EVENTS:
            raise ValueError(f"event is {self.event!r}: profiling takes one of {', '.join(PROFILING_EVENTS)}")

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """One event."""
        type_, config = PROFILING_EVENTS[self.event]
        attr = abi.PerfEventAttr(
            type=type_,
            config=config,
            freq=True,
            sample_freq=self.frequency,
            exclude_hv=True,
            # Some PMUs (arm64) refuse exclude_idle; there the idle loop halts and counts little anyway.
            exclude_idle=type_ == abi.PERF_TYPE_SOFTWARE,
        )
        return (EventSpec(name=self.event, kind=self.kind, attr=self.onto(attr)),)


PROFILING_EVENTS: dict[str, tuple[int, int]] = {
    "cpu-clock": (abi.PERF_TYPE_SOFTWARE, abi.PERF_COUNT_SW_CPU_CLOCK),
    "task-clock": (abi.PERF_TYPE_SOFTWARE, abi.PERF_COUNT_SW_TASK_CLOCK),
    "cycles": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_CPU_CYCLES),
    "instructions": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_INSTRUCTIONS),
    "cache-references": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_CACHE_REFERENCES),
    "cache-misses": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_CACHE_MISSES),
    "branches": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_BRANCH_INSTRUCTIONS),
    "branch-misses": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_BRANCH_MISSES),
    "bus-cycles": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_BUS_CYCLES),
    "stalled-cycles-frontend": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_STALLED_CYCLES_FRONTEND),
    "stalled-cycles-backend": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_STALLED_CYCLES_BACKEND),
    "ref-cycles": (abi.PERF_TYPE_HARDWARE, abi.PERF_COUNT_HW_REF_CPU_CYCLES),
}
"""The clocks and counters that `ProfilingEvents` samples: type and config by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextSwitchEvents(Sampling):
    """A sample for each context switch, written by the thread that stops running.

    The options of `Sampling` are its keywords. Counted in the kernel: `user_only` sessions take
    ``KernelEvents(context_switch=True)`` instead.
    """

    kind: ClassVar[EventKind] = EventKind.CONTEXT_SWITCH

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """One event."""
        attr = _software(abi.PERF_COUNT_SW_CONTEXT_SWITCHES, sample_period=1)
        return (EventSpec(name="context-switches", kind=self.kind, attr=self.onto(attr)),)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftPageFaultEvents(Sampling):
    """A sample with its address for each page fault that needed no I/O. The options of `Sampling` are its keywords."""

    kind: ClassVar[EventKind] = EventKind.SOFT_PAGE_FAULT

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """One event."""
        attr = self.onto(_page_faults(abi.PERF_COUNT_SW_PAGE_FAULTS_MIN))
        return (EventSpec(name="minor-faults", kind=self.kind, attr=attr),)


@dataclass(frozen=True, kw_only=True, slots=True)
class HardPageFaultEvents(Sampling):
    """A sample with its address for each page fault that waited for I/O. The options of `Sampling` are its keywords."""

    kind: ClassVar[EventKind] = EventKind.HARD_PAGE_FAULT

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """One event."""
        attr = self.onto(_page_faults(abi.PERF_COUNT_SW_PAGE_FAULTS_MAJ))
        return (EventSpec(name="major-faults", kind=self.kind, attr=attr),)


_COUNTED = frozenset(f"sched:sched_stat_{what}" for what in ("runtime", "wait", "sleep", "iowait", "blocked"))
"""Tracepoints whose hit counts nanoseconds, and not 1: a sample for each but for PERF_SAMPLE_PERIOD (K52)."""


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """One tracepoint.

    Attributes:
        name: ``system:event``.
        filter: the kernel-side filter, such as ``"prev_pid == 1 && prev_prio < 100"``; None for every hit.
        sampling: what a sample holds besides the tracepoint's own fields.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: no name of a tracepoint, or an empty filter.
    """

    name: str
    filter: str | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        _require_name(self.name)
        if tracefs.is_glob(self.name):
            raise ValueError(
                f"{self.name!r} is a glob, and this takes the name of one tracepoint, as in 'sched:sched_switch'; "
                f"TracepointEvents({self.name!r}) takes all that match"
            )
        tracefs.split_name(self.name)
        _require_filter(self.name, self.filter)

    def spec(self, kernel: Kernel) -> EventSpec:
        """The event, with id and format looked up in tracefs.

        Raises:
            TracepointNotFound: there is none of that name, or tracefs is not mounted.
            PermissionDenied: tracefs is not readable.
        """
        found = tracefs.read_format(kernel, self.name)
        attr = abi.PerfEventAttr(
            type=abi.PERF_TYPE_TRACEPOINT, config=found.id, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW
        )
        sampling = replace(self.sampling, period=True) if self.name in _COUNTED else self.sampling
        return EventSpec(
            name=self.name,
            kind=EventKind.TRACEPOINT,
            attr=sampling.onto(attr),
            filter=self.filter,
            format=found,
        )


@dataclass(frozen=True, slots=True)
class TracepointGlob:
    """All tracepoints whose names match, as the kernel has them when the session is built.

    Each costs a descriptor for every CPU and thread, and to close it takes the kernel some 40 ms, for it waits until
    nobody can be inside (K53): ``"*:*"`` is thousands of descriptors, and more than a minute.

    Attributes:
        name: the glob, ``system:event`` with ``*``, ``?``, ``[abc]`` or ``[!abc]`` in either part or both.
        filter: the kernel-side filter of each of them; a field that one of them has not is refused.
        sampling: as of `Tracepoint`.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: no glob of tracepoints, or an empty filter.
    """

    name: str
    filter: str | None = None
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        _require_name(self.name)
        tracefs.split_glob(self.name)
        _require_filter(self.name, self.filter)

    def tracepoints(self, kernel: Kernel) -> tuple[Tracepoint, ...]:
        """Those that match, sorted by name; see `perfring.tracefs.matching_names` for what is left out.

        Raises:
            TracepointNotFound: nothing matches, or tracefs is not mounted.
            PermissionDenied: tracefs is not readable.
        """
        names = tracefs.matching_names(kernel, self.name)
        return tuple(Tracepoint(name, self.filter, self.sampling) for name in names)


def _require_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"tracepoint is {name!r}: it must be a str such as 'sched:sched_switch'")


def _require_filter(name: str, expression: object) -> None:
    if expression is None:
        return
    if not isinstance(expression, str):
        raise TypeError(f"filter of {name} is {expression!r}: it must be a str")
    if not expression.strip() or "\0" in expression:
        raise ValueError(f"filter of {name} is {expression!r}: it must be an expression, or None")


def _tracepoint(name: str, expression: str | None, sampling: Sampling) -> Tracepoint | TracepointGlob:
    _require_name(name)
    made = TracepointGlob if tracefs.is_glob(name) else Tracepoint
    return made(name, expression, sampling)


@dataclass(frozen=True, slots=True, init=False)
class TracepointEvents:
    """Tracepoints, each with its own filter and options.

    A name may be a glob: ``TracepointEvents("sched:sched_*")`` records all tracepoints that match when the session is
    built. One that is also named by itself is recorded once, with the filter and options that it has there::

        TracepointEvents("sched:*").add("sched:sched_switch", filter="prev_prio < 100")

    Without any name it records nothing at first: the session can add tracepoints while it runs.

    Args:
        *names: ``system:event``, or a glob as `TracepointGlob` takes it.
        filter: the kernel-side filter of each of them; use `add` for one of its own.
        **options: the keywords of `Sampling`.

    Attributes:
        tracepoints: as they were given: a `Tracepoint` for each name, a `TracepointGlob` for each glob.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: no name of a tracepoint, an empty filter, or the same name or glob twice.
    """

    tracepoints: tuple[Tracepoint | TracepointGlob, ...]

    kind: ClassVar[EventKind] = EventKind.TRACEPOINT

    def __init__(
        self,
        *names: str,
        filter: str | None = None,
        callchain: bool = False,
        user_callchain: bool = True,
        kernel_callchain: bool = True,
        ip: bool = False,
        cpu: bool = False,
        period: bool = False,
        user_regs: int = 0,
        user_stack: int = 0,
    ) -> None:
        sampling = Sampling(
            callchain=callchain,
            user_callchain=user_callchain,
            kernel_callchain=kernel_callchain,
            ip=ip,
            cpu=cpu,
            period=period,
            user_regs=user_regs,
            user_stack=user_stack,
        )
        self._set(tuple(_tracepoint(name, filter, sampling) for name in names))

    def _set(self, tracepoints: tuple[Tracepoint | TracepointGlob, ...]) -> None:
        names = [tracepoint.name for tracepoint in tracepoints]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"tracepoint {name} is there twice: join the two filters by ||, and name it once")
        object.__setattr__(self, "tracepoints", tracepoints)

    def add(self, name: str, *, filter: str | None = None, sampling: Sampling | None = None) -> TracepointEvents:
        """These tracepoints and one more, or all that match one more glob, with a filter and options of its own."""
        return self + TracepointEvents._of((_tracepoint(name, filter, sampling or Sampling()),))

    def __add__(self, other: TracepointEvents) -> TracepointEvents:
        if not isinstance(other, TracepointEvents):
            return NotImplemented
        return TracepointEvents._of(self.tracepoints + other.tracepoints)

    @classmethod
    def _of(cls, tracepoints: tuple[Tracepoint | TracepointGlob, ...]) -> TracepointEvents:
        group = cls()
        group._set(tracepoints)
        return group

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:
        """One event for each tracepoint, those that match a glob too.

        Raises:
            TracepointNotFound: there is none of that name, nothing matches a glob, or tracefs is not mounted.
            PermissionDenied: tracefs is not readable.
            ValueError: two globs match one tracepoint, and want different things of it.
        """
        return tuple(tracepoint.spec(kernel) for tracepoint in self._expanded(kernel))

    def _expanded(self, kernel: Kernel) -> tuple[Tracepoint, ...]:
        """Each once. Of two globs neither is nearer to the tracepoint, so they have to agree about it."""
        found = {each.name: each for each in self.tracepoints if isinstance(each, Tracepoint)}
        by_glob: dict[str, TracepointGlob] = {}
        for glob in (each for each in self.tracepoints if isinstance(each, TracepointGlob)):
            for each in glob.tracepoints(kernel):
                if found.setdefault(each.name, each) is each:
                    by_glob[each.name] = glob
                elif each.name in by_glob and found[each.name] != each:
                    raise ValueError(_DISAGREE.format(by_glob[each.name].name, glob.name, each.name))
        return tuple(found.values())


_DISAGREE = (
    "the globs {0!r} and {1!r} both match tracepoint {2}, and differ in filter or options: name {2} by itself to say "
    "which it is to have"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BpfOutputEvents:
    """Samples that BPF programs write with ``bpf_perf_event_output``, their payload as PERF_SAMPLE_RAW.

    The session's fds go into a BPF_MAP_TYPE_PERF_EVENT_ARRAY, one for each CPU.
    """

    kind: ClassVar[EventKind] = EventKind.BPF_OUTPUT

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """One event."""
        attr = _software(abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW)
        return (EventSpec(name="bpf-output", kind=self.kind, attr=attr),)


@dataclass(frozen=True, slots=True)
class CustomEvent:
    """Any event, described by its attr.

    Attributes:
        attr: what is counted, when a sample is written and what is in it. The session adds what all its events share,
            and refuses what contradicts that.
        name: what it is called in records, statistics and errors.
    """

    attr: PerfEventAttr
    name: str

    kind: ClassVar[EventKind] = EventKind.CUSTOM

    def __post_init__(self) -> None:
        if not isinstance(self.attr, abi.PerfEventAttr):
            raise TypeError(f"attr is {self.attr!r}: it must be a PerfEventAttr")
        if not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}: it must be a str")
        if not self.name:
            raise ValueError("name is '': an event needs a name, or None for one made from its attr")
        # A copy, for attrs are mutable and groups are not.
        object.__setattr__(self, "attr", self.attr.copy())

    def specs(self, kernel: Kernel) -> tuple[EventSpec, ...]:  # noqa: ARG002 - the same on every machine
        """The event."""
        return (EventSpec(name=self.name, kind=self.kind, attr=self.attr.copy()),)


def _software(config: int, /, **fields: Unpack[PerfEventAttrFields]) -> PerfEventAttr:
    attr = abi.PerfEventAttr(**fields)
    return attr.copy(type=abi.PERF_TYPE_SOFTWARE, config=config, exclude_hv=True, exclude_idle=True)


def _page_faults(config: int) -> PerfEventAttr:
    return _software(config, sample_period=1, sample_type=abi.PERF_SAMPLE_ADDR)
