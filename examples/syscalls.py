"""Which system calls take the time: a live table of count, rate and latency, by process and call.

    python -m examples.syscalls [--pid PID] [--duration SECONDS] [--json]

Needs root, or CAP_PERFMON and a readable tracefs. Shows asyncio: the kernel wakes the loop when a ring has enough.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from system_calls import NoSuchSystemCall, syscalls

from examples.latencies import Latencies, readable
from perfring import (
    Kernel,
    KernelEvents,
    LinuxKernel,
    PerfringError,
    Record,
    Sample,
    Session,
    SessionBuilder,
    TracepointEvents,
    procfs,
)
from perfring.sideband import Comm, Fork, Lost
from perfring.stopping import stop_on_signals

NAMES = syscalls()
REFRESH = 0.5  # seconds


class Calls:
    """Pairs each return with its call. A call that began before us, or has not returned, is not in the table."""

    def __init__(self) -> None:
        self.table: defaultdict[tuple[int, int], Latencies] = defaultdict(Latencies)  # by process and call
        self.comms: dict[int, str] = {}  # by thread; the first of a process has its id, and gives it its name
        self._inside: dict[int, tuple[int, int]] = {}  # by thread: which call, since when

    def take(self, record: Record) -> None:
        match record:
            case Sample(event="raw_syscalls:sys_enter", tid=int(tid), time=int(time)):
                self._inside[tid] = record.field("id"), time
            case Sample(event="raw_syscalls:sys_exit", pid=int(pid), tid=int(tid), time=int(time)):
                number, since = self._inside.pop(tid, (None, 0))
                if number is not None and number == record.field("id"):
                    self.table[pid, number].add(time - since)
            case Comm(tid=int(tid), comm=comm):
                self.comms[tid] = comm
            case Fork(tid=int(tid), ptid=parent):
                self.comms[tid] = self.comms.get(parent, "?")
            case Lost():
                self._inside.clear()  # a return may be among what was lost: pair nothing across the gap

    def rows(self, seconds: float) -> list[dict[str, Any]]:
        return [
            {
                "pid": pid,
                "comm": self.comms.get(pid, "?"),
                "call": call_name(number),
                "rate": round(times.count / seconds, 1) if seconds else 0.0,
                **times.summary(),
            }
            for (pid, number), times in sorted(self.table.items(), key=lambda item: (-item[1].count, item[0]))
        ]


def call_name(number: int) -> str:
    try:
        return str(NAMES.get_name(number))
    except NoSuchSystemCall:
        return f"call {number}"


def draw(rows: list[dict[str, Any]], session: Session) -> Table:
    counts = session.statistics()
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.caption = f"{counts.records} records, {counts.wakeups} wakeups, {counts.lost} LOST"
    for title in ("pid", "process", "call", "count", "per s", "p50", "p99", "max", "in all"):
        table.add_column(title, justify="left" if title in ("process", "call") else "right")
    for row in rows[:20]:
        latencies = [readable(row[name]) for name in ("p50_ns", "p99_ns", "max_ns", "total_ns")]
        table.add_row(str(row["pid"]), row["comm"], row["call"], str(row["count"]), f"{row['rate']:.0f}", *latencies)
    return table


def choose(args: argparse.Namespace, kernel: Kernel) -> SessionBuilder:
    # Our own calls are left out by the kernel: a tracer that sees itself has always something to do.
    others = f"common_pid != {procfs.status(kernel, 'self').tgid}"
    calls = TracepointEvents("raw_syscalls:sys_enter", "raw_syscalls:sys_exit", filter=others)
    builder = SessionBuilder().with_page_count(1024).with_tracepoint_events(calls)
    for pid in args.pid:
        builder = builder.with_target_pid(pid)
    return builder.with_kernel_events(KernelEvents(mmap=None))  # names and births


async def watch(args: argparse.Namespace, kernel: Kernel) -> None:
    calls, loop, console = Calls(), asyncio.get_running_loop(), Console(stderr=args.json)
    with choose(args, kernel).build(kernel) as session, stop_on_signals(session):
        session.enable()
        begun = shown = loop.time()
        timer = None if args.duration is None else loop.call_later(args.duration, session.stop)
        calls.comms.update((task.tid, task.comm) for task in procfs.tasks(kernel, pids=args.pid or None))
        with Live(console=console, auto_refresh=False, transient=True) as live:
            async for batch in session.stream(max_latency=REFRESH):
                for record in batch:
                    calls.take(record)
                if loop.time() - shown >= REFRESH:
                    shown = loop.time()
                    live.update(draw(calls.rows(shown - begun), session), refresh=True)
        if timer:
            timer.cancel()  # when the process ended before
        seconds = loop.time() - begun
        rows = calls.rows(seconds)
        if args.json:
            print(json.dumps({"seconds": seconds, "lost": session.statistics().lost, "calls": rows}))
        else:
            console.print(draw(rows, session))


def main(argv: list[str] | None = None, *, kernel: Kernel | None = None, run: Any = asyncio.run) -> int:
    parser = argparse.ArgumentParser(prog="syscalls", description="Live table of system calls.")
    parser.add_argument("--pid", type=int, action="append", default=[], help="of this process; else of the machine")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="else until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="everything as JSON at the end")
    args = parser.parse_args(argv)
    try:
        if args.duration is not None and not args.duration >= 0:  # nan, too
            raise ValueError(f"duration is {args.duration}: it must be a number of seconds, 0 or more")
        run(watch(args, kernel or LinuxKernel()))
    except (PerfringError, ValueError) as error:  # not permitted, no such process, no such tracepoint: the text says it
        print(f"syscalls: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
