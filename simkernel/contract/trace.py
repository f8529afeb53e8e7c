"""Traces: what came of programs on one kernel, and the files in which they are kept.

A file is lines of JSON: first a `Machine`, then a `Trace` each. The texts of the programs are in it, so that it can be
replayed by whoever has nothing else.
"""

from __future__ import annotations

import gzip
import json
import platform
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from simkernel.contract.amounts import work_of
from simkernel.contract.arm import SimArm
from simkernel.contract.outcomes import check_outcome
from simkernel.contract.program import Program
from simkernel.contract.running import run
from simkernel.contract.zygote import ZygoteArm
from simkernel.foreign import read_text, shown
from simkernel.kernel import SimKernel
from simkernel.releases import release_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfring.kernel import Kernel
    from simkernel.contract.arm import Arm
    from simkernel.contract.running import Outcome

__all__ = [
    "FORMAT",
    "Bench",
    "LinuxBench",
    "Machine",
    "SimBench",
    "Trace",
    "TraceError",
    "configuration",
    "read_traces",
    "write_traces",
]

FORMAT: Final = "perfring-traces-1"
"""What the first line of a file says; another number, another format."""

_MOST_BYTES: Final = 1 << 25
"""Of a file, decompressed: one with 1,100 programs has five million."""
_MOST_LINE: Final = 1 << 21
"""Of one program: the values of a line take many times as much memory as its text."""
_MOST_WORK: Final = 200_000_000
"""Of a file, see `work_of`; one with 1,100 programs comes to eight million. So many take some minutes."""
_MOST_CPUS: Final = 1 << 12
_MOST_TEXT: Final = 4096

_CONFIGURATION: Final = re.compile(
    r"CONFIG_(HZ|PREEMPT\w*|PERF_EVENTS|BPF_EVENTS|BPF_SYSCALL|KPROBE_EVENTS|UPROBE_EVENTS|FTRACE_SYSCALLS"
    r"|HAVE_HW_BREAKPOINT|CGROUP_PERF|SECURITY_PERF_EVENTS_RESTRICT)="
)

_FACTS: Final = {
    "perf_event_paranoid": "/proc/sys/kernel/perf_event_paranoid",
    "perf_event_max_sample_rate": "/proc/sys/kernel/perf_event_max_sample_rate",
    "perf_event_mlock_kb": "/proc/sys/kernel/perf_event_mlock_kb",
    "version": "/proc/sys/kernel/version",
}
_CAPABILITIES: Final = frozenset({"CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF", "CAP_IPC_LOCK", "CAP_SYS_PTRACE"})


class TraceError(ValueError):
    """A file that holds no traces that this version can read: names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where traces were made.

    Attributes:
        arm: ``"linux"`` or ``"sim"``.
        release: ``uname -r``.
        cpus: the CPUs online.
        page_size: bytes.
        executable: the path that actors mapped and executed.
        python: the version of the interpreter.
        facts: sysctls and the like, by name, and the `configuration` as far as the kernel tells it.
    """

    arm: str
    release: str
    cpus: tuple[int, ...]
    page_size: int
    executable: str
    python: str
    facts: dict[str, str]

    @classmethod
    def of(cls, arm: Arm) -> Self:
        """The machine under an arm."""
        kernel = arm.kernel
        facts = {}
        for name, path in _FACTS.items():
            try:
                facts[name] = kernel.read_text(path).strip()
            except OSError as missing:
                facts[name] = f"unreadable: {missing}"
        facts |= _configuration(kernel)
        return cls(
            arm=arm.name.split()[0].replace("simkernel", "sim"),
            release=kernel.release,
            cpus=kernel.online_cpus(),
            page_size=kernel.page_size,
            executable=arm.executable,
            python=platform.python_version(),
            facts=facts,
        )


def _configuration(kernel: Kernel) -> dict[str, str]:
    """What the kernel itself tells; many do not, and then the package knows."""
    try:
        lines = gzip.decompress(kernel.read_bytes("/proc/config.gz")).decode().splitlines()
    except OSError:
        return {}
    return configuration(lines)


def configuration(lines: Iterable[str]) -> dict[str, str]:
    """Of a kernel's configuration what programs can notice, by name."""
    return dict(line.split("=", 1) for line in lines if _CONFIGURATION.match(line))


@dataclass(frozen=True, slots=True)
class Trace:
    """What came of one program.

    Attributes:
        name: what the program is called: its file in the corpus, or how it was generated.
        program: it.
        outcomes: one for each step.
    """

    name: str
    program: Program
    outcomes: tuple[Outcome, ...]


class Bench:
    """Runs programs, one after the other, each on a machine that knows nothing of the one before.

    Attributes:
        machine: where.
    """

    machine: Machine

    def run(self, program: Program, *, raw: bool = False) -> tuple[Outcome, ...]:
        """The outcomes of a program; with ``raw``, the bytes of records as well."""
        raise NotImplementedError

    def trace(self, name: str, program: Program) -> Trace:
        """The same with its name."""
        return Trace(name, program, self.run(program))

    def close(self) -> None:
        """Ends what it keeps."""


class LinuxBench(Bench):
    """Programs on the kernel underneath; needs root."""

    def __init__(self) -> None:
        self._arm = ZygoteArm()
        self.machine = Machine.of(self._arm)

    def run(self, program: Program, *, raw: bool = False) -> tuple[Outcome, ...]:
        """See `Bench`."""
        try:
            return tuple(run(program, self._arm, raw=raw))
        finally:
            self._arm.reset()

    def close(self) -> None:
        """Ends the actors."""
        self._arm.close()


class SimBench(Bench):
    """Programs on the simulated kernel.

    Args:
        release: which.
        cpus: online.
        executable: the path of the recording that is replayed.

    Raises:
        ValueError: the release is none that is simulated.
    """

    def __init__(
        self, *, release: str = "6.18", cpus: tuple[int, ...] = (0, 1), executable: str = "/usr/bin/actor"
    ) -> None:
        release_named(release)
        self._release, self._cpus, self._executable = release, cpus, executable
        self.machine = Machine.of(self._arm())

    def _arm(self) -> SimArm:
        return SimArm(SimKernel(cpus=self._cpus, release=self._release, capabilities=_CAPABILITIES))

    @classmethod
    def like(cls, machine: Machine) -> Self:
        """The simulated counterpart of a machine."""
        return cls(release=machine.release, cpus=machine.cpus, executable=machine.executable)

    def run(self, program: Program, *, raw: bool = False) -> tuple[Outcome, ...]:
        """See `Bench`."""
        return tuple(run(program, self._arm(), executable=self._executable, raw=raw))


def write_traces(path: Path, machine: Machine, traces: Iterable[Trace]) -> int:
    """Writes a file, compressed when its name ends in ``.gz``; returns how many traces it holds.

    The same traces give the same bytes.
    """
    lines = [_line({"format": FORMAT, **asdict(machine)})]
    for trace in traces:
        entry = {"name": trace.name, "program": str(Program(trace.program.steps)), "outcomes": trace.outcomes}
        lines.append(_line(entry))
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)
    return len(lines) - 1


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":"), sort_keys=True) + "\n"


def read_traces(path: Path) -> tuple[Machine, Iterator[Trace]]:
    """Reads a file: the machine at once, the traces as they are asked for.

    Raises:
        TraceError: it is of another format or of a release that is not simulated, or a line is broken.
        OSError: it cannot be read.
    """
    try:
        lines = read_text(path, most=_MOST_BYTES).splitlines()
    except ValueError as broken:
        raise TraceError(f"{path}: {broken}") from broken
    return _machine(path, lines[0] if lines else ""), _traces(path, lines[1:])


def _machine(path: Path, line: str) -> Machine:
    head = _entry(path, 1, line)
    if head.pop("format", None) != FORMAT:
        raise TraceError(f"{path}: the first line must say format {FORMAT!r}; it begins {line[:60]!r}: record it again")
    try:
        return _made_of(head)
    except ValueError as wrong:
        raise TraceError(f"{path}: the machine in line 1: {wrong}") from wrong


def _made_of(head: dict[str, Any]) -> Machine:
    names = [field.name for field in fields(Machine)]
    if head.keys() != set(names):
        raise ValueError(f"it has {shown(sorted(head))}: it must have {', '.join(names)}")
    cpus, facts = head["cpus"], head["facts"]
    if not isinstance(cpus, list) or not all(map(_is_cpu, cpus)) or not 0 < len(cpus) == len(set(cpus)):
        raise ValueError(f"cpus is {shown(cpus)}: it must be a list of different numbers of CPUs below {_MOST_CPUS}")
    if not isinstance(facts, dict) or not all(map(_is_text, facts.values())):
        raise ValueError(f"facts is {shown(facts)}: it must be an object of texts")
    for name in ("arm", "release", "executable", "python"):
        if not _is_text(head[name]):
            raise ValueError(f"{name} is {shown(head[name])}: it must be a text, of {_MOST_TEXT} characters at most")
    if head["page_size"] not in (4096, 16384, 65536):
        raise ValueError(f"page_size is {shown(head['page_size'])}: Linux has pages of 4096, 16384 and 65536 bytes")
    release_named(head["release"])
    return Machine(**{**head, "cpus": tuple(cpus)})


def _is_cpu(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_CPUS


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT


def _entry(path: Path, number: int, line: str) -> dict[str, Any]:
    if len(line) > _MOST_LINE:
        raise TraceError(f"{path}, line {number}: it is longer than {_MOST_LINE:,} characters")
    try:
        entry = json.loads(line)
    except ValueError as wrong:
        raise TraceError(f"{path}, line {number}: {wrong}; it begins {line[:60]!r}") from wrong
    except RecursionError:
        raise TraceError(f"{path}, line {number}: it is nested too deeply; it begins {line[:60]!r}") from None
    if not isinstance(entry, dict):
        raise TraceError(f"{path}, line {number}: an object must stand here, not {line[:60]!r}")
    return entry


def _traces(path: Path, lines: list[str]) -> Iterator[Trace]:
    work = 0
    for number, line in enumerate(lines, 2):
        entry = _entry(path, number, line)
        try:
            trace = _trace_of(entry)
        except KeyError as missing:
            raise TraceError(f"{path}, line {number}: it has no {missing}") from None
        except ValueError as wrong:
            raise TraceError(f"{path}, line {number}: {wrong}") from wrong
        work += work_of(trace.program.steps)
        if work > _MOST_WORK:
            raise TraceError(
                f"{path}, line {number}: the programs come to {work:,}, more than {_MOST_WORK:,}: make it two"
            )
        yield trace


def _trace_of(entry: dict[str, Any]) -> Trace:
    name, text, outcomes = entry["name"], entry["program"], entry["outcomes"]
    for what, value in (("name", name), ("program", text)):
        if not isinstance(value, str):
            raise ValueError(f"{what} is {shown(value)}: it must be a text")
    if not isinstance(outcomes, list):
        raise ValueError(f"outcomes is {shown(outcomes)}: it must be a list")
    program = Program.parse(text)
    if len(outcomes) != len(program.steps):
        raise ValueError(f"{len(outcomes)} outcomes of {len(program.steps)} steps")
    for step, outcome in zip(program.steps, outcomes, strict=True):
        check_outcome(step, outcome)
    return Trace(name, program, tuple(outcomes))
