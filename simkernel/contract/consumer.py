"""What `check_consumer` asks of a consumer of perf rings, and what it gives it.

A consumer is three things: `Consumer.read`, `Consumer.close`, `Consumer.lost`. It is made by a function that is given a
`ConsumerSetup`, and records from then on. There are two ways:

* it takes the rings that the suite has opened, `ConsumerSetup.rings`: descriptors and mappings, ready to be read;
* it never asks for them, and opens its own through `ConsumerSetup.kernel`: what, of whom and where stands in the other
  attributes. Then it is also held against what it opened.

It runs in the thread that calls `check_consumer`, and waits only through the kernel that it was given: time is virtual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from perfring.kernel import Kernel, Mapping

__all__ = ["Consumer", "ConsumerFactory", "ConsumerSetup", "OpenedRing"]


class Consumer(Protocol):
    """A reader of perf rings."""

    @property
    def lost(self) -> int:
        """Records that the kernel dropped, as far as the consumer knows. Asked after `close`, when it must know all."""
        ...

    def read(self, timeout: float | None) -> Sequence[tuple[int, bytes]] | None:
        """Waits for records and takes them out of the rings; may be asked again at once.

        Args:
            timeout: seconds; when they are over, the rings are looked into all the same, so that what lies below the
                watermark comes out. None waits until the kernel wakes the consumer.

        Returns:
            the CPU and the bytes, header included, of each record, in the order of each ring; records that are no
            samples may be left out. May be empty, as after a timeout: that is no end. None when nothing will ever come:
            `close` was called, or all events have hung up and all their records were returned.
        """
        ...

    def close(self) -> None:
        """Ends a `read` that waits, and closes what the consumer opened. A second call does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedRing:
    """A ring that the suite has opened; it closes it, too.

    Attributes:
        cpu: whose it is.
        fds: the events that write into it, the mapped one first. read(2) of each gives two u64: its count, and the
            records of it that were lost (PERF_FORMAT_LOST).
        mapping: metadata page and data.
    """

    cpu: int
    fds: tuple[int, ...]
    mapping: Mapping


class ConsumerSetup:
    """What a consumer is to record.

    Attributes:
        kernel: the system calls.
        attr: the event: a tracepoint, a sample each time. A consumer that opens it itself may add to the sample_type.
        cpus: a ring for each.
        pids: the tasks, each of them an event of its own in each ring.
        pages: data pages of each ring.
        watermark: bytes that wake the reader.
        was_asked: the consumer took `rings`.
    """

    def __init__(
        self,
        kernel: Kernel,
        attr: PerfEventAttr,
        *,
        cpus: Sequence[int],
        pids: Sequence[int],
        pages: int,
        watermark: int,
        open_rings: Callable[[], tuple[OpenedRing, ...]],
    ) -> None:
        self.kernel = kernel
        self.attr = attr
        self.cpus = tuple(cpus)
        self.pids = tuple(pids)
        self.pages = pages
        self.watermark = watermark
        self.was_asked = False
        self._open_rings = open_rings

    @property
    def rings(self) -> tuple[OpenedRing, ...]:
        """The rings, opened and recording, a ring for each CPU."""
        self.was_asked = True
        return self._open_rings()


ConsumerFactory = Callable[[ConsumerSetup], Consumer]
"""Makes a consumer that records from then on. ValueError: it refuses to, as with a watermark that would stall."""
