"""What on this machine permits or forbids a session: read from /proc and /sys, one `Finding` per topic.

These are predictions. `perfring doctor` also tries; where the two disagree, what was tried is right: security modules
and distributions' patches leave no trace in these files.

How the kernel decides, as measured on 6.18 for uid 65534 (the same facts in short: K31, K32)::

    asked for                                            unprivileged, up to level   refused with
    whole CPUs (pid = -1)                                 0                           EACCES
    a thread of one's own, kernel included                1                           EACCES
    a thread of one's own, exclude_kernel                 any                         -
    physical addresses (PERF_SAMPLE_PHYS_ADDR)            1                           EACCES
    namespace records                                     none                        EACCES
    a tracepoint's payload (PERF_SAMPLE_RAW)              -1                          EPERM
      except a system call's, for a thread of one's own   any                         -
    another user's thread, or one that is not dumpable    none                        EACCES

CAP_PERFMON and CAP_SYS_ADMIN each lift all of it, CAP_SYS_PTRACE the last line, but only when held in the initial user
namespace: root of a container's own namespace has every bit set in CapEff and is still nobody here. Mainline treats the
levels 3 and 4 as 2; Debian, Ubuntu and Android kernels forbid everything there. Neither CAP_PERFMON nor CAP_SYS_ADMIN
lifts the limit on locked memory: that is CAP_IPC_LOCK, or level -1.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from perfring import procfs, tracefs
from perfring.geometry import ring_data_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfring.kernel import Kernel

_T = TypeVar("_T")

__all__ = [
    "CAPABILITIES",
    "LEVEL_FOR_CPU",
    "LEVEL_FOR_KERNEL",
    "LEVEL_FOR_RAW",
    "LEVEL_FOR_USER",
    "Facts",
    "Finding",
    "Severity",
    "diagnose",
    "files",
    "gather",
    "grant",
    "mlock",
    "problems",
    "raise_files",
    "sample_rate_limit",
    "seccomp",
    "set_level",
]

CAPABILITIES = {"CAP_IPC_LOCK": 14, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38}
"""The capabilities that matter here and their bits: must match linux/capability.h."""

LEVEL_FOR_RAW, LEVEL_FOR_CPU, LEVEL_FOR_KERNEL, LEVEL_FOR_USER = -1, 0, 1, 2
"""The highest perf_event_paranoid that permits it to everybody."""

_SYSCTL = "/proc/sys/kernel"
_CONTAINER_FILES = (("/run/.containerenv", "podman"), ("/.dockerenv", "docker"))
_CONTAINER_WORDS = ("docker", "kubepods", "libpod", "containerd", "lxc")
_WHOLE_ID_MAP = ["0", "0", "4294967295"]


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """Nothing stands in the way here."""
    WARN = "warn"
    """A session opens, but something a user may want does not."""
    ERROR = "error"
    """A session cannot be opened, as far as can be told from the files."""


class Finding(NamedTuple):
    """One thing found out.

    Attributes:
        topic: one word or two: "paranoid", "mlock".
        severity: how bad it is.
        text: what was found and what it means.
        mend: the command that mends it, None when nothing is to be mended or no command can.
    """

    topic: str
    severity: Severity
    text: str
    mend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the files say; None where one cannot be read.

    Attributes:
        page_size: in bytes.
        online: the CPUs.
        level: kernel.perf_event_paranoid.
        mlock_kb: kernel.perf_event_mlock_kb: what each user may map per online CPU before RLIMIT_MEMLOCK counts.
        status: who this process is.
        own_namespace: whether it lives in a user namespace of its own, where capabilities do not count.
        memlock: RLIMIT_MEMLOCK in bytes.
        files: RLIMIT_NOFILE.
        container: the runtime's name, as far as it shows.
    """

    page_size: int
    online: tuple[int, ...]
    level: int | None
    mlock_kb: int | None
    status: procfs.Status | None
    own_namespace: bool
    memlock: procfs.Limit
    files: procfs.Limit
    container: str | None

    def has(self, *capabilities: str) -> bool:
        """Whether one of these capabilities is held, and counts."""
        if self.status is None or self.own_namespace:
            return False
        held = self.status.capabilities
        return any(held >> CAPABILITIES[name] & 1 for name in capabilities)

    @property
    def privileged(self) -> bool:
        """Whether perf_event_paranoid does not apply."""
        return self.has("CAP_PERFMON", "CAP_SYS_ADMIN")

    def permits(self, level: int) -> bool:
        """Whether what everybody may do up to this level can be done here. An unknown level is taken as the best."""
        return self.privileged or self.level is None or self.level <= level

    @property
    def locked_pages_free(self) -> int | None:
        """How many pages this user's rings may hold in all, None for any number (K32)."""
        unlimited = self.memlock.soft is None or self.has("CAP_IPC_LOCK") or self.level == -1
        if unlimited or self.mlock_kb is None or self.memlock.soft is None:
            return None
        per_cpu = self.mlock_kb // (self.page_size // 1024)
        return per_cpu * len(self.online) + self.memlock.soft // self.page_size


def gather(kernel: Kernel) -> Facts:
    """Reads everything; a file that is missing or closed to this process leaves its fact unknown."""
    limits = _attempt(lambda: procfs.limits(kernel, "self")) or {}
    unlimited = procfs.Limit(None, None)
    return Facts(
        page_size=kernel.page_size,
        online=kernel.online_cpus(),
        level=_number(kernel, f"{_SYSCTL}/perf_event_paranoid"),
        mlock_kb=_number(kernel, f"{_SYSCTL}/perf_event_mlock_kb"),
        status=_attempt(lambda: procfs.status(kernel, "self")),
        own_namespace=(_text(kernel, "/proc/self/uid_map") or "0 0 4294967295").split() != _WHOLE_ID_MAP,
        memlock=limits.get("Max locked memory", unlimited),
        files=limits.get("Max open files", unlimited),
        container=_container(kernel),
    )


def diagnose(
    kernel: Kernel,
    *,
    pages: int = 16,
    cpus: Sequence[int] | None = None,
    user_only: bool = False,
    events: int = 8,
) -> tuple[Finding, ...]:
    """What stands in the way of a session with such rings, and what mends it. Opens nothing.

    Args:
        kernel: its /proc, /sys and tracefs are read.
        pages: data pages of each ring, rounded up to a power of two.
        cpus: the CPUs to record; all that are online when None.
        user_only: ask for what an unprivileged user can have: his own tasks, without the kernel's part.
        events: how many descriptors each ring needs besides its leader's.

    Raises:
        ValueError: pages or events is below its least value.
    """
    if events < 0:
        raise ValueError(f"events={events} must be at least 0")
    facts = gather(kernel)
    data_pages = ring_data_bytes(pages, kernel.page_size) // kernel.page_size
    rings = len(facts.online if cpus is None else cpus)
    found = [
        _cpus(facts, cpus),
        _paranoid(facts, user_only=user_only),
        _capabilities(facts, user_only=user_only),
        seccomp(facts),
        _lockdown(kernel),
        mlock(facts, rings, data_pages),
        files(facts, rings * (1 + events)),
        _tracefs(kernel),
        _pmus(kernel),
        _sampling(kernel),
    ]
    return tuple(finding for finding in found if finding)


def _cpus(facts: Facts, cpus: Sequence[int] | None) -> Finding:
    online = procfs.format_cpu_list(facts.online)
    missing = sorted(set(cpus or ()) - set(facts.online))
    if missing:
        wrong = procfs.format_cpu_list(missing)
        return Finding("cpus", Severity.ERROR, f"cpu {wrong} is not online; online are {online}")
    return Finding("cpus", Severity.OK, f"online: {online}")


def _paranoid(facts: Facts, *, user_only: bool) -> Finding:
    if facts.level is None:
        text = "kernel.perf_event_paranoid cannot be read: this kernel may have been built without perf events"
        return Finding("paranoid", Severity.WARN, text)
    found = f"kernel.perf_event_paranoid is {facts.level}"
    if facts.privileged:
        return Finding("paranoid", Severity.OK, f"{found}; it does not apply: {_why_privileged(facts)}")
    if user_only:
        return _paranoid_for_own_tasks(found, facts.level)
    if facts.level > LEVEL_FOR_CPU:
        text = f"{found}: recording whole CPUs needs {LEVEL_FOR_CPU} or less, payloads of tracepoints {LEVEL_FOR_RAW}"
        return Finding("paranoid", Severity.ERROR, text, set_level(LEVEL_FOR_CPU))
    if facts.level > LEVEL_FOR_RAW:
        text = f"{found}: whole CPUs can be recorded, but payloads of tracepoints need {LEVEL_FOR_RAW}"
        return Finding("paranoid", Severity.WARN, text, set_level(LEVEL_FOR_RAW))
    return Finding("paranoid", Severity.OK, f"{found}: everything is permitted")


def _paranoid_for_own_tasks(found: str, level: int) -> Finding:
    if level > LEVEL_FOR_USER:
        text = f"{found}: Debian, Ubuntu and Android kernels forbid everything above 2, others take it as 2"
        return Finding("paranoid", Severity.WARN, text, set_level(LEVEL_FOR_USER))
    return Finding("paranoid", Severity.OK, f"{found}: own tasks can be recorded without the kernel's part")


def set_level(level: int) -> str:
    """The command that sets kernel.perf_event_paranoid until the next boot."""
    return f"sudo sysctl -w kernel.perf_event_paranoid={level}"


def _why_privileged(facts: Facts) -> str:
    return "this process has " + ("CAP_PERFMON" if facts.has("CAP_PERFMON") else "CAP_SYS_ADMIN")


def grant(*capabilities: str) -> str:
    """The command that gives this interpreter capabilities."""
    names = ",".join(capabilities).lower()
    return f"sudo setcap {names}=ep {os.path.realpath(sys.executable)}"


def _capabilities(facts: Facts, *, user_only: bool) -> Finding:
    if facts.status is None:
        return Finding("capabilities", Severity.WARN, "/proc/self/status cannot be read")
    if facts.own_namespace:
        text = (
            "this process lives in a user namespace of its own: whatever capabilities it has there, the kernel ignores"
        )
        return Finding("capabilities", Severity.WARN, text)
    missing = [name for name in ("CAP_PERFMON", "CAP_IPC_LOCK", "CAP_SYS_PTRACE") if not facts.has(name)]
    if facts.privileged and "CAP_PERFMON" in missing:
        missing.remove("CAP_PERFMON")  # CAP_SYS_ADMIN stands in for it
    if not missing:
        return Finding(
            "capabilities", Severity.OK, "all that matter are held (CAP_PERFMON, CAP_IPC_LOCK, CAP_SYS_PTRACE)"
        )
    text = f"uid {facts.status.uid} lacks {', '.join(missing)}"
    if user_only:
        return Finding("capabilities", Severity.OK, f"{text}; own tasks need none")
    return Finding("capabilities", Severity.WARN, text, grant(*missing))


def seccomp(facts: Facts) -> Finding:
    """Whether a filter on system calls may be in the way (K33)."""
    place = f" (in a {facts.container} container)" if facts.container else ""
    if facts.status is None or not facts.status.seccomp:
        return Finding("seccomp", Severity.OK, f"no filter on system calls{place}")
    text = f"a filter on system calls is active{place}; it may refuse perf_event_open whatever else is permitted"
    mend = "docker run --cap-add PERFMON --security-opt seccomp=unconfined ..." if facts.container else None
    return Finding("seccomp", Severity.WARN, text, mend)


def _lockdown(kernel: Kernel) -> Finding | None:
    modes = _text(kernel, "/sys/kernel/security/lockdown")
    if modes is None:
        return None
    mode = modes.partition("[")[2].partition("]")[0]
    if mode == "confidentiality":
        return Finding(
            "lockdown", Severity.WARN, "confidentiality: the kernel closes tracefs, and registers of the kernel"
        )
    return Finding("lockdown", Severity.OK, mode or modes.strip())


def mlock(facts: Facts, rings: int, data_pages: int) -> Finding:
    """Whether rings of so many data pages can be mapped (K32): one page each goes on top for the metadata."""
    asked = rings * (1 + data_pages)
    free = facts.locked_pages_free
    size = f"{rings} rings of 1 + {data_pages} pages are {_kib(asked, facts)}"
    if free is None:
        return Finding("mlock", Severity.OK, f"{size}; no limit applies to this process")
    budget = (
        f"allowed are {_kib(free, facts)}: {facts.mlock_kb} KiB x {len(facts.online)} online CPUs "
        f"(kernel.perf_event_mlock_kb) and RLIMIT_MEMLOCK {(facts.memlock.soft or 0) // 1024} KiB"
    )
    if asked <= free:
        return Finding("mlock", Severity.OK, f"{size}; {budget}; other rings of this user count too")
    text = f"{size}; {budget}; {_largest(free, rings)}"
    needed = -(-asked // len(facts.online)) * facts.page_size // 1024
    return Finding("mlock", Severity.ERROR, text, f"sudo sysctl -w kernel.perf_event_mlock_kb={needed}")


def _kib(pages: int, facts: Facts) -> str:
    return f"{pages * facts.page_size // 1024} KiB"


def _largest(free: int, rings: int) -> str:
    """The largest power of two that fits."""
    data = free // rings - 1
    return f"the largest that fits is {1 << data.bit_length() - 1} pages" if data >= 1 else "not even 1 page fits"


def files(facts: Facts, needed: int) -> Finding:
    """Whether so many descriptors can be open at a time."""
    soft = facts.files.soft
    text = f"{needed} descriptors or so are needed, RLIMIT_NOFILE is {'unlimited' if soft is None else soft}"
    # What the process has open already is not known here; a few dozen are usual.
    if soft is None or needed + 32 <= soft:
        return Finding("files", Severity.OK, text)
    return Finding("files", Severity.ERROR, text, raise_files(facts, max(1024, 2 * needed)))


def raise_files(facts: Facts, count: int) -> str:
    """The command that lets this shell's children open so many descriptors."""
    hard = facts.files.hard
    within = hard is None or count <= hard
    return f"ulimit -n {count}" if within else f"sudo prlimit --pid $$ --nofile={count}:{count}"


def _tracefs(kernel: Kernel) -> Finding:
    mount = tracefs.find_mount(kernel)
    if mount is None:
        text = "not mounted: tracepoints cannot be found by name"
        return Finding("tracefs", Severity.WARN, text, tracefs.MOUNT_COMMAND)
    if not mount.readable:
        text = f"{mount.path} is not readable for this user: tracepoints cannot be found by name"
        return Finding("tracefs", Severity.WARN, text, tracefs.readable_command(mount.path))
    return Finding("tracefs", Severity.OK, f"readable at {mount.path}")


def _pmus(kernel: Kernel) -> Finding:
    path = "/sys/bus/event_source/devices"
    names = _attempt(lambda: sorted(kernel.list_dir(path)))
    if names is None:
        return Finding("pmus", Severity.WARN, f"{path} cannot be listed")
    hardware = any(name.startswith(("cpu", "armv8", "apple")) for name in names)
    note = "" if hardware else "; no hardware counters, as in most virtual machines: cpu-clock does the profiling"
    return Finding("pmus", Severity.OK, ", ".join(names) + note)


def _sampling(kernel: Kernel) -> Finding | None:
    rate = sample_rate_limit(kernel)
    stack = _number(kernel, f"{_SYSCTL}/perf_event_max_stack")
    if rate is None and stack is None:
        return None
    return Finding(
        "sampling", Severity.OK, f"up to {rate or '?'} samples/s per CPU, call chains up to {stack or '?'} frames"
    )


def sample_rate_limit(kernel: Kernel) -> int | None:
    """kernel.perf_event_max_sample_rate: samples per second; a higher frequency is refused (K30)."""
    return _number(kernel, f"{_SYSCTL}/perf_event_max_sample_rate")


def _container(kernel: Kernel) -> str | None:
    for path, name in _CONTAINER_FILES:
        if _text(kernel, path) is not None:
            return name
    groups = _text(kernel, "/proc/1/cgroup") or ""
    return next((word for word in _CONTAINER_WORDS if word in groups), None)


def _text(kernel: Kernel, path: str) -> str | None:
    return _attempt(lambda: kernel.read_text(path))


def _number(kernel: Kernel, path: str) -> int | None:
    return _attempt(lambda: int(kernel.read_text(path)))


def _attempt(read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except (OSError, ValueError, LookupError, NotImplementedError):
        return None


def problems(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that are not `Severity.OK`."""
    return tuple(finding for finding in findings if finding.severity is not Severity.OK)
