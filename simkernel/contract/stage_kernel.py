"""The simulated kernel that a consumer is tried on: it notes everything, and stops whoever turns in circles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL
from simkernel.kernel import SimKernel
from simkernel.mapping import SimMapping
from simkernel.readiness import EpollFile
from simkernel.rules import PASS, Answer, Happening, Replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.event import PerfEvent
    from simkernel.mapping import Ring
    from simkernel.ringbuf import RingBuffer

__all__ = ["Halted", "StageKernel", "Watch", "Written"]

_CAPABILITIES: Final = frozenset({"CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF", "CAP_IPC_LOCK", "CAP_SYS_PTRACE"})
_MOST_CALLS: Final = 5_000
_MOST_ACCESSES: Final = 50_000
_PATIENCE_NS: Final = 60_000_000_000
_WAITS: Final = ("epoll_wait", "poll")


class Halted(BaseException):
    """The consumer was stopped in the middle of a call: left alone, it would never come back.

    No `Exception`, so that a consumer that catches those does not go on.
    """


class _LastingMapping(SimMapping):
    """A mapping whose freed bytes stay as they are until the kernel needs the room: so it mostly is on Linux."""

    def __init__(self, buffer: RingBuffer, *, on_access: Callable[[str, int], None], close: Callable[[], None]) -> None:
        super().__init__(buffer, writable=True, on_access=on_access, on_close=close)
        self._words = buffer.memory[: buffer.page_size].cast("Q")

    def store_u64(self, offset: int, value: int) -> None:
        if offset != MMAP_PAGE_DATA_TAIL or not 0 <= value < 2**64:
            super().store_u64(offset, value)
            return
        self._check(offset)
        self._on_access("store", offset)
        self._words[offset >> 3] = value


class StageKernel(SimKernel):
    """A `SimKernel` with two settings for the rings that are mapped from now on.

    Attributes:
        first_position: where head and tail start, as in a ring that has been used for long.
        poison: freed bytes are overwritten at once.
    """

    def __init__(self) -> None:
        super().__init__(capabilities=_CAPABILITIES)
        self.first_position = 0
        self.poison = False

    def mmap(self, fd: int, length: int, *, writable: bool = True, shared: bool = True, offset: int = 0) -> SimMapping:
        """mmap(2), and then the settings."""
        known = list(self.perf.rings)
        mapping = super().mmap(fd, length, writable=writable, shared=shared, offset=offset)
        for ring in self.perf.rings:
            if ring not in known:
                self._age(ring.buffer)
                if writable and not self.poison:
                    return _LastingMapping(ring.buffer, on_access=self._accessed, close=mapping.close)
        return mapping

    def _age(self, buffer: RingBuffer) -> None:
        buffer.head = buffer.wakeup = self.first_position
        words = buffer.memory[: buffer.page_size].cast("Q")
        words[MMAP_PAGE_DATA_HEAD >> 3] = words[MMAP_PAGE_DATA_TAIL >> 3] = self.first_position

    def descriptors(self) -> dict[int, str]:
        """Every open descriptor, and what it is."""
        return {fd: file.describe() for fd, file in self._descriptors.items()}

    def has_nested_epoll(self) -> bool:
        """Whether a ring is waited for by an epoll that is inside another (K16)."""
        epolls = [file for _, file in self._descriptors.items() if isinstance(file, EpollFile)]
        return any(file.depth() > 1 for file in epolls)


class Written(NamedTuple):
    """A record that the kernel made.

    Attributes:
        cpu: of its event.
        data: its bytes.
        ring: where it went.
        refused: what the ring had refused before.
    """

    cpu: int
    data: bytes
    ring: Ring
    refused: int


class Watch:
    """A rule that only looks, and raises `Halted`.

    Attributes:
        made: every record that an event made, also those that found no room.
        wakeups: how often a ring has signalled.
        waits: system calls that wait or ask.
        change: makes another record of a record; None for the same.
    """

    def __init__(self, kernel: StageKernel) -> None:
        self._kernel = kernel
        self.made: list[Written] = []
        self.wakeups = 0
        self.waits = 0
        self.change: Callable[[PerfEvent, bytes], bytes | None] | None = None
        self._began = self._time = kernel.machine.clock.now
        self._calls = self._accesses = 0

    def begin(self) -> None:
        """The consumer is called."""
        self._began = self._kernel.machine.clock.now

    def progress(self) -> None:
        """The consumer has done something useful."""
        self._calls = self._accesses = 0

    def __call__(self, happening: Happening) -> Answer:
        """What the rules ask (`simkernel.rules`)."""
        if happening.kind == "record":
            return self._record(**happening.details)
        if happening.kind == "wakeup":
            self.wakeups += 1
        elif happening.kind == "syscall":
            self._look_at_the_clock()
            self.waits += happening.name in _WAITS
            self._calls += 1
        elif happening.kind == "access":
            self._accesses += 1
        if self._calls > _MOST_CALLS or self._accesses > _MOST_ACCESSES:
            self.progress()  # whoever cleans up is not to be stopped, too
            raise Halted("it turns in circles: it asks the kernel again and again while no time passes")
        return PASS

    def _record(self, event: PerfEvent, ring: Ring, data: bytes) -> Answer:
        changed = self.change(event, data) if self.change is not None else None
        self.made.append(Written(event.cpu, changed or data, ring, ring.buffer.refused))
        self.progress()
        return PASS if changed is None else Replace(changed)

    def _look_at_the_clock(self) -> None:
        now = self._kernel.machine.clock.now
        if now != self._time:
            self._time = now
            self.progress()
        if now - self._began > _PATIENCE_NS:
            self._began = now
            raise Halted(f"in {_PATIENCE_NS // 10**9} virtual seconds it brought nothing")

    def accepted(self) -> list[Written]:
        """The records that found room."""
        refused = {id(each.ring): each.ring.buffer.refused for each in self.made}
        found = []
        for each in reversed(self.made):
            if refused[id(each.ring)] == each.refused:
                found.append(each)
            refused[id(each.ring)] = each.refused
        return found[::-1]
