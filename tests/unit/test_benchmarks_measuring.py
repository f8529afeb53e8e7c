"""The arithmetic of the benchmarks: ratios, marginal cost, spreads, percentiles, limits."""

from __future__ import annotations

import math

import pytest

from benchmarks.measuring import Length, figure, in_turns, marginal_ns, percentile, ratio


def test_a_figure_is_the_median_with_the_lowest_and_the_highest_round() -> None:
    found = figure("walk", [5.0, 1.0, 3.0], "ns")
    assert (found.value, found.spread) == (3.0, (1.0, 5.0))


def test_a_ratio_is_taken_round_by_round() -> None:
    # In the slow second minute both took twice as long: the ratio does not move.
    assert ratio("a / b", [2.0, 4.0], [1.0, 2.0]).spread == (2.0, 2.0)


def test_a_ratio_of_different_counts_of_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio("a / b", [1.0, 2.0], [1.0])


def test_contenders_take_turns_after_one_round_to_warm_up() -> None:
    calls: list[str] = []
    in_turns(2, lambda: calls.append("a"), lambda: calls.append("b"))
    assert "".join(calls) == "ababab"


def test_what_is_paid_once_is_not_in_the_marginal_cost() -> None:
    assert marginal_ns(Length(10.0, 100), Length(10.5, 600)) == pytest.approx(1e6)


@pytest.mark.parametrize("long", [Length(2.0, 100), Length(1.0, 200), Length(0.5, 200)])
def test_runs_that_do_not_differ_have_no_marginal_cost(long: Length) -> None:
    with pytest.raises(ValueError, match="too short to tell"):
        marginal_ns(Length(1.0, 100), long)


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (51, 3.0), (75, 3.0), (76, 4.0), (100, 4.0), (1, 1.0)])
def test_a_percentile_is_the_value_of_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == value


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_a_percentile_of_nothing_or_out_of_range_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=f"{percent} percent of {len(values)} values"):
        percentile(values, percent)


@pytest.mark.parametrize(("value", "missed"), [(1.9, False), (2.0, False), (2.1, True), (math.nan, True)])
def test_a_limit_from_above_is_missed_beyond_it(value: float, missed: bool) -> None:
    assert figure("x", [value], "x", at_most=2.0).missed is missed


@pytest.mark.parametrize(("value", "missed"), [(20.1, False), (20.0, False), (19.9, True), (math.nan, True)])
def test_a_limit_from_below_is_missed_under_it(value: float, missed: bool) -> None:
    assert figure("x", [value], "x", at_least=20.0).missed is missed


def test_a_limit_of_nothing_is_a_limit() -> None:
    assert figure("lost", [0.0], "%", at_most=0.0).missed is False
    assert figure("lost", [0.1], "%", at_most=0.0).missed is True
