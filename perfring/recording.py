"""What every session has: the rings of all CPUs, opened together, switched on and off together, closed together."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from perfring import abi
from perfring.common_attr import CommonAttr
from perfring.decoding import Decoder
from perfring.dispatch import Dispatcher
from perfring.errors import EventRefused, ForkedSession, SessionClosed
from perfring.events import Tracepoint
from perfring.guard import Guard
from perfring.layout import EventLayout
from perfring.opening import Opener
from perfring.plan import EventKind
from perfring.planning import warn_of_late_event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from perfring.dispatch import ErrorCallback
    from perfring.kernel import Kernel
    from perfring.opening import OpenEvent, OpenRing
    from perfring.plan import EventSpec, SessionPlan

__all__ = ["Recording"]

_F_DUPFD_CLOEXEC = 1030
"""From linux/fcntl.h; the fcntl module does not exist on Windows, where this file must import."""


class Recording:
    """The open rings of a plan, and the controls of their events. `Session` and `OverwriteSession` read them.

    Args:
        kernel: the kernel behind the seam.
        plan: what to open, from `SessionBuilder.plan`.

    Raises:
        OSError: as `Opener.open_all`; nothing is left open then.
    """

    def __init__(self, kernel: Kernel, plan: SessionPlan) -> None:
        self._kernel = kernel
        self._plan = plan
        self._owner = os.getpid()
        self._closed = self._enabled = False
        self._dispatcher = Dispatcher({spec.name: spec.kind.value for spec in plan.events})
        self._decoder = Decoder(default=_layout(plan.leader))
        self._maps: list[int] = []
        self._guard = Guard(self._release)
        self._opener = Opener(kernel, plan)
        self._opened = self._opener.open_all()
        try:
            for ring in self._opened:
                self._know(ring.events)
        except BaseException:
            self._close_all()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "enabled" if self._enabled else "disabled"
        return f"<{type(self).__name__} on cpus {[ring.cpu for ring in self._opened]}, {state}>"

    @property
    def plan(self) -> SessionPlan:
        """What was opened."""
        return self._plan

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def rings(self) -> tuple[OpenRing, ...]:
        """What is open, ascending by CPU: the events of each ring with their ids. After `close` they have none."""
        return tuple(self._opened)

    def perf_fds(self) -> list[tuple[int, int]]:
        """``[(cpu, fd)]`` of the mapped events, ascending by CPU, for an event loop of your own.

        Whatever asks an fd takes its readiness (K14): drain with `parse_for_cpu` after registering (K15) and on every
        wake, and don't put the fds into an epoll that sits inside another one (K16).
        """
        self._check()
        return [(ring.cpu, ring.leader.fd) for ring in self._opened]

    def add_tracepoint(self, name: str, *, filter: str | None = None) -> None:
        """Adds a tracepoint to the open session; it is enabled if the session is.

        Args:
            name: ``system:event``.
            filter: kernel-side filter.

        Raises:
            TracepointNotFound, FilterRefused, PermissionDenied, EventRefused: nothing is left open of it then.

        Warns:
            WatermarkStallWarning: its records are so large that the watermark, safe until now, can stall. A builder
                with an empty ``TracepointEvents()`` is told of that before anything is opened.
        """
        self._check()
        spec = CommonAttr.of(self._plan).onto(Tracepoint(name, filter=filter).spec(self._kernel))
        warn_of_late_event(self._plan, spec, self._kernel, stacklevel=3)
        self._guard.call(self._add, spec)

    def attach_to_bpf_map(self, map_fd: int | None = None, *, id: int | None = None, path: str | None = None) -> None:
        """Puts each CPU's BPF output event into a BPF_MAP_TYPE_PERF_EVENT_ARRAY, at the index of the CPU.

        Args:
            map_fd: the map's fd, which stays the caller's, to be closed at will; or
            id: the map's id; or
            path: where it is pinned in bpffs.

        Raises:
            ValueError: not exactly one of the three, or the session has no BPF output event.
            EventRefused: there is no such map.
            OSError: bpf(2) refused an event.
        """
        self._check()
        if sum(given is not None for given in (map_fd, id, path)) != 1:
            raise ValueError(f"one of map_fd, id and path names the map: got map_fd={map_fd}, id={id}, path={path!r}")
        outputs = [
            (ring.cpu, event.fd)
            for ring in self._opened
            for event in ring.events
            if event.spec.kind is EventKind.BPF_OUTPUT
        ]
        if not outputs:
            raise ValueError("the session has no BPF output event: build it with_bpf_output_events()")
        held = self._hold_map(map_fd, id if id is not None else path)
        for cpu, fd in outputs:
            self._kernel.bpf_map_update(held, cpu, fd)

    # Recording.

    def enable(self) -> None:
        """Starts all events."""
        self._check()
        self._guard.call(self._switch, True)

    def disable(self) -> None:
        """Stops all events, side-band too (K40). What is in the rings stays there."""
        self._check()
        self._disable()

    def pause(self) -> None:
        """Lets the kernel drop and count records instead of writing them (K23). Idempotent."""
        self._check()
        self._guard.call(self._set_paused, True)

    def resume(self) -> None:
        """Ends `pause`. Idempotent."""
        self._check()
        self._guard.call(self._set_paused, False)

    def on_error(self, callback: ErrorCallback | None) -> None:
        """Sets who is told of failing callbacks and bad records: ``callback(error, record or None)``.

        Without one they go to the ``perfring`` logger.
        """
        self._dispatcher.on_error(callback)

    def close(self) -> None:
        """Stops recording and closes every fd and mapping. Idempotent.

        In a forked child only the child's own descriptors are closed, and the parent goes on recording (K45).
        """
        self._closed = True
        if self._in_child():
            self._close_all()  # and no lock: a thread that held it may not exist here
        else:
            self._guard.close()

    def _check(self) -> None:
        """Refuses what a closed session, or one that belongs to the parent process, cannot do."""
        if self._in_child():
            raise ForkedSession(
                f"this session was opened by process {self._owner}; its rings are not mapped in the forked process "
                f"{os.getpid()} (K45): open a session of its own there"
            )
        if self._closed:
            raise SessionClosed("the session is closed")

    def _in_child(self) -> bool:
        return os.getpid() != self._owner

    def _know(self, events: Iterable[OpenEvent]) -> None:
        """Lets the decoder tell the records of these events by their ids."""
        for event in events:
            self._decoder.add(event.id, _layout(event.spec, read_format=event.read_format))

    def _hold_map(self, map_fd: int | None, named: int | str | None) -> int:
        """An fd of the map, for the session's life: the kernel empties slots with the fd that filled them (K46)."""
        try:
            if map_fd is not None:
                self._maps.append(self._kernel.fcntl(map_fd, _F_DUPFD_CLOEXEC, 0))
            elif named is not None:
                self._maps.append(self._kernel.bpf_map_fd(named))
        except OSError as error:
            what = f"fd {map_fd}" if map_fd is not None else f"{named!r}"
            text = f"the BPF map {what} cannot be opened: {error.strerror}; `bpftool map` lists those that are there"
            raise EventRefused(error.errno or 0, text, event="bpf-output") from error
        return self._maps[-1]

    def _add(self, spec: EventSpec) -> None:
        added = self._opener.add_event(self._opened, spec)
        self._know(added)
        self._dispatcher.name_event(spec.name, spec.kind.value)
        if self._enabled:
            for event in added:
                self._kernel.ioctl(event.fd, abi.PERF_EVENT_IOC_ENABLE, 0)

    def _disable(self) -> None:
        self._guard.call(self._switch, False)

    def _switch(self, enabled: bool) -> None:
        self._ioctl_all(abi.PERF_EVENT_IOC_ENABLE if enabled else abi.PERF_EVENT_IOC_DISABLE)
        self._enabled = enabled

    def _ioctl_all(self, request: int) -> None:
        for ring in self._opened:
            for event in ring.events:
                self._kernel.ioctl(event.fd, request, 0)

    def _set_paused(self, value: bool) -> None:
        for ring in self._opened:
            self._kernel.ioctl(ring.leader.fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, value)

    def _release(self) -> None:
        """Ends the recording, while nobody touches the rings. What is closed already is left alone."""
        try:
            self._switch(False)
        finally:
            self._close_all()

    def _close_all(self) -> None:
        with ExitStack() as each:  # whatever one of them raises, the others are closed
            while self._maps:
                each.callback(self._kernel.close, self._maps.pop())
            for ring in reversed(self._opened):
                each.callback(ring.close, self._kernel)


def _layout(spec: EventSpec, *, read_format: int | None = None) -> EventLayout:
    attr = spec.attr if read_format is None else spec.attr.copy(read_format=read_format)
    return EventLayout(attr, name=spec.name, kind=spec.kind, format=spec.format)
