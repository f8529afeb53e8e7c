"""What a check of a consumer works with: tasks that make records, the consumer, and an account of both."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from perfring import abi
from simkernel.contract.consumer import ConsumerSetup, OpenedRing
from simkernel.contract.raw import DATA_HEAD, DATA_TAIL, HEADER
from simkernel.contract.rig import Unavailable
from simkernel.contract.stage_kernel import Halted, StageKernel, Watch
from simkernel.misuse import Deadlock
from simkernel.ringbuf import POISON
from simkernel.tasks import Sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simkernel.actor import Actor
    from simkernel.contract.consumer import Consumer, ConsumerFactory
    from simkernel.tasks import Program

__all__ = ["SAMPLE_BYTES", "Stage"]

_SAMPLE_TYPE: Final = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME | abi.PERF_SAMPLE_PERIOD
SAMPLE_BYTES: Final = 40
"""Of the samples in rings that the suite opens: no divisor of a ring, so that records lie across its end."""
_MOST_KINDS: Final = 32
_EMPTY_READS: Final = 200
_U64: Final = (1 << 64) - 1


class Stage:
    """One consumer on one machine.

    Args:
        factory: makes the consumer.

    Attributes:
        kernel: the machine, with two CPUs.
        watch: what has happened on it.
        actors: the tasks that are recorded.
        setup: what the consumer was given.
        consumer: it; there from `start` on.
        samples: what it has delivered.
    """

    consumer: Consumer
    setup: ConsumerSetup

    def __init__(self, factory: ConsumerFactory) -> None:
        self._factory = factory
        self.kernel = StageKernel()
        self.watch = Watch(self.kernel)
        self.actors: list[Actor] = []
        self.samples: list[tuple[int, bytes]] = []
        self.base: frozenset[int] = frozenset()
        self._due = 0
        self._is_closed = False
        self._rings: tuple[OpenedRing, ...] | None = None
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(self.kernel.rules.installed(self.watch))

    def end(self) -> None:
        """Closes what the check has left open."""
        self._undo.close()

    # Before the curtain.

    def prepare(self, *, pages: int = 1, watermark: int = 1024, cpus: Sequence[int] = (0,), tasks: int = 1) -> None:
        """Makes the tasks, asleep, task n on the n-th CPU in turn; opens nothing."""
        self.actors = [self.kernel.actor(cpus[number % len(cpus)]) for number in range(tasks)]
        number = int(self.kernel.read_text("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/id"))
        attr = abi.PerfEventAttr(
            type=abi.PERF_TYPE_TRACEPOINT, config=number, sample_period=1, sample_type=_SAMPLE_TYPE
        )
        pids = [actor.pid for actor in self.actors]
        self.setup = ConsumerSetup(
            self.kernel, attr, cpus=cpus, pids=pids, pages=pages, watermark=watermark, open_rings=self.open_rings
        )

    def open_rings(self) -> tuple[OpenedRing, ...]:
        """The rings for a consumer that opens none: opened when first asked for."""
        if self._rings is None:
            self._rings = tuple(self._open_ring(cpu) for cpu in self.setup.cpus)
            self.base = frozenset(self.kernel.descriptors())
        return self._rings

    def _open_ring(self, cpu: int) -> OpenedRing:
        setup, kernel = self.setup, self.kernel
        wakes: dict[str, Any] = {
            "read_format": abi.PERF_FORMAT_LOST,
            "watermark": True,
            "wakeup_watermark": setup.watermark,
        }
        leader = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, **wakes)
        fds = [self._open(leader, setup.pids[0], cpu)]
        mapping = kernel.mmap(fds[0], (1 + setup.pages) * kernel.page_size)
        self._undo.callback(mapping.close)
        for pid in setup.pids:
            # The flag keeps the follower from waking at every sample (K10).
            fds.append(self._open(setup.attr.copy(**wakes), pid, cpu))
            kernel.ioctl(fds[-1], abi.PERF_EVENT_IOC_SET_OUTPUT, fds[0])
        return OpenedRing(cpu, tuple(fds), mapping)

    def _open(self, attr: abi.PerfEventAttr, pid: int, cpu: int) -> int:
        fd = self.kernel.perf_event_open(attr, pid, cpu, flags=abi.PERF_FLAG_FD_CLOEXEC)
        self._undo.callback(self.kernel.close, fd)
        return fd

    def start(self, **arguments: Any) -> None:
        """Prepares, unless that was done, and makes the consumer.

        Args:
            arguments: of `prepare`.
        """
        if not self.actors:
            self.prepare(**arguments)
        with self._guarded("it could not be made"):
            self.consumer = self._factory(self.setup)
        self._undo.callback(self._close_at_last)

    def require_own_rings(self) -> None:
        """Raises `Unavailable` for a consumer that did not open its rings."""
        if self.setup.was_asked:
            raise Unavailable("the consumer reads rings that the suite has opened")

    # On the stage.

    def produce(self, samples: int, *, actor: int = 0) -> None:
        """So many samples, at once."""
        self.actors[actor].getppid(samples)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Does something while the consumer waits."""

        def program(_: Actor) -> Program:
            yield Sleep(round(seconds * 1e9))
            action()

        self.kernel.spawn(program, cpu=1, comm="later")

    def produce_later(self, seconds: float, samples: int, *, actor: int = 0) -> None:
        """Makes samples while the consumer waits; `collect` waits for them."""

        def produce() -> None:
            self._due -= samples
            self.produce(samples, actor=actor)

        self._due += samples
        self.later(seconds, produce)

    def read(self, words: str, *, timeout: float | None = None) -> bool:
        """Lets the consumer read once. False when it says that nothing will ever come.

        Raises:
            AssertionError: it waited in vain, turned in circles, or raised; begins with ``words``.
        """
        with self._guarded(words):
            self.watch.begin()
            found = self.consumer.read(timeout)
        if found is None:
            return False
        if found:
            self.watch.progress()
        self.samples += [(cpu, bytes(data)) for cpu, data in found if _is_sample(data)]
        return True

    def collect(self, words: str, *, timeout: float | None = None, reads: int = 10_000) -> None:
        """Lets it read until it has delivered every sample that found room, and holds them against what was written.

        Args:
            words: what it means when it does not.
            timeout: of each read.
            reads: so many at most.
        """
        empty = 0
        while reads and (self._due or len(self.samples) < len(self.watch.accepted())):
            before = len(self.samples)
            if not self.read(words, timeout=timeout):
                raise AssertionError(f"{words}. It said that nothing will ever come, {self._state()}")
            empty = 0 if len(self.samples) > before else empty + 1
            if empty > _EMPTY_READS:
                raise AssertionError(f"{words}. It came back {empty} times with nothing, {self._state()}")
            reads -= 1
        if self._due:
            raise AssertionError(f"{words}. It came back too often, {self._state()}")
        self.verify(words)

    def verify(self, words: str) -> None:
        """What was delivered must be what was written, and all of it, each once.

        Raises:
            AssertionError: it is not.
        """
        written = Counter((each.cpu, each.data) for each in self.watch.accepted())
        delivered = Counter(self.samples)
        for cpu, data in delivered:
            if (cpu, data) not in written:
                raise AssertionError(f"{words}. {_describe_garbage(cpu, data)}")
        if more := delivered - written:
            raise AssertionError(f"{words}. It delivered {more.total()} records more than once")
        if missing := written - delivered:
            raise AssertionError(f"{words}. {missing.total()} of {written.total()} records never came, {self._state()}")

    def close_consumer(self) -> None:
        """Closes the consumer."""
        self._is_closed = True
        with self._guarded("close() must end in peace"):
            self.watch.begin()
            self.consumer.close()

    def _close_at_last(self) -> None:
        if not self._is_closed:
            self.close_consumer()

    @contextlib.contextmanager
    def at_each_look(self, action: Callable[[], object]) -> Iterator[None]:
        """Another CPU does something whenever the consumer is about to load data_head."""

        def at_access(kind: str, offset: int) -> None:
            if kind == "load" and offset == DATA_HEAD:
                action()

        self.kernel.at_access = at_access
        try:
            yield
        finally:
            self.kernel.at_access = None

    # In words.

    @contextlib.contextmanager
    def _guarded(self, words: str) -> Iterator[None]:
        try:
            yield
        except Deadlock:
            raise AssertionError(f"{words}. It waits for ever, {self._state()}{self._nesting()}") from None
        except Halted as halted:
            raise AssertionError(f"{words}. {str(halted)[:1].upper()}{str(halted)[1:]}, {self._state()}") from None
        except Unavailable:
            raise
        except Exception as error:
            raise AssertionError(f"{words}. It raised {type(error).__name__}: {error}") from error

    def _state(self) -> str:
        buffers = [ring.buffer for ring in self.kernel.perf.rings]
        unread = sum((each.load_u64(DATA_HEAD) - each.load_u64(DATA_TAIL)) & _U64 for each in buffers)
        return f"with {len(self.samples)} of {len(self.watch.accepted())} records delivered and {unread} bytes unread"

    def _nesting(self) -> str:
        if not self.kernel.has_nested_epoll():
            return ""
        return (
            ". Its epoll is inside another one: the outer asks the ring and so takes the wakeup, the inner then finds "
            "nothing (K16); register each perf fd with the loop that waits"
        )


def _is_sample(data: bytes) -> bool:
    """A sample, or nothing that a kernel writes."""
    if len(data) < HEADER.size:
        return True
    kind, _, _ = HEADER.unpack_from(data)
    return kind == abi.PERF_RECORD_SAMPLE or not 0 < kind < _MOST_KINDS


def _describe_garbage(cpu: int, data: bytes) -> str:
    if bytes((POISON,)) * 4 in data:
        return (
            "It delivered bytes that it had given back before it read them: store data_tail when the records are "
            "copied, not before (K37)"
        )
    shown = data[:48].hex(" ", 8)
    return f"It delivered {len(data)} bytes from cpu {cpu} that the kernel never wrote as a record: {shown}"
