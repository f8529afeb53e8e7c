"""Many settings of one scenario, here or over processes and machines, and the best of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from simkernel.simulate.files import with_settings
from simkernel.simulate.planning import prepare
from simkernel.simulate.run import run
from simkernel.simulate.watching import WatchedKernel

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from concurrent.futures import Executor

    from simkernel.simulate.result import Result
    from simkernel.simulate.scenario import Scenario

__all__ = ["best", "grid", "sweep"]

_PAGES: Final = (1, 2, 4, 8, 16, 32, 64, 128)


def sweep(
    scenario: Scenario, settings: Sequence[Mapping[str, Any]], *, executor: Executor | None = None
) -> Generator[Result, None, None]:
    """Runs a scenario in many settings.

    What comes out is the same whatever runs it, for each run depends on its scenario alone, seed included.

    Args:
        scenario: what all of them share.
        settings: what differs: attributes of `Scenario` and their values. All are checked before the first is run.
        executor: any of `concurrent.futures`, or what behaves like one, such as Dask's ``client.get_executor()``; it
            stays the caller's. None runs them here.

    Returns:
        what each came to, in the order of the settings. Closed early, or interrupted, it takes back what has not begun.

    Raises:
        ScenarioError: a setting that has no meaning or is refused.
    """
    scenarios = [with_settings(scenario, setting) for setting in settings]
    return _one_by_one(scenarios) if executor is None else _over(executor, scenarios)


def _one_by_one(scenarios: Sequence[Scenario]) -> Generator[Result, None, None]:
    for scenario in scenarios:
        yield _result_of_run(scenario)


def _over(executor: Executor, scenarios: Sequence[Scenario]) -> Generator[Result, None, None]:
    with ExitStack() as unfinished:
        futures = [executor.submit(_result_of_run, scenario) for scenario in scenarios]
        for future in futures:
            unfinished.callback(future.cancel)
        for future in futures:
            yield future.result()


def _result_of_run(scenario: Scenario) -> Result:
    """What a worker does; the timeline stays there."""
    return run(scenario).result


def grid(scenario: Scenario, *names: str) -> list[dict[str, Any]]:
    """Settings worth trying.

    Args:
        scenario: whose records, and whose pages or watermark where that is not swept.
        names: "watermark": powers of two, three quarters of the ring, and the largest that is safe: none that could
            stall; "pages": powers of two from 1 to 128, each ring for which the scenario's watermark is below the
            largest safe one. Both: all combinations.

    Raises:
        ValueError: another name, or none.
    """
    if not names or set(names) - {"watermark", "pages"}:
        raise ValueError(f"names is {names!r}: sweep watermark, pages or both")
    found: list[dict[str, Any]] = []
    for pages in _PAGES if "pages" in names else (scenario.pages,):
        safe = _largest_safe(scenario, pages)
        if "watermark" in names:
            found += ({"pages": pages, "watermark": watermark} for watermark in _watermarks(safe))
        elif safe and (isinstance(scenario.watermark, str) or scenario.watermark <= safe):
            found.append({"pages": pages})
    return found


def _largest_safe(scenario: Scenario, pages: int) -> int:
    # A bare reader is asked, for it refuses nothing; the rule is the same for all.
    asked = replace(scenario, pages=pages, watermark=1, reader="bare")
    return prepare(asked, WatchedKernel(asked)).verdict.largest_safe


def _watermarks(safe: int) -> list[int]:
    sizes = {1 << power for power in range(7, safe.bit_length())}
    sizes |= {3 * size // 2 for size in sizes if 3 * size // 2 < safe}
    return sorted({*sizes, safe} - {0})


def best(results: Sequence[Result], *, latency: float | None = None, loss: float = 0.0) -> Result | None:
    """The one that lets the reader run least, of those that stay within the limits; None when there is none.

    A run that was too short to know its 99th percentile is no answer: its reader may not have run at all. Among equals
    it is the one with the shorter waits, then the smaller ring, then the smaller watermark.

    Args:
        results: as `sweep` yields them.
        latency: seconds, for the 99th percentile; None for any.
        loss: share of the records, from 0 to 1.
    """
    fitting = [result for result in results if result.settled and result.meets(latency=latency, loss=loss)]
    return min(fitting, key=_cost, default=None)


def _cost(result: Result) -> tuple[float, int, int, int]:
    waited = 0 if result.p99 is None else result.p99.ns
    return result.runs_per_second, waited, result.verdict.ring_bytes, result.verdict.kernel_watermark
