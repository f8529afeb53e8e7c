"""Refusals explained: an errno of perf_event_open(2) or of mmap(2) becomes an error that says why, and what to do.

The kernel has a handful of errnos for dozens of reasons. Which reason it was follows from what was asked for, and from
what `perfring.findings` reads on the machine; the table there says who may do what.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from perfring import abi, findings, procfs, tracefs
from perfring.errors import EventRefused, PermissionDenied, TargetNotFound
from perfring.findings import Facts, Finding, Severity, diagnose
from perfring.geometry import ring_data_bytes

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from perfring.kernel import Kernel

__all__ = ["Finding", "Severity", "diagnose", "explain", "required_level", "too_few_files"]

_OTHER_FILES = 64
"""What a process has open besides."""
_PERMISSION = frozenset((errno.EPERM, errno.EACCES, errno.ENOSYS))


class _Refusal(NamedTuple):
    """Everything known about one refusal."""

    error: OSError
    attr: PerfEventAttr
    pid: int
    cpu: int
    pages: int
    event: str
    mapped: bool

    @property
    def what(self) -> str:
        """As in ``mapping the ring of cpu-clock on cpu 3 was refused with EPERM``."""
        doing = f"mapping {self.pages} pages for" if self.mapped else "opening"
        target = "on" if self.pid == -1 else f"for {'this thread' if self.pid == 0 else f'thread {self.pid}'} on"
        place = f"{target} {'any cpu' if self.cpu == -1 else f'cpu {self.cpu}'}"
        return f"{doing} {self.event} {place} was refused with {_name(self.error)}"


def required_level(attr: PerfEventAttr, pid: int) -> int | None:
    """The highest kernel.perf_event_paranoid at which everybody may open this event.

    A system call's tracepoint, opened for a thread of one's own, needs less than this says: its payload is no secret.

    Args:
        attr: the event.
        pid: as for perf_event_open(2): -1 is every task on the CPU.

    Returns:
        -1, 0, 1 or 2, or None: no level is low enough, a capability is needed.
    """
    if attr.namespaces:
        return None
    if attr.type == abi.PERF_TYPE_TRACEPOINT and attr.sample_type & abi.PERF_SAMPLE_RAW:
        return findings.LEVEL_FOR_RAW
    if pid == -1:
        return findings.LEVEL_FOR_CPU
    if not attr.exclude_kernel or attr.sample_type & abi.PERF_SAMPLE_PHYS_ADDR:
        return findings.LEVEL_FOR_KERNEL
    return findings.LEVEL_FOR_USER


def explain(
    kernel: Kernel,
    error: OSError,
    *,
    attr: PerfEventAttr,
    pid: int,
    cpu: int,
    pages: int = 0,
    event: str = "the event",
    mapped: bool = False,
) -> PermissionDenied | EventRefused | TargetNotFound:
    """The error to raise in place of what the kernel said.

    Args:
        kernel: asked for /proc and /sys; nothing is opened.
        error: what perf_event_open(2) or mmap(2) raised.
        attr: the event, as it was asked for.
        pid: as in perf_event_open(2): -1 every task, 0 the caller.
        cpu: -1 any.
        pages: data pages of its ring, for what has to do with memory.
        event: its name.
        mapped: it was mmap(2) that refused.

    Returns:
        `PermissionDenied` for EPERM, EACCES and ENOSYS, with the findings that matter; `TargetNotFound` for ESRCH;
        `EventRefused` for all others. The errno is the kernel's.
    """
    refusal = _Refusal(error, attr, pid, cpu, pages, event, mapped)
    number = error.errno or 0
    if number == errno.ESRCH:
        return TargetNotFound(pid, f"{refusal.what}: there is no thread {pid}")
    facts = findings.gather(kernel)
    if number in _PERMISSION:
        reason = _why_denied(kernel, refusal, facts)
        return PermissionDenied(number, _sentence(refusal, reason), findings=(reason, *_besides(kernel, reason)))
    reason = _why_impossible(kernel, refusal, facts)
    return EventRefused(number, _sentence(refusal, reason), event=event, pid=pid, cpu=cpu)


def too_few_files(kernel: Kernel, needed: int) -> str | None:
    """What is said of so many descriptors when RLIMIT_NOFILE is below them; None when it is not, or cannot be read.

    Args:
        kernel: asked for /proc.
        needed: by a session that is to be opened.
    """
    facts = findings.gather(kernel)
    if facts.files.soft is None or needed <= facts.files.soft:
        return None
    enough = -(-(needed + _OTHER_FILES) // 1024) * 1024
    text = f"needs {needed} descriptors, and RLIMIT_NOFILE allows {facts.files.soft}: record fewer events, or raise it"
    return f"{text}\nTo mend it: {findings.raise_files(facts, enough)}"


def _sentence(refusal: _Refusal, reason: Finding) -> str:
    mend = f"\nTo mend it: {reason.mend}" if reason.mend else ""
    return f"{refusal.what}: {reason.text}{mend}"


def _besides(kernel: Kernel, reason: Finding) -> list[Finding]:
    """What else can have a part in a refusal; the other topics of `diagnose` cannot."""
    topics = {"capabilities", "seccomp", "lockdown"} - {reason.topic}
    return [finding for finding in findings.problems(diagnose(kernel)) if finding.topic in topics]


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, f"errno {error.errno}")


def _because(topic: str, text: str, mend: str | None = None) -> Finding:
    return Finding(topic, Severity.ERROR, text, mend)


def _why_denied(kernel: Kernel, refusal: _Refusal, facts: Facts) -> Finding:
    if refusal.error.errno == errno.ENOSYS:
        return _why_no_such_call(facts)
    if refusal.mapped:
        return _why_not_mapped(refusal, facts)
    if refusal.event in tracefs.NOT_SAMPLED:
        return _because("event", "nobody may sample it, root neither: perf itself works through this tracepoint")
    return (
        _foreign_task(kernel, refusal, facts)
        or _level_too_high(refusal, facts)
        or _filtered(facts)
        or _because("security module", _NO_TRACE)
    )


_NO_TRACE = (
    "nothing in /proc tells why; a security module (SELinux, AppArmor) or a distribution's patch can refuse it without "
    "a trace there: see its log, as with: journalctl -k"
)


def _why_no_such_call(facts: Facts) -> Finding:
    """ENOSYS: this kernel has no perf events, or seccomp pretends so (K33)."""
    if facts.level is None:
        return _because("kernel", "this kernel was built without perf events (CONFIG_PERF_EVENTS)")
    return _filtered(facts) or _because(
        "seccomp", "the kernel has the call, so something on the way to it says it has not"
    )


def _filtered(facts: Facts) -> Finding | None:
    found = findings.seccomp(facts)
    return None if found.severity is Severity.OK else found._replace(severity=Severity.ERROR)


def _why_not_mapped(refusal: _Refusal, facts: Facts) -> Finding:
    """EPERM of mmap(2): locked memory (K32), counted over all rings of the user."""
    found = findings.mlock(facts, len(facts.online), refusal.pages)
    if found.severity is Severity.ERROR:
        return found
    mend = findings.grant("CAP_IPC_LOCK")
    return _because("mlock", f"other rings of this user hold the memory that he may lock; {found.text}", mend)


def _foreign_task(kernel: Kernel, refusal: _Refusal, facts: Facts) -> Finding | None:
    """Another user's thread, or one that may not be inspected: the rule of ptrace(2), whatever the level."""
    if refusal.pid <= 0 or refusal.error.errno != errno.EACCES or facts.privileged or facts.status is None:
        return None
    try:
        owner = procfs.status(kernel, refusal.pid).uid
    except OSError:
        return None
    mend = findings.grant("CAP_PERFMON")
    if owner != facts.status.uid:
        text = f"the thread belongs to uid {owner} and this process to uid {facts.status.uid}, without CAP_PERFMON"
        return _because("capabilities", text, mend)
    if not facts.permits(_level_that_matters(refusal) or findings.LEVEL_FOR_RAW):
        return None
    return _because(
        "capabilities", "the thread may not be inspected, even by its own user: it has changed its ids", mend
    )


def _level_that_matters(refusal: _Refusal) -> int | None:
    attr = refusal.attr
    if refusal.error.errno == errno.EACCES and refusal.pid != -1:
        # The payload of a tracepoint is refused with EPERM: for a task, EACCES is about something else.
        attr = attr.copy(sample_type=attr.sample_type & ~abi.PERF_SAMPLE_RAW)
    return required_level(attr, refusal.pid)


def _level_too_high(refusal: _Refusal, facts: Facts) -> Finding | None:
    level = _level_that_matters(refusal)
    if level is None and not facts.privileged:
        text = "namespace records need CAP_PERFMON, or CAP_SYS_ADMIN before Linux 5.8"
        return _because("capabilities", text, findings.grant("CAP_PERFMON"))
    if level is None or facts.permits(level):
        return None
    text = f"kernel.perf_event_paranoid is {facts.level}, and {_ASKED[level]} needs {level} or less, or CAP_PERFMON"
    if level == findings.LEVEL_FOR_KERNEL:
        text += " (or leave it out: user_only(), exclude_kernel)"
    return _because("paranoid", text, findings.set_level(level))


_ASKED = {
    findings.LEVEL_FOR_RAW: "a tracepoint's payload",
    findings.LEVEL_FOR_CPU: "recording a whole CPU",
    findings.LEVEL_FOR_KERNEL: "recording the kernel's part",
    findings.LEVEL_FOR_USER: "recording anything, on kernels that forbid all above 2 (Debian, Ubuntu, Android),",
}


def _why_impossible(kernel: Kernel, refusal: _Refusal, facts: Facts) -> Finding:
    number = refusal.error.errno
    if number == errno.EMFILE:
        return _out_of_files(facts)
    if number == errno.EINVAL:
        return _why_invalid(kernel, refusal)
    if number == errno.ENODEV and refusal.cpu >= 0 and refusal.cpu not in facts.online:
        return _because("cpus", f"cpu {refusal.cpu} is not online; online are {procfs.format_cpu_list(facts.online)}")
    if number == errno.EBUSY:
        return _because("event", _BUSY_MAPPED if refusal.mapped else _BUSY_COUNTER)
    topic, text = _PLAIN.get(number or 0, ("event", refusal.error.strerror or "the kernel does not say why"))
    return _because(topic, text)


_BUSY_MAPPED = "the event writes into another event's ring, which is the one to map (K27)"
_BUSY_COUNTER = "another session holds the counter for itself (pinned or exclusive), or none is left"
_PLAIN = {
    errno.ENFILE: ("files", "the whole machine is out of open files; see: sysctl fs.file-nr fs.file-max"),
    errno.ENOMEM: ("memory", "the kernel found no memory for it: ask for fewer pages"),
    errno.ENOENT: (
        "pmus",
        "this machine has no such event: hardware events need a PMU, most virtual machines have none: take cpu-clock",
    ),
    errno.EOPNOTSUPP: (
        "pmus",
        "this PMU cannot do it: no interrupt to sample with, or none of the precision asked for",
    ),
    errno.ENODEV: ("pmus", "the event's PMU does not serve this CPU"),
    errno.E2BIG: ("kernel", "the attr asks for something newer than this kernel (K29)"),
    errno.EOVERFLOW: ("sampling", "sample_max_stack is above kernel.perf_event_max_stack"),
    errno.ENOSPC: ("pmus", "no slot is left: the CPU has a handful of breakpoints for all"),
}


def _out_of_files(facts: Facts) -> Finding:
    soft = facts.files.soft or 0
    text = f"all {soft} descriptors that RLIMIT_NOFILE allows are open; a session needs one per event, CPU and thread"
    return _because("files", text, findings.raise_files(facts, 2 * soft))


def _why_invalid(kernel: Kernel, refusal: _Refusal) -> Finding:
    attr = refusal.attr
    if refusal.mapped:
        return _because("event", _why_not_mappable(kernel, refusal))
    if attr.freq and (rate := findings.sample_rate_limit(kernel)) is not None and attr.sample_freq > rate:
        text = f"sample_freq {attr.sample_freq} is above kernel.perf_event_max_sample_rate, {rate}"
        return _because("sampling", text, f"sudo sysctl -w kernel.perf_event_max_sample_rate={attr.sample_freq}")
    if refusal.cpu >= 0 and refusal.cpu not in (online := kernel.online_cpus()):
        return _because("cpus", f"there is no cpu {refusal.cpu}; online are {procfs.format_cpu_list(online)}")
    if refusal.event.startswith(f"{tracefs.TRACER_SYSTEM}:"):
        return _because(
            "event", f"below {tracefs.TRACER_SYSTEM} are the tracer's own entries, and perf takes few of them"
        )
    return _because("event", f"the kernel takes no such combination of attributes: {attr}")


def _why_not_mappable(kernel: Kernel, refusal: _Refusal) -> str:
    if refusal.attr.inherit and refusal.cpu == -1:
        return "an event that is inherited cannot be mapped with cpu -1: open it once per CPU (K28)"
    if refusal.pages and ring_data_bytes(refusal.pages, kernel.page_size) != refusal.pages * kernel.page_size:
        return f"{refusal.pages} data pages are not a power of two (K1)"
    return "a ring is 1 + 2**n pages at offset 0, shared; another mapping of it must have the same size (K1, K3)"
