"""What ``perfring simulate`` shows to people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simkernel.simulate import BUILT_IN, READERS, format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfring.timeline import Timeline
    from simkernel.simulate import Result, Run, Scenario, Wait

__all__ = ["show_list", "show_runs", "show_sweep"]

_STYLES: Final = {"LIVE": "green", "DEPENDS": "yellow", "STALLS": "red"}
_NARROWEST: Final = 40
_IN_ROWS: Final = frozenset({"reader", "watermark", "name", "about", "recording"})
"""Settings that the table or its heads show anyway."""
_TIMES: Final = ("start", "latency", "period", "delay", "work", "lifetime")


def show_list() -> None:
    """The built-in scenarios, and the readers that one can name."""
    console = Console(highlight=False)
    for heading, rows in (
        ("Scenarios", {name: scenarios[0].about for name, scenarios in BUILT_IN.items()}),
        ("Readers, for reader = ... in a file or --set reader=...", {n: k.about for n, k in READERS.items()}),
    ):
        console.print(f"[bold]{heading}[/]")
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="cyan")
        table.add_column()
        for name, about in rows.items():
            table.add_row(f"  {name}", about)
        console.print(table)
        console.print()


def show_runs(runs: Sequence[Run], healthy: Sequence[bool]) -> None:
    """The runs of one scenario side by side, and what to change in each."""
    console = Console(highlight=False)
    if console.is_terminal:  # first, so that what one must know stands where one looks: at the end
        for ran in runs:
            _draw(console, ran.timeline)
    results = [ran.result for ran in runs]
    scenarios = [result.scenario for result in results]
    _head(console, scenarios[0], scenarios)
    labels = _labels(scenarios)
    console.print(_side_by_side(results, labels, healthy))
    for ran, label in zip(runs, labels, strict=True):
        console.print()
        _say(console, ran, label)


def _draw(console: Console, timeline: Timeline) -> None:
    """The picture; what else there is to say stands in the table."""
    from perfring.picture import terminal

    picture = terminal(replace(timeline, facts={}), width=max(console.width, _NARROWEST), colour=not console.no_color)
    console.print(Text.from_ansi(picture), soft_wrap=True)
    console.print()


def _head(console: Console, scenario: Scenario, runs: Sequence[Scenario]) -> None:
    """What is run, with all that the runs have in common and that is not as usual."""
    console.print(Text(scenario.name, style="bold").append(f"  {scenario.about}" if scenario.about else "", "not bold"))
    cpus = f"{scenario.cpus} CPU{'s' * (scenario.cpus > 1)}"
    rate = f"{scenario.pattern} {scenario.event} at {scenario.rate:,.0f}/s each"
    text = f"{cpus} with rings of {_pages(runs)}, {rate}, for {scenario.duration:g} virtual s; "
    common = [name for name in _TIMES if len({getattr(each, name) for each in runs}) == 1 and getattr(scenario, name)]
    settings = [_setting(scenario, name) for name in common]
    console.print(Text(text + ", ".join([*settings, f"kernel {scenario.kernel}, seed {scenario.seed}"]), style="dim"))
    console.print()


def _pages(runs: Sequence[Scenario]) -> str:
    pages = [each.pages for each in runs]
    if min(pages) < max(pages):
        return f"{min(pages)} to {max(pages)} pages"
    return f"{pages[0]} page{'s' * (pages[0] > 1)} = {runs[0].ring_bytes} bytes"


def _setting(scenario: Scenario, name: str) -> str:
    value = getattr(scenario, name)
    return f"{name} {format_ns(round(value * 1e9)) if name in _TIMES else value}"


def _labels(scenarios: Sequence[Scenario]) -> list[str]:
    """The reader, and the settings in which scenarios of one table differ."""
    first = scenarios[0]
    names = [name for name in first.__slots__ if name not in _IN_ROWS]
    differing = [name for name in names if any(getattr(other, name) != getattr(first, name) for other in scenarios)]
    return [
        ", ".join([each.reader, *(_setting(each, name) for name in differing if getattr(each, name))])
        for each in scenarios
    ]


def _wait(wait: Wait | None) -> str:
    return "no record" if wait is None else str(wait)


def _lost(result: Result) -> str:
    text = f"{result.lost} of {result.produced}"
    return f"[red]{text}, {result.loss:.1%}[/]" if result.lost else text


_ROWS: Final[dict[str, Callable[[Result], str]]] = {
    "watermark": lambda result: f"{result.verdict.kernel_watermark} bytes",
    "verdict": lambda result: f"[{_STYLES[result.verdict.outcome]}]{result.verdict.outcome}[/]",
    "wakes": lambda result: (
        f"{result.wakes_per_second:,.0f}/s" + (f", {result.spurious} spurious" * bool(result.spurious))
    ),
    "looks by the clock": lambda result: f"{result.looks / result.scenario.duration:,.0f}/s",
    "latency p50": lambda result: _wait(result.p50),
    "latency p99": lambda result: _wait(result.p99),
    "latency max": lambda result: _wait(result.worst),
    "lost": _lost,
    "left in the rings": lambda result: str(result.left),
    "highest fill": lambda result: (
        f"{result.highest_fill} bytes, {result.highest_fill / result.verdict.ring_bytes:.0%}"
    ),
}


def _side_by_side(results: Sequence[Result], labels: Sequence[str], healthy: Sequence[bool]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column("read by")
    for label in labels:
        table.add_column(label, min_width=16)
    for name, show in _ROWS.items():
        table.add_row(name, *map(show, results))
    table.add_row("[bold]in short[/]", *(_in_short(*each) for each in zip(results, healthy, strict=True)))
    return table


def _in_short(result: Result, healthy: bool) -> str:
    if result.stalled:
        return "[bold white on red] STALLED [/]"
    if result.defeated:
        return "[bold red]WATERMARK DEFEATED[/]"
    if healthy:
        return "[bold green]healthy[/]"
    return "[bold red]LOSES RECORDS[/]" if result.lost else "[bold red]TOO LATE[/]"


def _say(console: Console, ran: Run, label: str) -> None:
    result = ran.result
    if result.stalled:
        cpus = f"cpu{'s' * (len(result.stalled) > 1)} {', '.join(map(str, result.stalled))}"
        text = f"{label} STALLED: nothing would have woken the reader of {cpus} any more. "
        text += f"{result.left} records lie unread, {result.lost} are lost."
        console.print(Text(text, style="bold red"))
    else:
        console.print(Text(label, style="bold"))
    for words in ran.advice:
        console.print(Padding(words, (0, 2)))


def show_sweep(
    scenario: Scenario, results: Sequence[Result], chosen: Result | None, *, latency: float | None, loss: float
) -> None:
    """All settings, and the best of them."""
    console = Console(highlight=False)
    if not results:
        console.print("[bold red]No setting is worth trying: no watermark of such rings is safe; more pages help.[/]")
        return
    _head(console, scenario, [result.scenario for result in results])
    console.print(_sweep_table(results, chosen, latency=latency, loss=loss))
    console.print()
    within = f"p99 within {format_ns(round(latency * 1e9))}" if latency is not None else "any latency"
    limits = f"{within} and a loss of {loss:g} at most"
    if chosen is None:
        console.print(Text(f"No setting has {limits}.", style="bold red"))
        console.print(Padding(_nearest(results, latency), (0, 2)))
        return
    console.print(
        Text(f"Best for {limits}: watermark = {chosen.verdict.kernel_watermark}", style="bold green").append(
            f", pages = {chosen.scenario.pages}: the reader runs {chosen.runs_per_second:,.0f} times per second, p99 "
            f"{_wait(chosen.p99)}"
        )
    )


def _nearest(results: Sequence[Result], latency: float | None) -> str:
    least = min(result.loss for result in results)
    if least:
        return f"The least loss is {least:.2%}: the reader comes too late, or does too much for each record."
    known = [result for result in results if result.p99 and result.settled]
    if not known:
        return "In all of them the records that waited longest still wait in the end: raise the duration."
    soonest = min(known, key=lambda result: result.p99 or (0,))
    if latency is None:
        return "In every setting a ring stalls, or the watermark is defeated."
    return (
        f"The shortest p99 is {soonest.p99}, with a watermark of {soonest.verdict.kernel_watermark}: a latency bound "
        f"(--set latency={latency:g}) delivers what lies below the watermark."
    )


_COLUMNS: Final[dict[str, Callable[[Result], str]]] = {
    "pages": lambda result: str(result.scenario.pages),
    "watermark": lambda result: str(result.verdict.kernel_watermark),
    "wakes/s": lambda result: f"{result.wakes_per_second:,.0f}",
    "looks/s": lambda result: f"{result.looks / result.scenario.duration:,.0f}",
    "p50": lambda result: _wait(result.p50),
    "p99": lambda result: _wait(result.p99),
    "max": lambda result: _wait(result.worst),
    "lost": lambda result: f"{result.loss:.1%}" if result.lost else "0",
    "fill": lambda result: f"{result.highest_fill / result.verdict.ring_bytes:.0%}",
}
_LEFT_OUT: Final = frozenset({"pages", "looks/s"})
"""Columns that are left out where they always say the same."""


def _sweep_table(results: Sequence[Result], chosen: Result | None, *, latency: float | None, loss: float) -> Table:
    columns = {name: [show(result) for result in results] for name, show in _COLUMNS.items()}
    columns = {name: cells for name, cells in columns.items() if name not in _LEFT_OUT or len(set(cells)) > 1}
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column()
    for result, *cells in zip(results, *columns.values(), strict=True):
        fits = result.settled and result.meets(latency=latency, loss=loss)
        style = "bold green" if result is chosen else None if fits else "dim"
        table.add_row(*cells, "best" if result is chosen else "" if fits else "no", style=style)
    return table
