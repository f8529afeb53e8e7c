"""What a session opens, settled down to the last attr: written by the builder, carried out by the session.

Everything in a plan has been checked, and nothing in it has been opened. One ring per CPU::

    leader (SW_DUMMY, mapped, carries the watermark)      opened first, per CPU
      +-- event, event, ...                               redirected into it, per CPU and target

With targets the leaders too belong to a thread (pid = thread, cpu = c) and not to the whole CPU (pid = -1): an
unprivileged user may open them (K31), and the end of the targets shows as POLLHUP (K19).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from perfring.abi import CLOCK_MONOTONIC_RAW

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from perfring.recording import Recording
    from perfring.tracefs import TracepointFormat

__all__ = ["COLUMN_DRAIN_BUDGET", "DEFAULT_DRAIN_BUDGET", "EventKind", "EventSpec", "SessionHook", "SessionPlan"]

DEFAULT_DRAIN_BUDGET = 1 << 16
"""Bytes that one ring may deliver before the others, whoever closes the session, and an event loop get their turn."""
COLUMN_DRAIN_BUDGET = 5 << 18
"""The same with columns, which cost little a record and much a batch. No power of two: watermarks often are one, and
more than that has come when its wakeup arrives."""

SessionHook: TypeAlias = "Callable[[Recording], None]"
"""Called by ``build()`` with the opened session, last of all."""


class EventKind(StrEnum):
    """Why an event is open: which callback its samples belong to."""

    LEADER = "leader"
    """The SW_DUMMY event that is mapped and carries the watermark. It writes no samples."""
    KERNEL = "kernel"
    """Side-band: MMAP2, COMM, FORK, EXIT, SWITCH records."""
    PROFILE = "profile"
    """Samples by frequency."""
    CONTEXT_SWITCH = "context-switch"
    """A sample for each context switch."""
    SOFT_PAGE_FAULT = "soft-page-fault"
    """A sample for each minor fault."""
    HARD_PAGE_FAULT = "hard-page-fault"
    """A sample for each major fault."""
    TRACEPOINT = "tracepoint"
    """Samples with a tracepoint's raw payload, decoded by `EventSpec.format`."""
    BPF_OUTPUT = "bpf-output"
    """Samples that BPF programs write, with their raw payload."""
    CUSTOM = "custom"
    """Whatever the caller described by a PerfEventAttr."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSpec:
    """One event, to be opened on each CPU for each target.

    Attributes:
        name: the name that ``perf`` gives it: "cpu-clock", "syscalls:sys_enter_getppid".
        kind: why it is open.
        attr: final. Whoever has to change it for one open (an older kernel's size, K29) changes a copy.
        filter: the kernel-side filter, as PERF_EVENT_IOC_SET_FILTER takes it; None for none.
        format: how a tracepoint's payload is laid out; None for everything else.
    """

    name: str
    kind: EventKind
    attr: PerfEventAttr
    filter: str | None = None
    format: TracepointFormat | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPlan:
    """A whole session before it is opened.

    Exactly one of ``wakeup_watermark`` and ``wakeup_events`` is set.

    Attributes:
        page_count: data pages of each ring, a power of two (K1).
        leader: the event that each ring is mapped from.
        events: those that are redirected into it, in the order in which they are to be opened.
        wakeup_watermark: bytes that wake the reader (K7), as set on the leader and flagged on every event (K10).
        wakeup_events: samples that wake the reader instead (K9).
        max_latency: seconds after which the reader drains what lies below the watermark; None: it waits for ever.
        cpus: the target CPUs, ascending; None for all that are online when the session opens.
        pids: the target processes, ascending; None for the whole machine. The session expands each to its threads.
        user_only: nothing of the kernel is recorded, so an unprivileged user may open it at paranoid 2 (K31).
        overwrite: the rings are mapped read-only and written backward, newest record first (K4, K34).
        inherit: children of the targets are recorded too. The attrs say the same.
        enable_on_exec: the events start when the target calls execve(2). The attrs say the same.
        clock_id: the clock of every timestamp (K36).
        budget_bytes: what one ring may deliver before the others get their turn.
        columns: batches are columns.
        session_hooks: called by ``build()`` with the opened session, in this order.
    """

    page_count: int
    leader: EventSpec
    events: tuple[EventSpec, ...]
    wakeup_watermark: int | None = None
    wakeup_events: int | None = None
    max_latency: float | None = None
    cpus: tuple[int, ...] | None = None
    pids: tuple[int, ...] | None = None
    user_only: bool = False
    overwrite: bool = False
    inherit: bool = False
    enable_on_exec: bool = False
    clock_id: int = CLOCK_MONOTONIC_RAW
    budget_bytes: int = DEFAULT_DRAIN_BUDGET
    columns: bool = False
    session_hooks: tuple[SessionHook, ...] = ()

    @property
    def all_specs(self) -> tuple[EventSpec, ...]:
        """The leader and then the events: whatever can write into a ring, and whose ids the reader must know."""
        return (self.leader, *self.events)

    @property
    def per_task(self) -> bool:
        """Whether everything, leaders too, is opened for the targets instead of for whole CPUs."""
        return self.pids is not None
