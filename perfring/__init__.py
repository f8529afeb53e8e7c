"""Event-driven Linux perf rings: the kernel wakes the reader by a byte watermark.

Say what to record with a `SessionBuilder`, open it, read it::

    from perfring import SessionBuilder, TracepointEvents

    builder = SessionBuilder().with_tracepoint_events(TracepointEvents("sched:sched_switch"))
    with builder.build() as session:
        session.enable()
        for record in session.records(duration=1.0):
            print(record)

Every kind of record has a class here, for ``isinstance`` and ``match``: `Sample`, `Comm`, `Fork`, `Mmap2`, `Lost` ...
Whoever must choose pages and watermark asks `watermark_verdict`. Whoever needs the kernel's own interface finds it in
`perfring.abi` and `perfring.LinuxKernel`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from perfring.batch import Batch, Reason
    from perfring.builder import SessionBuilder
    from perfring.command import Command
    from perfring.errors import (
        BadRecord,
        CommandNotStarted,
        CpuNotOnline,
        EventRefused,
        FilterRefused,
        ForkedSession,
        PerfringError,
        PermissionDenied,
        SessionBusy,
        SessionClosed,
        TargetNotFound,
        TracepointNotFound,
        Unsupported,
        WatermarkError,
        WatermarkStallWarning,
    )
    from perfring.events import (
        BpfOutputEvents,
        ContextSwitchEvents,
        HardPageFaultEvents,
        KernelEvents,
        ProfilingEvents,
        Sampling,
        SoftPageFaultEvents,
        Tracepoint,
        TracepointEvents,
        TracepointGlob,
    )
    from perfring.fields import Frame
    from perfring.geometry import Outcome, Verdict, ring_data_bytes, watermark_verdict
    from perfring.kernel import Kernel, Mapping
    from perfring.linux import LinuxKernel
    from perfring.overwrite import OverwriteSession
    from perfring.records import Record, Sample
    from perfring.session import Session
    from perfring.sideband import (
        Aux,
        AuxOutputHwId,
        BpfEvent,
        Cgroup,
        Comm,
        Exit,
        Fork,
        ItraceStart,
        Ksymbol,
        Lost,
        LostSamples,
        Mmap,
        Mmap2,
        Namespaces,
        Read,
        SideBand,
        Switch,
        SwitchCpuWide,
        TextPoke,
        Throttle,
        UnknownRecord,
        Unthrottle,
    )
    from perfring.statistics import RingStatistics, SessionStatistics
    from perfring.stopping import stop_on_signals

__all__ = [
    "Aux",
    "AuxOutputHwId",
    "BadRecord",
    "Batch",
    "BpfEvent",
    "BpfOutputEvents",
    "Cgroup",
    "Comm",
    "Command",
    "CommandNotStarted",
    "ContextSwitchEvents",
    "CpuNotOnline",
    "EventRefused",
    "Exit",
    "FilterRefused",
    "Fork",
    "ForkedSession",
    "Frame",
    "HardPageFaultEvents",
    "ItraceStart",
    "Kernel",
    "KernelEvents",
    "Ksymbol",
    "LinuxKernel",
    "Lost",
    "LostSamples",
    "Mapping",
    "Mmap",
    "Mmap2",
    "Namespaces",
    "Outcome",
    "OverwriteSession",
    "PerfEventAttr",
    "PerfringError",
    "PermissionDenied",
    "ProfilingEvents",
    "Read",
    "Reason",
    "Record",
    "RingStatistics",
    "Sample",
    "Sampling",
    "Session",
    "SessionBuilder",
    "SessionBusy",
    "SessionClosed",
    "SessionStatistics",
    "SideBand",
    "SoftPageFaultEvents",
    "Switch",
    "SwitchCpuWide",
    "TargetNotFound",
    "TextPoke",
    "Throttle",
    "Tracepoint",
    "TracepointEvents",
    "TracepointGlob",
    "TracepointNotFound",
    "UnknownRecord",
    "Unsupported",
    "Unthrottle",
    "Verdict",
    "WatermarkError",
    "WatermarkStallWarning",
    "__version__",
    "ring_data_bytes",
    "stop_on_signals",
    "watermark_verdict",
]

__version__ = "0.1.0"

# What a program does not name it does not load: most modules serve one way of using the library.
_NAMES = {
    "perfring.abi": ("PerfEventAttr",),
    "perfring.batch": (
        "Batch",
        "Reason",
    ),
    "perfring.builder": ("SessionBuilder",),
    "perfring.command": ("Command",),
    "perfring.errors": (
        "BadRecord",
        "CommandNotStarted",
        "CpuNotOnline",
        "EventRefused",
        "FilterRefused",
        "ForkedSession",
        "PerfringError",
        "PermissionDenied",
        "SessionBusy",
        "SessionClosed",
        "TargetNotFound",
        "TracepointNotFound",
        "Unsupported",
        "WatermarkError",
        "WatermarkStallWarning",
    ),
    "perfring.events": (
        "BpfOutputEvents",
        "ContextSwitchEvents",
        "HardPageFaultEvents",
        "KernelEvents",
        "ProfilingEvents",
        "Sampling",
        "SoftPageFaultEvents",
        "Tracepoint",
        "TracepointEvents",
        "TracepointGlob",
    ),
    "perfring.fields": ("Frame",),
    "perfring.geometry": (
        "Outcome",
        "Verdict",
        "ring_data_bytes",
        "watermark_verdict",
    ),
    "perfring.kernel": (
        "Kernel",
        "Mapping",
    ),
    "perfring.linux": ("LinuxKernel",),
    "perfring.overwrite": ("OverwriteSession",),
    "perfring.records": (
        "Record",
        "Sample",
    ),
    "perfring.session": ("Session",),
    "perfring.sideband": (
        "Aux",
        "AuxOutputHwId",
        "BpfEvent",
        "Cgroup",
        "Comm",
        "Exit",
        "Fork",
        "ItraceStart",
        "Ksymbol",
        "Lost",
        "LostSamples",
        "Mmap",
        "Mmap2",
        "Namespaces",
        "Read",
        "SideBand",
        "Switch",
        "SwitchCpuWide",
        "TextPoke",
        "Throttle",
        "UnknownRecord",
        "Unthrottle",
    ),
    "perfring.statistics": (
        "RingStatistics",
        "SessionStatistics",
    ),
    "perfring.stopping": ("stop_on_signals",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    """PEP 562: loads a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    """All public names, loaded or not."""
    return sorted({*globals(), *__all__})
