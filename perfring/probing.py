"""Whether a session opens here: not foretold from files, but tried, and closed again.

What is tried is what a session does: a leader per CPU, opened and mapped, all of them at a time, since it takes all of
them to run out of locked memory or descriptors; then a clock that samples and a tracepoint with its payload, redirected
into the rings.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from perfring import abi, procfs, tracefs
from perfring.errors import PerfringError
from perfring.findings import Finding, Severity
from perfring.geometry import ring_data_bytes
from perfring.permissions import explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfring.kernel import Kernel

__all__ = ["PROBED_TRACEPOINT", "blocking", "try_opening"]

PROBED_TRACEPOINT = "syscalls:sys_enter_getppid"
"""A tracepoint that every kernel with system call tracing has, and whose payload nobody minds."""

_EVERY_TASK, _THIS_THREAD = -1, 0


def try_opening(
    kernel: Kernel, *, pages: int = 16, cpus: Sequence[int] | None = None, user_only: bool = False
) -> tuple[Finding, ...]:
    """Opens and maps a ring on each CPU and tries the kinds of events; closes everything before it returns.

    Args:
        kernel: where to open them.
        pages: data pages of each ring, rounded up to a power of two.
        cpus: the CPUs; all that are online when None.
        user_only: try it for this thread, without the kernel's part, instead of for every task.

    Returns:
        A finding each for ``rings``, ``clock`` and ``tracepoints``; what could not be tried is left out. Without
        rings nothing can be recorded, and no tracepoint is only a warning: see `blocking`.
    """
    wanted = tuple(kernel.online_cpus() if cpus is None else cpus)
    with ExitStack() as opened:
        attempt = _Attempt(kernel, opened, wanted, ring_data_bytes(pages, kernel.page_size), user_only=user_only)
        rings = attempt.rings()
        if rings.severity is not Severity.OK:
            return (rings,)
        return (rings, attempt.clock(), attempt.tracepoint())


def blocking(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of `try_opening` that a session cannot do without."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


class _Attempt:
    """The events of one trial; whatever it opens, the stack closes."""

    def __init__(
        self, kernel: Kernel, opened: ExitStack, cpus: tuple[int, ...], data_bytes: int, *, user_only: bool
    ) -> None:
        self._kernel = kernel
        self._opened = opened
        self._cpus = cpus
        self._pages = data_bytes // kernel.page_size
        self._pid = _THIS_THREAD if user_only else _EVERY_TASK
        self._user_only = user_only
        self._leaders: dict[int, int] = {}

    def rings(self) -> Finding:
        try:
            for cpu in self._cpus:
                self._leaders[cpu] = self._ring(cpu)
        except PerfringError as refused:
            return Finding("rings", Severity.ERROR, *_text_and_mend(refused))
        whose = "for this thread" if self._user_only else "for every task"
        text = (
            f"opened and mapped {self._pages} pages on each of the cpus {procfs.format_cpu_list(self._cpus)}, {whose}"
        )
        return Finding("rings", Severity.OK, text)

    def clock(self) -> Finding:
        attr = self._attr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_CPU_CLOCK)
        attr.freq, attr.sample_freq = True, 99
        return self._on_every_ring("clock", "cpu-clock", attr, "profiling by cpu-clock opens")

    def tracepoint(self) -> Finding:
        try:
            number = tracefs.read_format(self._kernel, PROBED_TRACEPOINT).id
        except (PerfringError, OSError) as missing:
            return Finding("tracepoints", Severity.WARN, *_text_and_mend(missing))
        attr = self._attr(type=abi.PERF_TYPE_TRACEPOINT, config=number)
        attr.sample_period, attr.sample_type = 1, abi.PERF_SAMPLE_RAW
        found = self._on_every_ring(
            "tracepoints", PROBED_TRACEPOINT, attr, f"{PROBED_TRACEPOINT} opens, with its payload"
        )
        return found if found.severity is Severity.OK else found._replace(severity=Severity.WARN)

    def _attr(self, *, type: int, config: int) -> abi.PerfEventAttr:
        return abi.PerfEventAttr(
            type=type,
            config=config,
            disabled=True,
            watermark=True,
            wakeup_watermark=self._kernel.page_size,
            exclude_kernel=self._user_only,
            exclude_hv=True,
        )

    def _ring(self, cpu: int) -> int:
        attr = self._attr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)
        fd = self._open(attr, cpu, "the leader of a ring")
        try:
            mapping = self._kernel.mmap(fd, (1 + self._pages) * self._kernel.page_size)
        except OSError as error:
            raise self._explained(error, attr, cpu, "a ring", mapped=True) from error
        self._opened.callback(mapping.close)
        return fd

    def _on_every_ring(self, topic: str, event: str, attr: abi.PerfEventAttr, success: str) -> Finding:
        try:
            for cpu, leader in self._leaders.items():
                fd = self._open(attr, cpu, event)
                self._kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_OUTPUT, leader)
        except OSError as refused:
            return Finding(topic, Severity.ERROR, *_text_and_mend(refused))
        return Finding(topic, Severity.OK, success)

    def _open(self, attr: abi.PerfEventAttr, cpu: int, event: str) -> int:
        try:
            fd = self._kernel.perf_event_open(attr.copy(), self._pid, cpu, -1, abi.PERF_FLAG_FD_CLOEXEC)
        except OSError as error:
            raise self._explained(error, attr, cpu, event) from error
        self._opened.callback(self._kernel.close, fd)
        return fd

    def _explained(
        self, error: OSError, attr: abi.PerfEventAttr, cpu: int, event: str, *, mapped: bool = False
    ) -> OSError:
        return explain(
            self._kernel, error, attr=attr, pid=self._pid, cpu=cpu, pages=self._pages, event=event, mapped=mapped
        )


def _text_and_mend(refused: Exception) -> tuple[str, str | None]:
    """An error's text without the command at its end, and the command."""
    text, _, mend = str(refused).partition("\nTo mend it: ")
    return text, mend or None
