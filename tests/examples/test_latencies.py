"""Durations in buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from examples.latencies import Latencies, readable

DURATIONS = st.lists(st.integers(0, 1 << 50), min_size=1)


def _of(durations: list[int]) -> Latencies:
    made = Latencies()
    for ns in durations:
        made.add(ns)
    return made


@given(DURATIONS, st.floats(0.001, 1))
def test_a_quantile_is_never_too_low_and_a_sixteenth_too_high_at_most(durations: list[int], share: float) -> None:
    exact = next(ns for at, ns in enumerate(sorted(durations), 1) if at >= share * len(durations))
    assert exact <= _of(durations).quantile(share) <= exact * 17 / 16


@given(DURATIONS)
def test_powers_count_every_duration_once_and_where_it_belongs(durations: list[int]) -> None:
    powers = list(_of(durations).powers())
    assert sum(count for _, count in powers) == len(durations)
    for end, count in powers:
        assert count == sum(end // 2 <= ns < end for ns in durations)


def test_the_powers_reach_from_the_shortest_to_the_longest_without_a_gap() -> None:
    assert list(_of([3, 20]).powers()) == [(4, 1), (8, 0), (16, 0), (32, 1)]


def test_nothing_measured_is_nothing_to_tell() -> None:
    nothing = Latencies()
    assert (nothing.quantile(0.5), list(nothing.powers())) == (0, [])


def test_durations_are_readable() -> None:
    assert [readable(ns) for ns in (0, 999, 1500, 2_340_000, 5e9)] == ["0 ns", "999 ns", "1.5 us", "2.34 ms", "5 s "]
