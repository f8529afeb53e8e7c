"""Readers as processes of their own, so that what one costs is what its process costs."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, NamedTuple, Protocol, TypeAlias

from benchmarks.compiling import build
from benchmarks.measuring import UnavailableError
from benchmarks.producer import Producer
from benchmarks.readers import GETPPID, Read, Setting
from simkernel.contract.gate import GATE, gate_state, linux_refusal

_CPUCLOCK_SCHED = 2
"""Which of a process's clocks, in the low bits of its id (linux/posix-timers.h): precise, not counted by ticks."""
_PATIENCE = 60.0
"""Seconds for a reader to get ready: a bound for one that hangs."""


class Finished(NamedTuple):
    """A process that has ended.

    Attributes:
        cpu: seconds of CPU time, in user space and in the kernel, from when it was ready until nothing came any more:
            ending is not in it, which costs perf more than many thousand records do, and not always the same.
        read: what it read, as far as it knows, with what it found in the ring when it was asked to end.
    """

    cpu: float
    read: Read


class Running(Protocol):
    """A reader that is ready."""

    def spent(self) -> float:
        """Seconds of CPU time since it was ready."""
        ...

    def finish(self) -> Read:
        """Asks it to read the rest, and waits for its end."""
        ...


Starting: TypeAlias = Callable[[Setting], Running]
"""Starts a reader, and returns when it is ready."""


def python_reader(name: str, *, environment: Mapping[str, str] | None = None) -> Starting:
    """One of `benchmarks.readers.READERS`, with these environment variables on top."""
    return lambda setting: _PythonReader(name, setting, environment or {})


class _PythonReader:
    def __init__(self, name: str, setting: Setting, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.readers", name, json.dumps(asdict(setting))]
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, cwd=root
        )
        self._stdout = _pipe(self._process.stdout)
        if self._stdout.readline() != "ready\n":
            self._process.kill()
            self._process.wait()
            self._stdout.close()
            raise RuntimeError(f"the reader {name!r} did not get ready; what it said is on standard error")
        self._before = _cpu_time(self._process.pid)

    def spent(self) -> float:
        return _cpu_time(self._process.pid) - self._before

    def finish(self) -> Read:
        self._process.send_signal(signal.SIGTERM)
        with self._stdout as stdout:
            told = json.loads(stdout.read())
        self._process.wait()
        return Read(**told)


def perf_record(output: str = os.devnull) -> Starting:
    """``perf record``.

    Args:
        output: the file that it writes; of one that cannot be read back it does not tell how many records it took.
    """
    return lambda setting: _PerfRecord(setting, output)


class _PerfRecord:
    """Started with its events off, and switched on over its control pipe, so that it is ready when it says so."""

    def __init__(self, setting: Setting, output: str) -> None:
        perf = shutil.which("perf")
        if perf is None:
            raise UnavailableError("no perf: install linux-perf or linux-tools")
        control_end, control = os.pipe()
        ack, ack_end = os.pipe()
        # perf 6.1 ends with "pollfd index mismatch" when its control pipe hangs up, so the ends are kept.
        self._kept = (control, ack)
        command = [perf, "record", "-e", GETPPID, "-m", str(setting.pages), "-C", str(setting.source_cpu), "-o", output]
        # What runs already is not asked for: it would cost more or less from one start to the next.
        command += ["--synth=no", "-D", "-1", f"--control=fd:{control_end},{ack_end}"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(control_end, ack_end),
        )
        os.sched_setaffinity(self._process.pid, {setting.own_cpu})
        os.close(control_end)
        os.close(ack_end)
        self._stderr = _pipe(self._process.stderr)
        os.write(control, b"enable\n")
        if not (select.select([ack], [], [], _PATIENCE)[0] and os.read(ack, 16)):
            self._process.kill()
            said = self._end()
            raise UnavailableError(f"perf record does not start: {said or 'it said nothing'}")
        self._before = _cpu_time(self._process.pid)

    def spent(self) -> float:
        return _cpu_time(self._process.pid) - self._before

    def finish(self) -> Read:
        self._process.send_signal(signal.SIGINT)
        said = self._end()
        woken = re.search(r"Woken up (\d+) times", said)
        if woken is None:
            raise RuntimeError(f"perf record ended with status {self._process.returncode}: {said}")
        samples = re.search(r"\((\d+) samples\)", said)  # it says so of a file, and of /dev/null nothing
        return Read(int(samples[1]) if samples else 0, wakeups=int(woken[1]))

    def _end(self) -> str:
        """What it said."""
        with self._stderr as stderr:
            said = stderr.read().strip()
        self._process.wait()
        for fd in self._kept:
            os.close(fd)
        return said


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise AssertionError("started without a pipe")
    return stream


def _cpu_time(pid: int) -> float:
    """clock_getcpuclockid(3): seconds of CPU time that another process has taken until now."""
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def read_live(start: Starting, setting: Setting, count: int, *, gap_ns: int = 0) -> Finished:
    """Lets a producer call getppid so many times while a reader is at it.

    Args:
        start: the reader.
        setting: its setting.
        count: how many calls.
        gap_ns: nanoseconds from one to the next; 0 for full speed.
    """
    with Producer(setting.source_cpu) as producer:
        running = start(setting)
        try:
            producer.call(count, gap_ns=gap_ns)
            cpu = running.spent()
        finally:
            read = running.finish()
    return Finished(cpu, read)


def two_cpus() -> tuple[int, int]:
    """A CPU for the producer and one for the reader, on a machine that permits live figures.

    Raises:
        UnavailableError: it has one CPU only, no C compiler for the producer, or does not let this user record a
            tracepoint on a whole CPU; or PERFRING_LINUX=0 leaves its kernel alone.
    """
    if gate_state() == "0":
        raise UnavailableError(f"{GATE}=0 leaves the real kernel alone")
    if refused := linux_refusal():
        raise UnavailableError(refused)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise UnavailableError("one CPU: producer and reader would take turns; it takes two")
    build("producer")
    return cpus[0], cpus[1]
