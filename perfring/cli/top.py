"""``perfring top``: what the rings do while something is recorded, and whether the watermark is well chosen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from perfring.kernel import Kernel

__all__ = ["CONTEXT_SETTINGS", "top"]

CONTEXT_SETTINGS: Final = {"allow_interspersed_args": False}
"""The options end where the command begins, as for ``perfring record``."""


def top(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND ARGS...]", help="Run this and watch it.", show_default=False),
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "-e",
            "--event",
            metavar="NAMES",
            help="cpu-clock, context-switches, sched:sched_switch ...; commas between several, or once more.",
            show_default="cpu-clock",
        ),
    ] = None,
    frequency: Annotated[
        int | None,
        typer.Option(
            "-F", "--freq", metavar="HZ", help="Samples per second of clocks and counters.", show_default="99"
        ),
    ] = None,
    call_graph: Annotated[
        bool, typer.Option("-g", "--call-graph", help="Record the call chain of each sample.")
    ] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="EXPR", help="Kernel-side filter of the tracepoint; of several: NAME: EXPR."),
    ] = None,
    side_band: Annotated[bool, typer.Option(help="Record names, mappings, births and deaths of tasks, too.")] = True,
    pids: Annotated[
        list[int] | None, typer.Option("-p", "--pid", metavar="PID", help="Watch this process; once more for others.")
    ] = None,
    cpus: Annotated[str | None, typer.Option("-C", "--cpu", metavar="LIST", help="On these CPUs only: 0-3,5.")] = None,
    user_only: Annotated[bool, typer.Option("--user-only", help="Leave out the kernel; needs no privilege.")] = False,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop after so long; a command is ended then.")
    ] = None,
    pages: Annotated[
        int | None, typer.Option(metavar="N", help="Data pages of each CPU's ring.", show_default="512 KiB")
    ] = None,
    watermark: Annotated[
        int | None, typer.Option(metavar="BYTES", help="Wake the reader for so many.", show_default="a quarter ring")
    ] = None,
    wakeup_events: Annotated[int | None, typer.Option(metavar="N", help="Wake the reader for every N samples.")] = None,
    max_latency: Annotated[
        str, typer.Option(metavar="SECONDS", help="Look for records that often at least; 'none': only when woken.")
    ] = "1",
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="Time between two results.")] = 1.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each interval.")] = False,
    once: Annotated[bool, typer.Option("--once", help="One result, and done.")] = False,
) -> None:
    """Watch the rings: rates, fill against the watermark, wakeups and losses of each CPU, and what to change.

    Records what `perfring record` with the same options would, and throws it away. In the bar of a ring is what lies in
    it now, the most that ever did, and the watermark. Into a file or a pipe it writes one page for each interval.

    Exit status: 0, also after Ctrl-C or the end of COMMAND; 1 for an error, 2 for wrong usage.
    """
    from perfring.cli._choices import Choices, checked_plan
    from perfring.cli._top_run import Monitor

    if not (math.isfinite(interval) and interval > 0):
        raise typer.BadParameter(f"--interval is {interval}: it must be a number of seconds above 0")
    choices = Choices(
        events=events or (),
        frequency=frequency,
        call_graph=call_graph,
        filters=filters or (),
        side_band=side_band,
        pids=pids or (),
        cpus=cpus,
        user_only=user_only,
        duration=duration,
        pages=pages,
        watermark=watermark,
        wakeup_events=wakeup_events,
        max_latency=max_latency,
        command=command or [],
    )
    kernel = _this_kernel()
    plan = checked_plan(choices, kernel)
    raise typer.Exit(Monitor(kernel, plan, choices, interval=interval, json=json, once=once).run())


def _this_kernel() -> Kernel:
    from perfring.linux import LinuxKernel

    return LinuxKernel()
