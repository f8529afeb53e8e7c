"""Where the CPU time goes: samples call chains of a command, of processes or of the machine.

    python -m examples.flame [--duration SECONDS] [--speedscope FILE] [--pid PID | -- COMMAND ...]

Prints folded stacks, one line each, for flamegraph.pl, inferno and the like; --speedscope writes a file for
https://www.speedscope.app. Needs root or CAP_PERFMON, or --user, which leaves out the kernel. Shows pulling: records
come one after the other, side-band among them, so that each sample is looked up in what was mapped at that moment.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from examples.symbols import Place, Symbols
from perfring import (
    Comm,
    Command,
    Fork,
    Frame,
    Kernel,
    KernelEvents,
    LinuxKernel,
    Mmap,
    PerfringError,
    ProfilingEvents,
    Record,
    Sample,
    SessionBuilder,
    stop_on_signals,
)


class Profile:
    """Stacks by thread, outermost frame first, in the order of time."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.threads: defaultdict[int, list[tuple[Place, ...]]] = defaultdict(list)
        self.comms: dict[int, str] = {}
        self._same: dict[tuple[Place, ...], tuple[Place, ...]] = {}  # a stack that comes a thousand times is kept once

    def take(self, record: Record) -> None:
        match record:
            case Sample(frames=tuple(frames), pid=int(pid), tid=int(tid)):
                stack = tuple(self._place(pid, frame) for frame in reversed(frames))
                self.threads[tid].append(self._same.setdefault(stack, stack))
            case Mmap():
                self.symbols.mapped(record)
            case Comm(pid=int(pid), tid=int(tid), comm=comm, exec=by_exec):
                self.comms[tid] = comm
                if by_exec:
                    self.symbols.executed(pid)
            case Fork(pid=int(pid), tid=int(tid), ppid=parent, ptid=by):
                self.comms[tid] = self.comms.get(by, "?")
                if pid != parent:
                    self.symbols.forked(pid, parent)

    def _place(self, pid: int, frame: Frame) -> Place:
        return self.symbols.place(pid, frame.call_site, kernel=frame.mode == "kernel")

    def named(self, tid: int) -> Iterator[list[str]]:
        known: dict[tuple[Place, ...], list[str]] = {}
        for stack in self.threads[tid]:
            if stack not in known:
                known[stack] = [self.comms.get(tid, "?"), *map(self.symbols.name, stack)]
            yield known[stack]

    def folded(self) -> Iterator[str]:
        counts = Counter(";".join(stack) for tid in self.threads for stack in self.named(tid))
        return (f"{stack} {count}" for stack, count in sorted(counts.items()))

    def speedscope(self, period_ns: int) -> dict[str, Any]:
        """As https://www.speedscope.app/file-format-schema.json says: a profile for each thread."""
        frames: dict[str, int] = {}
        profiles = []
        for tid in self.threads:
            samples = [[frames.setdefault(name, len(frames)) for name in stack] for stack in self.named(tid)]
            span = {"unit": "nanoseconds", "startValue": 0, "endValue": period_ns * len(samples)}
            content = {"samples": samples, "weights": [period_ns] * len(samples)}
            profiles.append({"type": "sampled", "name": f"{self.comms.get(tid, '?')} ({tid})"} | span | content)
        return {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": "perfring examples/flame.py",
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": profiles,
        }


def record_profile(args: argparse.Namespace, kernel: Kernel) -> Profile:
    profile = Profile(Symbols(kernel))
    builder = SessionBuilder().with_kernel_events(KernelEvents())
    builder = builder.with_profiling_events(ProfilingEvents(args.frequency, callchain=True))
    builder = builder.user_only() if args.user else builder
    builder = builder.with_target_pid(*args.pid)
    with ExitStack() as opened:
        command = opened.enter_context(Command(args.command)) if args.command else None
        if command:
            builder = builder.with_target_pid(command.pid).with_enable_on_exec()
        session = opened.enter_context(builder.build(kernel))
        opened.enter_context(stop_on_signals(session))  # Ctrl-C ends the records, with all that there was
        if command:
            command.release()
        else:
            session.enable()
            for record in session.environment():  # what was mapped before
                profile.take(record)
        for record in session.records(duration=args.duration):
            profile.take(record)
        counts = session.statistics()
    samples = sum(map(len, profile.threads.values()))
    hint = "" if samples else ": less CPU time than one period, raise --frequency or --duration"
    print(f"flame: {samples} samples of {len(profile.threads)} threads, {counts.lost} LOST{hint}", file=sys.stderr)
    return profile


def main(argv: list[str] | None = None, *, kernel: Kernel | None = None) -> int:
    parser = argparse.ArgumentParser(prog="flame", description="Where the CPU time goes.")
    parser.add_argument("--pid", type=int, action="append", default=[], help="of this process; else of the machine")
    parser.add_argument("--frequency", type=int, default=99, metavar="HZ", help="samples per second and CPU")
    parser.add_argument("--user", action="store_true", help="leave out the kernel; needs no privilege")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="else until the end, or Ctrl-C")
    parser.add_argument("--speedscope", type=Path, metavar="FILE", help="write this, and print no folded stacks")
    parser.add_argument("command", nargs="*", help="run this and profile it")
    args = parser.parse_args(argv)
    try:
        if args.speedscope:
            args.speedscope.touch()  # before, not after, an hour of recording
        profile = record_profile(args, kernel or LinuxKernel())
    except (PerfringError, OSError, ValueError) as error:  # not permitted, no such process: the text says it
        print(f"flame: {error}", file=sys.stderr)
        return 1
    if args.speedscope:
        args.speedscope.write_text(json.dumps(profile.speedscope(1_000_000_000 // args.frequency)))
    else:
        print(*profile.folded(), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
