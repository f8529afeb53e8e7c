"""The files behind perf fds and BPF maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simkernel.readiness import File

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.event import PerfEvent

__all__ = ["BpfMap", "BpfMapFile", "PerfFile"]

_HUP: Final = 0x10
_O_ASYNC: Final = 0o20000


class PerfFile(File):
    """A perf fd.

    Args:
        event: what it counts.
        on_release: closes the event.
        readable: what of a wakeup it reports (K47).

    Attributes:
        event: what it counts.
        maps: mappings made through this very event.
        owner, signal: of F_SETOWN and F_SETSIG (K20).
        signal_fd: the descriptor that signals name: the one by which O_ASYNC was set, closed or not.
    """

    name = "perf_event"

    def __init__(self, event: PerfEvent, on_release: Callable[[PerfEvent], None], *, readable: int) -> None:
        super().__init__()
        self.event = event
        self._readable = readable
        self.maps = 0
        self.owner = 0
        self.signal = 0
        self.signal_fd = -1
        self._on_release = on_release
        event.file = self

    @property
    def is_async(self) -> bool:
        """O_ASYNC: it sends signals."""
        return bool(self.flags & _O_ASYNC)

    def ask(self) -> int:
        """The latch of its ring, which is taken; POLLHUP without a ring, or when the task is gone (K14, K19)."""
        if self.event.hung_up or self.event.ring is None:
            return _HUP
        return self.event.ring.buffer.take_latch() & self._readable

    def released(self) -> None:
        """Closes the event."""
        self._on_release(self.event)


class BpfMap:
    """A perf event array: which event a BPF program's output goes to, by CPU.

    Attributes:
        map_id, path: by which it is found.
        size: how many slots there are.
    """

    def __init__(self, map_id: int, path: str, size: int) -> None:
        self.map_id = map_id
        self.path = path
        self.size = size
        self._slots: dict[int, tuple[PerfFile, BpfMapFile]] = {}

    def find(self, key: int) -> PerfFile | None:
        """The perf file in a slot, or None."""
        slot = self._slots.get(key)
        return slot[0] if slot else None

    def put(self, key: int, file: PerfFile, by: BpfMapFile) -> None:
        """Fills a slot, which then holds a reference to the perf file."""
        file.refs += 1
        self._empty(key)
        self._slots[key] = (file, by)

    def forget(self, by: BpfMapFile) -> None:
        """Empties the slots that were filled through one open file (K46)."""
        for key in [key for key, slot in self._slots.items() if slot[1] is by]:
            self._empty(key)

    def _empty(self, key: int) -> None:
        slot = self._slots.pop(key, None)
        if slot is not None:
            slot[0].drop()


class BpfMapFile(File):
    """An open file of a map: each descriptor that bpf(2) gives is one of its own."""

    can_poll = False
    name = "bpf-map"

    def __init__(self, map: BpfMap) -> None:
        super().__init__()
        self.map = map

    def ask(self) -> int:
        """Files that cannot be polled are always ready."""
        return 0x145

    def released(self) -> None:
        """The map forgets what it was told by it (K46)."""
        self.map.forget(self)
