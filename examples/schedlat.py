"""How long threads wait for a CPU: a histogram of run-queue latency, and who waited longest, behind whom.

    python -m examples.schedlat [--pid PID] [--duration SECONDS] [--json]

Needs root, or CAP_PERFMON and a readable tracefs. Shows callbacks: one for each tracepoint, called in time order over
all CPUs, so that a wakeup on one CPU comes before the switch on another that ends its wait.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from typing import Any

from examples.latencies import Latencies, readable
from perfring import (
    Kernel,
    LinuxKernel,
    PerfringError,
    Record,
    SessionBuilder,
    TracepointEvents,
    procfs,
    stop_on_signals,
)

RUNNABLE = 0xFF  # none of these bits in prev_state: it was preempted, and goes on waiting
BAR = 40


class RunQueue:
    """The callbacks. A wait begins with a wakeup or a preemption, and ends with the switch to the thread."""

    def __init__(self, tids: set[int] | None = None) -> None:
        self.all = Latencies()
        self.by_thread: defaultdict[tuple[int, str], Latencies] = defaultdict(Latencies)
        self.worst: dict[tuple[int, str], dict[str, Any]] = {}
        self._tids = tids  # None: everybody's
        self._since: dict[int, int] = {}

    def woken(self, record: Any) -> None:
        self._since[record.field("pid")] = record.time

    def switched(self, record: Any) -> None:
        fields = record.fields
        self._end(fields["next_pid"], fields["next_comm"], record, behind=fields["prev_comm"])
        if fields["prev_state"] & RUNNABLE:
            self._since.pop(fields["prev_pid"], None)  # it sleeps
        else:
            self._since[fields["prev_pid"]] = record.time

    def lost(self, _: Record) -> None:
        self._since.clear()  # a switch may be among what was lost: measure nothing across the gap

    def _end(self, tid: int, comm: str, record: Any, *, behind: str) -> None:
        since = self._since.pop(tid, None)
        if since is None or not tid or (self._tids is not None and tid not in self._tids):  # 0 is the idle thread
            return
        wait = max(record.time - since, 0)
        thread = self.by_thread[tid, comm]
        if wait >= thread.longest:
            self.worst[tid, comm] = {"cpu": record.cpu, "behind": behind, "time_ns": since}
        thread.add(wait)
        self.all.add(wait)

    def offenders(self) -> list[dict[str, Any]]:
        return [
            {"tid": tid, "comm": comm, **waits.summary(), **self.worst[tid, comm]}
            for (tid, comm), waits in sorted(self.by_thread.items(), key=lambda item: -item[1].longest)
        ]


def draw(queue: RunQueue) -> None:
    most = max((count for _, count in queue.all.powers()), default=0)
    for end, count in queue.all.powers():
        print(f"{readable(end // 2):>8} to {readable(end):>8} {count:>9} {'#' * round(BAR * count / most)}")
    print(f"\n{'tid':>8} {'thread':16} {'waits':>8} {'p50':>8} {'p99':>8} {'max':>8}  on cpu, behind")
    for row in queue.offenders()[:10]:
        times = " ".join(f"{readable(row[name]):>8}" for name in ("p50_ns", "p99_ns", "max_ns"))
        print(f"{row['tid']:>8} {row['comm']:16} {row['count']:>8} {times}  {row['cpu']}, {row['behind']}")


def choose(tids: set[int]) -> SessionBuilder:
    """The kernel drops what is not about these threads; a session on their pid would not see who switches to them."""
    woken = " || ".join(f"pid == {tid}" for tid in tids) or None
    switched = " || ".join(f"prev_pid == {tid} || next_pid == {tid}" for tid in tids) or None
    events = TracepointEvents("sched:sched_wakeup", "sched:sched_wakeup_new", filter=woken).add(
        "sched:sched_switch", filter=switched
    )
    return SessionBuilder().with_page_count(512).with_tracepoint_events(events)


def measure(args: argparse.Namespace, kernel: Kernel) -> None:
    tids = {tid for pid in args.pid for tid in procfs.threads(kernel, pid)}
    queue = RunQueue(tids or None)
    with choose(tids).build(kernel) as session, stop_on_signals(session):
        session.on("sched:sched_wakeup", queue.woken)
        session.on("sched:sched_wakeup_new", queue.woken)
        session.on("sched:sched_switch", queue.switched)
        session.on("lost", queue.lost)
        session.enable()
        if sys.stderr.isatty():
            print("schedlat: recording, Ctrl-C ends", file=sys.stderr)
        session.parse_for_duration(args.duration)
        counts = session.statistics()
    if args.json:
        histogram = [{"from_ns": end // 2, "to_ns": end, "count": count} for end, count in queue.all.powers()]
        print(json.dumps({"lost": counts.lost, "histogram": histogram, "threads": queue.offenders()}))
    else:
        draw(queue)
        print(f"\n{queue.all.count} waits in {counts.records} records, {counts.wakeups} wakeups, {counts.lost} LOST")


def main(argv: list[str] | None = None, *, kernel: Kernel | None = None) -> int:
    parser = argparse.ArgumentParser(prog="schedlat", description="How long threads wait for a CPU.")
    parser.add_argument("--pid", type=int, action="append", default=[], help="the threads of this process; else all")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="else until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    args = parser.parse_args(argv)
    try:
        measure(args, kernel or LinuxKernel())
    except (PerfringError, ValueError) as error:  # not permitted, no such process, no such tracepoint: the text says it
        print(f"schedlat: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
