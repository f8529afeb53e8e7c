"""The size of a ring, and whether a watermark can wake a reader that waits: the one source of truth.

The kernel keeps, per ring, a cursor ``wakeup`` that starts at 0. After it has reserved a record it tests
``head - wakeup > watermark``, strictly; when true it adds ``watermark`` to the cursor and signals (K7)::

      0      tail              wakeup + watermark   head          S = data_size
      |-------|======== unread =========|============|--- free ----|
                                        ^ signalled when head passed this

A record of r bytes is written only where ``used + r <= S - 1`` (K6), otherwise it is dropped, and a drop signals nobody
(K12). So a watermark that the stream cannot get beyond before the ring is full is silence for ever. What follows from
it, for a reader that does nothing but wait, and drains to a snapshot of head on each wake:

* **STALLS**. Before the first wake nothing is drained, so head is the fill. k records of at most r_max bytes fit, with
  ``k = (S - 8) // r_min``, and the fullest fill is ``min(k * r_max, S - 8)``. Losses do not raise it: where k * r_max
  is the smaller one, nothing can be dropped before k records are in, and behind them not even the smallest fits. The
  reader can be woken if and only if ``fullest > watermark``. Only PAUSE_OUTPUT drops earlier, and the LOST that follows
  it can lift the fill over ``fullest``, never over S - 8 (K11).
* **LIVE**. While the reader waits and the latch is clear, ``used <= watermark``: it freed up to a head that it loaded
  after the last signal, which is beyond the cursor. A record is at most r_max bytes and may have to bring a
  PERF_RECORD_LOST with it (K21, K42, K43), so ``watermark + r_max + LOST <= S - 1`` means that the next record always
  fits, and the fill always grows until it wakes.
* **DEPENDS** lies in between: it depends on the order of sizes and on whether anything was ever lost.
"""

from __future__ import annotations

import enum
import mmap
from dataclasses import dataclass

__all__ = [
    "MAX_LOST_BYTES",
    "MAX_RECORD_BYTES",
    "MIN_LOST_BYTES",
    "MIN_RECORD_BYTES",
    "Outcome",
    "Verdict",
    "first_wake_bytes",
    "kernel_watermark",
    "ring_data_bytes",
    "watermark_verdict",
]

MIN_RECORD_BYTES = 8
"""A bare header (K35)."""
MAX_RECORD_BYTES = 65528
"""The largest multiple of 8 that the u16 size in a header holds (K5)."""
MIN_LOST_BYTES = 24
"""PERF_RECORD_LOST of an event without the sample_id trailer (K44)."""
MAX_LOST_BYTES = 72
"""PERF_RECORD_LOST with the longest sample_id trailer (K44)."""

_MAX_RING_BYTES = 1 << 62


class Outcome(enum.StrEnum):
    """What a watermark means for a reader that only waits."""

    LIVE = "LIVE"
    """No stream of such records can leave the reader asleep. Never wrong."""
    DEPENDS = "DEPENDS"
    """Some streams wake the reader; some may not, or not after a loss."""
    STALLS = "STALLS"
    """No stream of such records ever wakes the reader of a ring that is not paused meanwhile. Exact."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `watermark_verdict` found. All sizes in bytes.

    Attributes:
        outcome: LIVE, DEPENDS or STALLS.
        kernel_watermark: the value that the kernel really uses (K8).
        largest_safe: the largest watermark that is LIVE for such records; 0 if there is none.
        fullest: the fullest level that such records can reach in a ring that nobody drains.
        ring_bytes: data bytes of the ring.
        reason: one or two sentences for people.
    """

    outcome: Outcome
    kernel_watermark: int
    largest_safe: int
    fullest: int
    ring_bytes: int
    reason: str


def ring_data_bytes(page_count: int, page_size: int | None = None) -> int:
    """The data bytes of a ring: the next power of two of ``page_count``, times the page size (K1).

    Args:
        page_count: data pages, at least 1; the metadata page is not counted.
        page_size: bytes in a page, a power of two; None for that of this machine.

    Raises:
        TypeError: a count that is not an int.
        ValueError: a count below 1, a page size that is no power of two, or a ring beyond 2**62 bytes.
    """
    _require_int("page_count", page_count, least=1)
    if page_size is None:
        page_size = mmap.PAGESIZE
    _require_int("page_size", page_size, least=8)
    if page_size & (page_size - 1):
        raise ValueError(f"page_size is {page_size}: it must be a power of two, such as 4096, 16384 or 65536")
    size = (1 << (page_count - 1).bit_length()) * page_size
    if size > _MAX_RING_BYTES:
        raise ValueError(f"page_count is {page_count}: a ring of {size} bytes cannot be mapped")
    return size


def kernel_watermark(watermark: int, ring_bytes: int) -> int:
    """The watermark as the kernel takes it from an attr with the ``watermark`` flag (K8).

    At most the ring; 0 means half the ring, not "every event".
    """
    return min(watermark, ring_bytes) or ring_bytes // 2


def first_wake_bytes(watermark: int, ring_bytes: int, record_bytes: int) -> int | None:
    """Where a stream of equal records first wakes a reader that waits: the head then, or None for never.

    Args:
        watermark: as the kernel takes it (`kernel_watermark`).
        ring_bytes: data bytes of the ring.
        record_bytes: the size of every record.
    """
    woke_at = (watermark // record_bytes + 1) * record_bytes
    return woke_at if woke_at <= ring_bytes - 1 else None


def watermark_verdict(
    page_count: int,
    watermark: int,
    *,
    record_bytes: int | tuple[int, int] = (MIN_RECORD_BYTES, MAX_RECORD_BYTES),
    lost_bytes: int = MAX_LOST_BYTES,
    overwrite: bool = False,
    page_size: int | None = None,
) -> Verdict:
    """Tells whether a watermark can, must or may never wake a reader that waits.

    The reader does nothing but wait, and drains to a snapshot of head on each wake. One that drains at least every t
    seconds whatever happens (a latency bound) survives every watermark (K13), and needs no verdict.

    Args:
        page_count: data pages of the ring, rounded up to a power of two.
        watermark: ``wakeup_watermark`` in bytes; 0 is judged as what the kernel makes of it, half a ring (K8).
        record_bytes: the smallest and the largest record that any event writes into the ring, or one number when all
            are equal; multiples of 8 (K5).
        lost_bytes: the largest PERF_RECORD_LOST of those events: 24 plus the sample_id trailer, 72 at most (K44).
        overwrite: the ring is mapped read-only (K4): nothing is refused for want of room, so every watermark wakes.
        page_size: bytes in a page; None for that of this machine.

    Raises:
        TypeError: a number that is not an int.
        ValueError: a value out of range, named in the text.
    """
    size = ring_data_bytes(page_count, page_size)
    _require_int("watermark", watermark, least=0)
    smallest, largest = _record_range(record_bytes)
    _check_lost_bytes(lost_bytes)
    effective = kernel_watermark(watermark, size)
    if overwrite:
        reason = "An overwrite ring refuses no record, so head passes every watermark and the reader is woken (K4)."
        return Verdict(Outcome.LIVE, effective, size, size, size, reason)
    fullest = min((size - 8) // smallest * largest, size - 8)
    largest_safe = max(size - 1 - largest - lost_bytes, 0)
    if effective >= fullest:
        outcome, reason = Outcome.STALLS, _why_stalls(size, effective, fullest)
    elif effective <= largest_safe:
        outcome, reason = Outcome.LIVE, _why_live(effective, largest, lost_bytes, size)
    else:
        outcome, reason = Outcome.DEPENDS, _why_depends(effective, largest, lost_bytes, size, largest_safe)
    return Verdict(outcome, effective, largest_safe, fullest, size, reason)


def _why_stalls(size: int, watermark: int, fullest: int) -> str:
    if not fullest:
        return f"Not one such record fits into a ring of {size} bytes: every record is lost (K6)."
    return (
        f"The fullest level that such records reach in a ring of {size} bytes is {fullest}, which is not above the "
        f"watermark of {watermark}: the kernel never wakes the reader, and all that follows is lost (K11, K12)."
    )


def _why_live(watermark: int, largest: int, lost: int, size: int) -> str:
    return (
        f"{watermark} + {largest} (largest record) + {lost} (LOST) <= {size} - 1: below the watermark the next record "
        "always fits, so the fill grows until it wakes the reader, also after losses."
    )


def _why_depends(watermark: int, largest: int, lost: int, size: int, largest_safe: int) -> str:
    mend = f"{largest_safe} is the largest that cannot stall." if largest_safe else "Only more pages help."
    return (
        f"{watermark} + {largest} (largest record) + {lost} (LOST) > {size} - 1: a waiting reader can be left with a "
        f"ring into which the next record does not fit, for instance after a loss (K42, K43). {mend}"
    )


def _record_range(record_bytes: int | tuple[int, int]) -> tuple[int, int]:
    smallest, largest = (record_bytes, record_bytes) if isinstance(record_bytes, int) else record_bytes
    for value in (smallest, largest):
        _require_int("record_bytes", value, least=MIN_RECORD_BYTES)
        if value % 8 or value > MAX_RECORD_BYTES:
            span = f"{MIN_RECORD_BYTES} to {MAX_RECORD_BYTES}"
            raise ValueError(f"record_bytes is {value}: records are multiples of 8, from {span} (K5)")
    if smallest > largest:
        raise ValueError(f"record_bytes is ({smallest}, {largest}): the smallest comes first")
    return smallest, largest


def _check_lost_bytes(lost_bytes: object) -> None:
    _require_int("lost_bytes", lost_bytes, least=MIN_LOST_BYTES)
    if lost_bytes not in range(MIN_LOST_BYTES, MAX_LOST_BYTES + 1, 8):
        span = f"{MIN_LOST_BYTES} to {MAX_LOST_BYTES}"
        raise ValueError(f"lost_bytes is {lost_bytes}: a PERF_RECORD_LOST is a multiple of 8, from {span} (K44)")


def _require_int(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}: it must be an int")
    if value < least:
        raise ValueError(f"{name} is {value}: it must be at least {least}")
