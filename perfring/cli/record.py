"""``perfring record``: what the kernel tells, on the screen, as JSON lines or into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from perfring.cli import _options as options

if TYPE_CHECKING:
    from perfring.kernel import Kernel

__all__ = ["CONTEXT_SETTINGS", "record"]

CONTEXT_SETTINGS: Final = {"allow_interspersed_args": False}
"""The options end where the command begins: its own options are its own, with and without ``--``."""


def record(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND ARGS...]", help="Run this and record it.", show_default=False),
    ] = None,
    events: options.Events = None,
    frequency: options.Frequency = None,
    call_graph: options.CallGraph = False,
    filters: options.Filters = None,
    side_band: options.SideBand = True,
    environment: Annotated[
        bool, typer.Option("--environment", help="Begin with the names and mappings of what runs already.")
    ] = False,
    pids: Annotated[
        list[int] | None, typer.Option("-p", "--pid", metavar="PID", help="Record this process; once more for others.")
    ] = None,
    cpus: options.Cpus = None,
    user_only: options.UserOnly = False,
    duration: options.Duration = None,
    pages: options.Pages = None,
    watermark: options.Watermark = None,
    wakeup_events: options.WakeupEvents = None,
    max_latency: options.MaxLatency = "1",
    json: Annotated[bool, typer.Option("--json", help="JSON lines, the last one is the summary.")] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="JSON lines into a file, for perf into FILE.data, tables into FILE.parquet; - is stdout.",
        ),
    ] = None,
) -> None:
    """Record a command, processes or the whole machine, until it ends, the time is over, or Ctrl-C.

    A glob in quotes stands for all tracepoints that match: -e 'sched:sched_*'. A --filter is for each of them, or for
    one whose name comes before it: --filter 'sched:sched_switch: prev_prio < 100'.

    Without COMMAND and --pid the whole machine is recorded. When records go to standard output, what the command prints
    goes to standard error. Ctrl-C drains the rings and then sums up; a second one leaves at once.

    Exit status: the command's own (128 + signal when killed, 127 and 126 when it cannot be run), else 0. 1 for an
    error, 2 for wrong usage.
    """
    from perfring.cli._choices import Choices, checked_plan
    from perfring.cli._offer import offering_less
    from perfring.cli._output import DATA_SUFFIX
    from perfring.cli._parquet_path import PARQUET_SUFFIX
    from perfring.cli._recorder import Recorder

    choices = Choices(
        events=events or (),
        frequency=frequency,
        call_graph=call_graph,
        filters=filters or (),
        side_band=side_band,
        environment=environment,
        pids=pids or (),
        cpus=cpus,
        user_only=user_only,
        duration=duration,
        pages=pages,
        watermark=watermark,
        wakeup_events=wakeup_events,
        max_latency=max_latency,
        for_perf=output is not None and output.endswith(DATA_SUFFIX),
        command=command or [],
    )
    if output == "":
        raise typer.BadParameter("-o is '': name a file, or - for standard output")
    if json and choices.for_perf:
        raise typer.BadParameter(f"--json: {output} is a file for perf, and has no lines; `perfring read` prints them")
    if json and output is not None and output.endswith(PARQUET_SUFFIX):
        raise typer.BadParameter(f"--json: {output} is a table, and has no lines; its metadata holds the summary")
    kernel = _this_kernel()
    plan = checked_plan(choices, kernel)
    _refuse_missing(choices.command)
    with offering_less(choices, kernel):
        status = Recorder(kernel, plan, choices, json=json, path=output).run()
    raise typer.Exit(status)


def _refuse_missing(command: list[str]) -> None:
    """Before any file is opened: that of an earlier recording is not emptied for a typing error."""
    import errno
    import os
    import shutil

    from perfring.cli._advice import of_command
    from perfring.errors import CommandNotStarted

    if command and shutil.which(command[0]) is None:
        error = CommandNotStarted(errno.EACCES if os.path.exists(command[0]) else errno.ENOENT, command[0])
        typer.echo(f"perfring: {of_command(error)}", err=True)
        raise typer.Exit(error.status)


def _this_kernel() -> Kernel:
    from perfring.linux import LinuxKernel

    return LinuxKernel()
