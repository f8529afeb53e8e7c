"""What a recording counted: for programs, for people, and live."""

from __future__ import annotations

import time
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.text import Text

    from perfring.batch import Batch
    from perfring.session import Session

__all__ = ["Tally"]

_LARGE_RING: Final = 16 << 20
"""Bytes of a ring, of which there is one for each CPU, that nobody should be told to ask for lightly."""

_KIND = attrgetter("kind")
_MOST_ERRORS = 5


class Tally:
    """Counts the records that were delivered, and asks the session for the rest.

    Args:
        cpu_seconds_before: this process's CPU time before the session was opened.
    """

    def __init__(self, session: Session, *, cpu_seconds_before: float) -> None:
        self._session = session
        self._cpu_before = cpu_seconds_before
        self._began = time.monotonic()
        self._ended: float | None = None
        self._cpu_ended = 0.0
        self.kinds: Counter[str] = Counter()
        self.synthesized = 0
        self.errors: list[Exception] = []

    def note(self, error: Exception) -> None:
        """Keeps the first bad records, to show them."""
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(error)

    def begin(self) -> None:
        """The recording begins now."""
        self._began = time.monotonic()

    def end(self) -> None:
        """The recording ends now; the first call counts."""
        if self._ended is None:
            self._ended, self._cpu_ended = time.monotonic(), time.process_time()

    def add(self, batch: Batch) -> None:
        """Counts a batch; of columns without making objects of them."""
        if not self._session.plan.columns:
            self.kinds.update(map(_KIND, batch))
            return
        for columns in batch.columns.values():
            self.kinds[columns.kind] += len(columns)
        self.kinds.update(map(_KIND, batch.others))

    @property
    def samples(self) -> int:
        """PERF_RECORD_SAMPLE records."""
        return self.kinds["sample"]

    @property
    def sideband(self) -> int:
        """All others, without LOST, which tells of records and is none."""
        return self.kinds.total() - self.samples - self.kinds["lost"]

    def summary(self) -> dict[str, Any]:
        """The figures as the last JSON line has them."""
        counted, plan = self._session.statistics(), self._session.plan
        ended = time.monotonic() if self._ended is None else self._ended
        cpu = time.process_time() if self._ended is None else self._cpu_ended
        return {
            "samples": self.samples,
            "sideband": self.sideband,
            "synthesized": self.synthesized,
            "wakeups": counted.wakeups,
            "spurious_wakeups": counted.spurious_wakeups,
            "timeouts": counted.timeouts,
            "lost": counted.lost,
            "late": counted.late,
            "bytes": counted.bytes,
            "bad_records": counted.bad_records,
            "watermark": plan.wakeup_watermark,
            "ring_bytes": counted.rings[0].ring_bytes,
            "highest_fill": max(ring.highest_fill for ring in counted.rings),
            "cpus": len(counted.rings),
            "duration_seconds": round(ended - self._began, 6),
            "cpu_seconds": round(cpu - self._cpu_before, 6),
        }

    def live(self) -> Text:
        """One line, for while it runs."""
        from rich.text import Text

        figures = self.summary()
        text = Text(f"{figures['duration_seconds']:.0f} s", "bold")
        text.append(f"  {figures['samples']:,} samples  {figures['sideband']:,} side-band", "default not bold")
        text.append(f"  {figures['wakeups']:,} wakeups", "default not bold")
        if figures["lost"]:
            text.append(f"  {figures['lost']:,} LOST", "bold red")
        return text.append("  (Ctrl-C ends)", "dim not bold")

    def for_people(self, figures: dict[str, Any]) -> Text:
        """The summary in words; what went wrong stands out, with what to do about it."""
        from rich.text import Text

        text = Text()
        synthesized = f", and {self.synthesized:,} made from /proc" if self.synthesized else ""
        text.append(f"{figures['samples']:,} samples", "bold")
        text.append(f" and {figures['sideband']:,} side-band records{synthesized}")
        text.append(f" in {_seconds(figures['duration_seconds'])}, {figures['bytes']:,} bytes\n")
        text.append(_waking(figures))
        if figures["lost"]:
            text.append(f"{figures['lost']:,} records LOST", "bold red")
            text.append(f": {_advice(figures)}\n")
        else:
            text.append("Nothing lost.\n", "green")
        for error in self.errors:
            text.append(f"bad data: {error}\n", "red")
        return text


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:,.1f} s"


def _waking(figures: dict[str, Any]) -> str:
    level = f" at a watermark of {figures['watermark']:,} bytes" if figures["watermark"] is not None else ""
    rings = f"{figures['cpus']} ring" + ("s" if figures["cpus"] > 1 else "")
    return (
        f"{figures['wakeups']:,} wakeups{level}, {figures['timeouts']:,} waits ended by time; {rings} of "
        f"{figures['ring_bytes']:,} bytes, found at most {_percent(figures)} % full; "
        f"{_seconds(figures['cpu_seconds'])} CPU\n"
    )


def _percent(figures: dict[str, Any]) -> int:
    return int(-(-100 * figures["highest_fill"] // figures["ring_bytes"]))


def _advice(figures: dict[str, Any]) -> str:
    """Rings that ran full are too small, or their reader is woken too late, or has no time for so much."""
    import mmap

    from perfring.advice import power_of_two_pages

    pages = figures["ring_bytes"] // mmap.PAGESIZE
    # As if one ring had lost it all, at the size of what was delivered.
    read = max(figures["samples"] + figures["sideband"], 1)
    needed = figures["ring_bytes"] + figures["lost"] * figures["bytes"] // read
    held = max(power_of_two_pages(needed, mmap.PAGESIZE), 2 * pages)
    if needed > _LARGE_RING:
        return (
            f"the rings ran full: to hold it all they would need --pages {held}, and where it goes on like this, "
            "larger ones only lose later; record less (fewer events, --filter), or tables (-o FILE.parquet), which "
            "cost the reader least"
        )
    text = f"the rings ran full; try --pages {held}"
    if figures["watermark"] is not None and figures["watermark"] > figures["ring_bytes"] // 2:
        text += f" or a lower --watermark: `perfring watermark --pages {pages} --bytes {figures['watermark']}`"
    return text
