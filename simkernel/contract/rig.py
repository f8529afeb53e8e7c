"""What a check works with: opens, maps, asks, compares; everything is closed at the end."""

from __future__ import annotations

import contextlib
import errno
import struct
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from perfring import abi
from simkernel.contract.raw import POLLIN, RawRecord, RawRing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfring.kernel import Epoll, Waker
    from simkernel.contract.arm import Actor, Arm

__all__ = ["Rig", "Unavailable", "expect", "refused", "require", "types"]

_TRACEFS: Final = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_GETPPID: Final = "events/syscalls/sys_enter_getppid"

# sample_type of samples of exactly that many bytes: each bit adds 8 to the header's 8.
_FIELDS: Final = (
    abi.PERF_SAMPLE_TID,
    abi.PERF_SAMPLE_TIME,
    abi.PERF_SAMPLE_ID,
    abi.PERF_SAMPLE_CPU,
    abi.PERF_SAMPLE_IP,
    abi.PERF_SAMPLE_PERIOD,
)
_SIZES: Final = {8 + 8 * count: sum(_FIELDS[:count]) for count in range(len(_FIELDS) + 1)}


class Unavailable(Exception):
    """The machine lacks what the check takes."""


def expect(got: object, want: object, words: str) -> None:
    """Raises AssertionError unless the two are equal; the words say what the kernel got wrong."""
    if got != want:
        raise AssertionError(f"{words}: {got!r}, and Linux has {want!r}")


def require(condition: object, words: str) -> None:
    """Raises AssertionError with these words unless the condition holds."""
    if not condition:
        raise AssertionError(words)


@contextlib.contextmanager
def refused(what: str, *errors: int) -> Iterator[None]:
    """The body must raise OSError with one of these errnos."""
    names = " or ".join(errno.errorcode[number] for number in errors)
    try:
        yield
    except OSError as refusal:
        got = refusal.errno
        if got not in errors:
            name = errno.errorcode.get(got or 0, str(got))
            raise AssertionError(f"{what} is refused with {name}, and Linux says {names}") from refusal
    else:
        raise AssertionError(f"{what} is not refused, and Linux says {names}")


def types(records: Iterable[RawRecord]) -> list[int]:
    """The type of each record."""
    return [record.type for record in records]


class Rig:
    """One arm, and what a check has opened on it.

    Attributes:
        arm: the kernel under test.
        kernel: its system calls.
        cpus: the CPUs online; the actor is on the first.
    """

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.kernel = arm.kernel
        self.cpus = arm.kernel.online_cpus()
        self._fds: set[int] = set()
        self._undo = contextlib.ExitStack()
        self._undo.callback(arm.close)

    def close(self) -> None:
        """Closes everything, the arm last."""
        self._undo.close()

    # Who does something.

    @cached_property
    def actor(self) -> Actor:
        """The one actor that most checks need."""
        return self.another_actor()

    def another_actor(self, *, cpu: int | None = None) -> Actor:
        """One more; the arm ends it."""
        return self.arm.actor(self.cpus[0] if cpu is None else cpu)

    @property
    def second_cpu(self) -> int:
        """A CPU other than the actor's."""
        if len(self.cpus) < 2:
            raise Unavailable("there is only one CPU")
        return self.cpus[1]

    # What to open.

    @cached_property
    def getppid_id(self) -> int:
        """The tracepoint of getppid(2)."""
        return int(self.read_tracepoint("id"))

    def read_tracepoint(self, name: str) -> str:
        """A file of that tracepoint."""
        for root in _TRACEFS:
            with contextlib.suppress(FileNotFoundError):
                return self.kernel.read_text(f"{root}/{_GETPPID}/{name}")
        raise Unavailable(f"no {_GETPPID}/{name} below {' or '.join(_TRACEFS)}: tracefs is not mounted")

    def samples(self, size: int = 16, **fields: Any) -> abi.PerfEventAttr:
        """A sample of ``size`` bytes for each getppid(2): 8 to 56, unless ``fields`` say otherwise."""
        attr = abi.PerfEventAttr(
            type=abi.PERF_TYPE_TRACEPOINT, config=self.getppid_id, sample_period=1, sample_type=_SIZES[size]
        )
        return attr.copy(**fields)

    def waking(self, watermark: int, size: int = 16, **fields: Any) -> abi.PerfEventAttr:
        """The same with a byte watermark."""
        return self.samples(size, watermark=True, wakeup_watermark=watermark, **fields)

    @staticmethod
    def software(config: int = abi.PERF_COUNT_SW_DUMMY, **fields: Any) -> abi.PerfEventAttr:
        """A software event; by default the dummy, which only carries side-band."""
        return abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=config).copy(**fields)

    def open(
        self,
        attr: abi.PerfEventAttr,
        actor: Actor | None = None,
        *,
        pid: int | None = None,
        cpu: int = -1,
        group_fd: int = -1,
        flags: int = 0,
    ) -> int:
        """An event of an actor, or of a pid; without either, of the one actor."""
        if pid is None:
            pid = (actor or self.actor).pid
        fd = self.kernel.perf_event_open(attr, pid, cpu, group_fd, flags | abi.PERF_FLAG_FD_CLOEXEC)
        self._fds.add(fd)
        self._undo.callback(self.close_fd, fd)
        return fd

    def close_fd(self, fd: int) -> None:
        """Closes an event, once: its number may soon be another's."""
        if fd in self._fds:
            self._fds.remove(fd)
            self.kernel.close(fd)

    def map(self, fd: int, pages: int = 1, *, writable: bool = True, shared: bool = True, offset: int = 0) -> RawRing:
        """mmap(2) of so many data pages and the metadata page."""
        length = (1 + pages) * self.kernel.page_size
        mapping = self.kernel.mmap(fd, length, writable=writable, shared=shared, offset=offset)
        self._undo.callback(mapping.close)
        return RawRing(self.kernel, fd, mapping)

    def ring(
        self,
        attr: abi.PerfEventAttr,
        actor: Actor | None = None,
        *,
        pages: int = 1,
        pid: int | None = None,
        cpu: int = -1,
        writable: bool = True,
    ) -> RawRing:
        """Opens and maps."""
        return self.map(self.open(attr, actor, pid=pid, cpu=cpu), pages, writable=writable)

    def redirected(
        self,
        attr: abi.PerfEventAttr,
        into: RawRing,
        actor: Actor | None = None,
        *,
        pid: int | None = None,
        cpu: int = -1,
    ) -> RawRing:
        """Opens an event whose records go into a ring that exists: the same ring under another fd."""
        fd = self.open(attr, actor, pid=pid, cpu=cpu)
        self.redirect(fd, into.fd)
        return RawRing(self.kernel, fd, into.mapping)

    # System calls.

    def redirect(self, fd: int, target: int) -> None:
        """PERF_EVENT_IOC_SET_OUTPUT."""
        self.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_OUTPUT, target)

    def control(self, fd: int, request: int, argument: int | bytes | bytearray = 0) -> None:
        """ioctl(2), which must answer 0."""
        expect(self.kernel.ioctl(fd, request, argument), 0, f"ioctl {request:#x} answers")

    def pause(self, ring: RawRing, paused: bool) -> None:
        """PERF_EVENT_IOC_PAUSE_OUTPUT."""
        self.control(ring.fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, int(paused))

    def id_of(self, fd: int) -> int:
        """PERF_EVENT_IOC_ID."""
        answer = bytearray(8)
        self.control(fd, abi.PERF_EVENT_IOC_ID, answer)
        return int.from_bytes(answer, sys.byteorder)

    def counts(self, fd: int) -> tuple[int, ...]:
        """read(2) as u64s."""
        data = self.kernel.read(fd, 4096)
        return struct.unpack(f"={len(data) // 8}Q", data)

    def epoll(self, *fds: int, events: int = POLLIN) -> Epoll:
        """An epoll with these fds."""
        epoll = self.kernel.epoll()
        self._undo.callback(epoll.close)
        for fd in fds:
            epoll.register(fd, events)
        return epoll

    def waker(self) -> Waker:
        """An eventfd."""
        waker = self.kernel.waker()
        self._undo.callback(waker.close)
        return waker

    # What happens again and again.

    def wakes(self, ring: RawRing, times: int) -> list[int]:
        """Head at each wakeup while the actor makes so many samples, one by one, and nobody drains."""
        found = []
        for _ in range(times):
            self.actor.getppid()
            if ring.ask() & POLLIN:
                found.append(ring.head)
        return found

    def fill(self, ring: RawRing, size: int = 16) -> int:
        """Samples of that size until no more fits; how many there were."""
        count = (ring.size - 1) // size
        self.actor.getppid(count)
        return count
