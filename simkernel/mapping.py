"""A ring as events and mappings share it, and a mapping as the reader holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simkernel.misuse import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from simkernel.event import PerfEvent
    from simkernel.ringbuf import RingBuffer

__all__ = ["Ring", "SimMapping"]


class Ring:
    """A ring buffer, who writes into it, and who maps it.

    Attributes:
        buffer: the ring itself.
        events: those that write into it, in the order in which they came (K9, K17).
        maps: how many mappings there are of it, through whichever event (K3, K26).
        locked_pages: what it costs the user (K32).
    """

    __slots__ = ("buffer", "events", "locked_pages", "maps")

    def __init__(self, buffer: RingBuffer, locked_pages: int) -> None:
        self.buffer = buffer
        self.events: list[PerfEvent] = []
        self.maps = 0
        self.locked_pages = locked_pages

    def attach(self, event: PerfEvent) -> None:
        """Lets an event write into this ring, and no longer into another."""
        self.detach(event)
        event.ring = self
        self.events.append(event)

    @staticmethod
    def detach(event: PerfEvent) -> None:
        """Takes an event off whatever ring it writes into."""
        if event.ring is not None:
            event.ring.events.remove(event)
            event.ring = None


class SimMapping:
    """The seam's Mapping. Loads and stores are where another CPU may run: see `SimKernel.preemption`.

    Attributes:
        data: the data area, read-only, for writing to it would be SIGBUS (K3).
    """

    def __init__(
        self,
        buffer: RingBuffer,
        *,
        writable: bool,
        on_access: Callable[[str, int], None],
        on_close: Callable[[], None],
    ) -> None:
        self._buffer = buffer
        self._writable = writable
        self._on_access = on_access
        self._on_close = on_close
        self._closed = False
        self.data = buffer.memory[buffer.page_size :].toreadonly()

    def load_u64(self, offset: int) -> int:
        """Reads the u64 at a byte offset of the metadata page.

        Raises:
            SimulatorError: the mapping is closed, or the offset is not that of a u64 in the page.
        """
        self._check(offset)
        self._on_access("load", offset)
        return self._buffer.load_u64(offset)

    def store_u64(self, offset: int, value: int) -> None:
        """Writes it; what a new tail gives back is poisoned at once.

        Raises:
            SimulatorError: as `load_u64`; or it is no u64, or the mapping is read-only: on Linux that is SIGSEGV (K4).
        """
        self._check(offset)
        if not self._writable:
            raise SimulatorError(f"store at {offset} of a ring that is mapped read-only: on Linux this is SIGSEGV (K4)")
        if not 0 <= value < 2**64:
            raise SimulatorError(f"store of {value} at {offset}: it does not fit a u64")
        self._on_access("store", offset)
        self._buffer.store_u64(offset, value)

    def _check(self, offset: int) -> None:
        if self._closed:
            raise SimulatorError("the ring is no longer mapped: on Linux this access is SIGSEGV")
        if offset & 7 or not 0 <= offset < self._buffer.page_size:
            raise SimulatorError(f"offset is {offset}: it must be a multiple of 8 inside the metadata page")

    def close(self) -> None:
        """munmap(2). Idempotent."""
        if not self._closed:
            self._closed = True
            self.data = memoryview(b"")
            self._on_close()

    def __repr__(self) -> str:
        """How large it is, and whether it is still there."""
        return f"<SimMapping {'closed' if self._closed else f'{self._buffer.data_size} data bytes'}>"
