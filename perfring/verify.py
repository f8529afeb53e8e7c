"""Where does a watermark really wake a reader that waits? Measured on any kernel behind the seam.

`perfring.geometry` predicts; this module opens real rings and looks. Two things keep it exact and free of privileges:

* The records are COMM records of one task about itself. A rename writes exactly one, its length is known in steps of 8
  bytes from the name and the sample_id trailer, and an event without kernel samples is allowed up to
  perf_event_paranoid 2 without tracefs or capabilities. Nothing else writes into the ring.
* The reader only waits: after each record it asks poll(2) without a timeout, and never drains. Asking takes the latch
  and nothing else (K14), so the answer is where a sleeping reader would have been woken.

A ring that has filled up refuses every further record, and a refusal signals nobody (K12): that is "never".
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from perfring import abi
from perfring.errors import PerfringError
from perfring.geometry import (
    Outcome,
    first_wake_bytes,
    ring_data_bytes,
    watermark_verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.kernel import Kernel, Mapping

__all__ = [
    "SHAPES",
    "SWEEP",
    "Arm",
    "Measurement",
    "Producer",
    "Shape",
    "SilentProducer",
    "linux_arm",
    "measure",
    "open_ring",
    "record_bytes_of",
    "sweep",
    "watermarks_around",
    "woke_after_loss_bytes",
]

_POLLIN: Final = 1  # poll.h
_LOST_BYTES: Final = 24  # PERF_RECORD_LOST without its trailer (K21, K44)

# The kernel is given this many chances to wake a reader of a full ring (K12 says that it never does).
_REFUSED_RECORDS: Final = 16

# Each adds 8 bytes to the trailer of every record that is no sample (K35).
_TRAILER: Final = (
    abi.PERF_SAMPLE_TID,
    abi.PERF_SAMPLE_TIME,
    abi.PERF_SAMPLE_ID,
    abi.PERF_SAMPLE_CPU,
    abi.PERF_SAMPLE_STREAM_ID,
    abi.PERF_SAMPLE_IDENTIFIER,
)


class Producer(Protocol):
    """A task that writes one COMM record into each enabled ring of its own, whenever it is told to."""

    @property
    def pid(self) -> int:
        """Which task perf_event_open(2) is to watch; 0 for the calling thread."""
        ...

    def rename(self, comm: str) -> None:
        """Gives the task a name, 15 bytes at most."""
        ...


@dataclass(frozen=True, slots=True)
class Arm:
    """One kernel that the rule is measured on.

    Attributes:
        name: what people call it, such as ``"linux 6.18.44"``.
        kernel: the system calls.
        producer: a task of that kernel.
    """

    name: str
    kernel: Kernel
    producer: Producer


@dataclass(frozen=True, slots=True)
class Shape:
    """What the records of one stream look like; all are equal.

    Attributes:
        trailer_words: fields of 8 bytes in the sample_id trailer, 0 to 6.
        comm: the name that the producer takes, padded to 8 bytes with its final NUL.
    """

    trailer_words: int
    comm: str

    @property
    def lost_bytes(self) -> int:
        """PERF_RECORD_LOST in such a stream, in bytes (K44)."""
        return _LOST_BYTES + 8 * self.trailer_words

    def attr(self, watermark: int) -> abi.PerfEventAttr:
        """A dummy event that records the producer's renames, disabled at first."""
        return abi.PerfEventAttr(
            type=abi.PERF_TYPE_SOFTWARE,
            config=abi.PERF_COUNT_SW_DUMMY,
            sample_type=sum(_TRAILER[: self.trailer_words]),
            sample_id_all=self.trailer_words > 0,
            disabled=True,
            exclude_kernel=True,
            exclude_hv=True,
            comm=True,
            watermark=True,
            wakeup_watermark=watermark,
        )


SHAPES: Final[tuple[Shape, ...]] = (Shape(0, "short"), *(Shape(words, "a long name") for words in range(7)))
"""COMM records of 24, 32, 40, 48, 56, 64, 72 and 80 bytes."""

SWEEP: Final[dict[int, tuple[Shape, ...]]] = {
    1: SHAPES,
    2: (SHAPES[0], SHAPES[2], SHAPES[4], SHAPES[7]),
    4: (SHAPES[0], SHAPES[4], SHAPES[6]),
    8: (SHAPES[1], SHAPES[4]),
    16: (SHAPES[4],),
}
"""Which streams are measured in rings of how many data pages: fewer in the large rings, which take longer to fill."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One watermark, predicted and measured. All sizes in bytes.

    Attributes:
        kernel: name of the arm.
        pages: data pages of the ring.
        ring_bytes: all of them together.
        watermark: as asked for; 0 means half the ring (K8).
        record_bytes: each record of the stream, as the kernel wrote it.
        lost_bytes: a LOST record of the stream (K44).
        predicted: the verdict on such a watermark.
        predicted_woke_at: head at the wake, computed for this very stream; None for never.
        woke_at: head in the metadata page when the fd was first ready; None for never.
        after_loss: the wake measured is not the first, but the one after the first loss (`woke_after_loss_bytes`).
    """

    kernel: str
    pages: int
    ring_bytes: int
    watermark: int
    record_bytes: int
    lost_bytes: int
    predicted: Outcome
    predicted_woke_at: int | None
    woke_at: int | None
    after_loss: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the kernel did what was predicted."""
        return self.predicted_woke_at == self.woke_at


class SilentProducer(PerfringError, RuntimeError):
    """A rename wrote no record: nothing can be measured on that kernel."""


class _ThisThread:
    """The calling thread as the producer, by prctl(2)."""

    pid = 0

    def rename(self, comm: str) -> None:
        from perfring._libc import libc

        libc().set_thread_name(comm.encode())


@contextmanager
def linux_arm() -> Iterator[Arm]:
    """The kernel this process runs on, the calling thread its producer; gives the thread its name back.

    Raises:
        Unsupported: this is not Linux, or an unknown architecture.
    """
    from perfring._libc import libc
    from perfring.linux import LinuxKernel

    kernel = LinuxKernel()
    name = libc().thread_name()
    try:
        yield Arm(f"linux {kernel.release}", kernel, _ThisThread())
    finally:
        libc().set_thread_name(name)


def watermarks_around(ring_bytes: int, record_bytes: int, lost_bytes: int) -> tuple[int, ...]:
    """The watermarks worth measuring for equal records: where something changes, and one byte to either side.

    That is: 0, 1, half a ring, the largest safe one, the two highest levels that such records reach, the ring, and what
    the kernel must cut down (K8). Ascending.
    """
    safe = ring_bytes - 1 - record_bytes - lost_bytes
    fullest = (ring_bytes - 1) // record_bytes * record_bytes
    below = fullest - record_bytes
    chosen = {0, 1, ring_bytes // 2, 2 * ring_bytes}
    for edge in (safe + 1, below, fullest - 8, fullest, ring_bytes - 8, ring_bytes):
        chosen |= {edge - 1, edge, edge + 1}
    return tuple(sorted(watermark for watermark in chosen if watermark >= 0))


def sweep(arm: Arm, *, after_loss: bool = False) -> Iterator[Measurement]:
    """Measures all of `SWEEP` on one kernel, one ring after the other.

    Args:
        arm: the kernel.
        after_loss: measure each stream once more, behind its first loss.

    Raises:
        SilentProducer: a rename writes nothing.
        OSError: the kernel refuses to open or map a ring.
    """
    for pages, shapes in SWEEP.items():
        for shape in shapes:
            record_bytes = record_bytes_of(arm, shape)
            ring_bytes = ring_data_bytes(pages, arm.kernel.page_size)
            for late in (False, True) if after_loss else (False,):
                for watermark in watermarks_around(ring_bytes, record_bytes, shape.lost_bytes):
                    yield measure(arm, pages, watermark, shape, after_loss=late)


def record_bytes_of(arm: Arm, shape: Shape) -> int:
    """The size of such a record, from the header of one that the kernel wrote.

    Raises:
        SilentProducer: a rename writes nothing.
        OSError: the kernel refuses.
    """
    with open_ring(arm, shape, 1, 0) as (_, ring):
        arm.producer.rename(shape.comm)
        if not ring.load_u64(abi.MMAP_PAGE_DATA_HEAD):
            raise SilentProducer(
                f"{arm.name}: a rename of task {arm.producer.pid} to {shape.comm!r} wrote no COMM record"
            )
        return ring.data[6:8].cast("H")[0]


def measure(arm: Arm, pages: int, watermark: int, shape: Shape, *, after_loss: bool = False) -> Measurement:
    """Opens a ring, fills it with such records and notes where a reader that waits is woken.

    Args:
        arm: the kernel.
        pages: data pages, a power of two.
        watermark: ``wakeup_watermark`` in bytes.
        shape: the records.
        after_loss: note the wake after the first loss instead (`woke_after_loss_bytes` tells the story).

    Raises:
        SilentProducer: a rename writes nothing.
        OSError: the kernel refuses.
    """
    record_bytes = record_bytes_of(arm, shape)
    verdict = watermark_verdict(
        pages, watermark, record_bytes=record_bytes, lost_bytes=shape.lost_bytes, page_size=arm.kernel.page_size
    )
    taken, size = verdict.kernel_watermark, verdict.ring_bytes
    with open_ring(arm, shape, pages, watermark) as (fd, ring):
        if after_loss:
            predicted = woke_after_loss_bytes(taken, size, record_bytes, shape.lost_bytes)
            _lose_one_and_drain(arm, fd, ring, shape)
        else:
            predicted = first_wake_bytes(taken, size, record_bytes)
        woke_at = _head_when_ready(arm, fd, ring, shape)
    return Measurement(
        kernel=arm.name,
        pages=pages,
        ring_bytes=size,
        watermark=watermark,
        record_bytes=record_bytes,
        lost_bytes=shape.lost_bytes,
        predicted=verdict.outcome,
        predicted_woke_at=predicted,
        woke_at=woke_at,
        after_loss=after_loss,
    )


def woke_after_loss_bytes(watermark: int, ring_bytes: int, record_bytes: int, lost_bytes: int) -> int | None:
    """Where the reader is woken after the first loss: head then, or None for never (K42).

    The stream: equal records fill the ring until one is refused; the reader takes the latch, drains to the head and
    waits; the next record brings its LOST with it. The kernel's own arithmetic (K7), step by step.

    Args:
        watermark: as the kernel takes it (`perfring.geometry.kernel_watermark`).
        ring_bytes: data bytes of the ring.
        record_bytes: the size of every record.
        lost_bytes: the size of the LOST record.
    """
    cursor = head = 0
    tail = (ring_bytes - 1) // record_bytes * record_bytes
    while head < tail:
        head += record_bytes
        cursor += watermark if head - cursor > watermark else 0
    head += lost_bytes
    while head + record_bytes - tail <= ring_bytes - 1:
        head += record_bytes
        if head - cursor > watermark:
            return head
    return None


@contextmanager
def open_ring(arm: Arm, shape: Shape, pages: int, watermark: int) -> Iterator[tuple[int, Mapping]]:
    """A ring of the producer's renames, enabled: its fd and its mapping, both closed at the end.

    Raises:
        OSError: the kernel refuses to open or map it.
    """
    kernel = arm.kernel
    fd = kernel.perf_event_open(shape.attr(watermark), arm.producer.pid, -1, flags=abi.PERF_FLAG_FD_CLOEXEC)
    try:
        ring = kernel.mmap(fd, (1 + pages) * kernel.page_size)
        try:
            kernel.ioctl(fd, abi.PERF_EVENT_IOC_ENABLE)
            yield fd, ring
        finally:
            ring.close()
    finally:
        kernel.close(fd)


def _is_ready(arm: Arm, fd: int) -> bool:
    """Asks, and so takes the latch (K14)."""
    return any(events & _POLLIN for _, events in arm.kernel.poll([(fd, _POLLIN)], 0))


def _head_when_ready(arm: Arm, fd: int, ring: Mapping, shape: Shape) -> int | None:
    """One record after the other until the reader is woken; None when the ring is full and silent."""
    refused, head = 0, ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
    while refused < _REFUSED_RECORDS:
        before = head
        arm.producer.rename(shape.comm)
        head = ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
        if _is_ready(arm, fd):
            return head
        refused += head == before
    return None


def _lose_one_and_drain(arm: Arm, fd: int, ring: Mapping, shape: Shape) -> None:
    before, head = -1, 0
    while head != before:
        before = head
        arm.producer.rename(shape.comm)
        head = ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
    _is_ready(arm, fd)
    ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, head)
