"""`SessionBuilder`: says what to record, step by step, and opens it.

Example::

    session = (
        SessionBuilder()
        .with_page_count(64)
        .with_wakeup_watermark(65536)
        .with_kernel_events(KernelEvents())
        .with_tracepoint_events(TracepointEvents("sched:sched_switch"))
        .build()
    )

A builder never changes: each method returns another one, and the order in which they are called makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from perfring._checks import require_bool, require_int, require_seconds
from perfring.engine import core
from perfring.errors import Unsupported
from perfring.events import (
    BpfOutputEvents,
    ContextSwitchEvents,
    CustomEvent,
    HardPageFaultEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    TracepointEvents,
)
from perfring.planning import Settings, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.abi import PerfEventAttr
    from perfring.events import EventGroup
    from perfring.kernel import Kernel
    from perfring.overwrite import OverwriteSession
    from perfring.plan import SessionHook, SessionPlan
    from perfring.recording import Recording
    from perfring.session import Session

__all__ = ["BuilderHook", "SessionBuilder"]

BuilderHook: TypeAlias = "Callable[[SessionBuilder], SessionBuilder]"
"""Called first of all by ``build()`` with the builder, to return the one to go on with."""

_Group = TypeVar("_Group", bound="EventGroup")
_Session = TypeVar("_Session", bound="Recording")

_MOST_PID = (1 << 31) - 1
_MOST_CPU = (1 << 31) - 1
_MOST_PAGES = 1 << 31
_MOST_BYTES = (1 << 63) - 1
_MOST_WAKEUP_EVENTS = (1 << 31) - 1
_LONGEST_LATENCY = 2_000_000.0
"""Seconds: epoll_wait(2) counts milliseconds in an int."""

_ONE_OF_A_KIND = {
    KernelEvents: "kernel_events",
    ProfilingEvents: "profiling_events",
    ContextSwitchEvents: "context_switch_events",
    SoftPageFaultEvents: "soft_page_fault_events",
    HardPageFaultEvents: "hard_page_fault_events",
    BpfOutputEvents: "bpf_output_events",
}


_NOTHING = Settings()


@dataclass(frozen=True, slots=True)
class SessionBuilder:
    """What a session is to record and how; immutable.

    Without targets the whole machine is recorded, on all CPUs that are online. Without a page count each ring has
    512 KiB. Without a watermark and without ``wakeup_events`` the watermark is a quarter of the ring, or less where
    that could stall for the events at hand.
    """

    _settings: Settings = _NOTHING
    _builder_hooks: tuple[BuilderHook, ...] = ()
    _session_hooks: tuple[SessionHook, ...] = ()

    def _with(self, **changes: Any) -> SessionBuilder:
        return replace(self, _settings=replace(self._settings, **changes))

    # --- rings and targets

    def with_page_count(self, page_count: int) -> SessionBuilder:
        """Data pages of each CPU's ring, rounded up to a power of two.

        Raises:
            TypeError, ValueError: not an int from 1 to 2**31.
        """
        return self._with(page_count=require_int("page_count", page_count, least=1, most=_MOST_PAGES))

    def with_target_pid(self, *pids: int) -> SessionBuilder:
        """Records these processes, all their threads, besides those of an earlier call.

        No pid adds none, so that a list of targets can be handed on as it is; without any target the whole machine is
        recorded.

        Raises:
            TypeError, ValueError: not ints from 1 to 2**31 - 1.
        """
        for pid in pids:
            hint = "os.getpid() is this process, no target the whole machine"
            require_int("pid", pid, least=1, most=_MOST_PID, hint=hint)
        return self._with(pids=self._settings.pids | {*pids})

    def with_target_cpu(self, *cpus: int) -> SessionBuilder:
        """Records on these CPUs, besides those of an earlier call, and not on all; no cpu adds none.

        Raises:
            TypeError, ValueError: not ints from 0 to 2**31 - 1.
        """
        for cpu in cpus:
            require_int("cpu", cpu, least=0, most=_MOST_CPU, hint="no target cpu means all that are online")
        return self._with(cpus=self._settings.cpus | {*cpus})

    def with_overwrite(self) -> SessionBuilder:
        """Overwrites the oldest records instead of losing the newest: a flight recorder, read while paused (K4)."""
        return self._with(overwrite=True)

    def with_drain_budget(self, budget: int) -> SessionBuilder:
        """Bytes that one ring may deliver before the others get their turn; one record at least is always delivered.

        Raises:
            TypeError, ValueError: not an int from 1 to 2**63 - 1.
        """
        return self._with(budget_bytes=require_int("budget", budget, least=1, most=_MOST_BYTES))

    def with_columns(self) -> SessionBuilder:
        """Makes every batch come as columns, numpy arrays by kind of record, and not as objects: see `Batch.columns`.

        That is some twenty times faster for whoever takes columns. Records can be had from them all the same.
        Needs numpy: ``pip install 'perfring[columns]'``.

        Raises:
            Unsupported: numpy cannot be imported, or ``PERFRING_ENGINE`` asks for an engine that is not there.
        """
        # Both now, and not in the first drain: there the rings fill, and what fails costs what lies in them.
        try:
            import_module("perfring.columns")
        except ImportError as error:
            raise Unsupported(f"columns need numpy ({error}): pip install 'perfring[columns]'") from error
        core()
        return self._with(columns=True)

    # --- when the reader is woken

    def with_wakeup_watermark(self, watermark: int) -> SessionBuilder:
        """Bytes written into a ring that wake the reader (K7).

        `build` refuses a watermark of the whole ring or more, and warns of one that can stall.

        Raises:
            TypeError, ValueError: not an int of at least 1, or with_wakeup_events() was called.
        """
        hint = "the kernel would take 0 as half a ring (K8)"
        require_int("wakeup_watermark", watermark, least=1, most=_MOST_BYTES, hint=hint)
        self._refuse_both(watermark, self._settings.wakeup_events)
        return self._with(wakeup_watermark=watermark)

    def with_wakeup_events(self, count: int) -> SessionBuilder:
        """Samples written into a ring that wake the reader, instead of bytes (K9).

        Records that are no samples (COMM, MMAP2, FORK, EXIT, SWITCH, LOST) do not count: they wait for half a ring.

        Raises:
            TypeError, ValueError: not an int from 1 to 2**31 - 1, or with_wakeup_watermark() was called.
        """
        require_int("wakeup_events", count, least=1, most=_MOST_WAKEUP_EVENTS)
        self._refuse_both(self._settings.wakeup_watermark, count)
        return self._with(wakeup_events=count)

    def _refuse_both(self, watermark: int | None, events: int | None) -> None:
        if watermark is not None and events is not None:
            raise ValueError(
                f"with_wakeup_watermark({watermark}) and with_wakeup_events({events}) exclude each other: "
                "the kernel has one field for both"
            )

    def with_max_latency(self, seconds: float) -> SessionBuilder:
        """Drains what lies below the watermark after so many seconds without a wakeup: no watermark can stall then.

        Raises:
            TypeError, ValueError: not a number above 0, 2,000,000 at most.
        """
        return self._with(max_latency=require_seconds("max_latency", seconds, most=_LONGEST_LATENCY))

    # --- who may be recorded, and when

    def user_only(self) -> SessionBuilder:
        """Records nothing of the kernel, so that an unprivileged user may record itself at paranoid 2 (K31).

        Without a target pid it records this process. What only ever happens in the kernel (context switch samples, most
        tracepoints) is refused by `build`.
        """
        return self._with(user_only=True)

    def with_inherit(self, inherit: bool) -> SessionBuilder:
        """Whether the children of the targets are recorded too; they are unless this says False.

        Raises:
            TypeError: not a bool.
        """
        return self._with(inherit=require_bool("inherit", inherit))

    def with_enable_on_exec(self) -> SessionBuilder:
        """Starts recording when a target calls execve(2), not by ``session.enable()``."""
        return self._with(enable_on_exec=True)

    # --- events

    def with_events(self, *groups: EventGroup) -> SessionBuilder:
        """Adds groups of any kind, such as `parse_events` returns.

        Tracepoints join those that are there, custom events too; of every other kind a session has one group.

        Raises:
            TypeError: not a group.
            ValueError: a second group of a kind.
        """
        builder = self
        for group in groups:
            builder = builder._add(group, type(group))
        return builder

    def _add(self, group: EventGroup, cls: type[EventGroup]) -> SessionBuilder:
        _require_group(group, cls)
        if isinstance(group, CustomEvent):
            return self._with(groups=(*self._settings.groups, group))
        present, builder = self._take(cls)
        if present is None:
            return self._with(groups=(*self._settings.groups, group))
        if isinstance(group, TracepointEvents) and isinstance(present, TracepointEvents):
            return builder._with(groups=(*builder._settings.groups, present + group))
        word = _ONE_OF_A_KIND[cls]
        raise ValueError(f"with_{word}() was called before with {present}: use replace_{word}() to change it")

    def _take(self, cls: type[_Group]) -> tuple[_Group | None, SessionBuilder]:
        groups = self._settings.groups
        found = next((group for group in groups if isinstance(group, cls)), None)
        return found, self._with(groups=tuple(group for group in groups if group is not found))

    def _replace(self, group: _Group, cls: type[_Group]) -> SessionBuilder:
        return self._take(cls)[1]._add(group, cls)

    def with_kernel_events(self, events: KernelEvents) -> SessionBuilder:
        """Adds side-band records: mappings, names, forks and exits, switches.

        Raises:
            TypeError: not KernelEvents.
            ValueError: there are some already.
        """
        return self._add(events, KernelEvents)

    def take_kernel_events(self) -> tuple[KernelEvents | None, SessionBuilder]:
        """The kernel events, None if there are none, and a builder without them."""
        return self._take(KernelEvents)

    def replace_kernel_events(self, events: KernelEvents) -> SessionBuilder:
        """A builder with these kernel events in place of any others."""
        return self._replace(events, KernelEvents)

    def with_tracepoint_events(self, events: TracepointEvents) -> SessionBuilder:
        """Adds tracepoints, to those that are there already.

        Raises:
            TypeError: not TracepointEvents.
            ValueError: a tracepoint is there already.
        """
        return self._add(events, TracepointEvents)

    def take_tracepoint_events(self) -> tuple[TracepointEvents | None, SessionBuilder]:
        """The tracepoints, None if there are none, and a builder without them."""
        return self._take(TracepointEvents)

    def replace_tracepoint_events(self, events: TracepointEvents) -> SessionBuilder:
        """A builder with these in place of the tracepoints that it had."""
        return self._replace(events, TracepointEvents)

    def with_profiling_events(self, events: ProfilingEvents) -> SessionBuilder:
        """Adds samples by frequency.

        Raises:
            TypeError: not ProfilingEvents.
            ValueError: there are some already.
        """
        return self._add(events, ProfilingEvents)

    def take_profiling_events(self) -> tuple[ProfilingEvents | None, SessionBuilder]:
        """The profiling events, None if there are none, and a builder without them."""
        return self._take(ProfilingEvents)

    def replace_profiling_events(self, events: ProfilingEvents) -> SessionBuilder:
        """A builder with these in place of the profiling events that it had."""
        return self._replace(events, ProfilingEvents)

    def with_context_switch_events(self, events: ContextSwitchEvents) -> SessionBuilder:
        """Adds a sample for each context switch.

        Raises:
            TypeError: not ContextSwitchEvents.
            ValueError: there are some already.
        """
        return self._add(events, ContextSwitchEvents)

    def take_context_switch_events(self) -> tuple[ContextSwitchEvents | None, SessionBuilder]:
        """The context switch events, None if there are none, and a builder without them."""
        return self._take(ContextSwitchEvents)

    def replace_context_switch_events(self, events: ContextSwitchEvents) -> SessionBuilder:
        """A builder with these in place of the context switch events that it had."""
        return self._replace(events, ContextSwitchEvents)

    def with_soft_page_fault_events(self, events: SoftPageFaultEvents) -> SessionBuilder:
        """Adds a sample for each minor page fault.

        Raises:
            TypeError: not SoftPageFaultEvents.
            ValueError: there are some already.
        """
        return self._add(events, SoftPageFaultEvents)

    def take_soft_page_fault_events(self) -> tuple[SoftPageFaultEvents | None, SessionBuilder]:
        """The soft page fault events, None if there are none, and a builder without them."""
        return self._take(SoftPageFaultEvents)

    def replace_soft_page_fault_events(self, events: SoftPageFaultEvents) -> SessionBuilder:
        """A builder with these in place of the soft page fault events that it had."""
        return self._replace(events, SoftPageFaultEvents)

    def with_hard_page_fault_events(self, events: HardPageFaultEvents) -> SessionBuilder:
        """Adds a sample for each major page fault.

        Raises:
            TypeError: not HardPageFaultEvents.
            ValueError: there are some already.
        """
        return self._add(events, HardPageFaultEvents)

    def take_hard_page_fault_events(self) -> tuple[HardPageFaultEvents | None, SessionBuilder]:
        """The hard page fault events, None if there are none, and a builder without them."""
        return self._take(HardPageFaultEvents)

    def replace_hard_page_fault_events(self, events: HardPageFaultEvents) -> SessionBuilder:
        """A builder with these in place of the hard page fault events that it had."""
        return self._replace(events, HardPageFaultEvents)

    def with_bpf_output_events(self, events: BpfOutputEvents) -> SessionBuilder:
        """Adds the samples that BPF programs write.

        Raises:
            TypeError: not BpfOutputEvents.
            ValueError: there are some already.
        """
        return self._add(events, BpfOutputEvents)

    def take_bpf_output_events(self) -> tuple[BpfOutputEvents | None, SessionBuilder]:
        """The BPF output events, None if there are none, and a builder without them."""
        return self._take(BpfOutputEvents)

    def replace_bpf_output_events(self, events: BpfOutputEvents) -> SessionBuilder:
        """A builder with these in place of the BPF output events that it had."""
        return self._replace(events, BpfOutputEvents)

    def with_event(self, attr: PerfEventAttr, *, name: str | None = None) -> SessionBuilder:
        """Adds an event that has no group of its own, such as a uprobe.

        Args:
            attr: copied. The session adds clock, identifiers, wakeups and inheritance; what contradicts these `build`
                refuses.
            name: what it is called in records and errors; None for ``type-config`` as in "6-0x1".

        Raises:
            TypeError: not a PerfEventAttr, or the name is no str.
            ValueError: the name is empty.
        """
        if name is None:
            name = f"{getattr(attr, 'type', 0)}-{getattr(attr, 'config', 0):#x}"
        return self._add(CustomEvent(attr, name), CustomEvent)

    # --- hooks, and the end

    def with_hooks(self, *, builder: BuilderHook | None = None, session: SessionHook | None = None) -> SessionBuilder:
        """Adds functions that `build` calls; call it again for more, they run in this order.

        Args:
            builder: called first of all with the builder; what it returns is built.
            session: called last of all with the session. When it raises, the session is closed.

        Raises:
            TypeError: a hook that cannot be called.
            ValueError: no hook at all.
        """
        if builder is None and session is None:
            raise ValueError("with_hooks() needs a builder hook, a session hook or both")
        for name, hook in (("builder", builder), ("session", session)):
            if hook is not None and not callable(hook):
                raise TypeError(f"{name} hook is {hook!r}: it must be callable")
        return replace(
            self,
            _builder_hooks=self._builder_hooks + ((builder,) if builder is not None else ()),
            _session_hooks=self._session_hooks + ((session,) if session is not None else ()),
        )

    def plan(self, kernel: Kernel) -> SessionPlan:
        """What `build` would open, checked and settled; nothing is opened.

        Builder hooks run first, then the watermark is checked, then everything else.

        Args:
            kernel: asked for page size, tracefs and limits.

        Raises:
            WatermarkError: the watermark is not below the ring.
            ValueError: settings that contradict each other, or nothing to record.
            Unsupported: an event that asks for an AUX ring.
            TracepointNotFound, PermissionDenied: a tracepoint that cannot be looked up.
            TypeError: a builder hook returned something else than a builder.
        """
        return self._plan(kernel, stacklevel=4)

    def _plan(self, kernel: Kernel, *, stacklevel: int) -> SessionPlan:
        ready = self._after_hooks()
        return make_plan(ready._settings, kernel, session_hooks=ready._session_hooks, stacklevel=stacklevel)

    def _after_hooks(self) -> SessionBuilder:
        """Runs the builder hooks, those that a hook adds as well, so that none is dropped."""
        builder, pending = self, self._builder_hooks
        while pending:
            hook, *others = pending
            builder = hook(replace(builder, _builder_hooks=()))
            if not isinstance(builder, SessionBuilder):
                raise TypeError(f"builder hook {hook!r} returned {builder!r}: it must return a SessionBuilder")
            pending = (*others, *builder._builder_hooks)
        return builder

    def build(self, kernel: Kernel | None = None) -> Session:
        """Opens the session, its events still disabled.

        Args:
            kernel: what to open it on; None for the machine underneath.

        Raises:
            WatermarkError, ValueError, Unsupported, TypeError: as `plan`; nothing was opened.
            TracepointNotFound, TargetNotFound, CpuNotOnline, PermissionDenied, FilterRefused, EventRefused: the machine
                has no such thing or refused it; nothing is left open.

        Warns:
            WatermarkStallWarning: the watermark can stall for these events, and no latency is bound.
        """
        opened_on = kernel if kernel is not None else _this_machine()
        plan = self._plan(opened_on, stacklevel=4)
        if plan.overwrite:
            raise ValueError("the builder was told with_overwrite(): such rings are opened by build_overwrite()")
        from perfring.session import Session

        return _with_hooks(Session(opened_on, plan), plan)

    def build_overwrite(self, kernel: Kernel | None = None) -> OverwriteSession:
        """Opens a flight recorder, its events still disabled: rings that keep the newest records until somebody looks.

        Implies `with_overwrite`. Arguments and errors are those of `build`.
        """
        opened_on = kernel if kernel is not None else _this_machine()
        if self._settings.columns:
            raise ValueError(
                "with_columns() is for sessions that are streamed: the snapshot of an overwrite ring is records"
            )
        plan = self.with_overwrite()._plan(opened_on, stacklevel=4)
        from perfring.overwrite import OverwriteSession

        return _with_hooks(OverwriteSession(opened_on, plan), plan)


def _this_machine() -> Kernel:
    from perfring.linux import LinuxKernel

    return LinuxKernel()


def _with_hooks(session: _Session, plan: SessionPlan) -> _Session:
    """Runs the session hooks; if one fails, nothing is left open."""
    try:
        for hook in plan.session_hooks:
            hook(session)
    except BaseException:
        session.close()
        raise
    return session


def _require_group(group: object, cls: type[EventGroup]) -> None:
    if cls not in (*_ONE_OF_A_KIND, TracepointEvents, CustomEvent) or not isinstance(group, cls):
        wanted = cls.__name__ if cls in (*_ONE_OF_A_KIND, TracepointEvents) else "a group of events"
        raise TypeError(f"events is {group!r}: it must be {wanted}")
