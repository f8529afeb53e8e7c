"""Every error and warning that perfring raises, in one tree.

Each class also derives from the builtin that a caller would catch anyway (`PermissionError`, `ValueError` ...), carries
what it is about as attributes, and says in its text what was wrong, with which value, and what to do. OSErrors that the
kernel gave keep their errno.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.permissions import Finding

__all__ = [
    "BadRecord",
    "CommandNotStarted",
    "CpuNotOnline",
    "EventRefused",
    "FilterRefused",
    "ForkedSession",
    "PerfDataError",
    "PerfringError",
    "PermissionDenied",
    "RawDataError",
    "SessionBusy",
    "SessionClosed",
    "TargetNotFound",
    "TracepointNotFound",
    "Unsupported",
    "WatermarkError",
    "WatermarkStallWarning",
]


class PerfringError(Exception):
    """The root of the tree: catches everything that perfring itself raises."""


class WatermarkStallWarning(UserWarning):
    """The watermark can fail to wake a reader that only waits: the text names the event that makes it so."""


class WatermarkError(PerfringError, ValueError):
    """A watermark that can never wake the waiting reader, or means something else than it says (K8, K11).

    Attributes:
        watermark: the value asked for, in bytes.
        ring_bytes: the data bytes of one ring.
        page_count: the data pages of one ring, after rounding up.
    """

    def __init__(self, text: str, *, watermark: int, ring_bytes: int, page_count: int) -> None:
        self.watermark = watermark
        self.ring_bytes = ring_bytes
        self.page_count = page_count
        super().__init__(text)


class _RefusedBySystem(PerfringError, OSError):
    """Common to errors that keep the kernel's errno: ``str()`` is the teaching text alone."""

    def __init__(self, errno: int, text: str) -> None:
        self.text = text
        super().__init__(errno, text)

    def __str__(self) -> str:
        return self.text


class EventRefused(_RefusedBySystem):
    """perf_event_open(2), mmap(2) or an ioctl refused an event of the session.

    Attributes:
        event: the event's name.
        pid, cpu: where it was to be opened (-1 = any).
    """

    def __init__(self, errno: int, text: str, *, event: str, pid: int = -1, cpu: int = -1) -> None:
        self.event = event
        self.pid = pid
        self.cpu = cpu
        super().__init__(errno, text)


class PermissionDenied(_RefusedBySystem, PermissionError):
    """The kernel says EPERM or EACCES (or seccomp ENOSYS, K33): the text holds what `perfring doctor` found.

    Attributes:
        findings: the findings that explain it, each with the command that mends it.
    """

    def __init__(self, errno: int, text: str, *, findings: Sequence[Finding] = ()) -> None:
        self.findings = tuple(findings)
        super().__init__(errno, text)


class TargetNotFound(_RefusedBySystem, ProcessLookupError):
    """No such process or thread.

    Attributes:
        pid: the one that is not there.
    """

    def __init__(self, pid: int, text: str) -> None:
        self.pid = pid
        super().__init__(_errno.ESRCH, text)


class CommandNotStarted(_RefusedBySystem):
    """execve(2) refused a command.

    Attributes:
        name: the command.
        status: what a shell would exit with: 127 when there is no such command, else 126.
    """

    NOT_FOUND = 127
    NOT_EXECUTABLE = 126

    def __init__(self, errno: int, name: str) -> None:
        self.name = name
        missing = errno in (_errno.ENOENT, _errno.ENOTDIR)
        self.status = self.NOT_FOUND if missing else self.NOT_EXECUTABLE
        super().__init__(errno, f"{name}: {os.strerror(errno)}")


class CpuNotOnline(_RefusedBySystem):
    """A target CPU is offline, or the machine has none of that number.

    Attributes:
        cpu: the one asked for.
        online: those that are there.
    """

    def __init__(self, cpu: int, online: Sequence[int], text: str) -> None:
        self.cpu = cpu
        self.online = tuple(online)
        super().__init__(_errno.ENODEV, text)


class TracepointNotFound(_RefusedBySystem, FileNotFoundError):
    """The tracepoint is not in tracefs, or tracefs is not mounted.

    Attributes:
        name: ``system:event`` as asked for.
        suggestions: names that look alike.
    """

    def __init__(self, name: str, text: str, *, suggestions: Sequence[str] = ()) -> None:
        self.name = name
        self.suggestions = tuple(suggestions)
        super().__init__(_errno.ENOENT, text)


class FilterRefused(EventRefused, ValueError):
    """The kernel refused an event's filter; nothing was left open.

    Attributes:
        filter: the expression.
    """

    def __init__(self, errno: int, text: str, *, event: str, filter: str) -> None:
        self.filter = filter
        super().__init__(errno, text, event=event)


class Unsupported(PerfringError, NotImplementedError):
    """Something perfring does not do, by decision (AUX rings), or cannot do on this machine."""


class SessionClosed(PerfringError, RuntimeError):
    """The session was closed, before the call or while it waited."""


class SessionBusy(PerfringError, RuntimeError):
    """A second reader wants to read a session: the latch wakes one waiter only, so it would starve the first (K17)."""


class ForkedSession(PerfringError, RuntimeError):
    """The session belongs to the parent process: the mappings are not inherited over fork(2) (K45)."""


class BadRecord(PerfringError, ValueError):
    """A record or a ring that makes no sense. Given to the error callback; the reading goes on behind it.

    Attributes:
        cpu: the CPU of the ring.
        position: where in the stream of that ring, in bytes since its start (a u64, as `data_tail`).
        skipped: how many bytes were skipped because of it.
    """

    def __init__(self, text: str, *, cpu: int, position: int, skipped: int) -> None:
        self.cpu = cpu
        self.position = position
        self.skipped = skipped
        super().__init__(f"cpu {cpu}, byte {position}: {text} ({skipped} bytes skipped)")


class RawDataError(PerfringError, ValueError):
    """A tracepoint's raw data is shorter than its format says, or points outside itself.

    Attributes:
        tracepoint: ``system:event``.
        field: the field that does not fit.
    """

    def __init__(self, text: str, *, tracepoint: str, field: str) -> None:
        self.tracepoint = tracepoint
        self.field = field
        super().__init__(text)


class PerfDataError(PerfringError, ValueError):
    """A perf.data file that is none, is cut off or damaged, or of a form that is not read.

    Attributes:
        path: the file.
        offset: where in it, in bytes from its beginning.
    """

    def __init__(self, text: str, *, path: str, offset: int) -> None:
        self.path = path
        self.offset = offset
        super().__init__(f"{path}, byte {offset}: {text}")
