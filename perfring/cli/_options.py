"""The options that several commands have, each with its help: what to record, on what, and how to set up the rings."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "CallGraph",
    "Cpus",
    "Duration",
    "Events",
    "Filters",
    "Frequency",
    "MaxLatency",
    "Pages",
    "SideBand",
    "UserOnly",
    "WakeupEvents",
    "Watermark",
]

Events = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--event",
        metavar="NAMES",
        help="cpu-clock, context-switches, sched:sched_switch, 'sched:*' ...; commas between several, or once more.",
        show_default="cpu-clock",
    ),
]
Frequency = Annotated[
    int | None,
    typer.Option("-F", "--freq", metavar="HZ", help="Samples per second of clocks and counters.", show_default="99"),
]
CallGraph = Annotated[bool, typer.Option("-g", "--call-graph", help="Record the call chain of each sample.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", metavar="EXPR", help="Kernel-side filter of the tracepoints; of one of several: NAME: EXPR."
    ),
]
SideBand = Annotated[bool, typer.Option(help="Record names, mappings, births and deaths of tasks, too.")]
Cpus = Annotated[str | None, typer.Option("-C", "--cpu", metavar="LIST", help="On these CPUs only: 0-3,5.")]
UserOnly = Annotated[bool, typer.Option("--user-only", help="Leave out the kernel; needs no privilege.")]
Duration = Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after so long; a command is ended then.")]
Pages = Annotated[int | None, typer.Option(metavar="N", help="Data pages of each CPU's ring.", show_default="512 KiB")]
Watermark = Annotated[
    int | None, typer.Option(metavar="BYTES", help="Wake the reader for so many.", show_default="a quarter ring")
]
WakeupEvents = Annotated[int | None, typer.Option(metavar="N", help="Wake the reader for every N samples.")]
MaxLatency = Annotated[
    str, typer.Option(metavar="SECONDS", help="Look for records that often at least; 'none': only when woken.")
]
