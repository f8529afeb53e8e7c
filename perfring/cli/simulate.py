"""``perfring simulate``: what a setting will do, on a simulated kernel, and the best setting of many."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, ProcessPoolExecutor

    from perfring.cli._output import Output
    from perfring.timeline import Timeline
    from simkernel.simulate import Result, Run, Scenario, ScenarioError

__all__ = ["simulate"]

_PATIENCE: Final = 5.0
"""Seconds."""


def simulate(
    scenario: Annotated[
        str | None, typer.Argument(metavar="[SCENARIO]", help="A built-in one (see --list), or a TOML file.")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the built-in scenarios and the readers.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, as in watermark=4096; may be repeated."),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(metavar="FILE.data", help="Play what perf or perfring recorded, in place of a scenario."),
    ] = None,
    pages: Annotated[int | None, typer.Option(metavar="N", help="The same as --set pages=N.")] = None,
    watermark: Annotated[int | None, typer.Option(metavar="BYTES", help="The same as --set watermark=BYTES.")] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="watermark|pages", help="Try many values, and find the best; may be given twice."),
    ] = None,
    latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="99 of 100 records must come within it, as in 10ms.")
    ] = None,
    loss: Annotated[float, typer.Option(help="Share of the records that may be lost, from 0 to 1.")] = 0.0,
    jobs: Annotated[int | None, typer.Option(help="Processes for --sweep; as many as there are CPUs.")] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Draw it all on one page.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON, with the timeline of each run.")] = False,
) -> None:
    """Run perfring's reader, or one with a mistake, on a simulated kernel: wakeups, latency, losses, what to change.

    Needs no privilege and no Linux; time is virtual, and the same scenario always comes to the same.

    With --replay: would the traffic of a recording have been lost with these pages and this watermark?

    Exit status: 0 when every run is healthy, 1 when one stalls, is woken far beyond its watermark, loses more than
    --loss, or is later than --latency, or when no setting of a sweep is within these limits; 2 for bad input.
    """
    if list_all:
        if scenario or replay or pages or watermark or settings or sweep or latency or loss or jobs or html:
            raise typer.BadParameter("--list runs nothing: it goes alone, or with --json")
        _list(json=json)
        return
    limit = _checked_limits(latency, loss)
    _check_sweep(sweep or [], html, jobs)
    for key, value in (("pages", pages), ("watermark", watermark)):
        settings = [*(settings or []), *([f"{key}={value}"] if value is not None else [])]
    chosen = _chosen(scenario, replay, settings or [], sweep or [])
    with _scenario_errors(scenario or replay or ""):
        if sweep:
            healthy = _sweep(chosen[-1], sweep, limit, loss, jobs, json=json)
        else:
            healthy = _run(chosen, limit, loss, html, json=json)
    if not healthy:
        raise typer.Exit(1)


@contextmanager
def _scenario_errors(name: str) -> Iterator[None]:
    """What shows only when it is run, or when a sweep has chosen the settings, is bad input as well."""
    from simkernel.simulate import ScenarioError

    try:
        yield
    except ScenarioError as error:
        raise typer.BadParameter(str(error if error.source else error.at(name))) from None


def _list(*, json: bool) -> None:
    from simkernel.simulate import BUILT_IN, READERS

    if json:
        from json import dumps

        scenarios = {name: scenarios[0].about for name, scenarios in BUILT_IN.items()}
        readers = {name: kind.about for name, kind in READERS.items()}
        typer.echo(dumps({"scenarios": scenarios, "readers": readers}, indent=2))
        return
    from perfring.cli._simulated import show_list

    show_list()


def _checked_limits(latency: str | None, loss: float) -> float | None:
    from simkernel.simulate import parse_seconds

    if not 0 <= loss <= 1:
        raise typer.BadParameter(f"--loss is {loss}: it must be a share from 0 to 1, such as 0.01 for one of 100")
    if latency is None:
        return None
    try:
        seconds = float(latency)
    except ValueError:
        seconds = None
    try:
        return parse_seconds(latency if seconds is None else seconds)
    except ValueError as error:
        raise typer.BadParameter(f"--latency is {latency!r}: {error}") from None


def _chosen(name: str | None, replay: str | None, settings: list[str], swept: list[str]) -> tuple[Scenario, ...]:
    """The scenarios that are meant, with the settings of the command line."""
    from simkernel.simulate import BUILT_IN, ScenarioError, parse_setting, with_settings

    if name is not None and replay is not None:
        raise typer.BadParameter(f"--replay {replay} takes the place of the scenario {name!r}: leave one out")
    name = replay if name is None else name
    if name is None:
        raise typer.BadParameter("name a scenario: one of " + ", ".join(BUILT_IN) + "; or a TOML file; or --replay")
    changes: dict[str, Any] = {}
    try:
        changes = dict(parse_setting(text) for text in settings)
        found = _found(name) if replay is None else (_recorded(replay),)
        if "reader" in changes:
            found = found[-1:]  # one reader was asked for, and not the comparison of two
        # What a sweep replaces need not be good; it checks each setting itself.
        chosen = tuple(with_settings(each, changes, checked=not swept) for each in found)
    except ScenarioError as error:
        raise typer.BadParameter(str(error if error.source else error.at(_origin(error, changes, name)))) from None
    except OSError as error:
        from perfring.cli._advice import with_advice

        raise typer.BadParameter(with_advice(error, name=_as_written(name, error))) from None
    for key in changes.keys() & set(swept):
        raise typer.BadParameter(f"--set {key} is {changes[key]!r}, and --sweep {key} tries others: leave one out")
    return chosen


def _as_written(name: str, error: OSError) -> str | None:
    """The path as the user has it; None when the error is about another one, the recording that the scenario names."""
    from pathlib import Path

    return name if error.filename in (None, name, str(Path(name))) else None


def _found(name: str) -> tuple[Scenario, ...]:
    """Built-in ones, or that of a file."""
    from simkernel.simulate import BUILT_IN, read_scenario

    return BUILT_IN[name] if name in BUILT_IN else (read_scenario(_path(name), checked=False),)


def _recorded(path: str) -> Scenario:
    """The scenario that plays a recording."""
    from simkernel.simulate import recorded

    with _progress(1, "reading") as tell:
        return recorded(path, on_progress=tell)


def _origin(error: ScenarioError, changes: dict[str, Any], name: str) -> str:
    """Where a value was written that turned out to be wrong."""
    return "--set" if error.key in changes or not error.key else name


def _path(name: str) -> str:
    """A name without a dot or slash is a built-in scenario that is misspelt, not a file."""
    from difflib import get_close_matches
    from pathlib import Path

    from simkernel.simulate import BUILT_IN

    if "." in name or "/" in name or (name and Path(name).exists()):
        if _is_recording(name):
            raise typer.BadParameter(f"{name} is no scenario, but a recording: play it with --replay {name}")
        return name
    close = get_close_matches(name, BUILT_IN, 1)
    hint = f"do you mean {close[0]}?" if close else "there are " + ", ".join(BUILT_IN)
    raise typer.BadParameter(f"there is no built-in scenario {name!r}, and no such file: {hint}")


def _is_recording(path: str) -> bool:
    from perfring.perfdata.format import MAGIC

    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # whoever reads it says why


def _run(scenarios: tuple[Scenario, ...], latency: float | None, loss: float, html: str | None, *, json: bool) -> bool:
    """True when every run is within the limits."""
    from simkernel.simulate import run

    runs = []
    with _page(html) as page:
        with _progress(len(scenarios)) as tell:
            for number, scenario in enumerate(scenarios):
                runs.append(run(scenario, on_progress=partial(_tell_share, tell, number)))
        if page is not None:
            page.write(_drawn(runs))
    healthy = [ran.result.meets(latency=latency, loss=loss) for ran in runs]
    if json:
        from json import dumps

        typer.echo(dumps([_run_dict(ran, ok) for ran, ok in zip(runs, healthy, strict=True)], indent=1))
    else:
        from perfring.cli._simulated import show_runs

        show_runs(runs, healthy)
    return all(healthy)


def _tell_share(tell: Callable[[float], None], done: int, share: float) -> None:
    tell(done + share)


@contextmanager
def _page(path: str | None) -> Iterator[Output | None]:
    """The file of ``--html``, opened before anything is run: whoever mistyped is told at once."""
    if path is None:
        yield None
        return
    from perfring.cli._output import Output
    from perfring.picture import require_plotly

    require_plotly()
    with Output(path) as output:
        yield output


def _drawn(runs: list[Run]) -> str:
    from perfring.picture import render_page

    scenario = runs[0].result.scenario
    return render_page(
        [_named(ran) for ran in runs], title=scenario.name, intro=[scenario.about] * bool(scenario.about)
    )


def _named(ran: Run) -> Timeline:
    """The one setting in which the built-in scenarios differ beside the reader belongs to the name of the run."""
    from dataclasses import replace

    latency = ran.result.scenario.latency
    bound = "" if latency is None else f", within {latency * 1000:g} ms"
    return replace(ran.timeline, title=ran.timeline.title + bound)


def _run_dict(ran: Run, healthy: bool) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "scenario": asdict(ran.result.scenario),
        "healthy": healthy,
        "result": ran.result.to_dict(),
        "advice": list(ran.advice),
        "timeline": ran.timeline.to_dict(),
    }


def _check_sweep(names: list[str], html: str | None, jobs: int | None) -> None:
    if jobs is not None and not names:
        raise typer.BadParameter(f"--jobs is {jobs}, but there is nothing to share out: it goes with --sweep")
    for name in names:
        if name not in ("watermark", "pages"):
            raise typer.BadParameter(f"--sweep is {name!r}: sweep watermark, pages, or both")
    if names and html is not None:
        raise typer.BadParameter(f"--html is {html!r}: a sweep has no picture; draw the best setting with --set")
    if jobs is not None and jobs < 1:
        raise typer.BadParameter(f"--jobs is {jobs}: it must be 1 or more")


def _sweep(
    scenario: Scenario, names: list[str], latency: float | None, loss: float, jobs: int | None, *, json: bool
) -> bool:
    """True when a setting is within the limits."""
    from simkernel.simulate import best, grid, sweep

    settings = grid(scenario, *names)
    results = []
    with _progress(len(settings)) as tell, _workers(min(jobs or _cpus(), len(settings))) as executor:
        for result in sweep(scenario, settings, executor=executor):
            results.append(result)
            tell(len(results))
    chosen = best(results, latency=latency, loss=loss)
    if json:
        from json import dumps

        typer.echo(dumps(_sweep_dict(scenario, results, chosen), indent=1))
    else:
        from perfring.cli._simulated import show_sweep

        show_sweep(scenario, results, chosen, latency=latency, loss=loss)
    return chosen is not None


def _sweep_dict(scenario: Scenario, results: list[Result], chosen: Result | None) -> dict[str, Any]:
    from dataclasses import asdict

    rows = [{"pages": result.scenario.pages, **result.to_dict()} for result in results]
    return {
        "scenario": asdict(scenario),
        "results": rows,
        "best": None if chosen is None else rows[results.index(chosen)],
    }


def _cpus() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _workers(count: int) -> Iterator[Executor | None]:
    """A pool of processes, which an interrupt ends; None where one process is enough."""
    if count < 2:
        yield None
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # Spawned and not forked: the progress bar has a thread already.
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            with _interrupts_put_off():
                for _ in range(count):
                    pool.submit(int)  # starts a worker, and what it inherits is that Ctrl-C is not for it
            yield pool
        except BaseException:
            _end(pool)
            raise


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends the workers at once."""
    import multiprocessing
    import threading
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

    managers = [thread for thread in threading.enumerate() if type(thread).__module__ == ProcessPoolExecutor.__module__]
    # Before 3.13 a pool whose workers die stumbles over futures that are cancelled and not yet dropped, and says so
    # in a traceback. It drops them in the order in which they came: this one last.
    dropped = threading.Event()
    try:
        with suppress(BrokenExecutor):
            pool.submit(int).add_done_callback(lambda _: dropped.set())
            pool.shutdown(wait=False, cancel_futures=True)
            dropped.wait(_PATIENCE)
    finally:
        for worker in multiprocessing.active_children():
            worker.terminate()
        # Before 3.12 the end of the interpreter writes to a pipe that such a thread is just closing.
        for manager in managers:
            manager.join(_PATIENCE)


@contextmanager
def _interrupts_put_off() -> Iterator[None]:
    import signal

    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _progress(total: int, what: str = "simulating") -> Iterator[Callable[[float], None]]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
