"""The files of the simulated machine: /proc, /sys and tracefs, made when they are read.

Each file is a rule: a path with names in braces, and a function that gets them and returns the text. A directory is
whatever has a file below it.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final

from simkernel.machine import CAPABILITIES
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simkernel.machine import Machine
    from simkernel.tasks import Task

__all__ = ["Files"]

_TRACING: Final = "/sys/kernel/tracing"
_PMUS: Final = {"software": 1, "tracepoint": 2, "breakpoint": 5, "kprobe": 6, "uprobe": 7}


class Files:
    """What read_bytes, read_text and list_dir give.

    Args:
        machine: the machine.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def read(self, path: str) -> bytes:
        """A whole file.

        Raises:
            OSError: ENOENT; EISDIR for a directory; EACCES for tracefs without the right to look at it.
        """
        self._check_path(path)
        text = self._all().get(path)
        if text is None:
            raise os_error(errno.EISDIR if self._children(path) else errno.ENOENT)
        return text().encode("utf-8", "surrogateescape")

    def names(self, path: str) -> list[str]:
        """The names in a directory, in the order in which the kernel lists them: none in particular.

        Raises:
            OSError: ENOENT; ENOTDIR for a file; EACCES.
        """
        self._check_path(path)
        children = self._children(path)
        if not children:
            raise os_error(errno.ENOTDIR if self._all().get(path) else errno.ENOENT)
        self._machine.rng.shuffle(children)
        return children

    def paths(self) -> list[str]:
        """All files, sorted."""
        return sorted(self._all())

    def _check_path(self, path: str) -> None:
        if not path.startswith("/"):
            raise ValueError(f"path is {path!r}: the simulated machine has absolute paths only")
        held = self._machine.settings.capabilities
        below = path == _TRACING or path.startswith(_TRACING + "/")
        # tracefs is mounted with mode 700, and belongs to root.
        if below and not {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN"} & held:
            raise OSError(errno.EACCES, "Permission denied", path)

    def _children(self, path: str) -> list[str]:
        start = path.rstrip("/") + "/"
        return sorted({name[len(start) :].split("/")[0] for name in self._all() if name.startswith(start)})

    def _all(self) -> dict[str, Callable[[], str]]:
        return dict(self._rules())

    def _rules(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield from self._sysctls()
        yield from self._sys()
        yield from self._tracing()
        yield "/proc/sys/kernel/osrelease", lambda: self._machine.release + "\n"
        yield "/proc/self/mountinfo", self._mountinfo
        yield "/proc/mounts", lambda: f"proc /proc proc rw 0 0\ntracefs {_TRACING} tracefs rw 0 0\n"
        for task in self._machine.tasks.values():
            yield from self._task(f"/proc/{task.pid}", task)
        yield from self._task("/proc/self", self._machine.scheduler.current)

    def _sysctls(self) -> Iterator[tuple[str, Callable[[], str]]]:
        settings = self._machine.settings
        for name, value in (
            ("paranoid", settings.paranoid),
            ("mlock_kb", settings.mlock_kb),
            ("max_sample_rate", settings.max_sample_rate),
            ("max_stack", settings.max_stack),
            ("max_contexts_per_stack", settings.max_contexts_per_stack),
        ):
            yield f"/proc/sys/kernel/perf_event_{name}", _constant(f"{value}\n")

    def _sys(self) -> Iterator[tuple[str, Callable[[], str]]]:
        machine = self._machine
        yield "/sys/devices/system/cpu/online", lambda: _cpu_list(machine.online()) + "\n"
        for name in ("possible", "present"):
            yield f"/sys/devices/system/cpu/{name}", lambda: _cpu_list(tuple(machine.cpus)) + "\n"
        for name, number in _PMUS.items():
            yield f"/sys/bus/event_source/devices/{name}/type", _constant(f"{number}\n")

    def _tracing(self) -> Iterator[tuple[str, Callable[[], str]]]:
        for system, points in self._machine.tracepoints.systems().items():
            for point in points:
                folder = f"{_TRACING}/events/{system}/{point.name.split(':')[1]}"
                yield f"{folder}/id", _constant(f"{point.id}\n")
                yield f"{folder}/format", point.format_text
                yield f"{folder}/enable", _constant("0\n")
                yield f"{folder}/filter", _constant("none\n")
        yield f"{_TRACING}/trace_clock", _constant("[local] global counter\n")

    @staticmethod
    def _mountinfo() -> str:
        return (
            "22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n"
            "23 28 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw\n"
            "28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
            f"35 23 0:12 / {_TRACING} rw,nosuid,nodev,noexec,relatime shared:15 - tracefs tracefs rw\n"
        )

    def _task(self, folder: str, task: Task) -> Iterator[tuple[str, Callable[[], str]]]:
        for below in (folder, f"{folder}/task/{task.pid}"):
            yield f"{below}/comm", lambda: task.comm + "\n"
            yield f"{below}/status", lambda: self._status(task)
            yield f"{below}/maps", lambda: _maps(task)
        yield f"{folder}/limits", self._limits
        yield f"{folder}/cmdline", lambda: task.comm + "\0"

    def _status(self, task: Task) -> str:
        machine = self._machine
        held = machine.settings.capabilities if task.uid == machine.settings.uid else CAPABILITIES
        mask = sum(1 << CAPABILITIES[name] for name in held)
        state = "R (running)" if task.on_cpu else "S (sleeping)"
        return (
            f"Name:\t{_escaped(task.comm)}\nState:\t{state}\nTgid:\t{task.pid}\nPid:\t{task.pid}\nPPid:\t{task.ppid}\n"
            f"Uid:\t{task.uid}\t{task.uid}\t{task.uid}\t{task.uid}\n"
            f"Gid:\t{task.uid}\t{task.uid}\t{task.uid}\t{task.uid}\n"
            f"Threads:\t1\nCapInh:\t{0:016x}\nCapPrm:\t{mask:016x}\nCapEff:\t{mask:016x}\nCapBnd:\t{mask:016x}\n"
            "NoNewPrivs:\t0\nSeccomp:\t0\n"
        )

    def _limits(self) -> str:
        memlock = self._machine.settings.memlock
        shown = "unlimited" if memlock is None else str(memlock)
        rows = (
            ("Limit", "Soft Limit", "Hard Limit", "Units"),
            # Descriptors are not counted here: what Linux lets a process have at most, and not the usual 1024.
            ("Max open files", "1048576", "1048576", "files"),
            ("Max locked memory", shown, shown, "bytes"),
        )
        return "".join(f"{name:<25} {soft:<20} {hard:<20} {unit:<10}\n" for name, soft, hard, unit in rows)


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def _escaped(comm: str) -> str:
    return re.sub(r"[\n\\]", lambda found: {"\n": "\\n", "\\": "\\\\"}[found[0]], comm)


def _cpu_list(cpus: tuple[int, ...]) -> str:
    """As in "0-3,6"."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _maps(task: Task) -> str:
    lines = []
    for place in task.maps:
        rights = "".join(letter if place.prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
        head = (
            f"{place.start:x}-{place.start + place.length:x} {rights}{'s' if place.flags & 1 else 'p'} "
            f"{place.pgoff:08x} {place.major:02x}:{place.minor:02x} {place.inode} "
        )
        lines.append(f"{head:<73}{place.path}".rstrip() + "\n")
    return "".join(lines)
