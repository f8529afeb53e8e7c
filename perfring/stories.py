"""A reader that waits, watched on any kernel: timelines of what `perfring.verify` measures, recorded while it happens.

The records are the renames of `perfring.verify`, one in every millisecond. Between two of them the reader waits in
poll(2); when it is woken it drains to the head and waits again. What it sees is all that is drawn: head and tail of
the metadata page, wakes, and the renames that did not move the head (K12). The one number that no kernel shows is the
wakeup cursor: it is counted from the wakes that were seen, each of which moves it on by the watermark (K7).

`STORIES` are the few that tell the rule: watermarks below, at and above the bounds, with and without a loss.
"""

from __future__ import annotations

import struct
from collections import deque
from time import CLOCK_MONOTONIC
from typing import TYPE_CHECKING, Final, NamedTuple

from perfring import abi
from perfring.geometry import Verdict, first_wake_bytes, watermark_verdict
from perfring.timeline import Drain, Fill, Latency, Loss, RingTimeline, Timeline, Wake
from perfring.verify import SHAPES, open_ring, record_bytes_of, woke_after_loss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfring.kernel import Mapping
    from perfring.verify import Arm

__all__ = ["STORIES", "Story", "watch"]

_POLLIN: Final = 1  # poll.h
_HEADER: Final = struct.Struct("=IHH")  # type, misc, size (K35)
_SHAPE: Final = SHAPES[4]
_PAGES: Final = 1
_BETWEEN_RECORDS_S: Final = 0.001
_RINGS_FULL: Final = 3  # so many times the records that fill a ring
# A story loses one record at most on purpose. A ring that refuses so many, while its reader waits, has stalled (K12).
_REFUSED_IN_VAIN: Final = 16


class Story(NamedTuple):
    """A watermark, and what is tried on it.

    Attributes:
        title: what it shows.
        watermark: the number to ask for, from what is known of the ring and its records.
        loses: at its first wake the reader waits for a record to be lost before it drains (K42).
    """

    title: str
    watermark: Callable[[Verdict], int]
    loses: bool = False


STORIES: Final = (
    Story("Half the ring", lambda rule: rule.ring_bytes // 2),
    Story("The largest safe watermark, with a loss at the first wake", lambda rule: rule.largest_safe, loses=True),
    Story("One byte below the fullest level, without a loss", lambda rule: rule.fullest - 1),
    Story("One byte below the fullest level, with a loss at the first wake", lambda rule: rule.fullest - 1, loses=True),
    Story("The fullest level that the records can reach", lambda rule: rule.fullest),
    Story("The size of the ring", lambda rule: rule.ring_bytes),
)
"""What shows the rule best: all in rings of one page, with records of 56 bytes."""


def watch(arm: Arm, story: Story) -> Timeline:
    """Runs a story on a kernel, and returns what was seen.

    Args:
        arm: the kernel, and the task whose renames are recorded.
        story: one of `STORIES`, or another.

    Raises:
        SilentProducer: a rename writes nothing.
        OSError: the kernel refuses to open or map the ring.
    """
    record = record_bytes_of(arm, _SHAPE)
    wanted = story.watermark(_verdict(arm, 1, record))
    verdict = _verdict(arm, wanted, record)
    renames = _RINGS_FULL * verdict.ring_bytes // record
    with open_ring(arm, _SHAPE, _PAGES, wanted) as (fd, ring):
        reader = _Reader(arm, fd, ring, verdict)
        woken = False
        for _ in range(renames):
            reader.rename()
            woken |= reader.waits()
            if woken and (reader.losses or not story.loses):
                reader.drain()
                woken = False
        seen = reader.timeline()
    return Timeline(
        title=f"{story.title}: watermark {wanted:,} of {verdict.ring_bytes:,}",
        kernel=arm.name,
        duration_ns=seen.fills[-1].at_ns,
        rings=(seen,),
        outcome=verdict.outcome,
        facts={
            "Records": f"{renames} of {record} bytes, one in a millisecond",
            **_wakes_told(verdict, record, reader.woken_at, after_loss=story.loses),
            "Wakeup cursor": "counted from the wakes seen, each of which moves it by the watermark (K7)",
        },
    )


def _verdict(arm: Arm, watermark: int, record_bytes: int) -> Verdict:
    return watermark_verdict(
        _PAGES, watermark, record_bytes=record_bytes, lost_bytes=_SHAPE.lost_bytes, page_size=arm.kernel.page_size
    )


def _wakes_told(verdict: Verdict, record: int, woken_at: list[int], *, after_loss: bool) -> dict[str, str]:
    """Where the first wake was foretold and where it came, and the same of the one behind the first loss."""
    rule = verdict.kernel_watermark, verdict.ring_bytes, record
    told = {"First wake": first_wake_bytes(*rule)}
    if after_loss:
        told["First wake after the loss"] = woke_after_loss_bytes(*rule, _SHAPE.lost_bytes)
    seen = dict(zip(told, woken_at, strict=False))
    return {name: f"foretold {_at(where)}, seen {_at(seen.get(name))}" for name, where in told.items()}


def _at(head: int | None) -> str:
    return "never" if head is None else f"at head {head:,}"


class _Reader:
    """The task that waits, and what it has seen.

    Attributes:
        losses: renames that did not move the head.
        woken_at: head at each wake.
    """

    def __init__(self, arm: Arm, fd: int, ring: Mapping, verdict: Verdict) -> None:
        self._arm, self._fd, self._ring = arm, fd, ring
        self._verdict = verdict
        self._began_ns = arm.kernel.clock_ns(CLOCK_MONOTONIC)
        self._head = self._tail = 0
        self._written: deque[int] = deque()
        self._fills = [Fill(0, 0, 0, 0)]
        self._wakes: list[Wake] = []
        self._drains: list[Drain] = []
        self._latencies: list[Latency] = []
        self.losses: list[Loss] = []
        self.woken_at: list[int] = []

    def rename(self) -> None:
        """One more record, or one more loss."""
        before = self._head
        now_ns = self._now_ns()
        self._arm.producer.rename(_SHAPE.comm)
        self._head = self._ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
        if self._head == before:
            self.losses.append(Loss(now_ns, 1))
        else:
            self._written.append(now_ns)
        self._note(now_ns)

    def waits(self) -> bool:
        """Until it is woken, or the next record is due."""
        ready = self._arm.kernel.poll([(self._fd, _POLLIN)], _BETWEEN_RECORDS_S)
        if not any(events & _POLLIN for _, events in ready):
            return False
        self._wakes.append(Wake(self._now_ns(), spurious=self._head == self._tail))
        self.woken_at.append(self._head)
        self._note(self._wakes[-1].at_ns)
        return True

    def drain(self) -> None:
        """All up to the head, which nobody moves meanwhile."""
        now_ns, records = self._now_ns(), 0
        for kind in self._kinds():
            if kind == abi.PERF_RECORD_COMM:
                self._latencies.append(Latency(now_ns, now_ns - self._written.popleft()))
            records += 1
        self._drains.append(Drain(now_ns, records, self._head - self._tail))
        self._tail = self._head
        self._ring.store_u64(abi.MMAP_PAGE_DATA_TAIL, self._tail)
        self._note(now_ns)

    def timeline(self) -> RingTimeline:
        """What it has seen."""
        self._note(self._now_ns())
        return RingTimeline(
            cpu=-1,
            ring_bytes=self._verdict.ring_bytes,
            watermark=self._verdict.kernel_watermark,
            fills=tuple(self._fills),
            wakes=tuple(self._wakes),
            drains=tuple(self._drains),
            losses=tuple(self.losses),
            latencies=tuple(self._latencies),
            stalled=len(self.losses) >= _REFUSED_IN_VAIN,
        )

    def _kinds(self) -> Iterator[int]:
        """The type of each record from tail to head; a header is never in two pieces (K5)."""
        at = self._tail
        while at < self._head:
            kind, _, size = _HEADER.unpack_from(self._ring.data, at % self._verdict.ring_bytes)
            yield kind
            at += size

    def _note(self, now_ns: int) -> None:
        cursor = len(self._wakes) * self._verdict.kernel_watermark
        self._fills.append(Fill(now_ns, self._head, self._tail, cursor))

    def _now_ns(self) -> int:
        return self._arm.kernel.clock_ns(CLOCK_MONOTONIC) - self._began_ns
