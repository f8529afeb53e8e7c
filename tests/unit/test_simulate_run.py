"""Runs: what each built-in scenario shows, and that what is seen is what happened."""

from __future__ import annotations

from typing import Any

import pytest

from perfring.geometry import Outcome
from simkernel.simulate import BUILT_IN, Run, Scenario, run, with_settings

CALM = Scenario(pages=2, watermark=4096, rate=2000, cpus=2, duration=0.3)


def _run(**settings: Any) -> Run:
    return run(with_settings(CALM, settings))


def _mistaken_and_perfring(name: str) -> tuple[Run, Run]:
    mistaken, own = BUILT_IN[name]
    return run(mistaken), run(own)


# The built-in scenarios.


@pytest.mark.parametrize("name", ["oversized", "late-registration", "exit-with-data", "nested-epoll"])
def test_a_mistake_stalls_its_reader_and_not_perfring(name: str) -> None:
    mistaken, own = _mistaken_and_perfring(name)
    assert mistaken.result.stalled
    assert mistaken.timeline.stalled
    assert not own.result.stalled
    assert not own.timeline.stalled


def test_k11_nobody_is_woken_by_an_oversized_watermark() -> None:
    mistaken, _ = _mistaken_and_perfring("oversized")
    assert mistaken.result.verdict.outcome is Outcome.STALLS
    assert (mistaken.result.wakes, mistaken.result.delivered) == (0, 0)
    assert mistaken.result.highest_fill == 4088


def test_k10_a_follower_without_the_flag_wakes_its_reader_at_each_record() -> None:
    mistaken, own = _mistaken_and_perfring("follower-defeats-watermark")
    assert mistaken.result.wakes == mistaken.result.delivered
    assert own.result.wakes * 200 < own.result.delivered
    assert (mistaken.result.defeated, own.result.defeated) == (True, False)


def test_k19_what_a_task_left_behind_is_delivered_by_perfring_alone() -> None:
    mistaken, own = _mistaken_and_perfring("exit-with-data")
    assert mistaken.result.left > 0
    assert (own.result.left, own.result.lost) == (0, 0)


def test_k16_a_nested_epoll_is_woken_and_drains_nothing() -> None:
    mistaken, _ = _mistaken_and_perfring("nested-epoll")
    assert mistaken.result.wakes > 0
    assert mistaken.result.delivered == 0


def test_a_latency_bound_delivers_the_end_of_a_burst() -> None:
    waiting, bounded = map(run, BUILT_IN["bursty"])
    assert waiting.result.p99 is not None
    assert bounded.result.worst is not None
    assert waiting.result.p99.ns > 50_000_000
    assert bounded.result.worst.ns <= 10_000_000


def test_the_steady_scenario_is_healthy() -> None:
    ran = run(BUILT_IN["steady"][0])
    assert ran.result.meets(latency=0.02)
    assert ran.advice[0].startswith("Nothing needs to change")


# What is seen is what happened.


@pytest.mark.parametrize("reader", ["perfring", "bare"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"latency": "5ms"},
        {"period": "20ms"},
        {"delay": "30ms"},
        {"work": "400us"},
        {"pattern": "random", "seed": 3},
        {"event": "page-fault"},
        {"event": "bpf", "payload": {"64": 9, "1000": 1}, "pages": 32, "watermark": "auto"},
        {"kernel": "5.10", "page_size": 16384, "pages": 1},
    ],
    ids=str,
)
def test_each_record_is_delivered_left_or_lost(reader: str, settings: dict[str, Any]) -> None:
    result = _run(reader=reader, **settings).result
    assert result.produced == result.delivered + result.left + result.lost
    assert result.produced in range(2 * 500, 2 * 700)
    assert not result.stalled


@pytest.mark.parametrize("settings", [{}, {"latency": "5ms"}, {"delay": "40ms", "rate": 8000}], ids=str)
def test_the_session_has_counted_the_same(settings: dict[str, Any]) -> None:
    ran = _run(**settings)
    counts = ran.statistics
    assert counts is not None
    assert counts.lost >= ran.result.lost
    assert counts.wakeups in (ran.result.wakes, ran.result.wakes + 1)  # the end may come within a delay
    assert counts.spurious_wakeups == ran.result.spurious
    assert max(ring.highest_fill for ring in counts.rings) <= ran.result.highest_fill


def test_the_waits_are_those_from_the_record_to_its_delivery() -> None:
    # 74 records of 56 bytes pass 4096, one each half millisecond; who comes last is read at once.
    ran = _run(cpus=1)
    waits = sorted(latency.ns for latency in ran.timeline.rings[0].latencies)
    assert waits[0] < 1000
    assert 36_000_000 <= waits[-1] <= 37_000_000


def test_a_reader_with_a_delay_comes_that_much_later() -> None:
    soon, late = _run(), _run(delay="5ms")
    assert soon.result.worst is not None
    assert late.result.worst is not None
    assert late.result.worst.ns - soon.result.worst.ns in range(4_900_000, 5_600_000)


def test_a_period_is_the_longest_wait_and_wakes_nobody() -> None:
    result = _run(period="20ms").result
    assert result.wakes == 0
    assert result.looks == 14  # and the 15th is at the very end
    assert result.worst is not None
    assert result.worst.ns <= 20_000_000


def test_work_that_takes_longer_than_the_records_come_loses_some() -> None:
    ran = _run(work="1ms")
    assert ran.result.lost
    assert ran.advice[0].startswith("The reader needs 400% of its CPU")


def test_a_record_that_is_never_delivered_waits_at_least_until_the_end() -> None:
    result = run(BUILT_IN["oversized"][0]).result
    assert result.p50 is not None
    assert result.p50.at_least
    assert str(result.p50) == ">= 963 ms"


def test_a_ring_that_is_just_not_full_yet_has_not_stalled() -> None:
    result = _run(watermark=8000, rate=100).result
    assert result.wakes == 0
    assert not result.stalled


@pytest.mark.parametrize("seed", range(6))
def test_a_record_too_large_for_its_ring_is_lost_and_stalls_nobody(seed: int) -> None:
    mixed = {"event": "bpf", "payload": {64: 9, 5000: 1}, "cpus": 1, "pages": 1, "rate": 1000, "watermark": 2000}
    result = _run(**mixed, seed=seed).result
    assert result.lost
    assert result.wakes > 10
    assert not result.stalled


def test_k13_an_oversized_watermark_has_not_stalled_while_its_reader_is_still_woken() -> None:
    settings = {"watermark": 4096, "pages": 1, "cpus": 1, "rate": 1000, "start": 0.05, "reader": "bare"}
    early, late = _run(**settings).result, _run(**settings, duration=1).result
    assert early.wakes
    assert (early.stalled, late.stalled) == ((), (0,))


def test_a_watermark_that_no_fill_can_pass_has_stalled_before_the_ring_is_full() -> None:
    result = _run(watermark=8192, reader="bare", rate=100).result
    assert result.lost == 0
    assert result.stalled == (0, 1)


def test_the_same_seed_is_the_same_run_and_another_one_is_not() -> None:
    random = {"pattern": "random", "duration": 0.1}
    assert _run(**random, seed=1)[:3] == _run(**random, seed=1)[:3]
    assert _run(**random, seed=1).timeline != _run(**random, seed=2).timeline


def test_progress_is_told_and_changes_nothing() -> None:
    shares: list[float] = []
    scenario = with_settings(CALM, {"rate": 10_000})
    assert run(scenario, on_progress=shares.append)[:3] == run(scenario)[:3]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1


def test_the_timeline_ends_where_the_scenario_does() -> None:
    timeline = _run(delay="70ms").timeline
    times = [fill.at_ns for ring in timeline.rings for fill in ring.fills]
    times += [drain.at_ns for ring in timeline.rings for drain in ring.drains]
    assert timeline.duration_ns == 300_000_000
    assert max(times) <= timeline.duration_ns


def test_a_long_timeline_is_thinned_and_keeps_its_peaks() -> None:
    ran = _run(rate=20_000, cpus=1, watermark=2048)
    (ring,) = ran.timeline.rings
    assert len(ring.fills) <= 2000
    assert max(fill.used for fill in ring.fills) == ran.result.highest_fill


def test_of_many_latencies_a_fair_choice_is_kept_and_the_longest() -> None:
    ran = _run(rate=20_000, cpus=1, watermark=2048)
    waits = sorted(latency.ns for latency in ran.timeline.rings[0].latencies)
    assert len(waits) in (2000, 2001)
    assert ran.result.p50 is not None
    assert ran.result.worst is not None
    assert waits[-1] == ran.result.worst.ns
    assert abs(waits[1000] - ran.result.p50.ns) < ran.result.p50.ns / 10


def test_losses_in_the_timeline_are_those_of_the_result() -> None:
    ran = _run(delay="40ms", rate=8000)
    assert sum(ring.lost for ring in ran.timeline.rings) == ran.result.lost > 0


# Advice.


def test_a_watermark_that_may_stall_is_advised_against() -> None:
    assert _run(watermark=8150).advice[0] == (
        "Lower the watermark to 8087 bytes or less, or bound the wait by a latency. It may stall yet."
    )


@pytest.mark.parametrize(
    "settings", [{"delay": "40ms", "rate": 8000}, {"start": "150ms"}, {"period": "60ms", "rate": 4000}]
)
def test_the_pages_that_are_advised_against_loss_are_enough(settings: dict[str, Any]) -> None:
    ran = _run(**settings)
    assert ran.result.lost
    pages = int(ran.advice[0].split(" pages")[0].split()[-1])
    assert not _run(**settings, pages=pages).result.lost


def test_a_watermark_that_is_never_reached_is_advised_against() -> None:
    assert _run(watermark=8000, rate=100).advice[0].startswith("No ring was ever filled to its watermark in 0.3 s")


def test_a_reader_that_is_woken_all_the_time_is_advised_to_wait_for_more() -> None:
    assert _run(watermark=64, rate=5000).advice == (
        "A watermark of 256 bytes would wake the reader some 2,185 times per second.",
    )
