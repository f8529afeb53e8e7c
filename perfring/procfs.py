r"""What /proc says about processes: threads, names, mappings, credentials, limits (proc(5)).

Everything is read through the seam, so that a simulated kernel can answer. Files are read as bytes: a thread may call
itself anything but NUL, a path may hold any byte but NUL, and text mode would turn their ``\r`` into
``\n``.

Processes come and go while one reads. Asking about a process by name and finding none is an error (`TargetNotFound`);
walking over all of them, the ones that went away meanwhile are no news and are left out.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from perfring.errors import TargetNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfring.kernel import Kernel

__all__ = [
    "Limit",
    "MapEntry",
    "Status",
    "Task",
    "comm",
    "format_cpu_list",
    "limits",
    "maps",
    "parse_cpu_list",
    "processes",
    "status",
    "tasks",
    "threads",
]

_GONE = (FileNotFoundError, ProcessLookupError)
"""A dead process has no files; one that dies between open(2) and read(2) gives ESRCH."""

_PROT_BITS = (("r", 1), ("w", 2), ("x", 4))
_MAP_SHARED, _MAP_PRIVATE = 1, 2
_DELETED = " (deleted)"
_MOST_CPUS = 1 << 16
"""No Linux has that many (NR_CPUS is 8192 at most): a list that says so is broken, and must not eat the memory."""


class Task(NamedTuple):
    """One thread.

    Attributes:
        pid: the process it belongs to.
        tid: its own id; that of the first thread is ``pid``.
        comm: its name, 15 bytes at most.
    """

    pid: int
    tid: int
    comm: str


class MapEntry(NamedTuple):
    """One line of /proc/PID/maps, in the terms of a PERF_RECORD_MMAP2.

    Attributes:
        start: first address.
        end: first address behind it.
        prot: ``PROT_READ`` (1), ``PROT_WRITE`` (2), ``PROT_EXEC`` (4), as in mmap(2).
        flags: ``MAP_SHARED`` (1) or ``MAP_PRIVATE`` (2).
        pgoff: offset into the file, in bytes.
        major: device of the file, 0 where there is none.
        minor: the same.
        inode: of the file, 0 where there is none.
        path: the file (undecodable bytes as surrogates), or the kernel's own word such as ``[heap]``, or ``""``.
    """

    start: int
    end: int
    prot: int
    flags: int
    pgoff: int
    major: int
    minor: int
    inode: int
    path: str

    @property
    def executable(self) -> bool:
        """Whether code can run in it."""
        return bool(self.prot & 4)

    @property
    def deleted(self) -> bool:
        """Whether the file was unlinked; a name that really ends that way cannot be told from it."""
        return self.path.endswith(_DELETED)


class Status(NamedTuple):
    """The fields of /proc/PID/status that matter for permission.

    Attributes:
        tgid: the process id; differs from the id asked for when that was a thread's.
        uid: the effective user id.
        capabilities: the effective set, one bit per capability (CapEff).
        seccomp: 0 off, 1 strict, 2 filtered; None when the kernel was built without.
    """

    tgid: int
    uid: int
    capabilities: int
    seccomp: int | None


class Limit(NamedTuple):
    """One resource limit; None means unlimited.

    Attributes:
        soft: the one that binds.
        hard: what an unprivileged process may raise it to.
    """

    soft: int | None
    hard: int | None


def processes(kernel: Kernel) -> tuple[int, ...]:
    """The ids of the processes that can be seen, ascending (``hidepid`` hides those of others)."""
    return tuple(sorted(int(name) for name in kernel.list_dir("/proc") if _is_id(name)))


def threads(kernel: Kernel, pid: int) -> tuple[int, ...]:
    """The thread ids of a process, ascending. Some may be gone by the time they are used.

    Raises:
        TargetNotFound: there is no such process.
    """
    _check_id("pid", pid)
    try:
        return tuple(sorted(int(name) for name in kernel.list_dir(f"/proc/{pid}/task") if _is_id(name)))
    except _GONE as gone:
        raise _not_found(pid) from gone


def comm(kernel: Kernel, pid: int, tid: int) -> str:
    """The name of one thread: 15 bytes at most, undecodable ones as surrogates.

    Raises:
        TargetNotFound: there is no such thread in that process.
    """
    _check_id("pid", pid)
    _check_id("tid", tid)
    try:
        raw = kernel.read_bytes(f"/proc/{pid}/task/{tid}/comm")
    except _GONE as gone:
        raise _not_found(pid, tid=tid) from gone
    # One newline is the file's; more of them are the thread's.
    return _decode(raw.removesuffix(b"\n"))


def tasks(kernel: Kernel, *, pids: Iterable[int] | None = None) -> Iterator[Task]:
    """All threads of these processes with their names; those that end meanwhile are left out.

    Args:
        pids: the processes; all that can be seen when None.
    """
    for pid in processes(kernel) if pids is None else pids:
        with suppress(TargetNotFound):
            for tid in threads(kernel, pid):
                with suppress(TargetNotFound):
                    yield Task(pid, tid, comm(kernel, pid, tid))


def maps(kernel: Kernel, pid: int, *, executable_only: bool = False) -> Iterator[MapEntry]:
    r"""The mappings of a process, in the order of their addresses. Zombies and kernel threads have none.

    A newline in a path is undone from the kernel's ``\012``. The kernel escapes nothing else, not even the backslash,
    so a file whose name really holds those four characters cannot be told from one with a newline.

    Args:
        executable_only: only those that code can run in.

    Raises:
        TargetNotFound: there is no such process.
        PermissionError: the process is another user's, and CAP_SYS_PTRACE is missing.
    """
    _check_id("pid", pid)
    try:
        raw = kernel.read_bytes(f"/proc/{pid}/maps")
    except _GONE as gone:
        raise _not_found(pid) from gone
    entries = (_parse_map(line) for line in raw.split(b"\n") if line)
    return (entry for entry in entries if entry.executable or not executable_only)


def _parse_map(line: bytes) -> MapEntry:
    # START-END PERMS OFFSET MAJOR:MINOR INODE      PATH: blanks before the path are padding, those inside are its own.
    span, perms, pgoff, device, inode, *path = _decode(line).split(" ", 5)
    start, end = span.split("-")
    major, minor = device.split(":")
    return MapEntry(
        start=int(start, 16),
        end=int(end, 16),
        prot=sum(bit for letter, bit in _PROT_BITS if letter in perms),
        flags=_MAP_SHARED if "s" in perms else _MAP_PRIVATE,
        pgoff=int(pgoff, 16),
        major=int(major, 16),
        minor=int(minor, 16),
        inode=int(inode),
        path=path[0].lstrip(" ").replace("\\012", "\n") if path else "",
    )


def status(kernel: Kernel, pid: int | Literal["self"]) -> Status:
    """Who a process (or thread) is, and what it may.

    Raises:
        TargetNotFound: there is no such process.
    """
    raw = _read_own_or(kernel, pid, "status")
    lines = (line.partition(":") for line in raw.split("\n"))
    fields = {key: value.split() for key, _, value in lines}
    return Status(
        tgid=int(fields["Tgid"][0]),
        uid=int(fields["Uid"][1]),
        capabilities=int(fields["CapEff"][0], 16),
        seccomp=int(fields["Seccomp"][0]) if "Seccomp" in fields else None,
    )


def limits(kernel: Kernel, pid: int | Literal["self"]) -> dict[str, Limit]:
    """The resource limits of a process, by the kernel's names: ``"Max open files"``, ``"Max locked memory"`` (bytes).

    Raises:
        TargetNotFound: there is no such process.
    """
    lines = _read_own_or(kernel, pid, "limits").split("\n")
    # The names hold blanks: the columns begin where their headings do.
    soft_column = lines[0].index("Soft Limit")
    found = {}
    for line in filter(None, lines[1:]):
        soft, hard = line[soft_column:].split()[:2]
        found[line[:soft_column].rstrip()] = Limit(_limit(soft), _limit(hard))
    return found


def _limit(word: str) -> int | None:
    return None if word == "unlimited" else int(word)


def _read_own_or(kernel: Kernel, pid: int | Literal["self"], name: str) -> str:
    if pid != "self":
        _check_id("pid", pid)
    try:
        return _decode(kernel.read_bytes(f"/proc/{pid}/{name}"))
    except _GONE as gone:
        if pid == "self":
            raise
        raise _not_found(pid) from gone


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The CPUs of a kernel list such as ``"0-3,5,8-9"`` (/sys/devices/system/cpu/online), ascending, each once.

    Raises:
        ValueError: it is not such a list.
    """
    cpus: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        if not (_is_id(first) and (_is_id(last) if dash else True)):
            raise ValueError(f"not a list of CPUs: {text!r} (at {part!r}); it should look like '0-3,5,8-9'")
        low, high = int(first), int(last or first)
        if not low <= high < _MOST_CPUS:
            raise ValueError(f"not a list of CPUs: {text!r} (the range {part!r} makes no sense)")
        cpus.update(range(low, high + 1))
    return tuple(sorted(cpus))


def format_cpu_list(cpus: Iterable[int]) -> str:
    """The shortest kernel list of these CPUs: ``"0-3,5,8-9"``; the inverse of `parse_cpu_list`."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _check_id(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}: ids of processes and threads begin at 1")


def _not_found(pid: int, *, tid: int | None = None) -> TargetNotFound:
    if tid is None:
        return TargetNotFound(pid, f"there is no process {pid}: it has ended, or never was (see: ps -p {pid})")
    return TargetNotFound(tid, f"process {pid} has no thread {tid}: it has ended, or never was (see: ps -T -p {pid})")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
