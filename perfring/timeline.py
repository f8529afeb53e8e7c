"""What happened to rings over time: what a picture shows, whoever measured it.

A timeline is plain data. `perfring verify` and `perfring simulate` make them, `perfring.picture` draws them, and
`Timeline.to_dict` is what ``--json`` prints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from perfring.geometry import Outcome

__all__ = ["Drain", "Fill", "Latency", "Loss", "RingTimeline", "Timeline", "Wake"]


class Fill(NamedTuple):
    """The state of a ring at one moment; it holds until the next one.

    Attributes:
        at_ns: nanoseconds since the beginning of the timeline.
        head: bytes ever published, data_head.
        tail: bytes ever given back, data_tail.
        wakeup: the kernel's wakeup cursor (K7), or None where the kernel does not show it.
    """

    at_ns: int
    head: int
    tail: int
    wakeup: int | None = None

    @property
    def used(self) -> int:
        """Bytes that wait for the reader."""
        return self.head - self.tail


class Wake(NamedTuple):
    """The reader was woken; `spurious` if the ring was empty then."""

    at_ns: int
    spurious: bool = False


class Drain(NamedTuple):
    """The reader took records and bytes out of the ring, and gave the room back."""

    at_ns: int
    records: int
    bytes: int


class Loss(NamedTuple):
    """The ring refused so many records, one after another, the first of them at this time (K21)."""

    at_ns: int
    records: int


class Latency(NamedTuple):
    """A record that was delivered at this time had waited so long since it was written."""

    at_ns: int
    ns: int


@dataclass(frozen=True, slots=True)
class RingTimeline:
    """One ring. Everything is in the order of time, and `fills` has at least one entry.

    Attributes:
        cpu: whose ring it is, -1 for a ring of a task.
        ring_bytes: data pages, in bytes.
        watermark: as the kernel takes it, in bytes (K8).
        fills: each change of head, tail or cursor, or a fair choice of them.
        wakes: of the reader, by this ring.
        drains: of this ring.
        losses: of this ring.
        latencies: of each record, or a fair choice of them.
        stalled: the ring refused records, or was left undrained, while nothing would have woken its reader.
    """

    cpu: int
    ring_bytes: int
    watermark: int
    fills: tuple[Fill, ...]
    wakes: tuple[Wake, ...] = ()
    drains: tuple[Drain, ...] = ()
    losses: tuple[Loss, ...] = ()
    latencies: tuple[Latency, ...] = ()
    stalled: bool = False

    @property
    def lost(self) -> int:
        """Records that the ring refused."""
        return sum(loss.records for loss in self.losses)

    @property
    def silent_since_ns(self) -> int | None:
        """The moment after which nobody wakes the reader of a stalled ring; None for a ring that is not stalled.

        That is the first refusal behind the last drain (K12); without one, the last record that came in.
        """
        if not self.stalled:
            return None
        drained = self.drains[-1].at_ns if self.drains else 0
        refused = (loss.at_ns for loss in self.losses if loss.at_ns >= drained)
        return next(refused, max(self._grown_ns(), drained))

    def _grown_ns(self) -> int:
        return next((fill.at_ns for before, fill in reversed([*pairwise(self.fills)]) if fill.head != before.head), 0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rings side by side on one clock.

    Attributes:
        title: what was run, as a person would call it.
        kernel: which kernel: ``"simkernel 6.18"``.
        duration_ns: how long the timeline is.
        rings: by CPU, ascending.
        outcome: what `watermark_verdict` says of these rings.
        facts: what else a reader of the picture should know, in words, by name: rates, percentiles, advice.
        trouble: what is wrong though no ring stalled, in two or three words; empty where nothing is.
    """

    title: str
    kernel: str
    duration_ns: int
    rings: tuple[RingTimeline, ...]
    outcome: Outcome
    facts: dict[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def stalled(self) -> bool:
        """Whether some ring stalled."""
        return any(ring.stalled for ring in self.rings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: the names of the attributes, times in nanoseconds, sizes in bytes."""
        return asdict(self) | {"outcome": self.outcome.name, "stalled": self.stalled}
