"""Opens what a plan asks for, one ring per CPU, and takes it all back when one step is refused.

Per CPU, in this order: the leader is opened and mapped, which fixes the ring's watermark from the leader's attr (K8);
then each event is opened for each target and redirected into the ring, which the leader must have by then (K25).
"""

from __future__ import annotations

import errno
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfring import abi, permissions, procfs
from perfring.errors import CpuNotOnline, EventRefused, FilterRefused, PerfringError, TargetNotFound
from perfring.geometry import ring_data_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfring.kernel import Kernel, Mapping
    from perfring.plan import EventSpec, SessionPlan

__all__ = ["OpenEvent", "OpenRing", "Opener"]

_WHOLE_CPU = -1
_FEW_DESCRIPTORS = 256
"""So many are open to everybody, and a session that needs no more is not worth a look at the limit."""


@dataclass(slots=True, frozen=True)
class OpenEvent:
    """One event fd.

    Attributes:
        spec: what it is.
        fd: its descriptor.
        id: the kernel's id of it, as in its records.
        tid: the thread that it follows, -1 for every one on the CPU.
        read_format: what read(2) of it returns; without PERF_FORMAT_LOST where the kernel does not know that (K22).
    """

    spec: EventSpec
    fd: int
    id: int
    tid: int
    read_format: int


@dataclass(slots=True)
class OpenRing:
    """One CPU's ring and all that writes into it; the leader is the first of ``events``."""

    cpu: int
    events: list[OpenEvent] = field(default_factory=list)
    mapping: Mapping | None = None

    @property
    def leader(self) -> OpenEvent:
        """The mapped event."""
        return self.events[0]

    def close(self, kernel: Kernel) -> None:
        """Unmaps and closes everything. In a forked child the mapping only forgets itself (K45).

        Raises:
            OSError: an fd was closed by somebody else; the others are closed all the same.
        """
        mapping, self.mapping = self.mapping, None
        if mapping is not None:
            mapping.close()
        refused: OSError | None = None
        while self.events:
            try:
                kernel.close(self.events.pop().fd)
            except OSError as error:
                refused = error
        if refused is not None:
            raise refused


class Opener:
    """Carries out a plan on a kernel."""

    def __init__(self, kernel: Kernel, plan: SessionPlan) -> None:
        self._kernel = kernel
        self._plan = plan
        # Found out once, by the first refusal: kernels before 6.0 know it only where it was backported (K22).
        self._counts_lost = True

    def open_all(self) -> list[OpenRing]:
        """Opens every ring of the plan, ascending by CPU.

        Raises:
            CpuNotOnline: a target CPU is not there.
            TargetNotFound: a target process is not there.
            PermissionDenied: the kernel, or seccomp, does not permit it.
            FilterRefused: the kernel does not take a filter.
            EventRefused: it refused something else, or EMFILE: RLIMIT_NOFILE is below what the session needs; nothing
                is left open in any of these cases.
        """
        cpus, tids = self._cpus(), self._tids()
        self._refuse_too_many(len(cpus), len(tids))
        rings: list[OpenRing] = []
        try:
            for cpu in cpus:
                rings.append(OpenRing(cpu))
                self._open_ring(rings[-1], tids)
        except BaseException:
            _close_all(rings, self._kernel)
            raise
        return rings

    def add_event(self, rings: Sequence[OpenRing], spec: EventSpec) -> list[OpenEvent]:
        """Opens one more event in every ring, still disabled; all or none. Raises as `open_all`."""
        tids = self._live_tids()
        before = [len(ring.events) for ring in rings]
        try:
            added = [event for ring in rings for event in self._redirected(ring, spec, tids)]
            if not added:
                raise self._all_gone()
        except BaseException:
            for ring, count in zip(rings, before, strict=True):
                while len(ring.events) > count:
                    self._kernel.close(ring.events.pop().fd)
            raise
        return added

    def _refuse_too_many(self, cpus: int, tids: int) -> None:
        """The kernel would say so too, but only at the first that does not fit.

        To close what fits takes it 36 ms for each tracepoint (K53): half a minute for a limit of 1024, in
        which nobody knows what goes on.
        """
        each = len(self._plan.events) * tids
        needed = cpus * (1 + each)
        if needed > _FEW_DESCRIPTORS and (reason := permissions.too_few_files(self._kernel, needed)):
            events = f"{len(self._plan.events)} events" + (f" for {tids} threads" if tids > 1 else "")
            text = f"a session of {events} on {cpus} CPUs {reason}"
            raise EventRefused(errno.EMFILE, text, event=self._plan.leader.name)

    def _cpus(self) -> tuple[int, ...]:
        online = self._kernel.online_cpus()
        if self._plan.cpus is None:
            return online
        for cpu in self._plan.cpus:
            if cpu not in online:
                there = procfs.format_cpu_list(online)
                text = f"target cpu {cpu} is not online; online are {there}: name some of these"
                raise CpuNotOnline(cpu, online, text)
        return self._plan.cpus

    def _tids(self) -> tuple[int, ...]:
        if self._plan.pids is None:
            return (_WHOLE_CPU,)
        # A thread's own id names its whole process as well, and nothing may be opened and recorded twice.
        return tuple(dict.fromkeys(tid for pid in self._plan.pids for tid in procfs.threads(self._kernel, pid)))

    def _live_tids(self) -> tuple[int, ...]:
        """As `_tids`, of the targets that are left: an open session outlives some of them."""
        if self._plan.pids is None:
            return (_WHOLE_CPU,)
        found: dict[int, None] = {}
        for pid in self._plan.pids:
            with suppress(TargetNotFound):
                found.update(dict.fromkeys(procfs.threads(self._kernel, pid)))
        return tuple(found)

    def _open_ring(self, ring: OpenRing, tids: tuple[int, ...]) -> None:
        leader = self._open_leader(ring, tids)
        length = self._kernel.page_size + ring_data_bytes(self._plan.page_count, self._kernel.page_size)
        try:
            ring.mapping = self._kernel.mmap(leader.fd, length, writable=not self._plan.overwrite)
        except OSError as error:
            raise self._explain(error, self._plan.leader, leader.tid, ring.cpu, mapped=True) from error
        for spec in self._plan.events:
            opened = sum(1 for _ in self._redirected(ring, spec, tids))
            if not opened:
                raise self._all_gone()

    def _open_leader(self, ring: OpenRing, tids: tuple[int, ...]) -> OpenEvent:
        """Opens the leader for the first target that is still there: any of them will do, for it writes no samples."""
        for tid in tids:
            event = self._open_event(ring, self._plan.leader, tid)
            if event is not None:
                return event
        raise self._all_gone()

    def _redirected(self, ring: OpenRing, spec: EventSpec, tids: tuple[int, ...]) -> Iterator[OpenEvent]:
        for tid in tids:
            event = self._open_event(ring, spec, tid)
            if event is None:
                continue
            try:
                self._kernel.ioctl(event.fd, abi.PERF_EVENT_IOC_SET_OUTPUT, ring.leader.fd)
            except OSError as error:
                text = (
                    f"{spec.name} could not be redirected into the ring of cpu {ring.cpu}: {_errno_name(error)} (K25)"
                )
                raise EventRefused(error.errno or 0, text, event=spec.name, pid=tid, cpu=ring.cpu) from error
            if spec.filter is not None:
                self._set_filter(event, spec.filter)
            yield event

    def _open_event(self, ring: OpenRing, spec: EventSpec, tid: int) -> OpenEvent | None:
        """Opens one event and notes it in the ring at once; None when its thread is gone by now."""
        attr = spec.attr.copy()  # the kernel may write into it (K29)
        try:
            fd = self._open_fd(attr, tid, ring.cpu)
        except OSError as error:
            if error.errno == errno.ESRCH and tid != _WHOLE_CPU:
                return None
            raise self._explain(error, spec, tid, ring.cpu) from error
        event = OpenEvent(spec, fd, self._id_of(fd), tid, attr.read_format)
        ring.events.append(event)
        return event

    def _open_fd(self, attr: abi.PerfEventAttr, tid: int, cpu: int) -> int:
        """perf_event_open(2), asking for the count of losses where the kernel has one."""
        if not self._counts_lost:
            attr.read_format &= ~abi.PERF_FORMAT_LOST
        try:
            return self._kernel.perf_event_open(attr, tid, cpu, -1, abi.PERF_FLAG_FD_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EINVAL or not attr.read_format & abi.PERF_FORMAT_LOST:
                raise
        attr.read_format &= ~abi.PERF_FORMAT_LOST
        fd = self._kernel.perf_event_open(attr, tid, cpu, -1, abi.PERF_FLAG_FD_CLOEXEC)
        self._counts_lost = False
        return fd

    def _id_of(self, fd: int) -> int:
        answer = bytearray(8)
        try:
            self._kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer)
        except BaseException:
            self._kernel.close(fd)
            raise
        found: int = struct.unpack("=Q", answer)[0]
        return found

    def _set_filter(self, event: OpenEvent, expression: str) -> None:
        try:
            self._kernel.ioctl(event.fd, abi.PERF_EVENT_IOC_SET_FILTER, expression.encode() + b"\0")
        except OSError as error:
            text = (
                f"the kernel refused the filter {expression!r} of {event.spec.name} ({_errno_name(error)}): "
                f"{_fields_of(event.spec)}; strings compare with == and ~, numbers also with < > &"
            )
            raise FilterRefused(error.errno or 0, text, event=event.spec.name, filter=expression) from error

    def _all_gone(self) -> TargetNotFound:
        pids = self._plan.pids or ()
        return TargetNotFound(
            pids[0], f"target process {', '.join(map(str, pids))} exited while the session was opened"
        )

    def _explain(self, error: OSError, spec: EventSpec, tid: int, cpu: int, *, mapped: bool = False) -> PerfringError:
        """The error that tells a person what to do about it."""
        return permissions.explain(
            self._kernel,
            error,
            attr=spec.attr,
            pid=tid,
            cpu=cpu,
            pages=self._plan.page_count,
            event=spec.name,
            mapped=mapped,
        )


def _close_all(rings: Sequence[OpenRing], kernel: Kernel) -> None:
    for ring in rings:
        ring.close(kernel)


def _fields_of(spec: EventSpec) -> str:
    if spec.format is None:
        return "see the field names in the tracepoint's format file"
    own = ", ".join(field.name for field in spec.format.fields) or "none of its own"
    return f"its fields are {own}; all have common_pid"


def _errno_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, f"errno {error.errno}")
