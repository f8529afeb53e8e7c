"""``perfring doctor``: can this machine open what a session needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from perfring.findings import Finding
    from perfring.kernel import Kernel

__all__ = ["doctor", "examine", "show"]

_NO_LINUX = "perfring records with perf_event_open(2), which only Linux has; this is {}. On other systems: a Linux VM."
_SIGNS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "error": ("ERROR", "bold red")}


def doctor(
    pages: Annotated[int, typer.Option(min=1, metavar="N", help="Data pages of each CPU's ring.")] = 16,
    user_only: Annotated[
        bool, typer.Option("--user-only", help="Ask for less: a process's own tasks, without the kernel's part.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say whether this machine can open what a session needs, and what mends it where it cannot.

    Looks at what permits or forbids it, then tries: opens and maps a ring on each CPU, with a clock that samples and a
    tracepoint, and closes it all. Exit status 0 when a session opens, else 1.
    """
    kernel = _this_kernel()
    predicted, tried = examine(kernel, pages=pages, user_only=user_only)
    if as_json:
        _print_json(kernel, predicted, tried)
    else:
        from rich.console import Console

        show(Console(highlight=False), kernel, predicted, tried)
    raise typer.Exit(1 if _refused(tried) else 0)


def _this_kernel() -> Kernel:
    import sys

    from perfring.errors import Unsupported

    if sys.platform != "linux":
        raise Unsupported(_NO_LINUX.format(sys.platform))
    from perfring.linux import LinuxKernel

    return LinuxKernel()


def examine(
    kernel: Kernel, *, pages: int = 16, user_only: bool = False
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """What the files of a kernel say, and what came of trying.

    Args:
        kernel: the one to examine.
        pages: data pages of each ring.
        user_only: examine what an unprivileged user can have.
    """
    from perfring.findings import diagnose
    from perfring.probing import try_opening

    predicted = (*diagnose(kernel, pages=pages, user_only=user_only), _engine())
    return predicted, try_opening(kernel, pages=pages, user_only=user_only)


def _engine() -> Finding:
    """Which engine makes columns, and whether there can be columns at all."""
    from importlib.util import find_spec

    from perfring.engine import engine_name, why_python
    from perfring.findings import Finding, Severity

    if find_spec("numpy") is None:
        text = f"{engine_name()}; without numpy there are no columns (SessionBuilder.with_columns)"
        return Finding("engine", Severity.WARN, text, "pip install 'perfring[columns]'")
    reason = why_python()
    if not reason:
        return Finding("engine", Severity.OK, "compiled: batches as columns are taken apart by it")
    return Finding("engine", Severity.OK, f"python ({reason}): batches as columns take several times longer")


def _refused(tried: Sequence[Finding]) -> tuple[Finding, ...]:
    from perfring.probing import blocking

    return blocking(tried)


def _verdict(tried: Sequence[Finding]) -> str:
    refused = _refused(tried)
    if refused:
        return f"A session cannot be opened: {', '.join(finding.topic for finding in refused)} refused."
    limited = [finding.topic for finding in tried if finding.severity == "warn"]
    return "A session can be opened" + (f", but without {', '.join(limited)}." if limited else ".")


def show(console: Console, kernel: Kernel, predicted: Sequence[Finding], tried: Sequence[Finding]) -> None:
    """Prints the findings for people, each with the command that mends it.

    Args:
        console: where to.
        kernel: the one that was examined.
        predicted: from `examine`.
        tried: from `examine`.
    """
    from rich.text import Text

    console.print(Text(f"Linux {kernel.release}, pages of {kernel.page_size} bytes ({type(kernel).__name__})"))
    for title, findings in (("Found", predicted), ("Tried", tried)):
        console.print()
        console.print(_table(title, findings))
    console.print()
    mends = _mends((*tried, *predicted))
    if mends:
        console.print(Text("To mend it:"))
        for mend, topics in mends.items():
            # One line each however long, so that it can be copied; a shell takes the topics for a comment.
            console.print(Text(f"  {mend}", style="cyan").append(f"  # {', '.join(topics)}", "dim"), soft_wrap=True)
        console.print()
    console.print(Text(_verdict(tried), style="bold red" if _refused(tried) else "bold green"))


def _mends(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The commands, each with the topics it is for."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.mend:
            found.setdefault(finding.mend, []).append(finding.topic)
    return found


def _table(title: str, findings: Sequence[Finding]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    # Both tables have the same columns under each other.
    table.add_column(title, no_wrap=True, min_width=12)
    table.add_column("", no_wrap=True, min_width=5)
    table.add_column("", overflow="fold")
    for finding in findings:
        sign, style = _SIGNS[finding.severity]
        table.add_row(finding.topic, Text(sign, style=style), Text(finding.text))
    return table


def _print_json(kernel: Kernel, predicted: Sequence[Finding], tried: Sequence[Finding]) -> None:
    import json

    from perfring.engine import engine_name

    report = {
        "kernel": type(kernel).__name__,
        "release": kernel.release,
        "page_size": kernel.page_size,
        "engine": engine_name(),
        "usable": not _refused(tried),
        "verdict": _verdict(tried),
        "found": [finding._asdict() for finding in predicted],
        "tried": [finding._asdict() for finding in tried],
    }
    typer.echo(json.dumps(report, indent=2))
