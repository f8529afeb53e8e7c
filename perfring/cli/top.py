"""``perfring top``: what the rings do while something is recorded, and whether the watermark is well chosen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Final

import typer

from perfring.cli import _options as options

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
    events: options.Events = None,
    frequency: options.Frequency = None,
    call_graph: options.CallGraph = False,
    filters: options.Filters = None,
    side_band: options.SideBand = True,
    pids: Annotated[
        list[int] | None, typer.Option("-p", "--pid", metavar="PID", help="Watch this process; once more for others.")
    ] = None,
    cpus: options.Cpus = None,
    user_only: options.UserOnly = False,
    duration: options.Duration = None,
    pages: options.Pages = None,
    watermark: options.Watermark = None,
    wakeup_events: options.WakeupEvents = None,
    max_latency: options.MaxLatency = "1",
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
    from perfring.cli._offer import offering_less
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
    with offering_less(choices, kernel):
        status = Monitor(kernel, plan, choices, interval=interval, json=json, once=once).run()
    raise typer.Exit(status)


def _this_kernel() -> Kernel:
    from perfring.linux import LinuxKernel

    return LinuxKernel()
