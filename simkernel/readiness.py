"""Who is ready: files that can be asked, poll(2), and epoll(7), nested too.

A perf fd's readiness is a latch that asking takes (K14); everything peculiar follows from who asks when:

* poll asks every fd once, also one whose events it was not asked for;
* epoll asks on ADD and on MOD (K15), and again for every item of its ready list when somebody waits: an item comes
  onto that list when it is woken, and, level-triggered, goes back onto it after it was reported;
* an epoll inside an epoll is asked by asking its ready list, which takes the latch; the wait on the inner one then
  finds nothing (K16).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Final

from simkernel.misuse import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EpollFile", "EventFile", "File", "os_error"]

_IN: Final = 0x1
_ERR_HUP: Final = 0x8 | 0x10
_READABLE: Final = 0x41
_WRITABLE: Final = 0x104
_EXCLUSIVE: Final = 1 << 28
_WAKEUP: Final = 1 << 29
_ONESHOT: Final = 1 << 30
_EDGE: Final = 1 << 31
_PRIVATE: Final = _EXCLUSIVE | _WAKEUP | _ONESHOT | _EDGE
_EXCLUSIVE_OK: Final = _IN | 0x4 | _ERR_HUP | _WAKEUP | _EDGE | _EXCLUSIVE
_DEEPEST: Final = 5
"""How many epolls may be nested: EP_MAX_NESTS and one."""


def os_error(code: int) -> OSError:
    """The OSError of an errno, with the text that Linux has for it."""
    return OSError(code, os.strerror(code))


class File:
    """An open file description: what a descriptor, and a mapping, hold a reference to.

    Attributes:
        can_poll: epoll takes it; otherwise EPERM.
        refs: descriptors and mappings; at 0 it is `released`.
        watchers: the epoll items that are to be woken with it.
        flags: of F_SETFL.
    """

    can_poll = True
    name = "file"

    def __init__(self) -> None:
        self.refs = 0
        self.watchers: list[_Item] = []
        self.flags = 0o2

    def ask(self) -> int:
        """Its readiness, as poll(2) tells it; whatever asking takes is taken."""
        raise NotImplementedError

    def wake(self) -> None:
        """Wakes whoever waits for it. Who waits in poll looks by himself, so these are the epolls."""
        for item in tuple(self.watchers):
            item.owner.queue(item)

    def drop(self) -> None:
        """Takes one reference away."""
        self.refs -= 1
        if not self.refs:
            for item in tuple(self.watchers):
                item.owner.forget(item)
            self.released()

    def released(self) -> None:
        """Nobody holds it any more."""

    def describe(self) -> str:
        """What /proc/self/fd would show."""
        return f"anon_inode:[{self.name}]"


class EventFile(File):
    """eventfd(2): ready while its count is not 0."""

    name = "eventfd"

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def ask(self) -> int:
        """Readable with a count, and always writable."""
        return (_IN if self.count else 0) | 0x4

    def add(self, value: int) -> None:
        """write(2)."""
        self.count += value
        self.wake()


class _Item:
    """One registration in an epoll."""

    __slots__ = ("events", "fd", "file", "owner")

    def __init__(self, owner: EpollFile, fd: int, file: File, events: int) -> None:
        self.owner = owner
        self.fd = fd
        self.file = file
        self.events = events

    def ask(self) -> int:
        return self.file.ask() & (self.events | _ERR_HUP) & ~_PRIVATE

    @property
    def armed(self) -> bool:
        """Not disarmed by EPOLLONESHOT."""
        return bool(self.events & ~_PRIVATE)


class EpollFile(File):
    """epoll(7).

    Attributes:
        items: what is registered, by fd and file: a descriptor that was closed and used anew is another.
    """

    name = "eventpoll"

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[int, int], _Item] = {}
        self._ready: deque[_Item] = deque()

    def add(self, fd: int, file: File, events: int) -> None:
        """EPOLL_CTL_ADD, which asks the file (K15)."""
        self._check(file, events)
        if events & _EXCLUSIVE and (isinstance(file, EpollFile) or events & ~_EXCLUSIVE_OK):
            raise os_error(errno.EINVAL)
        if isinstance(file, EpollFile) and (file.reaches(self) or file.depth() >= _DEEPEST):
            raise os_error(errno.ELOOP)
        if (fd, id(file)) in self.items:
            raise os_error(errno.EEXIST)
        item = _Item(self, fd, file, events | _ERR_HUP)
        self.items[fd, id(file)] = item
        file.watchers.append(item)
        if item.ask():
            self.queue(item)

    def modify(self, fd: int, file: File, events: int) -> None:
        """EPOLL_CTL_MOD, which asks the file, too."""
        self._check(file, events)
        if events & _EXCLUSIVE:
            raise os_error(errno.EINVAL)
        item = self._find(fd, file)
        if item.events & _EXCLUSIVE:
            raise os_error(errno.EINVAL)
        item.events = events | _ERR_HUP
        if item.ask():
            self.queue(item)

    def remove(self, fd: int, file: File) -> None:
        """EPOLL_CTL_DEL."""
        self._check(file, 0)
        self.forget(self._find(fd, file))

    def _check(self, file: File, events: int) -> None:
        if not 0 <= events < 1 << 32:
            raise SimulatorError(f"eventmask is {events}: it must fit a u32")
        if not file.can_poll:
            raise os_error(errno.EPERM)
        if file is self:
            raise os_error(errno.EINVAL)

    def _find(self, fd: int, file: File) -> _Item:
        item = self.items.get((fd, id(file)))
        if item is None:
            raise os_error(errno.ENOENT)
        return item

    def forget(self, item: _Item) -> None:
        """Takes a registration out."""
        del self.items[item.fd, id(item.file)]
        item.file.watchers.remove(item)
        if item in self._ready:
            self._ready.remove(item)

    def queue(self, item: _Item) -> None:
        """A registered file was woken: whether it is ready is asked later."""
        if item.armed and item not in self._ready:
            self._ready.append(item)
            self.wake()

    @property
    def may_be_ready(self) -> bool:
        """Whether it is worth while to `collect`."""
        return bool(self._ready)

    def collect(self, most: int) -> list[tuple[int, int]]:
        """What epoll_wait(2) returns: asks every item on the ready list once."""
        found: list[tuple[int, int]] = []
        again: list[_Item] = []
        todo, self._ready = self._ready, deque()
        while todo and len(found) < most:
            item = todo.popleft()
            events = item.ask()
            if not events:
                continue
            found.append((item.fd, events))
            if item.events & _ONESHOT:
                item.events &= _PRIVATE
            elif not item.events & _EDGE:
                again.append(item)
        # Who was woken meanwhile stands behind; who was reported goes to the end, so that all get their turn.
        self._ready = deque([*todo, *(item for item in self._ready if item not in again), *again])
        return found

    def ask(self) -> int:
        """Asks the items of the ready list, and takes off those that are not ready: so a latch is taken (K16)."""
        while self._ready:
            if self._ready[0].ask():
                return _READABLE
            self._ready.popleft()
        return 0

    def reaches(self, other: EpollFile) -> bool:
        """Whether the other one is registered here, at any depth."""
        return any(file is other or file.reaches(other) for file in self._nested())

    def depth(self) -> int:
        """How many epolls are nested in this one, itself included."""
        return 1 + max((file.depth() for file in self._nested()), default=0)

    def _nested(self) -> Iterator[EpollFile]:
        return (item.file for item in self.items.values() if isinstance(item.file, EpollFile))

    def files(self) -> Iterator[File]:
        """Every file that a wait on this one waits for, at any depth."""
        for item in self.items.values():
            yield item.file
            if isinstance(item.file, EpollFile):
                yield from item.file.files()

    def released(self) -> None:
        """Takes all registrations out."""
        for item in tuple(self.items.values()):
            self.forget(item)
