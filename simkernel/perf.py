"""perf events as system calls see them: open, close, map, redirect."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NoReturn

from perfring.abi import PERF_FLAG_FD_NO_GROUP, PERF_FLAG_FD_OUTPUT, PERF_FLAG_PID_CGROUP
from simkernel import validation
from simkernel.activity import Activity
from simkernel.event import PerfEvent, State
from simkernel.mapping import Ring
from simkernel.output import Output
from simkernel.perffile import PerfFile
from simkernel.readiness import os_error
from simkernel.ringbuf import READABLE, RingBuffer, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.abi import PerfEventAttr
    from simkernel.event import Context
    from simkernel.machine import Machine
    from simkernel.tasks import Task

__all__ = ["Perf"]

_KNOWN_FLAGS: Final = 15
_LARGEST_PAGES: Final = 1 << 19
"""Data pages from which the machine has not got the memory (measured on one of 4 GB)."""
_READ_ONLY_SIZE: Final = 8
_POLL_IN: Final = 1
_POLLIN: Final = 0x1


def _refuse(code: int) -> NoReturn:
    raise os_error(code)


class Perf:
    """The perf subsystem.

    Args:
        machine: the machine.
        on_signal: told of what may be a SIGIO: the file and its si_code (K20).

    Attributes:
        output, activity, counting: its parts.
        rings: all that are mapped, oldest first.
        events: all that are open, oldest first, without inherited ones.
    """

    def __init__(self, machine: Machine, on_signal: Callable[[PerfFile, int], None]) -> None:
        self._machine = machine
        self._on_signal = on_signal
        self._next_id = 1
        self._locked_pages = 0
        self.rings: list[Ring] = []
        self.events: list[PerfEvent] = []
        self.output = Output(machine.clock, machine.rules, self._wake)
        self.activity = Activity(
            machine.clock,
            machine.scheduler,
            self.output,
            machine.tracepoints,
            self.events,
            on_overflow=self._overflowed,
            on_hangup=self._hung_up,
            on_exit=machine.forget_task,
            max_rate=lambda: machine.settings.max_sample_rate,
            release=machine.features,
        )
        self.counting = self.activity.counting
        machine.scheduler.watcher = self.activity

    # perf_event_open(2) and its end.

    def open(self, attr: PerfEventAttr, pid: int, cpu: int, group: PerfFile | None, flags: int) -> PerfFile:
        """All of perf_event_open(2) behind the look-up of the group's descriptor; ``attr`` is the kernel's copy."""
        machine = self._machine
        if group is not None and group.event.state <= State.EXIT and machine.features.dead_group_first:
            _refuse(errno.ENODEV)
        leader = None if flags & PERF_FLAG_FD_NO_GROUP or group is None else group.event
        task = None if flags & PERF_FLAG_PID_CGROUP else self._task(pid)
        if task is not None and leader is not None and leader.attr.inherit != attr.inherit:
            _refuse(errno.EINVAL)
        validation.check_kind(machine, attr, task, cpu)
        if flags & PERF_FLAG_PID_CGROUP:
            _refuse(errno.EBADF)  # the machine has no cgroup directory that a descriptor could be of
        offset = validation.clock_offset(attr)
        validation.check_target_rights(machine, task)
        if cpu != -1 and task is None and not machine.cpus[cpu].online:
            _refuse(errno.ENODEV)
        context = machine.cpus[cpu].context if task is None else task.context
        if leader is not None:
            validation.check_group(attr, offset, context, cpu, leader)
        event = self._make(attr, context, cpu, offset, leader=leader)
        if flags & PERF_FLAG_FD_OUTPUT and group is not None:
            self._set_first_output(event, group.event)
        self.events.append(event)
        self.counting.install(event)
        return PerfFile(event, self.close, readable=READABLE if machine.features.rdnorm else _POLLIN)

    def _set_first_output(self, event: PerfEvent, target: PerfEvent) -> None:
        """PERF_FLAG_FD_OUTPUT. What is refused has never been in the group."""
        try:
            self.set_output(event, target)
        except OSError:
            self._leave_group(event)
            raise

    def _task(self, pid: int) -> Task | None:
        if pid == -1:
            return None
        task = self._machine.scheduler.current if pid == 0 else self._machine.tasks.get(pid)
        if task is None:
            _refuse(errno.ESRCH)
        return task

    def _make(
        self,
        attr: PerfEventAttr,
        context: Context,
        cpu: int,
        offset: int,
        *,
        leader: PerfEvent | None,
        parent: PerfEvent | None = None,
    ) -> PerfEvent:
        number, self._next_id = self._next_id, self._next_id + 1
        max_stack = attr.sample_max_stack or self._machine.settings.max_stack
        event = PerfEvent(
            attr,
            number,
            context,
            cpu,
            clock_offset=offset,
            max_stack=max_stack,
            no_data_source=self._machine.features.no_data_source,
            leader=leader,
            parent=parent,
        )
        if leader is not None:
            leader.siblings.append(event)
            for member in (leader, *leader.siblings):
                member.room_for = 0
            leader.generation += 1
        if event.is_clock and event.freq and attr.sample_freq:
            # cpu-clock and task-clock make a period of a frequency once and for all.
            attr.sample_period = event.sample_period = event.last_period = event.period_left = 10**9 // attr.sample_freq
            attr.freq = event.freq = False
        return event

    def inherit(self, event: PerfEvent, child: Task, leader: PerfEvent | None) -> PerfEvent:
        """An event of a forked child (K19, K40)."""
        attr = event.attr.copy()
        attr.disabled = event.state <= State.OFF
        first = event.first
        copy = self._make(attr, child.context, event.cpu, event.clock_offset, leader=leader, parent=first)
        copy.filter = event.filter
        first.children.append(copy)
        self.counting.install(copy)
        return copy

    def close(self, event: PerfEvent) -> None:
        """The last reference to the file is gone: the event, and what children inherited of it, is no more."""
        for member in (*event.children, event):
            self.counting.retire(member, State.EXIT)
            self._leave_group(member)
        event.children.clear()
        Ring.detach(event)
        self.events.remove(event)

    def _leave_group(self, event: PerfEvent) -> None:
        """A follower goes; of a leader that goes, every follower becomes a group of its own."""
        if event.leader is not event:
            event.leader.siblings.remove(event)
            event.leader.generation += 1
            return
        room_for = 1 + len(event.siblings) if self._machine.features.orphans_read_as_groups else 0
        for sibling in event.siblings:
            sibling.leader, sibling.turn = sibling, sibling.context.take_turn()
            sibling.room_for = room_for
        event.siblings = []

    # Rings.

    def map(self, file: PerfFile, pages: int, *, writable: bool) -> Ring:
        """mmap(2) of ``pages`` data pages (K1, K3, K27, K28, K32)."""
        event = file.event
        if pages and pages & (pages - 1):
            _refuse(errno.EINVAL)
        ring = event.ring
        if ring is not None:
            if ring.buffer.data_size != pages * self._machine.page_size:
                _refuse(errno.EINVAL)
            if not file.maps and not self._machine.features.redirected_maps:
                _refuse(errno.EBUSY)
        else:
            ring = self._new_ring(event, pages, overwrite=not writable)
        ring.maps += 1
        file.maps += 1
        file.refs += 1
        return ring

    def _new_ring(self, event: PerfEvent, pages: int, *, overwrite: bool) -> Ring:
        locked = pages + 1
        if not self._may_lock(locked):
            _refuse(errno.EPERM)
        if pages >= _LARGEST_PAGES:
            _refuse(errno.ENOMEM)
        attr = event.attr
        buffer = RingBuffer(
            pages * self._machine.page_size,
            page_size=self._machine.page_size,
            watermark=attr.wakeup_watermark if attr.watermark else 0,
            overwrite=overwrite,
            backward=attr.write_backward,
        )
        ring = Ring(buffer, locked)
        buffer.on_wakeup = lambda writer: self._signalled(ring, writer)
        self._locked_pages += locked
        self.rings.append(ring)
        ring.attach(event)
        event.update_times()
        buffer.update_page(0, event.enabled_ns, event.running_ns)
        return ring

    def _may_lock(self, pages: int) -> bool:
        settings = self._machine.settings
        free = (settings.mlock_kb << 10) // self._machine.page_size * len(self._machine.online())
        beyond = max(self._locked_pages + pages - free, 0)
        before = max(self._locked_pages - free, 0)
        if settings.memlock is None or settings.paranoid <= -1 or "CAP_IPC_LOCK" in settings.capabilities:
            return True
        return beyond == before or beyond * self._machine.page_size <= settings.memlock

    def unmap(self, file: PerfFile, ring: Ring) -> None:
        """munmap(2). The last one takes every event off the ring, and wakes who waits: POLLHUP (K26, K45)."""
        ring.maps -= 1
        file.maps -= 1
        if not ring.maps:
            for event in tuple(ring.events):
                Ring.detach(event)
                if event.file is not None:
                    event.file.wake()
            self.rings.remove(ring)
            self._locked_pages -= ring.locked_pages
        elif not file.maps:
            Ring.detach(file.event)
        file.drop()

    def set_output(self, event: PerfEvent, target: PerfEvent | None) -> None:
        """SET_OUTPUT: records of ``event`` go into the ring of ``target`` from now on, or nowhere (K25)."""
        if target is not None and not self._may_redirect(event, target):
            _refuse(errno.EINVAL)
        if event.file is not None and event.file.maps:
            _refuse(errno.EINVAL)
        had_one = event.ring is not None
        if target is None:
            Ring.detach(event)
        elif target.ring is None:
            _refuse(errno.EINVAL)
        else:
            target.ring.attach(event)
        if had_one and event.file is not None:
            event.file.wake()  # a wakeup may have been missed between the rings

    @staticmethod
    def _may_redirect(event: PerfEvent, target: PerfEvent) -> bool:
        return (
            event is not target
            and target.cpu == event.cpu
            and not (target.cpu == -1 and target.target is not event.target)
            and target.clock_offset == event.clock_offset
            and target.attr.write_backward == event.attr.write_backward
        )

    # Wakeups.

    def _signalled(self, ring: Ring, writer: Writer) -> None:
        event = writer.owner
        if isinstance(event, PerfEvent):
            self.output.signal(ring, event)

    def _wake(self, ring: Ring, event: PerfEvent) -> None:
        """Wakes who waits for any event of the ring, the one that joined last first: he takes the latch (K17)."""
        for member in reversed(ring.events):
            if member.file is not None:
                member.file.wake()
        if event.file is None:
            return
        # One signal, whether a sample or the watermark is the reason, or both.
        if event.pending or self._machine.features.signal_at_watermark:
            self._on_signal(event.file, event.pending or _POLL_IN)
            event.pending = 0

    def _overflowed(self, event: PerfEvent) -> None:
        # Without O_ASYNC it stays pending until somebody is woken.
        if event.file is not None and event.file.is_async:
            self._tell_pending(event)

    def _tell_pending(self, event: PerfEvent) -> None:
        if event.file is not None and event.pending:
            self._on_signal(event.file, event.pending)
        event.pending = 0

    def _hung_up(self, event: PerfEvent) -> None:
        """A task is gone: whoever waits for the ring looks, for he may find POLLHUP. Without a ring nobody is told."""
        for member in reversed(event.ring.events if event.ring is not None else ()):
            if member.file is not None:
                member.file.wake()
        self._tell_pending(event)
