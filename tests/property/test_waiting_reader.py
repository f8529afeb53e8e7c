"""The rule on rings of all sizes: which watermarks wake a reader, which do not, and what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from perfring.geometry import MAX_RECORD_BYTES, Outcome, Verdict, ring_data_bytes, watermark_verdict
from tests.hypothesis_profiles import examples
from tests.property._rig import Policy, Rig, bounded, late, partly, stream, timed, waits

MOST_RECORDS = 1500
"""A stream goes round a large ring of small records once, and many times round others."""


@dataclass(frozen=True)
class Setting:
    """A ring, and the records that are going to be written into it."""

    pages: int
    page_size: int
    smallest: int
    largest: int
    lost_bytes: int
    start: int

    @property
    def size(self) -> int:
        return ring_data_bytes(self.pages, self.page_size)

    def rig(self, watermark: int) -> Rig:
        return Rig(self.size, watermark=watermark, lost_bytes=self.lost_bytes, start=self.start)

    def verdict(self, watermark: int) -> Verdict:
        return watermark_verdict(
            self.pages,
            watermark,
            record_bytes=(self.smallest, self.largest),
            lost_bytes=self.lost_bytes,
            page_size=self.page_size,
        )


@st.composite
def settings(draw: st.DrawFn) -> Setting:
    """Page sizes of real machines, and some that make the ring so small that it has corners everywhere."""
    pages, page_size = draw(st.integers(1, 5)), draw(st.sampled_from([64, 128, 256, 4096, 16384, 65536]))
    size = ring_data_bytes(pages, page_size)
    # Not so small that one lap takes thousands of records.
    least = max(16, size // 512)
    most = min(size - 8, MAX_RECORD_BYTES)
    smallest = 8 * draw(st.integers(least // 8, most // 8))
    largest = 8 * draw(st.integers(smallest // 8, most // 8))
    lost_bytes = 8 * draw(st.integers(3, 9))
    start = draw(st.sampled_from([0, 2**32 - 40, 2**64 - 40]))
    return Setting(pages, page_size, smallest, largest, lost_bytes, start)


@st.composite
def streams(draw: st.DrawFn, setting: Setting, *, pauses: bool = True) -> list[int]:
    """A pattern of sizes, again and again; a negative size is a record that is lost whatever room there is."""
    words = st.integers(setting.smallest // 8, setting.largest // 8).map(lambda count: count * 8)
    sizes = words | st.sampled_from([setting.smallest, setting.largest])
    lost = draw(st.sampled_from([0, 0, 1, 5])) if pauses else 0
    signs = st.integers(0, 9).map(lambda number: -1 if number < lost else 1)
    pattern = draw(st.lists(st.tuples(sizes, signs), min_size=1, max_size=12))
    count = draw(st.integers(1, 4)) * setting.size // sum(size for size, _ in pattern) * len(pattern)
    return [size * sign for size, sign in islice(cycle(pattern), min(count + len(pattern), MOST_RECORDS))]


POLICIES = st.one_of(
    st.just(waits),
    st.integers(1, 4).map(partly),
    st.integers(1, 40).map(timed),
    st.integers(1, 40).map(bounded),
    st.integers(1, 60).map(late),
)


def keep_sending(rig: Rig, size: int) -> bool:
    """Whether records of one size, sent for as long as they can change anything, wake the reader."""
    return any(rig.write(size) and rig.is_woken() for _ in range(rig.buffer.data_size // size + 2))


# A watermark of the ring or more, and STALLS.


def up_to(setting: Setting, level: int) -> list[int]:
    """Records that come as near to a level as they can without passing it."""
    count = level // setting.smallest
    total = min(count * setting.largest, level // 8 * 8)
    share, rest = divmod(total // 8, count or 1)
    return [8 * (share + (place < rest)) for place in range(count)]


def fullest_stream(setting: Setting) -> list[int]:
    """Records that fill a ring as full as such records can."""
    return up_to(setting, setting.size - 8)


@given(settings(), st.integers(0, 1 << 40), st.data())
def test_a_watermark_of_the_ring_or_more_never_wakes_who_only_waits(
    setting: Setting, above: int, data: st.DataObject
) -> None:
    rig = setting.rig(setting.size + above)
    stream(rig, data.draw(streams(setting)), waits)
    assert not keep_sending(rig, setting.smallest)
    assert (rig.wakes, rig.delivered) == (0, [])


@given(settings(), st.data())
def test_where_the_verdict_is_stalls_no_stream_wakes_the_reader(setting: Setting, data: st.DataObject) -> None:
    fullest = sum(fullest_stream(setting))
    watermark = data.draw(st.just(fullest) | st.integers(fullest, setting.size))
    assert setting.verdict(watermark).outcome is Outcome.STALLS
    rig = setting.rig(watermark)
    stream(rig, data.draw(streams(setting, pauses=False)), waits)
    assert not keep_sending(rig, setting.smallest)
    assert rig.wakes == 0


def test_a_pause_can_wake_a_reader_that_no_stream_wakes() -> None:
    """Its LOST fills the ring to a level that records alone do not reach: 16384 bytes in pieces of 32 end at 16352."""
    rig = Rig(16384, watermark=16352)
    rig.lose(32)
    assert keep_sending(rig, 32)


@given(settings(), st.data())
def test_where_it_is_not_some_stream_does(setting: Setting, data: st.DataObject) -> None:
    sizes = fullest_stream(setting)
    watermark = data.draw(st.integers(max(sum(sizes) - 16, 1), setting.size) | st.integers(1, setting.size))
    rig = setting.rig(watermark)
    stream(rig, sizes, waits)
    assert all(setting.smallest <= size <= setting.largest for size in sizes)
    assert (rig.wakes > 0) is (setting.verdict(watermark).outcome is not Outcome.STALLS)


# LIVE.


@st.composite
def live(draw: st.DrawFn) -> tuple[Setting, int]:
    """A setting with a watermark that is said to be LIVE, the largest of them often."""
    setting = draw(settings().filter(lambda setting: setting.verdict(1).largest_safe > 0))
    largest = setting.verdict(1).largest_safe
    watermark = draw(st.just(largest) | st.integers(1, largest))
    assert setting.verdict(watermark).outcome is Outcome.LIVE
    return setting, watermark


@given(live())
def test_where_it_is_live_a_loss_just_below_the_watermark_does_no_harm(chosen: tuple[Setting, int]) -> None:
    setting, watermark = chosen
    rig = setting.rig(watermark)
    stream(rig, up_to(setting, watermark), waits)
    assert rig.wakes == 0
    rig.lose(setting.largest)  # k43
    assert keep_sending(rig, setting.largest)


@given(live(), st.data())
def test_where_it_is_live_the_reader_is_woken_again_whatever_happened_before(
    chosen: tuple[Setting, int], data: st.DataObject
) -> None:
    setting, watermark = chosen
    rig = setting.rig(watermark)
    stream(rig, data.draw(streams(setting)), waits)
    for _ in range(3):
        rig.lose(setting.largest)
        assert keep_sending(rig, setting.largest)
        rig.drain()


@given(live(), st.data())
def test_where_it_is_live_nothing_sticks_that_comes_while_the_reader_drains(
    chosen: tuple[Setting, int], data: st.DataObject
) -> None:
    setting, watermark = chosen
    rig, during = setting.rig(watermark), data.draw(st.lists(st.sampled_from([1, -1, 2, 30]), max_size=8))
    for burst in during:
        assert keep_sending(rig, setting.largest)
        seen = rig.reader.unread(rig.reader.head())
        stream(rig, [setting.smallest if burst > 0 else -setting.smallest] * abs(burst), lambda rig, number: None)
        rig.reader.free(seen)
        while rig.is_woken():
            rig.drain()
    assert keep_sending(rig, setting.largest)


@given(live(), st.data())
def test_where_it_is_live_a_reader_that_keeps_up_loses_nothing(
    chosen: tuple[Setting, int], data: st.DataObject
) -> None:
    """Keeping up is: draining before what arrives behind the wakeup takes up the room that the rule leaves."""
    setting, watermark = chosen
    rig, spare = setting.rig(watermark), setting.size - 1 - watermark - setting.largest
    room = data.draw(st.just(spare) | st.integers(0, spare))
    behind: int | None = None
    for size in map(abs, data.draw(streams(setting))):
        if behind is not None and behind + size > room:
            assert rig.is_woken()
            rig.drain()
            behind = None
        rig.write(size)
        if behind is not None:
            behind += size
        elif rig.buffer.latch:
            behind = 0
    rig.drain()
    assert rig.delivered == list(range(rig.produced))
    assert rig.buffer.refused == 0


# Readers that come by themselves.


@given(settings(), st.data())
def test_a_latency_bound_makes_every_watermark_deliver_everything(setting: Setting, data: st.DataObject) -> None:
    """As long as no more arrives within the bound than the ring holds."""
    watermark = data.draw(st.integers(1, 2 * setting.size) | st.just(setting.size))
    rig, arrived = setting.rig(watermark), 0
    capacity = data.draw(st.just(setting.size - 8) | st.integers(setting.largest, setting.size - 8))
    for size in map(abs, data.draw(streams(setting))):
        if arrived + size > capacity or rig.is_woken():
            rig.drain()
            arrived = 0
        rig.write(size)
        arrived += size
    rig.drain()
    assert rig.delivered == list(range(rig.produced))


@given(settings(), st.data())
def test_an_oversized_watermark_does_wake_a_reader_that_drains_unasked(setting: Setting, data: st.DataObject) -> None:
    watermark = data.draw(st.integers(setting.size, 2 * setting.size))
    rig = setting.rig(watermark)
    most = (setting.size - 8) // setting.largest
    stream(rig, [setting.largest] * (2 * (setting.size // setting.largest) + 3), timed(data.draw(st.integers(1, most))))
    assert rig.is_woken()  # k13: head has passed it, and the latch was never asked


# Whoever reads, and whenever.


@given(settings(), POLICIES, st.data())
@examples(200)
def test_delivered_and_lost_are_what_was_produced_and_order_is_kept(
    setting: Setting, policy: Policy, data: st.DataObject
) -> None:
    rig = setting.rig(data.draw(st.integers(1, setting.size + 8)))
    stream(rig, data.draw(streams(setting)), policy)
    rig.drain()
    assert len(rig.delivered) + rig.lost == rig.produced
    assert rig.lost == rig.buffer.refused
    assert is_ascending(rig.delivered)


@given(settings(), POLICIES, st.data())
def test_the_ring_never_holds_more_than_all_but_8_bytes(setting: Setting, policy: Policy, data: st.DataObject) -> None:
    rig = setting.rig(data.draw(st.integers(1, setting.size + 8)))
    highest = 0

    def watched(rig: Rig, number: int) -> None:
        nonlocal highest
        highest = max(highest, rig.unread)
        policy(rig, number)

    stream(rig, data.draw(streams(setting)), watched)
    assert highest <= setting.size - 8  # k6


def is_ascending(numbers: Sequence[int]) -> bool:
    return all(earlier < later for earlier, later in pairwise(numbers))
