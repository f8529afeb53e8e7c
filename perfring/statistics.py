"""What a session counted: per ring, and in all."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["RingStatistics", "SessionStatistics"]


@dataclass(slots=True, kw_only=True)
class RingStatistics:
    """The counts of one CPU's ring.

    Attributes:
        cpu: whose ring.
        ring_bytes: its data bytes.
        wakeups: how often the kernel said that this ring was ready.
        spurious_wakeups: how many of those found nothing unread in it (K18).
        records: records taken out of it, side-band and LOST among them.
        bytes: their bytes.
        fill: the unread bytes that lay in it when these counts were taken; once it is closed, those of `unread_bytes`.
        highest_fill: the most unread bytes that any drain found.
        lost: records that the kernel dropped: the larger of the two counts below, for each of them can be behind.
        lost_reported: the sum of the PERF_RECORD_LOST records that came out of the ring (K21).
        lost_counted: the sum over the ring's events of what read(2) tells (K22); None where the kernel does not count.
        bad_records: records, or stretches of the ring, that made no sense and were skipped.
        skipped_bytes: the bytes of those.
        unread_bytes: what still lay in the ring when the session was closed.
    """

    cpu: int
    ring_bytes: int = 0
    wakeups: int = 0
    spurious_wakeups: int = 0
    records: int = 0
    bytes: int = 0
    fill: int = 0
    highest_fill: int = 0
    lost_reported: int = 0
    lost_counted: int | None = None
    bad_records: int = 0
    skipped_bytes: int = 0
    unread_bytes: int = 0

    @property
    def lost(self) -> int:
        """Drops followed by silence never come as a record (K22); a kernel without the count has only the records."""
        return max(self.lost_reported, self.lost_counted or 0)


@dataclass(slots=True, kw_only=True)
class SessionStatistics:
    """The counts of a session: a copy, which does not move on.

    Attributes:
        rings: one for each CPU, ascending.
        late: records that came out of a ring after younger ones of another had been delivered (K36).
        undelivered: records that were read, and held back or not asked for when the session was closed.
        callback_errors: exceptions that callbacks raised.
        timeouts: waits that ended because their time was over, not because the kernel woke the reader.
    """

    rings: tuple[RingStatistics, ...] = field(default=())
    late: int = 0
    undelivered: int = 0
    callback_errors: int = 0
    timeouts: int = 0

    @property
    def wakeups(self) -> int:
        """Over all rings."""
        return sum(ring.wakeups for ring in self.rings)

    @property
    def spurious_wakeups(self) -> int:
        """Over all rings."""
        return sum(ring.spurious_wakeups for ring in self.rings)

    @property
    def records(self) -> int:
        """Over all rings."""
        return sum(ring.records for ring in self.rings)

    @property
    def bytes(self) -> int:
        """Over all rings."""
        return sum(ring.bytes for ring in self.rings)

    @property
    def lost(self) -> int:
        """Over all rings."""
        return sum(ring.lost for ring in self.rings)

    @property
    def bad_records(self) -> int:
        """Over all rings."""
        return sum(ring.bad_records for ring in self.rings)

    @property
    def unread_bytes(self) -> int:
        """Over all rings."""
        return sum(ring.unread_bytes for ring in self.rings)
