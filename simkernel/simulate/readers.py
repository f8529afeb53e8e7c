"""Who reads the rings: perfring's session, and readers as people write them by hand, each with one mistake.

The mistakes are those that stall, lose or drown programs in the field; what each suffers can then be seen next to a
session that reads the same stream.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from perfring.abi import PERF_EVENT_IOC_ENABLE
from perfring.batch import Reason
from perfring.opening import Opener
from perfring.ring import RingReader
from perfring.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.kernel import Epoll
    from perfring.opening import OpenRing
    from perfring.plan import SessionPlan
    from perfring.statistics import SessionStatistics
    from simkernel.simulate.scenario import Scenario
    from simkernel.simulate.watching import WatchedKernel

__all__ = ["READERS", "ReaderKind", "ScenarioReader"]

_IN: Final = 0x1
_HUP: Final = 0x10


class ScenarioReader(Protocol):
    """One reader, with its rings open and its events off."""

    def enable(self) -> None:
        """The events are on from here."""
        ...

    def read(self, scenario: Scenario) -> None:
        """Reads until the scenario is over, or there is nothing more to read."""
        ...

    def statistics(self) -> SessionStatistics | None:
        """What the reader itself has counted, where it counts."""
        ...

    def close(self) -> None:
        """Closes all it opened."""
        ...


@dataclass(frozen=True, slots=True)
class ReaderKind:
    """What to know of a reader.

    Attributes:
        make: opens its rings on a kernel, by a plan.
        about: what it does, for people; the words complete "a reader that".
        mend: what to change in it; empty where there is nothing.
        asks_build: it does not open what `SessionBuilder.build` refuses.
    """

    make: Callable[[WatchedKernel, SessionPlan], ScenarioReader]
    about: str
    mend: str = ""
    asks_build: bool = False


class _PerfringReader:
    """perfring's own session."""

    def __init__(self, kernel: WatchedKernel, plan: SessionPlan) -> None:
        self._kernel = kernel
        self._session = Session(kernel, plan)
        try:
            if plan.events[0].kind == "bpf-output":
                self._session.attach_to_bpf_map(path=kernel.bpf_map_path)
        except BaseException:
            self._session.close()
            raise

    def enable(self) -> None:
        """The events are on from here."""
        self._session.enable()

    def read(self, scenario: Scenario) -> None:
        """With `Session.next_batch`, or by the clock with `Session.parse_all`."""
        kernel, session = self._kernel, self._session
        while not kernel.over:
            if scenario.period is not None:
                kernel.sleep(min(scenario.period, kernel.left))
                kernel.looked()
                session.parse_all()
            else:
                batch = session.next_batch(timeout=kernel.left)
                if not batch and batch.reason is Reason.END:
                    return
            kernel.work()

    def statistics(self) -> SessionStatistics | None:
        """The session's."""
        return self._session.statistics()

    def close(self) -> None:
        """Closes the session."""
        self._session.close()


class _BareReader:
    """Rings, epoll, and a loop: what somebody writes who has read perf_event_open(2). It makes no mistake yet."""

    def __init__(self, kernel: WatchedKernel, plan: SessionPlan) -> None:
        self._kernel = kernel
        self._opened = Opener(kernel, plan).open_all()
        self._readers = {ring.leader.fd: _reader_of(ring) for ring in self._opened}
        with ExitStack() as unless_done:
            unless_done.callback(self.close)
            self._fill_bpf_map()
            unless_done.pop_all()

    def _fill_bpf_map(self) -> None:
        """The map forgets what a closed fd has told it (K46), so this fd stays open as long as the rings."""
        self._map_fd = -1
        for ring in self._opened:
            if ring.events[-1].spec.kind != "bpf-output":
                return
            if self._map_fd < 0:
                self._map_fd = self._kernel.bpf_map_fd(self._kernel.bpf_map_path)
            self._kernel.bpf_map_update(self._map_fd, ring.cpu, ring.events[-1].fd)

    def enable(self) -> None:
        """The events are on from here."""
        for ring in self._opened:
            for event in ring.events:
                self._kernel.ioctl(event.fd, PERF_EVENT_IOC_ENABLE)

    def read(self, scenario: Scenario) -> None:
        """Drains all rings on each wakeup, and when it is time."""
        with self._registered() as epoll:
            while not self._kernel.over and self._readers:
                self._wait(epoll, scenario)
                self._kernel.work()

    def _wait(self, epoll: Epoll, scenario: Scenario) -> None:
        kernel = self._kernel
        if scenario.period is not None:
            kernel.sleep(min(scenario.period, kernel.left))
            kernel.looked()
            self._drain_all()
            return
        ready = self._poll(epoll, kernel.left if scenario.latency is None else min(kernel.left, scenario.latency))
        if ready is None:
            self._drain_all()
        else:
            self._answer(epoll, ready)

    def _poll(self, epoll: Epoll, timeout: float) -> list[tuple[int, int]] | None:
        """What is ready; None when the time is over."""
        return epoll.poll(timeout) or None

    @contextmanager
    def _registered(self) -> Iterator[Epoll]:
        epoll = self._kernel.epoll()
        try:
            for fd in self._readers:
                epoll.register(fd, _IN)
            self._look_first()
            yield epoll
        finally:
            epoll.close()

    def _look_first(self) -> None:
        """To register is to ask, and what was there before wakes nobody (K15)."""
        self._drain_all()

    def _answer(self, epoll: Epoll, ready: list[tuple[int, int]]) -> None:
        self._drain_all()
        for fd, events in ready:
            if events & _HUP:
                self._forget(epoll, fd)

    def _forget(self, epoll: Epoll, fd: int) -> None:
        epoll.unregister(fd)
        del self._readers[fd]

    def _drain_all(self) -> None:
        for reader in self._readers.values():
            unread = reader.unread(reader.head())
            if unread:
                reader.free(unread)

    def statistics(self) -> SessionStatistics | None:
        """It counts nothing."""
        return None

    def close(self) -> None:
        """Closes rings and map."""
        if self._map_fd >= 0:
            self._kernel.close(self._map_fd)
        for ring in self._opened:
            ring.close(self._kernel)


def _reader_of(ring: OpenRing) -> RingReader:
    if ring.mapping is None:
        raise AssertionError(f"the ring of cpu {ring.cpu} has no mapping")
    return RingReader(ring.mapping)


class _LateReader(_BareReader):
    """Registers, and then waits for what has happened already (K15)."""

    def _look_first(self) -> None:
        pass


class _HangupReader(_BareReader):
    """Takes POLLHUP for the end of the data (K19)."""

    def _answer(self, epoll: Epoll, ready: list[tuple[int, int]]) -> None:
        for fd, events in ready:
            if events & _HUP:
                self._forget(epoll, fd)
        self._drain_all()


class _NestedReader(_BareReader):
    """Waits for an epoll that waits for another one (K16), as an event loop does that is given an epoll's fd."""

    @contextmanager
    def _registered(self) -> Iterator[Epoll]:
        with super()._registered() as inner:
            self._outer = self._kernel.epoll()
            try:
                self._outer.register(inner.fileno(), _IN)
                yield inner
            finally:
                self._outer.close()

    def _poll(self, epoll: Epoll, timeout: float) -> list[tuple[int, int]] | None:
        return epoll.poll(0) if self._outer.poll(timeout) else None

    def _answer(self, epoll: Epoll, ready: list[tuple[int, int]]) -> None:
        """Takes what it is told for what there is: nothing."""
        if ready:
            super()._answer(epoll, ready)


def _without_flag(kernel: WatchedKernel, plan: SessionPlan) -> ScenarioReader:
    """The watermark is set on the mapped event alone; the others have the most usual attr, wakeup_events = 1 (K10)."""
    events = tuple(replace(spec, attr=spec.attr.copy(watermark=False, wakeup_events=1)) for spec in plan.events)
    return _BareReader(kernel, replace(plan, events=events))


READERS: Final[dict[str, ReaderKind]] = {
    "perfring": ReaderKind(_PerfringReader, "is perfring's session", asks_build=True),
    "bare": ReaderKind(_BareReader, "drains all rings on each wakeup, and takes any watermark"),
    "bare-follower": ReaderKind(
        _without_flag,
        "sets the watermark on the mapped event only",
        "Set the watermark flag on every event that is redirected into the ring: without it and with wakeup_events = 1 "
        "each sample wakes the reader, whatever the watermark of the ring (K10). perfring sets it.",
    ),
    "bare-late": ReaderKind(
        _LateReader,
        "registers with epoll, and does not look first",
        "Look into the rings once after registering with epoll: to register takes the wakeup that came before, and a "
        "ring that is full by then wakes nobody ever after (K12, K15). perfring looks first.",
    ),
    "bare-hangup": ReaderKind(
        _HangupReader,
        "takes POLLHUP for the end of the data",
        "Drain the ring when POLLHUP is reported: it says that the task has exited, and comes in place of POLLIN while "
        "records are left to read (K19). perfring drains, and goes on while another event of the ring lives.",
    ),
    "bare-nested": ReaderKind(
        _NestedReader,
        "waits for an epoll inside another epoll",
        "Register the perf fds with the epoll that is really waited for: the outer one takes the wakeup by asking, and "
        "the inner one then finds nothing ready (K16). perfring registers with the event loop itself.",
    ),
}
"""The readers that a scenario can name."""
