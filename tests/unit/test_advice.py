"""The advice of `perfring top`: what is found wrong, and that what is advised would do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.advice import Advice, Concern, RingUse, Setting, advise, power_of_two_pages
from perfring.geometry import Outcome, watermark_verdict

RING = 65536


def setting(
    watermark: int | None = 16384, *, pages: int = 16, latency: float | None = 1.0, largest: int = 56
) -> Setting:
    return Setting(
        page_count=pages,
        page_size=4096,
        watermark=watermark,
        record_bytes=(24, largest),
        lost_bytes=48,
        max_latency=latency,
    )


def only(setting: Setting, *rings: RingUse, busy: float | None = None) -> Advice:
    (advice,) = advise(setting, rings, busy=busy)
    return advice


def calm(cpu: int = 0) -> RingUse:
    return RingUse(cpu=cpu, seconds=1, bytes=1_000_000, wakeups=60, highest_fill=17000)


def test_a_setting_that_does_well_is_left_alone() -> None:
    assert advise(setting(), [calm(), calm(1)], busy=0.3) == ()


def test_an_idle_ring_gives_no_reason_for_advice() -> None:
    assert advise(setting(latency=None), [RingUse(cpu=0, seconds=1)]) == ()


def test_without_rings_there_is_nothing_to_judge_by() -> None:
    with pytest.raises(ValueError, match="rings is empty"):
        advise(setting(), [])


def test_a_watermark_that_can_stall_comes_first_and_alone() -> None:
    losing = RingUse(cpu=3, seconds=1, bytes=10, lost=99, wakeups=5000, highest_fill=RING)
    advice = only(setting(65500, latency=None), losing, busy=1.0)
    assert (advice.concern, advice.cpu, advice.watermark, advice.pages) == (Concern.STALL, None, 61440, None)
    assert "65,500 can leave its reader asleep for ever" in advice.text


def test_a_watermark_that_stalls_says_never() -> None:
    assert "never wakes its reader" in only(setting(65528, latency=None), calm()).text


def test_records_as_large_as_the_ring_need_more_pages() -> None:
    advice = only(setting(2048, pages=1, latency=None, largest=8240), calm())
    assert (advice.watermark, advice.pages) == (1024, 4)


def test_a_latency_bound_survives_every_watermark() -> None:
    assert advise(setting(65500, latency=0.1), [RingUse(cpu=0, seconds=1, bytes=100)]) == ()


def test_a_loss_wants_more_pages_and_names_the_ring() -> None:
    advice = only(setting(), calm(), RingUse(cpu=1, seconds=2, bytes=10**6, lost=1, highest_fill=65500), busy=0.5)
    assert (advice.concern, advice.cpu, advice.watermark, advice.pages) == (Concern.LOSS, 1, 16384, 32)
    assert "CPU 1 lost 1 record: after the watermark of 16,384 at least 49,152 more bytes came" in advice.text
    assert "as many as come in 98.3 ms" in advice.text


def test_a_loss_with_a_high_watermark_lowers_it_as_well() -> None:
    advice = only(setting(61440), RingUse(cpu=0, seconds=1, lost=5, highest_fill=65500))
    assert (advice.watermark, advice.pages) == (32768, 32)


def test_a_loss_of_a_ring_that_wakes_too_often_mends_both() -> None:
    advice = only(setting(1024), RingUse(cpu=0, seconds=1, bytes=4_000_000, wakeups=3000, lost=5, highest_fill=65500))
    assert (advice.concern, advice.watermark) == (Concern.LOSS, 36864)


def test_a_reader_without_time_gains_nothing_by_larger_rings() -> None:
    advice = only(setting(), RingUse(cpu=0, seconds=1, bytes=10**7, lost=5, highest_fill=65500), busy=0.99)
    assert (advice.concern, advice.watermark, advice.pages) == (Concern.OVERLOAD, None, None)
    assert "99% of the time it ran, or waited for a CPU" in advice.text


def test_a_reader_without_time_may_be_woken_less() -> None:
    ring = RingUse(cpu=0, seconds=1, bytes=10**7, wakeups=2000, lost=5, highest_fill=65500)
    assert [advice.concern for advice in advise(setting(1024), [ring], busy=1.0)] == [Concern.OVERLOAD, Concern.WAKEUPS]


def test_a_ring_that_was_nearly_full_by_its_watermark_gets_a_lower_one() -> None:
    advice = only(setting(57344), RingUse(cpu=2, seconds=1, bytes=10**6, highest_fill=60000))
    assert (advice.concern, advice.cpu, advice.watermark, advice.pages) == (Concern.HEADROOM, 2, 32768, None)
    assert "CPU 2's ring was 92% full: after the watermark of 57,344 at least 2,656 more bytes" in advice.text


def test_a_ring_that_was_nearly_full_by_a_late_reader_gets_more_pages() -> None:
    advice = only(setting(16384), RingUse(cpu=0, seconds=1, bytes=10**6, highest_fill=60000))
    assert (advice.watermark, advice.pages) == (16384, 32)


def test_too_many_wakeups_raise_the_watermark() -> None:
    advice = only(setting(1024), RingUse(cpu=0, seconds=2, bytes=4_000_000, wakeups=4000, highest_fill=1400))
    assert (advice.concern, advice.watermark, advice.pages) == (Concern.WAKEUPS, 16384, None)
    assert "2,000 times a second. Use --watermark 16384: some 122 wakeups a second, a record of CPU 0" in advice.text
    assert "at most 8.19 ms late" in advice.text


def test_the_wakeups_of_all_rings_are_the_readers() -> None:
    rings = [RingUse(cpu=cpu, seconds=1, bytes=80_000, wakeups=20 + cpu % 5) for cpu in range(64)]
    advice = only(setting(2048, pages=2), *rings)
    assert (advice.concern, advice.cpu, advice.watermark, advice.pages) == (Concern.WAKEUPS, 4, 49152, 16)
    assert "1,406 times a second, most often by CPU 4. Use" in advice.text


def test_wakeups_for_nothing_are_told_with_their_share() -> None:
    ring = RingUse(cpu=0, seconds=1, bytes=2_000_000, wakeups=2000, spurious_wakeups=1500)
    assert "75% of it for nothing" in only(setting(1024), ring).text


def test_a_watermark_that_wakes_seldom_enough_may_need_more_pages() -> None:
    advice = only(setting(8192), RingUse(cpu=0, seconds=1, bytes=20_000_000, wakeups=2400, highest_fill=9000))
    assert (advice.watermark, advice.pages) == (196608, 64)


def test_counting_samples_is_given_up_for_a_watermark() -> None:
    advice = only(setting(None), RingUse(cpu=0, seconds=1, bytes=2_000_000, wakeups=4000))
    assert "Use --watermark 16384 instead of --wakeup-events" in advice.text


def test_a_slow_stream_wants_a_low_watermark_or_a_bound() -> None:
    advice = only(setting(latency=None), calm(), RingUse(cpu=1, seconds=10, bytes=5600))
    assert (advice.concern, advice.cpu, advice.watermark) == (Concern.LATENESS, 1, 512)
    assert "every 29.3 s" in advice.text
    assert "--max-latency 1" in advice.text


@pytest.mark.parametrize(("needed", "pages"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (8193, 4), (65536, 16)])
def test_pages_are_the_next_power_of_two(needed: int, pages: int) -> None:
    assert power_of_two_pages(needed, 4096) == pages


sizes = st.integers(1, 8191).map(lambda words: words * 8)
settings = st.builds(
    Setting,
    page_count=st.integers(0, 12).map(lambda bits: 1 << bits),
    page_size=st.sampled_from((4096, 65536)),
    watermark=st.one_of(st.none(), st.integers(1, 1 << 20)),
    record_bytes=st.tuples(sizes, sizes).map(lambda pair: (min(pair), max(pair))),
    lost_bytes=st.integers(3, 9).map(lambda words: words * 8),
    max_latency=st.sampled_from((None, 1.0)),
)
uses = st.builds(
    RingUse,
    cpu=st.integers(0, 3),
    seconds=st.floats(0.001, 100),
    bytes=st.integers(0, 1 << 34),
    wakeups=st.integers(0, 10**6),
    lost=st.integers(0, 2),
    highest_fill=st.integers(0, 1 << 20),
)


@given(settings, st.lists(uses, min_size=1, max_size=3))
def test_whatever_is_advised_cannot_stall(setting: Setting, rings: list[RingUse]) -> None:
    for advice in advise(setting, rings):
        assert advice.watermark is not None
        pages = advice.pages or setting.page_count
        verdict = watermark_verdict(
            pages,
            advice.watermark,
            record_bytes=setting.record_bytes,
            lost_bytes=setting.lost_bytes,
            page_size=setting.page_size,
        )
        assert verdict.outcome is Outcome.LIVE
        assert f"--watermark {advice.watermark}" in advice.text
        assert advice.pages is None or re.search(rf"--pages {pages} instead of {setting.page_count}\b", advice.text)
