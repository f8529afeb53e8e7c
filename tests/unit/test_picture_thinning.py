"""What a picture may leave out, and what it may not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.picture.thinning import (
    FILLS,
    LATENCIES,
    MARKS,
    Level,
    marks,
    thin_fills,
    thin_latencies,
    thin_levels,
)
from perfring.timeline import Drain, Fill, Latency, Loss, Wake

TIMES = st.lists(st.integers(0, 10**12), min_size=1, max_size=300).map(sorted)


def _fills(times: list[int], used: list[int]) -> list[Fill]:
    return [Fill(at_ns, 10_000 + level, 10_000) for at_ns, level in zip(times, used, strict=False)]


@given(TIMES, st.lists(st.integers(0, 4088), min_size=300, max_size=300), st.integers(4, 40))
def test_fills_keep_the_first_the_last_and_every_extreme(times: list[int], used: list[int], limit: int) -> None:
    fills = _fills(times, used)
    kept = thin_fills(fills, limit=limit)
    assert (kept[0], kept[-1]) == (fills[0], fills[-1])
    assert max(fill.used for fill in kept) == max(fill.used for fill in fills)
    assert min(fill.used for fill in kept) == min(fill.used for fill in fills)


@given(TIMES, st.lists(st.integers(0, 4088), min_size=300, max_size=300), st.integers(4, 40))
def test_no_more_fills_than_the_limit_all_measured_and_in_order(times: list[int], used: list[int], limit: int) -> None:
    fills = _fills(times, used)
    kept = thin_fills(fills, limit=limit)
    assert len(kept) <= limit
    assert not set(kept) - set(fills)
    assert [fill.at_ns for fill in kept] == sorted(fill.at_ns for fill in kept)


def test_one_peak_among_a_million_fills_is_kept() -> None:
    fills = [Fill(at, at * 8, at * 8) for at in range(1_000_000)]
    fills[765_432] = Fill(765_432, 765_432 * 8 + 4088, 765_432 * 8)
    assert fills[765_432] in thin_fills(fills)
    assert len(thin_fills(fills)) <= FILLS


def _levels(times: list[int]) -> list[Level]:
    return [*(Level(at, 2048, after - at) for at, after in pairwise(times)), Level(times[-1], 2048, 0)]


@given(TIMES, st.integers(1, 40))
def test_levels_that_hold_for_a_slot_are_kept_and_few_others(times: list[int], limit: int) -> None:
    levels = _levels(times)
    kept = thin_levels(levels, limit=limit)
    slot = max((times[-1] - times[0]) // limit, 1)
    assert {level for level in levels if level.holds_ns >= slot} <= set(kept)
    assert sum(level.holds_ns < slot for level in kept) <= 2 * limit + 1
    assert kept[-1] == levels[-1]


def test_a_level_that_is_left_again_at_once_is_not_kept() -> None:
    assert [level.at_ns for level in thin_levels(_levels([0, 400, 401, 1000]), limit=100)] == [0, 401, 1000]


def test_of_levels_that_are_all_short_the_longest_of_each_slot_are_kept() -> None:
    times = [step * 10 + offset for step in range(1000) for offset in (0, 1)]
    kept = thin_levels(_levels(times), limit=100)
    assert all(level.holds_ns == 9 for level in kept[:-1])
    assert 90 <= len(kept) <= 101


@pytest.mark.parametrize("kind", [Wake, Loss, Drain])
@given(times=TIMES, limit=st.integers(1, 40))
def test_no_event_is_dropped(kind: type[Wake | Loss | Drain], times: list[int], limit: int) -> None:
    events = [_event(kind, at_ns) for at_ns in times]
    drawn = marks(events, limit=limit)
    assert sum(mark.events for mark in drawn) == len(events)
    assert sum(mark.records for mark in drawn) == sum(getattr(event, "records", 0) for event in events)
    assert (drawn[0].first_ns, drawn[-1].last_ns) == (times[0], times[-1])
    assert len(drawn) <= max(limit, 1)


def _event(kind: type[Wake | Loss | Drain], at_ns: int) -> Wake | Loss | Drain:
    if kind is Drain:
        return Drain(at_ns, 3, 168)
    return Loss(at_ns, 2) if kind is Loss else Wake(at_ns)


def test_a_single_loss_has_a_mark_at_its_own_time() -> None:
    losses = [Loss(0, 1), *(Loss(10**9 + number, 1) for number in range(5 * MARKS))]
    assert marks(losses)[0] == (0, 0, 1, 1, 0)


def test_drained_bytes_add_up() -> None:
    (mark,) = marks([Drain(1, 2, 112), Drain(2, 3, 168)], limit=1)
    assert mark == (1, 2, 2, 5, 280)


@given(TIMES, st.integers(3, 30))
def test_latencies_keep_the_shortest_and_the_longest(times: list[int], limit: int) -> None:
    latencies = [Latency(at_ns, at_ns * 7919 % 1009) for at_ns in times]
    kept = {latency.ns for latency in thin_latencies(latencies, limit=limit)}
    assert {min(latency.ns for latency in latencies), max(latency.ns for latency in latencies)} <= kept


def test_a_hundred_thousand_latencies_are_thinned() -> None:
    assert len(thin_latencies([Latency(at, at) for at in range(100_000)])) <= LATENCIES
