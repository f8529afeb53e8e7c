"""Whether a watermark is well chosen, judged by what rings really did, and which one would do.

Pure arithmetic on counts; whoever counts is elsewhere. Four things can be wrong with a watermark W in a ring of S bytes
into which B bytes come per second:

* a reader that only waits can be left asleep: `perfring.geometry.watermark_verdict` says so (K11, K42, K43);
* between crossing W and the drain, ``fullest - W`` more bytes came. Is that nearly S - W, or more than it, then the
  reader comes so late that records are lost, or soon will be;
* the reader is woken B / W times a second, and a wakeup costs as much as many records;
* nothing wakes the reader for W / B seconds, and so long a record may lie there, if no latency bound ends the wait.

Every setting that is advised is LIVE for the records in question: it cannot stall.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perfring.geometry import Outcome, watermark_verdict

__all__ = ["MANY_WAKEUPS", "Advice", "Concern", "RingUse", "Setting", "advise", "power_of_two_pages"]

MANY_WAKEUPS: Final = 1000.0
"""Per second: more than a timer tick, and some percent of the reader's CPU for wakeups alone."""
_FEW_WAKEUPS: Final = 100.0
"""What a raised watermark aims at, over all rings: one for each 10 ms."""
_SPURIOUS: Final = 0.5
"""Share of wakeups that find nothing, from which on they are worth a word."""
_NEARLY_FULL: Final = 0.9
_LATE_SECONDS: Final = 1.0
_BUSY: Final = 0.95
_MARGIN: Final = 2
"""How much later than it ever came the reader may come."""
_LONGEST_WATERMARK: Final = (1 << 32) - 1
_MOST_PAGES: Final = 1 << 19


class Concern(enum.StrEnum):
    """What is wrong, the worst first."""

    STALL = "stall"
    """The reader can be left asleep."""
    OVERLOAD = "overload"
    """Records are lost because the reader has no time left."""
    LOSS = "loss"
    """Records are lost."""
    HEADROOM = "headroom"
    """The next delay of the reader, or burst of records, will lose some."""
    WAKEUPS = "wakeups"
    """The reader is woken so often that waking costs more than reading."""
    LATENESS = "lateness"
    """Records wait long for the watermark to be reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How the rings are set up.

    Attributes:
        page_count: data pages of each.
        page_size: bytes in a page.
        watermark: as asked for; None where samples are counted instead (``wakeup_events``, K9).
        record_bytes: the smallest and the largest record that any event writes.
        lost_bytes: the largest PERF_RECORD_LOST.
        max_latency: seconds after which the reader looks without being woken; None: it waits for ever.
    """

    page_count: int
    page_size: int
    watermark: int | None
    record_bytes: tuple[int, int]
    lost_bytes: int
    max_latency: float | None

    @property
    def ring_bytes(self) -> int:
        """Data bytes of each ring."""
        return self.page_count * self.page_size

    @property
    def needed(self) -> int:
        """Bytes that a ring must have beyond its watermark to be LIVE (`watermark_verdict`)."""
        return self.record_bytes[1] + self.lost_bytes + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RingUse:
    """What one ring did.

    Attributes:
        cpu: whose it is.
        seconds: over which span the counts are, above 0.
        bytes: came into it in that span, without what was lost.
        wakeups: of its reader.
        spurious_wakeups: of those, the ones that found nothing (K18).
        lost: records that the kernel dropped.
        highest_fill: the most bytes that a drain ever found in it, before that span too.
    """

    cpu: int
    seconds: float
    bytes: int = 0
    wakeups: int = 0
    spurious_wakeups: int = 0
    lost: int = 0
    highest_fill: int = 0

    @property
    def bytes_per_second(self) -> float:
        """The rate at which it is filled."""
        return self.bytes / self.seconds

    @property
    def wakeups_per_second(self) -> float:
        """How often it wakes its reader."""
        return self.wakeups / self.seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What to change, and why.

    Attributes:
        concern: what is wrong.
        cpu: the ring that shows it most; None where it is about all of them alike.
        text: for people; says what was measured, and names the watermark that would do.
        watermark: that watermark; None where another one would not help.
        pages: the data pages that go with it; None for those that there are.
    """

    concern: Concern
    cpu: int | None
    text: str
    watermark: int | None = None
    pages: int | None = None


def advise(setting: Setting, rings: Sequence[RingUse], *, busy: float | None = None) -> tuple[Advice, ...]:
    """What to change about a setting, the worst first; empty when it does well.

    Args:
        setting: of all rings.
        rings: what each did.
        busy: the share of that span in which the reader did not sleep: it ran, or waited for a CPU; None where nobody
            measured it.

    Raises:
        ValueError: no rings.
    """
    if not rings:
        raise ValueError("rings is empty: there is nothing to judge by")
    first = _about_stalls(setting) or _about_room(setting, rings, busy)
    # What a stall or too small a ring brings about is no fault of its own; a reader without time is also woken less.
    if first is not None and first.concern is not Concern.OVERLOAD:
        return (first,)
    return tuple(advice for advice in (first, _about_waking(setting, rings)) if advice is not None)


def power_of_two_pages(needed_bytes: int, page_size: int) -> int:
    """The fewest data pages, a power of two (K1), of a ring that has at least so many bytes."""
    return 1 << max(-(-needed_bytes // page_size) - 1, 0).bit_length()


def _about_stalls(setting: Setting) -> Advice | None:
    """The rule; a reader that looks now and then by itself survives every watermark (K13)."""
    if setting.watermark is None or setting.max_latency is not None:
        return None
    verdict = watermark_verdict(
        setting.page_count,
        setting.watermark,
        record_bytes=setting.record_bytes,
        lost_bytes=setting.lost_bytes,
        page_size=setting.page_size,
    )
    if verdict.outcome is Outcome.LIVE:
        return None
    watermark, pages = _fitting(setting, verdict.largest_safe or setting.ring_bytes // 4, headroom=0)
    how = "never wakes its reader" if verdict.outcome is Outcome.STALLS else "can leave its reader asleep for ever"
    text = (
        f"A watermark of {verdict.kernel_watermark:,} {how} in a ring of {verdict.ring_bytes:,} bytes: beside it there "
        f"must be room for a record of {setting.record_bytes[1]:,} and a LOST of {setting.lost_bytes}. "
        f"{_use(setting, watermark, pages)}, or bound the wait by --max-latency."
    )
    return Advice(concern=Concern.STALL, cpu=None, text=text, watermark=watermark, pages=pages)


def _about_room(setting: Setting, rings: Sequence[RingUse], busy: float | None) -> Advice | None:
    """Between the watermark and the end of the ring."""
    losing = max(rings, key=lambda ring: ring.lost)
    fullest = max(rings, key=lambda ring: ring.highest_fill)
    if losing.lost and busy is not None and busy >= _BUSY:
        fact = f"CPU {losing.cpu} lost {_count(losing.lost, 'record')}"
        text = (
            f"{fact}, and the reader never slept: {busy:.0%} of the time it ran, or waited for a CPU. "
            "Larger rings only lose later. Record less, or give the reader a CPU of its own."
        )
        return Advice(concern=Concern.OVERLOAD, cpu=losing.cpu, text=text)
    if losing.lost:
        fact = f"CPU {losing.cpu} lost {_count(losing.lost, 'record')}"
        return _more_room(setting, Concern.LOSS, losing, fact, wanted=_seldom(rings))
    if fullest.highest_fill >= _NEARLY_FULL * setting.ring_bytes:
        share = fullest.highest_fill / setting.ring_bytes
        return _more_room(setting, Concern.HEADROOM, fullest, f"CPU {fullest.cpu}'s ring was {share:.0%} full")
    return None


def _more_room(setting: Setting, concern: Concern, ring: RingUse, fact: str, *, wanted: int = 0) -> Advice:
    """A lower watermark where that alone leaves room for a reader twice as late; a larger ring otherwise."""
    size, level = setting.ring_bytes, _level(setting)
    # Where records are lost the reader may come later still than a full ring can tell.
    late = (size if ring.lost else max(ring.highest_fill, level)) - level
    lower = size - setting.needed - _MARGIN * late
    if ring.lost or lower < size // 4:
        # Where the reader is woken too often as well, both are mended at once.
        watermark = max(min(level, size // 2), wanted)
        watermark, pages = _fitting(setting, watermark, headroom=max(_MARGIN * late, size))
    else:
        watermark, pages = _fitting(setting, min(lower, size // 2), headroom=0)
    text = f"{fact}: after the watermark of {level:,} at least {late:,} more bytes came before it was drained"
    if ring.bytes:
        text += f", as many as come in {_time(late / ring.bytes_per_second)}"
    text += f". {_use(setting, watermark, pages)}."
    return Advice(concern=concern, cpu=ring.cpu, text=text, watermark=watermark, pages=pages)


def _about_waking(setting: Setting, rings: Sequence[RingUse]) -> Advice | None:
    if _seldom(rings):
        return _fewer_wakeups(setting, rings)
    # The slowest that is filled at all waits longest.
    slowest = min((ring for ring in rings if ring.bytes), key=lambda ring: ring.bytes_per_second, default=None)
    return None if slowest is None else _sooner(setting, slowest)


def _seldom(rings: Sequence[RingUse]) -> int:
    """A watermark that wakes the reader of all rings seldom enough; 0 where it is not woken too often."""
    often = sum(ring.wakeups_per_second for ring in rings) > MANY_WAKEUPS
    return max(int(_rate(rings) / _FEW_WAKEUPS), 1) if often else 0


def _rate(rings: Sequence[RingUse]) -> float:
    return sum(ring.bytes_per_second for ring in rings)


def _fewer_wakeups(setting: Setting, rings: Sequence[RingUse]) -> Advice:
    level = _level(setting)
    most = max(rings, key=lambda ring: ring.wakeups_per_second)
    late = max(max(ring.highest_fill for ring in rings) - level, 0)
    watermark = max(_seldom(rings), 2 * level if setting.watermark is not None else 0)
    watermark, pages = _fitting(setting, watermark, headroom=_MARGIN * late)
    text = f"The reader is woken {sum(ring.wakeups_per_second for ring in rings):,.0f} times a second"
    if len(rings) > 1:
        text += f", most often by CPU {most.cpu}"
    spurious = sum(ring.spurious_wakeups for ring in rings) / sum(ring.wakeups for ring in rings)
    if spurious >= _SPURIOUS:
        text += f", {spurious:.0%} of it for nothing, because the ring was already drained (K18)"
    text += f". {_use(setting, watermark, pages)}: some {_rate(rings) / watermark:,.0f} wakeups a second"
    if most.bytes:
        text += f", a record of CPU {most.cpu} at most {_time(watermark / most.bytes_per_second)} late"
    return Advice(concern=Concern.WAKEUPS, cpu=most.cpu, text=f"{text}.", watermark=watermark, pages=pages)


def _sooner(setting: Setting, ring: RingUse) -> Advice | None:
    """Only of a reader that waits without a bound."""
    waits = _level(setting) / ring.bytes_per_second
    if setting.watermark is None or setting.max_latency is not None or waits <= _LATE_SECONDS:
        return None
    watermark, pages = _fitting(setting, int(ring.bytes_per_second * _LATE_SECONDS), headroom=0)
    text = (
        f"At {ring.bytes_per_second:,.0f} bytes a second CPU {ring.cpu} reaches the watermark of {_level(setting):,} "
        f"every {_time(waits)}, and so long a record may wait. {_use(setting, watermark, pages)} to have it within "
        f"{_time(_LATE_SECONDS)} at this rate, or bound the wait at any rate by --max-latency {_LATE_SECONDS:g}."
    )
    return Advice(concern=Concern.LATENESS, cpu=ring.cpu, text=text, watermark=watermark, pages=pages)


def _level(setting: Setting) -> int:
    """The watermark as the kernel takes it; with wakeup_events half a ring, for what is no sample (K8)."""
    return min(setting.watermark or 0, setting.ring_bytes) or setting.ring_bytes // 2


def _fitting(setting: Setting, watermark: int, *, headroom: int) -> tuple[int, int | None]:
    """A round watermark near the one that is wanted, and pages for it if there must be more: always LIVE."""
    watermark = max(min(watermark, _LONGEST_WATERMARK), 8)
    step = next(step for step in (4096, 512, 8) if watermark >= step)
    watermark = watermark // step * step
    needed = watermark + headroom + setting.needed
    pages = min(power_of_two_pages(needed, setting.page_size), _MOST_PAGES)
    if pages <= setting.page_count:
        return watermark, None
    return min(watermark, pages * setting.page_size - setting.needed), pages


def _use(setting: Setting, watermark: int, pages: int | None) -> str:
    text = f"Use --watermark {watermark}{'' if setting.watermark is not None else ' instead of --wakeup-events'}"
    return text if pages is None else f"{text} and --pages {pages} instead of {setting.page_count}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
