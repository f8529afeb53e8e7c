"""Events by the names that ``perf list`` shows, for the command line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from perfring import abi
from perfring.events import (
    PROFILING_EVENTS,
    BpfOutputEvents,
    ContextSwitchEvents,
    CustomEvent,
    HardPageFaultEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    TracepointEvents,
)
from perfring.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfring.events import EventGroup

__all__ = ["DEFAULT_FREQUENCY", "event_names", "parse_event", "parse_events"]

DEFAULT_FREQUENCY: Final = 4000
"""Samples per second of clocks and counters, as ``perf record`` has it."""

_SYNONYMS: Final = {
    "cs": "context-switches",
    "faults": "page-faults",
    "migrations": "cpu-migrations",
    "cpu-cycles": "cycles",
    "branch-instructions": "branches",
    "idle-cycles-frontend": "stalled-cycles-frontend",
    "idle-cycles-backend": "stalled-cycles-backend",
}
_EACH: Final = {
    "page-faults": abi.PERF_COUNT_SW_PAGE_FAULTS,
    "cpu-migrations": abi.PERF_COUNT_SW_CPU_MIGRATIONS,
    "alignment-faults": abi.PERF_COUNT_SW_ALIGNMENT_FAULTS,
    "emulation-faults": abi.PERF_COUNT_SW_EMULATION_FAULTS,
    "cgroup-switches": abi.PERF_COUNT_SW_CGROUP_SWITCHES,
}
"""Software events that have no group of their own: a sample for each."""
_WITH_GROUP: Final[dict[str, Callable[..., EventGroup]]] = {
    "context-switches": ContextSwitchEvents,
    "minor-faults": SoftPageFaultEvents,
    "major-faults": HardPageFaultEvents,
}
_PLAIN: Final[dict[str, Callable[[], EventGroup]]] = {"dummy": KernelEvents, "bpf-output": BpfOutputEvents}
_RAW: Final = re.compile(r"r([0-9a-fA-F]{1,16})")


def event_names() -> tuple[str, ...]:
    """Every name that `parse_event` knows, sorted; besides these it takes tracepoints and raw events."""
    return tuple(sorted({*PROFILING_EVENTS, *_EACH, *_WITH_GROUP, *_PLAIN, *_SYNONYMS}))


def parse_event(
    text: str, *, frequency: int = DEFAULT_FREQUENCY, filter: str | None = None, callchain: bool = False
) -> EventGroup:
    """The group of events that a name of ``perf list`` stands for.

    ``dummy`` is the side-band; clocks and counters (``cpu-clock``, ``cycles``) are sampled by frequency, software
    events (``context-switches``, ``minor-faults``) one by one; ``system:event`` is a tracepoint, ``sched:*`` stands for
    all that match, ``r1a8`` is a raw event.

    Args:
        text: the name, or one of its synonyms such as ``cs``.
        frequency: samples per second of clocks and counters.
        filter: for tracepoints only.
        callchain: whether samples hold the call chain.

    Raises:
        TypeError: not a str, or an option of the wrong type.
        ValueError: a name that is unknown, with those that look alike, or an option that the event does not take.
    """
    if not isinstance(text, str):
        raise TypeError(f"event is {text!r}: it must be a str such as 'cpu-clock'")
    name = _SYNONYMS.get(text, text)
    if ":" in name and not _is_modified(name):
        return TracepointEvents(name, filter=filter, callchain=callchain)
    if filter is not None:
        raise ValueError(f"event {text!r} is no tracepoint: it takes no filter, and {filter!r} would be ignored")
    return _counted(text, name, frequency, callchain=callchain)


def parse_events(
    texts: Iterable[str], *, frequency: int = DEFAULT_FREQUENCY, callchain: bool = False
) -> tuple[EventGroup, ...]:
    """The groups for several names, each text with commas between them: for ``SessionBuilder.with_events(*groups)``.

    A session has one profiling group. The first clock or counter becomes that, the others custom events.

    Raises:
        TypeError, ValueError: as `parse_event`.
    """
    groups: list[EventGroup] = []
    for name in (name.strip() for text in texts for name in text.split(",")):
        group = parse_event(name, frequency=frequency, callchain=callchain)
        if isinstance(group, ProfilingEvents) and any(isinstance(other, ProfilingEvents) for other in groups):
            type_, config = PROFILING_EVENTS[group.event]
            group = _custom(group.event, type_, config, frequency=frequency, callchain=callchain)
        groups.append(group)
    return tuple(groups)


def _counted(text: str, name: str, frequency: int, *, callchain: bool) -> EventGroup:
    if name in PROFILING_EVENTS:
        return ProfilingEvents(frequency, event=name, callchain=callchain)
    if name in _WITH_GROUP:
        return _WITH_GROUP[name](callchain=callchain)
    if name in _EACH:
        return _custom(name, abi.PERF_TYPE_SOFTWARE, _EACH[name], callchain=callchain)
    if name in _PLAIN:
        if callchain:
            raise ValueError(f"event {text!r} writes no samples of the running code: it takes no callchain")
        return _PLAIN[name]()
    if found := _RAW.fullmatch(name):
        return _custom(name, abi.PERF_TYPE_RAW, int(found[1], 16), frequency=frequency, callchain=callchain)
    raise ValueError(_unknown(text))


def _custom(name: str, type_: int, config: int, *, frequency: int = 0, callchain: bool) -> CustomEvent:
    attr = abi.PerfEventAttr(
        type=type_, config=config, freq=frequency > 0, sample_period=frequency or 1, exclude_hv=True
    )
    return CustomEvent(Sampling(callchain=callchain).onto(attr), name)


def _is_modified(name: str) -> bool:
    """Whether it is a known event with a modifier of perf behind it: "cycles:u"."""
    return name.partition(":")[0] in event_names()


def _unknown(text: str) -> str:
    if _is_modified(text):
        instead = "user_only(), or --user-only, leaves the kernel out"
        return f"event {text!r} has a modifier behind its name: there are none here; {instead}"
    alike = get_close_matches(text, event_names())
    hint = f"did you mean {' or '.join(alike)}?" if alike else f"known are {', '.join(event_names())}."
    written = "A tracepoint is written system:event, as in sched:sched_switch, and many at once as in 'sched:*'"
    return f"event {text!r} is unknown; {hint} {written}"
