"""Sweeps: the settings worth trying, the best of them, and the same results whoever runs them."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context, resource_tracker
from typing import Any

import pytest

from simkernel.simulate import Result, Scenario, ScenarioError, best, grid, sweep

SCENARIO = Scenario(pages=2, rate=2000, pattern="random", duration=0.1, seed=7)
SETTINGS: list[dict[str, Any]] = [{"watermark": watermark} for watermark in (512, 2048, 4096)]


@pytest.fixture(scope="module", autouse=True)
def _tracker() -> None:
    """multiprocessing's own helper, which lives as long as the interpreter: not left open by the first who needs it."""
    resource_tracker.ensure_running()


def _here() -> list[Result]:
    return list(sweep(SCENARIO, SETTINGS))


def test_results_come_in_the_order_of_the_settings() -> None:
    assert [result.verdict.kernel_watermark for result in _here()] == [512, 2048, 4096]


def test_threads_come_to_the_same() -> None:
    with ThreadPoolExecutor(2) as threads:
        assert list(sweep(SCENARIO, SETTINGS, executor=threads)) == _here()


def test_processes_come_to_the_same() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert list(sweep(SCENARIO, SETTINGS, executor=processes)) == _here()


def test_dask_comes_to_the_same() -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
        client.get_executor() as executor,
    ):
        assert list(sweep(SCENARIO, SETTINGS, executor=executor)) == _here()


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(1)])
def test_every_setting_is_checked_before_the_first_is_run(executor: Executor | None) -> None:
    with pytest.raises(ScenarioError, match="rate is -1"):
        sweep(SCENARIO, [*SETTINGS, {"rate": -1}], executor=executor)


class Lazy(Executor):
    """Never begins anything but the first thing."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, function: Any, /, *args: Any, **keywords: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not self.futures:
            future.set_result(function(*args, **keywords))
        self.futures.append(future)
        return future


def test_who_stops_early_takes_back_what_has_not_begun() -> None:
    lazy = Lazy()
    results = sweep(SCENARIO, SETTINGS, executor=lazy)
    next(results)
    results.close()
    assert [future.cancelled() for future in lazy.futures] == [False, True, True]


def test_the_grid_of_watermarks_ends_with_the_largest_safe_one() -> None:
    watermarks = [setting["watermark"] for setting in grid(SCENARIO, "watermark")]
    assert watermarks == sorted(watermarks)
    assert watermarks[-1] == 8191 - 56 - 48


def test_the_grid_of_pages_leaves_out_rings_that_the_watermark_could_stall() -> None:
    fixed = Scenario(watermark=8192)
    assert [setting["pages"] for setting in grid(fixed, "pages")] == [4, 8, 16, 32, 64, 128]


def test_the_grid_of_both_is_every_combination() -> None:
    settings = grid(SCENARIO, "watermark", "pages")
    assert {setting["pages"] for setting in settings} == {1, 2, 4, 8, 16, 32, 64, 128}
    assert all(setting["watermark"] < setting["pages"] * 4096 for setting in settings)


@pytest.mark.parametrize("names", [(), ("rate",), ("watermark", "rate")])
def test_a_grid_of_nothing_or_something_else_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="sweep watermark, pages or both"):
        grid(SCENARIO, *names)


def test_the_best_wakes_least_within_the_latency() -> None:
    results = _here()
    assert best(results) is results[2]
    assert results[1].p99 is not None
    assert best(results, latency=results[1].p99.ns / 1e9) is results[1]


def test_the_best_is_none_whose_waits_the_run_was_too_short_to_see() -> None:
    short = replace(SCENARIO, duration=0.02, watermark=8000)
    (never_woken,) = sweep(short, [{}])
    assert not never_woken.wakes
    assert best([never_woken]) is None
    assert best([never_woken], latency=10) is None


def test_there_may_be_none_within_the_latency() -> None:
    assert best(_here(), latency=1e-6) is None


def test_the_best_loses_no_more_than_it_may() -> None:
    # 4 ms late at 10,000 records per second: 2240 bytes, for which a watermark of 8000 leaves no room.
    hurried = Scenario(pages=2, rate=10_000, duration=0.1, delay=0.004)
    results = list(sweep(hurried, [{"watermark": watermark} for watermark in (1024, 4096, 8000)]))
    assert results[2].lost > 0
    assert best(results) is results[1]
    assert best(results, loss=1.0) is results[2]
