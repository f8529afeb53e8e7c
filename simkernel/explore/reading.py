"""The reading side: runs a reader step by step, and again from the middle of any step.

A reader is ordinary code, and code cannot be copied while it runs. So the explorer runs one *turn* of it up to the
next access, unwinds it there with an exception, and notes what the accesses before have told it. To go on from there,
also a second and a third time with another world, it runs the turn again and answers each access from its notes until
they are used up; the next access is a real one::

    turn(view, kept):    wait        load head      store tail       returns what it keeps
                          |              |               |                |
    notes                (0,)           48              ...             forgotten
                          ^ another CPU may do anything before each of them

Data is no access of its own. Between the tail that it stored and the head that it loaded, nothing can change under a
reader; and a byte outside of that is never its business: there it reads poison.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from perfring.abi import (
    HEADER,
    MMAP_PAGE_DATA_HEAD,
    MMAP_PAGE_DATA_OFFSET,
    MMAP_PAGE_DATA_SIZE,
    MMAP_PAGE_DATA_TAIL,
)
from simkernel.explore.cpu import Broken
from simkernel.misuse import SimulatorError
from simkernel.ringbuf import POISON

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from simkernel.explore.cpu import Cpu
    from simkernel.explore.world import World

__all__ = ["ExploredMapping", "ReaderState", "View", "waiting_reader"]

_U64: Final = (1 << 64) - 1
_OFFSETS: Final = (MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL, MMAP_PAGE_DATA_OFFSET, MMAP_PAGE_DATA_SIZE)


class _Access(NamedTuple):
    """What a reader does to the world."""

    what: str
    cpu: int = -1
    value: int = 0

    def __str__(self) -> str:
        where = "" if self.cpu < 0 else f" of cpu {self.cpu}"
        return f"{self.what}{where}{f': {self.value}' if self.what == 'stores tail' else ''}"


class _Answer(NamedTuple):
    """What the world answered: for a head also the bytes up to it."""

    access: _Access
    value: int = 0
    ready: tuple[int, ...] = ()
    unread: bytes = b""


class ReaderState(NamedTuple):
    """A reader in the middle of a turn.

    Attributes:
        kept: what its last turn returned.
        begun: tail and readable bytes of each ring when this turn began.
        answers: what it was told in this turn.
        next: what it is about to do.
    """

    kept: Hashable
    begun: tuple[tuple[int, bytes], ...]
    answers: tuple[_Answer, ...]
    next: _Access

    @property
    def waits(self) -> bool:
        """Whether it is about to wait."""
        return self.next.what == "waits"


class _Suspended(BaseException):
    """Unwinds a turn at an access that is not to be made yet."""


class ExploredMapping:
    """The seam's Mapping of a ring (`perfring.kernel.Mapping`), as the reader under test holds it.

    Attributes:
        cpu: the CPU that writes into the ring.
        data: the data area. Whatever is not between the stored tail and the loaded head reads as poison.
    """

    def __init__(self, view: View, cpu: Cpu) -> None:
        self.cpu = cpu.index
        self._view = view
        self._world_cpu = cpu
        self._bytes = bytearray(cpu.ring.data_size)
        self._tail = self._seen = 0
        self.data = memoryview(self._bytes).toreadonly()

    def load_u64(self, offset: int) -> int:
        """Reads the u64 at a byte offset of the metadata page; another CPU may run before a load of data_head.

        Raises:
            SimulatorError: a field that means nothing to a reader of records.
        """
        if offset not in _OFFSETS:
            raise SimulatorError(f"load at offset {offset}: explored rings have {_OFFSETS} only (K2)")
        if offset == MMAP_PAGE_DATA_TAIL:  # which nobody else writes
            return self._tail
        if offset != MMAP_PAGE_DATA_HEAD:
            return self._world_cpu.ring.load_u64(offset)
        answer = self._view._access(_Access("loads head", self.cpu))
        self._seen = answer.value
        self._place(self._tail, answer.unread)
        return answer.value

    def store_u64(self, offset: int, value: int) -> None:
        """Writes the tail; another CPU may run before. What it gives back is poison from now on.

        Raises:
            SimulatorError: another field, which no reader has to write, or no u64.
        """
        if offset != MMAP_PAGE_DATA_TAIL or not 0 <= value <= _U64:
            raise SimulatorError(f"store of {value} at offset {offset}: a reader stores its tail, a u64 at 1032 (K2)")
        self._view._access(_Access("stores tail", self.cpu, value))
        self._place(self._tail, bytes((POISON,)) * ((value - self._tail) & _U64))
        self._tail = value

    def close(self) -> None:
        """Does nothing: the ring goes on in another branch of the exploration."""

    def _place(self, position: int, data: bytes) -> None:
        start = position % len(self._bytes)
        first = len(self._bytes) - start
        self._bytes[start : start + len(data)] = data[:first]
        self._bytes[: len(data[first:])] = data[first:]

    # Between turns.

    def _stands(self) -> tuple[int, bytes]:
        length, start = (self._seen - self._tail) & _U64, self._tail % len(self._bytes)
        if not length or length > len(self._bytes):
            return self._tail, b""
        return self._tail, bytes(self._bytes[start:] + self._bytes[:start])[:length]

    def _stand(self, tail: int, unread: bytes) -> None:
        self._tail, self._seen = tail, (tail + len(unread)) & _U64
        self._bytes[:] = bytes((POISON,)) * len(self._bytes)
        self._place(tail, unread)


class View:
    """What a reader has of the explored world: rings, a way to wait, and somebody to deliver to.

    Attributes:
        rings: the mapping of each CPU's ring.
        told: what the last step was, in words.
    """

    def __init__(self, world: World, turn: Callable[[View, Hashable], Hashable]) -> None:
        self._world = world
        self._turn = turn
        self._answers: tuple[_Answer, ...] = ()
        self._used = 0
        self._allowed = 0
        self._replays = self._suspended = False
        self._next = _Access("")
        self.rings = tuple(ExploredMapping(self, cpu) for cpu in world.cpus)
        self.told: list[str] = []

    # For the reader.

    def register(self, *cpus: int) -> None:
        """Registers the rings of these CPUs, or of all, with an epoll, one after the other.

        To register is to ask: it takes the latch (K15).
        """
        for cpu in cpus or range(len(self.rings)):
            self._access(_Access("registers ring", cpu))

    def ask(self, *cpus: int) -> tuple[int, ...]:
        """poll(2) with timeout 0 of these CPUs' rings, or of all, in turn: those whose latch it took (K14)."""
        answers = [self._access(_Access("asks ring", cpu)) for cpu in cpus or range(len(self.rings))]
        return sum((answer.ready for answer in answers), ())

    def wait(self) -> tuple[int, ...]:
        """Waits without timeout until a latch is set; takes all that are, and returns their CPUs."""
        return self._access(_Access("waits")).ready

    def deliver(self, cpu: int, record: bytes | bytearray | memoryview) -> None:
        """Hands on one whole record of a ring; PERF_RECORD_LOST as well."""
        if not self._replays:
            self.told.append(self._world.cpus[cpu].deliver(bytes(record)))

    # For the explorer.

    def start(self) -> ReaderState:
        """Runs a new reader up to its first access."""
        for mapping, cpu in zip(self.rings, self._world.cpus, strict=True):
            mapping._stand(cpu.tail, b"")
        begun = tuple(mapping._stands() for mapping in self.rings)
        return self._run(ReaderState(None, begun, (), _Access("")), allowed=0)

    def advance(self, state: ReaderState) -> ReaderState:
        """Lets a reader make its next access, and all that follows up to the one after.

        Raises:
            Broken: it broke a rule, or raised an exception.
            SimulatorError: it does not do the same again in the same situation, or does nothing at all.
            TypeError: what a turn returned has no hash.
        """
        for mapping, begun in zip(self.rings, state.begun, strict=True):
            mapping._stand(*begun)
        return self._run(state, allowed=1)

    def _run(self, state: ReaderState, *, allowed: int) -> ReaderState:
        kept, begun, self._answers, self._next = state
        self._used, self._allowed, self._replays = 0, allowed, bool(allowed)
        self._suspended = False
        self.told = []
        while True:
            kept_now = self._run_turn(kept)
            if self._suspended:
                return ReaderState(kept, begun, self._answers, self._next)
            if not self._answers:
                raise SimulatorError(
                    "a turn of the reader neither looked into a ring nor waited: it would spin for ever"
                )
            kept = _hashable(kept_now)
            self._answers, self._used = (), 0
            begun = tuple(mapping._stands() for mapping in self.rings)

    def _run_turn(self, kept: Hashable) -> Hashable:
        try:
            return self._turn(self, kept)
        except _Suspended:
            return None
        except SimulatorError:
            raise
        except Exception as error:
            if self._suspended:
                return None
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{PurePath(at.filename).name}, line {at.lineno}"
            raise Broken(f"the reader raises {type(error).__name__} in {where}: {error}") from error

    def _access(self, access: _Access) -> _Answer:
        if self._used < len(self._answers):
            answer = self._answers[self._used]
            self._must_be(access, answer.access)
            self._used += 1
            return answer
        if self._allowed and not self._suspended:
            self._must_be(access, self._next)
            self._allowed -= 1
            self._replays = False
            answer = self._do(access)
            self._answers += (answer,)
            self._used += 1
            return answer
        if not self._suspended:
            self._next = access
        self._suspended = True
        raise _Suspended

    @staticmethod
    def _must_be(access: _Access, before: _Access) -> None:
        if access != before:
            raise SimulatorError(
                f"the reader {access} where it {before} in the same situation before: it remembers something "
                "beside what its turns return, or leaves something to chance"
            )

    def _do(self, access: _Access) -> _Answer:
        self.told.append(str(access))
        if access.what == "loads head":
            cpu = self._world.cpus[access.cpu]
            head = cpu.show_head()
            self.told[-1] += f": {head}"
            return _Answer(access, head, unread=cpu.unread(cpu.tail, head))
        if access.what == "stores tail":
            self._world.cpus[access.cpu].store_tail(access.value)
            return _Answer(access)
        ready = self._world.take_latches(range(len(self.rings)) if access.what == "waits" else [access.cpu])
        self.told[-1] += f": {', '.join(f'cpu {cpu}' for cpu in ready) or 'nothing'} ready"
        return _Answer(access, ready=ready)


def waiting_reader(view: View, kept: Hashable) -> Hashable:
    """The reader of the watermark rule: it does nothing but wait, and drains to a snapshot of head on each wake."""
    if kept is None:
        view.register()  # which takes the wakeups, so that a first look is due (K15)
    else:
        view.wait()
    for ring in view.rings:
        head, tail = ring.load_u64(MMAP_PAGE_DATA_HEAD), ring.load_u64(MMAP_PAGE_DATA_TAIL)
        start, length = tail % len(ring.data), (head - tail) & _U64
        image = (bytes(ring.data[start:]) + bytes(ring.data[:start]))[:length]
        while image:
            _, _, size = HEADER.unpack_from(image)
            if not 8 <= size <= len(image):
                raise ValueError(f"a header says {size} bytes, and {len(image)} are there")
            view.deliver(ring.cpu, image[:size])
            image = image[size:]
        if head != tail:
            ring.store_u64(MMAP_PAGE_DATA_TAIL, head)
    return "registered"


def _hashable(kept: Hashable) -> Hashable:
    try:
        hash(kept)
    except TypeError as error:
        raise TypeError(f"a turn of the reader returned {kept!r}: it must be hashable, such as a tuple") from error
    return kept
