"""One CPU's ring in a session: takes records out of it, counts, and survives what makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from perfring.abi import PERF_FORMAT_LOST
from perfring.errors import BadRecord
from perfring.fields import parse_read
from perfring.ring import RingOverrun, RingReader
from perfring.sideband import Lost
from perfring.statistics import RingStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfring.decoding import Decoder
    from perfring.kernel import Kernel
    from perfring.opening import OpenRing
    from perfring.records import Record

__all__ = ["OnImage", "RingDrain"]

OnImage: TypeAlias = "Callable[[int, int, bytes, Sequence[Record]], object]"
"""Given the CPU, the position in its ring, the bytes that were copied out from there, and the records found in them."""

_READ_BYTES: Final = 256
_LONGEST_RECORD: Final = 1 << 16
_U64: Final = (1 << 64) - 1


class RingDrain:
    """Reads one forward ring.

    Attributes:
        ended: no live event is left that could write into it (K19).
        last_time: the time of the last record that came out of the ring, in nanoseconds; -1 before the first.
        statistics: the running counts.
        on_image: given what was copied out of the ring, before it is counted as read; None for nobody. What it raises
            leaves the bytes in the ring, for the next drain.
    """

    def __init__(self, opened: OpenRing, decoder: Decoder, report: Callable[[BadRecord], None]) -> None:
        if opened.mapping is None:
            raise AssertionError(f"the ring of cpu {opened.cpu} has no mapping")
        self.opened = opened
        self.cpu = opened.cpu
        self.ended = False
        self.last_time = -1
        self.on_image: OnImage | None = None
        self._woken = False
        # The tail from before the first head that made no sense, until something is read again.
        self._strayed_from: int | None = None
        self._reader = RingReader(opened.mapping)
        self._decoder = decoder
        self._report = report
        self.statistics = RingStatistics(cpu=opened.cpu, ring_bytes=self._reader.size)

    def event_fds(self) -> Iterable[int]:
        """The perf fds that write into the ring, the mapped one first."""
        return (event.fd for event in self.opened.events)

    def note_wakeup(self) -> None:
        """The kernel said that the ring is ready."""
        self.statistics.wakeups += 1
        self._woken = True

    def head(self) -> int:
        """Loads head. A head that makes no sense is reported, and the reader goes on from there.

        When head then returns to where it belongs, so does the reader, and nothing is lost. But one that goes back by
        no more than a ring is followed: it may be true, and the tail was not.
        """
        reader, counts = self._reader, self.statistics
        if reader.published != reader.tail:
            reader.publish()  # a drain was interrupted before it came to that
        head = reader.head()
        self._find_back(head)
        try:
            unread = reader.unread(head)
        except RingOverrun as error:
            unread = 0
            origin = error.position if self._strayed_from is None else self._strayed_from
            self._strayed_from = origin if (origin - head) & _U64 > reader.size else None
            reader.skip_to(head)
            self._bad(str(error), error.position, error.distance)
        counts.highest_fill = max(counts.highest_fill, unread)
        if self._woken:
            self._woken = False
            counts.spurious_wakeups += not unread  # somebody drained before the wakeup was asked for (K18)
        return head

    def has_reached(self, target: int) -> bool:
        """Whether everything up to ``target`` has been taken out."""
        # Never more than a ring ahead: a target further on is behind, or from before a head that made no sense.
        return not 0 < (target - self._reader.tail) & _U64 <= self._reader.size

    def drain(self, target: int, budget: int, into: list[Any]) -> None:
        """Takes out at most ``budget`` bytes, and one record at least, up to ``target``, which `head` returned before.

        An interrupt leaves the bytes either unread in the ring, or read in ``into``.

        Args:
            target: up to where.
            budget: bytes.
            into: the list of an `perfring.ordering.Order` that what is taken is added to.
        """
        if self.has_reached(target):
            return
        reader = self._reader
        unread = reader.unread(target)
        length = min(unread, max(budget, _LONGEST_RECORD))
        beyond = unread - length
        bad: list[BadRecord] = []
        try:
            taken, consumed = self._take(length, final=not beyond, beyond=beyond, bad=bad)
        except Exception:
            # A fault of ours; the ring must not stand still for it. Only ``target`` is known to end a record.
            self._bad("the records could not be decoded", reader.tail, unread)
            reader.free(unread)
            raise
        position = reader.after(consumed)
        counts = self.statistics
        records, lost, last_time = self._counted(taken)
        bad_records, skipped = len(bad), sum(error.skipped for error in bad)
        if self.on_image is not None:
            self.on_image(self.cpu, reader.tail, reader.copy(min(consumed, length)), taken)
        # No call between these lines: a signal handler runs at calls only, so an interrupt comes before or behind.
        into += taken
        reader.tail = position
        counts.records += records
        counts.bytes += consumed
        counts.lost_reported += lost
        counts.bad_records += bad_records
        counts.skipped_bytes += skipped
        self.last_time = last_time
        self._strayed_from = None
        reader.publish()

    def close_account(self, kernel: Kernel) -> None:
        """Counts what is left behind, before the ring is closed. Once it is, nothing changes any more."""
        if self.opened.mapping is not None:
            self.statistics.unread_bytes = self._unread()
            self.take_stock(kernel)

    def take_stock(self, kernel: Kernel) -> None:
        """Counts what no drain can: what lies in the ring now, and losses, which read(2) of every event tells (K22)."""
        self.statistics.fill = self._unread()
        lost = None
        for event in self.opened.events:
            if event.read_format & PERF_FORMAT_LOST:
                values = parse_read(event.read_format, kernel.read(event.fd, _READ_BYTES))
                lost = (lost or 0) + (values.lost or 0)
        self.statistics.lost_counted = lost

    def _take(self, length: int, *, final: bool, beyond: int, bad: list[BadRecord]) -> tuple[list[Any], int]:
        """The next ``length`` bytes as what ``into`` holds, and how many of them: as `Decoder.decode_run`.

        What is bad among them is added to ``bad`` and told, but not yet counted: an interrupt leaves it in the ring.
        """
        image = self._reader.copy(length)
        return self._decoder.decode_run(
            image, cpu=self.cpu, position=self._reader.tail, on_bad=self._noting(bad), final=final, beyond=beyond
        )

    def _noting(self, bad: list[BadRecord]) -> Callable[[BadRecord], None]:
        def on_bad(error: BadRecord) -> None:
            bad.append(error)
            self._report(error)

        return on_bad

    def _find_back(self, head: int) -> None:
        """Gets the reader back to where it strayed from, if that fits ``head``: nothing there is overwritten yet.

        Whoever maps the metadata page can write over head, until the kernel publishes its own again (K3).
        """
        reader, back_at = self._reader, self._strayed_from
        if back_at is None or (head - back_at) & _U64 > reader.size:
            return
        self._strayed_from = None
        skipped = (back_at - reader.tail) & _U64
        if skipped:
            self._bad("head has returned from where it made no sense", reader.tail, skipped)
            reader.skip_to(back_at)

    def _unread(self) -> int:
        """Bytes that lie in the ring now; 0 when head makes no sense."""
        try:
            return self._reader.unread(self._reader.head())
        except RingOverrun:
            return 0

    def _counted(self, taken: list[Any]) -> tuple[int, int, int]:
        """How many records those are, the sum of all PERF_RECORD_LOST among them, and what `last_time` then is."""
        records: list[Record] = taken
        lost = sum(record.lost for record in records if isinstance(record, Lost))
        last_time = records[-1].time if records else None
        return len(records), lost, self.last_time if last_time is None else last_time

    def _bad(self, text: str, position: int, skipped: int) -> None:
        self.statistics.bad_records += 1
        self.statistics.skipped_bytes += skipped
        self._report(BadRecord(text, cpu=self.cpu, position=position, skipped=skipped))
