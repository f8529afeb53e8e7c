"""The options of ``perfring record`` and ``top``, made into a plan: whatever is wrong with them is usage, exit 2."""

from __future__ import annotations

import math
import os
import re
import warnings
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import typer

from perfring import abi, procfs
from perfring.builder import SessionBuilder
from perfring.event_names import parse_event, parse_events
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
from perfring.plan import EventKind
from perfring.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.events import EventGroup
    from perfring.kernel import Kernel
    from perfring.plan import SessionPlan

__all__ = ["DEFAULT_EVENT", "DEFAULT_FREQUENCY", "Choices", "checked_plan"]

DEFAULT_EVENT: Final = "cpu-clock"
DEFAULT_FREQUENCY: Final = 99
"""Samples per second and CPU. Not 4000 as perf has it: these go to a screen. Not 100: that beats with timers."""

_SECONDS_TO_CLOSE: Final = 0.036
"""Of one tracepoint, whatever its target: the kernel waits until nobody can be inside (K53)."""
_LONG: Final = 3.0
_NAMED: Final = re.compile(r"([\w.-]+:[\w.-]+):")
"""A tracepoint before its filter: no expression begins with two names and two colons."""
_WITH_IP: Final = (ProfilingEvents, ContextSwitchEvents, SoftPageFaultEvents, HardPageFaultEvents)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What the command line said; the words are its options, but for ``for_perf``: perf will read the samples."""

    events: Sequence[str] = ()
    frequency: int | None = None
    call_graph: bool = False
    filters: Sequence[str] = ()
    side_band: bool = True
    pids: Sequence[int] = ()
    cpus: str | None = None
    pages: int | None = None
    watermark: int | None = None
    wakeup_events: int | None = None
    max_latency: str = "1"
    duration: float | None = None
    user_only: bool = False
    environment: bool = False
    for_perf: bool = False
    command: list[str] = field(default_factory=list)

    def plan(self, kernel: Kernel) -> SessionPlan:
        """The plan of the session. With a command this process stands in for it, which is not there yet.

        Raises:
            ValueError: whatever is wrong with the options, with the value.
            OSError: a tracepoint that is not there, or may not be looked up.
        """
        self._check()
        builder = self._targets().with_events(*self._groups())
        latency = self._latency()
        if latency is not None:
            builder = builder.with_max_latency(latency)
        plan = self._rings(builder).plan(kernel)
        if self.frequency is not None and not any(spec.attr.freq for spec in plan.events):
            raise ValueError(f"--freq is {self.frequency}, but none of the events is sampled by frequency")
        return plan

    def _check(self) -> None:
        if self.pids and self.command:
            raise ValueError(f"--pid {self.pids[0]} and the command {self.command[0]!r} exclude each other: record one")
        if self.user_only and not (self.pids or self.command):
            raise ValueError("--user-only cannot record the whole machine: name a --pid or a command")
        if self.environment and self.command:
            raise ValueError(f"--environment tells of what runs already, and {self.command[0]!r} has not begun yet")
        if self.watermark is not None and self.wakeup_events is not None:
            raise ValueError(
                f"--watermark {self.watermark} and --wakeup-events {self.wakeup_events} exclude each other: "
                "the kernel has one field for both"
            )
        if self.frequency is not None and self.frequency < 1:
            raise ValueError(f"--freq is {self.frequency}: it must be at least 1")
        if self.duration is not None and not (math.isfinite(self.duration) and self.duration > 0):
            raise ValueError(f"--duration is {self.duration}: it must be a number of seconds above 0")

    def _latency(self) -> float | None:
        if self.max_latency == "none":
            return None
        try:
            return float(self.max_latency)
        except ValueError:
            text = f"--max-latency is {self.max_latency!r}: give seconds, or 'none' to wait for the watermark alone"
            raise ValueError(text) from None

    def _targets(self) -> SessionBuilder:
        builder = SessionBuilder().with_target_pid(*((os.getpid(),) if self.command else self.pids))
        if self.command:
            builder = builder.with_enable_on_exec()
        if self.cpus is not None:
            chosen = procfs.parse_cpu_list(self.cpus)
            if not chosen:
                raise ValueError(f"--cpu is {self.cpus!r}: name at least one, as in 0-3,5")
            builder = builder.with_target_cpu(*chosen)
        return builder.user_only() if self.user_only else builder

    def _rings(self, builder: SessionBuilder) -> SessionBuilder:
        if self.pages is not None:
            builder = builder.with_page_count(self.pages)
        if self.watermark is not None:
            builder = builder.with_wakeup_watermark(self.watermark)
        if self.wakeup_events is not None:
            builder = builder.with_wakeup_events(self.wakeup_events)
        return builder

    def _groups(self) -> list[EventGroup]:
        names = self.events or (DEFAULT_EVENT,)
        frequency = DEFAULT_FREQUENCY if self.frequency is None else self.frequency
        parsed = parse_events(names, frequency=frequency, callchain=self.call_graph)
        groups = [_with_ip(group) for group in self._filtered(parsed)]
        if any(isinstance(group, BpfOutputEvents) for group in groups):
            raise ValueError("the event 'bpf-output' needs a BPF map to be put into: that is the library's to do")
        if self.for_perf:
            groups = [_for_perf(group) for group in groups]
        if self.side_band and not any(isinstance(group, KernelEvents) for group in groups):
            groups.append(KernelEvents())
        return groups

    def _filtered(self, groups: Sequence[EventGroup]) -> list[EventGroup]:
        """Each ``--filter`` on its tracepoint: the only one, or the one that is named before the expression."""
        given = [group for group in groups if isinstance(group, TracepointEvents)]
        names = [tracepoint.name for group in given for tracepoint in group.tracepoints]
        found: dict[str, str] = {}
        for text in self.filters:
            name, expression = _split_filter(text, names)
            if name in found:
                raise ValueError(f"--filter {text!r}: {name} has the filter {found[name]!r} already; join them by &&")
            found[name] = expression
        one_of_many = [name for name in found if name not in names]
        named = [parse_event(name, filter=found[name], callchain=self.call_graph) for name in one_of_many]
        return [*(_onto(group, found) for group in groups), *named]


def checked_plan(choices: Choices, kernel: Kernel) -> SessionPlan:
    """The plan; what is wrong with the options is usage, and what is doubtful is said on stderr.

    Raises:
        typer.BadParameter: as `Choices.plan` raises ValueError.
        OSError: as there.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            plan = choices.plan(kernel)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    for warning in caught:
        typer.echo(f"perfring: warning: {warning.message}", err=True)
    many = sum(spec.kind is EventKind.TRACEPOINT for spec in plan.events)
    if many * _SECONDS_TO_CLOSE > _LONG:
        seconds = many * _SECONDS_TO_CLOSE
        typer.echo(f"perfring: {many} tracepoints: to close them will take the kernel some {seconds:.0f} s", err=True)
    return plan


def _split_filter(text: str, names: Sequence[str]) -> tuple[str, str]:
    """The name is one of those given, or that of a tracepoint which one of the globs among them matches."""
    for name in names:
        if text.startswith(f"{name}:"):
            return name, text[len(name) + 1 :].strip()
    if found := _NAMED.match(text):
        if any(fnmatchcase(found[1], name) for name in names):
            return found[1], text[found.end() :].strip()
        raise ValueError(f"--filter {text!r}: {found[1]} is not recorded; name it with --event {found[1]}")
    if len(names) == 1:
        return names[0], text
    if not names:
        raise ValueError(f"--filter {text!r}: there is no tracepoint to filter; name one with --event system:name")
    raise ValueError(f"--filter {text!r} could mean any of {', '.join(names)}: write it as {names[0] + ': ' + text!r}")


def _onto(group: EventGroup, filters: dict[str, str]) -> EventGroup:
    if not isinstance(group, TracepointEvents):
        return group
    made = TracepointEvents()
    for tracepoint in group.tracepoints:
        made = made.add(tracepoint.name, filter=filters.get(tracepoint.name), sampling=tracepoint.sampling)
    return made


def _for_perf(group: EventGroup) -> EventGroup:
    """With what perf looks for in the sample itself: the CPU, without which `perf sched` dies, and the period.

    Without one `perf report` takes the frequency for the period, and weighs all samples of a counter alike.
    """
    if isinstance(group, TracepointEvents):
        made = TracepointEvents()
        for tracepoint in group.tracepoints:
            sampling = replace(tracepoint.sampling, cpu=True)
            made = made.add(tracepoint.name, filter=tracepoint.filter, sampling=sampling)
        return made
    if isinstance(group, CustomEvent):
        more = abi.PERF_SAMPLE_CPU | (abi.PERF_SAMPLE_PERIOD if group.attr.freq else 0)
        return CustomEvent(group.attr.copy(sample_type=group.attr.sample_type | more), group.name)
    if isinstance(group, Sampling):
        return replace(group, cpu=True, period=isinstance(group, ProfilingEvents))
    return group


def _with_ip(group: EventGroup) -> EventGroup:
    """Where it happened: what a sample of the running code is for. A tracepoint is always at the same place."""
    if isinstance(group, _WITH_IP):
        return replace(group, ip=True)
    if isinstance(group, CustomEvent):
        return CustomEvent(group.attr.copy(sample_type=group.attr.sample_type | abi.PERF_SAMPLE_IP), group.name)
    return group
