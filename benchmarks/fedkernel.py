"""A kernel whose rings are memory: sessions on it are fed as fast as they can read."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from benchmarks.images import GETPPID, GETPPID_SAMPLE, PRIVILEGED, one_layout
from perfring import Session, SessionBuilder, TracepointEvents
from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL
from simkernel import SimKernel
from simkernel.mapping import SimMapping

_U64: Final = (1 << 64) - 1
_TIME_WORD: Final = 3
_WORDS: Final = GETPPID_SAMPLE.size // 8


class MemoryMapping:
    """A `Mapping` of plain memory: nothing poisons what the reader frees, as nothing does on Linux.

    Args:
        size: data bytes, a power of two.
        behind: closed with it.
    """

    def __init__(self, size: int, *, behind: SimMapping) -> None:
        self._behind = behind
        self._memory = bytearray(size)
        self.data = memoryview(self._memory).toreadonly()
        self._words = {MMAP_PAGE_DATA_HEAD: 0, MMAP_PAGE_DATA_TAIL: 0}

    def load_u64(self, offset: int) -> int:
        """Head or tail."""
        return self._words[offset]

    def store_u64(self, offset: int, value: int) -> None:
        """The tail: a reader stores nothing else."""
        self._words[offset] = value

    def close(self) -> None:
        """Lets go of the simulated ring behind it."""
        self._behind.close()

    def feed(self, stream: memoryview) -> None:
        """Writes whole records behind head, as the kernel does, and publishes them.

        Raises:
            ValueError: they do not fit, for the reader has not read enough.
        """
        head, size = self._words[MMAP_PAGE_DATA_HEAD], len(self._memory)
        free = size - ((head - self._words[MMAP_PAGE_DATA_TAIL]) & _U64)
        if len(stream) > free:
            raise ValueError(f"{len(stream)} bytes where {free} are free")
        at = head % size
        room = size - at
        self._memory[at : at + len(stream[:room])] = stream[:room]
        self._memory[: len(stream[room:])] = stream[room:]
        self._words[MMAP_PAGE_DATA_HEAD] = (head + len(stream)) & _U64


class FedKernel(SimKernel):
    """The simulated kernel with `MemoryMapping` in place of its own, and a clock that is past every record.

    Attributes:
        rings: one mapping for each CPU, in the order in which they were mapped.
    """

    def __init__(self, cpus: int) -> None:
        super().__init__(cpus=cpus, capabilities=PRIVILEGED)
        self.rings: list[MemoryMapping] = []

    def mmap(  # type: ignore[override]  # a Mapping, but not the simulator's
        self, fd: int, length: int, *, writable: bool = True, shared: bool = True, offset: int = 0
    ) -> MemoryMapping:
        """A ring of its own, behind which the simulated one stays empty."""
        behind = super().mmap(fd, length, writable=writable, shared=shared, offset=offset)
        self.rings.append(MemoryMapping(length - self.page_size, behind=behind))
        return self.rings[-1]

    def clock_ns(self, clock_id: int) -> int:  # noqa: ARG002
        """The end of time."""
        return 1 << 62


class Feed:
    """A session of so many CPUs, and getppid samples for each of its rings, in time order over all of them.

    Args:
        cpus: how many rings.
        pages: data pages of each; one feeding fills three quarters.
        columns: the session delivers columns.
    """

    def __init__(self, cpus: int, *, pages: int = 64, columns: bool = False) -> None:
        self.kernel = FedKernel(cpus)
        builder = SessionBuilder().with_page_count(pages).with_tracepoint_events(TracepointEvents(GETPPID))
        self.session: Session = (builder.with_columns() if columns else builder).build(self.kernel)
        size = len(self.kernel.rings[0].data) * 3 // 4
        self._images = [bytearray(one_layout(size, event_id=event_id).data) for event_id in self._event_ids()]
        self._time = 1
        self.records = cpus * (len(self._images[0]) // GETPPID_SAMPLE.size)
        self.bytes = self.records * GETPPID_SAMPLE.size

    def _event_ids(self) -> Sequence[int]:
        """Of the tracepoint on each CPU: the second event of each ring, behind its leader."""
        return [ring.events[1].id for ring in self.session._opened]

    def fill(self) -> None:
        """Gives each ring its next `records` / CPUs, later than all before. Costs time that is not the reader's."""
        cpus = len(self._images)
        count = self.records // cpus
        for cpu, image in enumerate(self._images):
            first = self._time + cpu
            times = array("Q", range(first, first + count * cpus, cpus))
            words = memoryview(image).cast("Q")
            words[_TIME_WORD::_WORDS] = memoryview(times)
            self.kernel.rings[cpu].feed(memoryview(image))
        self._time += self.records
