"""What is written while the reader reads: a small program, whose every interleaving is explored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from perfring.abi import HEADER, PERF_RECORD_SAMPLE
from perfring.geometry import MAX_RECORD_BYTES, MIN_LOST_BYTES, Outcome, Verdict, watermark_verdict
from simkernel._arguments import check_count

__all__ = ["Scenario", "record_bytes"]

_SMALLEST_RING: Final = 16
_LARGEST_RING: Final = 4096
_MOST_RECORDS: Final = 1000


def record_bytes(number: int, size: int, writer_id: int) -> bytes:
    """The bytes of a record: a sample with PERF_SAMPLE_IDENTIFIER and PERF_SAMPLE_TIME, if there is room for them.

    Args:
        number: which record it is, from 1 on: its ``misc``, and each word after the id.
        size: its bytes, a multiple of 8 from 8 on; those of 24 are exactly such a sample, for a decoder.
        writer_id: the id of the event that writes it.
    """
    words = [writer_id, *[number] * (size // 8 - 2)][: size // 8 - 1]
    return HEADER.pack(PERF_RECORD_SAMPLE, number, size) + b"".join(word.to_bytes(8, "little") for word in words)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A task that writes records, and what may come between.

    Attributes:
        ring_bytes: data bytes of each ring, a power of two from 16 to 4096; 64 to 256 are worth exploring.
        watermark: as ``wakeup_watermark``, with the ``watermark`` flag; 0 is half the ring (K8).
        records: the sizes of the records that the task writes one after the other: multiples of 8 (K5).
        interrupts: the sizes of records that interrupts write, in this order. Each may strike on any CPU, between any
            two steps of another writer, of an interrupt also, and then runs to its own end before that one goes on.
        pauses: how often somebody pauses a ring, with PERF_EVENT_IOC_PAUSE_OUTPUT; it may be resumed whenever it is.
        migrations: how often the task may move to the other CPU, between two records. With any there are two CPUs,
            each with its ring.
        start: the position at which the rings begin, a multiple of 8, such as ``2**64 - 32``.
        trailer: PERF_RECORD_LOST ends with time and id, as with ``sample_id_all``: 40 bytes instead of 24 (K44).

    Raises:
        TypeError, ValueError: an attribute that has no such meaning, named with its value.
    """

    ring_bytes: int = 64
    watermark: int = 24
    records: tuple[int, ...] = (16,) * 4
    interrupts: tuple[int, ...] = ()
    pauses: int = 0
    migrations: int = 0
    start: int = 0
    trailer: bool = False

    def __post_init__(self) -> None:
        size = check_count("ring_bytes", self.ring_bytes)
        if size & (size - 1) or not _SMALLEST_RING <= size <= _LARGEST_RING:
            raise ValueError(
                f"ring_bytes is {size}: it must be a power of two from {_SMALLEST_RING} to {_LARGEST_RING}"
            )
        for name in ("watermark", "pauses", "migrations", "start"):
            check_count(name, getattr(self, name))
        if self.start & 7 or self.start >> 64:
            raise ValueError(f"start is {self.start}: it must be a u64 and a multiple of 8")
        if not isinstance(self.trailer, bool):
            raise TypeError(f"trailer is {self.trailer!r}: it must be True or False")
        _check_sizes("records", self.records)
        _check_sizes("interrupts", self.interrupts)
        if not (self.records or self.interrupts):
            raise ValueError("records is (): somebody must write something")

    @property
    def cpus(self) -> int:
        """1, or 2 when the task may migrate."""
        return 2 if self.migrations else 1

    @property
    def lost_bytes(self) -> int:
        """The size of a PERF_RECORD_LOST (K44)."""
        return MIN_LOST_BYTES + 16 if self.trailer else MIN_LOST_BYTES

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of all records, whoever writes them."""
        return self.records + self.interrupts

    @cached_property
    def verdict(self) -> Verdict:
        """What `watermark_verdict` says of this ring, watermark and sizes."""
        sizes = (min(self.sizes), max(self.sizes))
        return watermark_verdict(
            1, self.watermark, record_bytes=sizes, lost_bytes=self.lost_bytes, page_size=self.ring_bytes
        )

    @property
    def must_live(self) -> bool:
        """Whether no stream of such records may leave a waiting reader without a wakeup."""
        return self.verdict.outcome is Outcome.LIVE


def _check_sizes(name: str, sizes: object) -> None:
    if not isinstance(sizes, tuple):
        raise TypeError(f"{name} is {sizes!r}: it must be a tuple of sizes in bytes")
    if len(sizes) > _MOST_RECORDS:
        raise ValueError(f"{name} has {len(sizes)} sizes: {_MOST_RECORDS} at most")
    for size in sizes:
        check_count(name, size, least=8)
        if size % 8 or size > MAX_RECORD_BYTES:
            raise ValueError(f"{name} has {size}: a record is a multiple of 8 from 8 to {MAX_RECORD_BYTES} bytes (K5)")
