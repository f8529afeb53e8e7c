"""``perfring watermark``: what a watermark will do, before anything is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from perfring.geometry import Verdict

__all__ = ["watermark"]

_MOST_BYTES: Final = 2**32 - 1  # wakeup_watermark is a u32
_MOST_PAGES: Final = 2**31  # as SessionBuilder.with_page_count
_STYLES: Final = {"LIVE": "bold green", "DEPENDS": "bold yellow", "STALLS": "bold red"}
_MEANING: Final = {
    "LIVE": "No stream of such records can leave a waiting reader asleep.",
    "DEPENDS": "Some streams of such records leave a waiting reader asleep.",
    "STALLS": "A waiting reader is never woken.",
}
# Zones of the picture: the outcome of the watermarks in it, how they are drawn, and the legend.
_ZONES: Final = (("LIVE", "-", "always wakes"), ("DEPENDS", "?", "depends"), ("STALLS", "x", "never wakes"))
_BAR: Final = 60
_NARROWEST: Final = 8

_Flow = dict[str, float | None]


def watermark(
    pages: Annotated[int, typer.Option(help="Data pages of the ring, rounded up to a power of two.")],
    wanted: Annotated[
        int, typer.Option("--bytes", help="The watermark; 0 is what the kernel makes of it, half a ring.")
    ],
    record_bytes: Annotated[
        str, typer.Option(metavar="A-B", help="Smallest and largest record in the ring, or one size: multiples of 8.")
    ] = "8-65528",
    lost_bytes: Annotated[int, typer.Option(help="The largest LOST record: 24 and the sample_id trailer.")] = 72,
    rate: Annotated[float | None, typer.Option(help="Records per second, for wakeups per second and latency.")] = None,
    page_size: Annotated[int | None, typer.Option(help="Bytes in a page, when not this machine's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="The ring is mapped read-only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless the verdict is LIVE.")] = False,
) -> None:
    """Say whether a watermark can leave a waiting reader asleep, and which one cannot.

    LIVE: it never can. STALLS: it always does. DEPENDS: on the order of sizes, and on losses.

    Exit status: 0 with any verdict, for it is the answer. With --check 1 unless it is LIVE.
    2 for bad input.
    """
    from perfring.geometry import watermark_verdict

    try:
        sizes = _sizes(record_bytes)
        _check_numbers(pages, wanted, rate)
        verdict = watermark_verdict(
            pages, wanted, record_bytes=sizes, lost_bytes=lost_bytes, overwrite=overwrite, page_size=page_size
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    flows = [_flow(verdict, size, rate, overwrite) for size in sorted(set(sizes))] if rate is not None else []
    if json:
        _print_json(verdict, wanted, rate, flows)
    else:
        _print_for_people(verdict, wanted, flows)
    if check and verdict.outcome != "LIVE":
        raise typer.Exit(1)


def _sizes(text: str) -> tuple[int, int]:
    """``56`` or ``24-56``."""
    first, dash, second = text.partition("-")
    try:
        return int(first), int(second if dash else first)
    except ValueError:
        raise ValueError(f"--record-bytes is {text!r}: give one size, such as 56, or a range, such as 24-56") from None


def _check_numbers(pages: int, wanted: int, rate: float | None) -> None:
    from math import isfinite

    if pages > _MOST_PAGES:
        raise ValueError(f"--pages is {pages}: a ring has {_MOST_PAGES} data pages at most")
    if wanted > _MOST_BYTES:
        raise ValueError(f"--bytes is {wanted}: wakeup_watermark is a u32, {_MOST_BYTES} at most")
    if rate is not None and not (isfinite(rate) and rate > 0):
        raise ValueError(f"--rate is {rate}: it must be a number of records per second above 0")


def _flow(verdict: Verdict, size: int, rate: float, overwrite: bool) -> _Flow:
    """What a stream of records of one size does, once it flows; None where the reader is never woken.

    The kernel moves its cursor by one watermark for each wake, and at most once per record (K7).
    """
    from perfring.geometry import first_wake_bytes

    level, ring = verdict.kernel_watermark, verdict.ring_bytes
    woke_at = (level // size + 1) * size if overwrite else first_wake_bytes(level, ring, size)
    flow: _Flow = {"record_bytes": size, "bytes_per_second": rate * size}
    if woke_at is None:
        return flow | {"wakeups_per_second": 0.0, "latency_seconds": None, "headroom_seconds": None}
    return flow | {
        "wakeups_per_second": min(rate * size / level, rate),
        "latency_seconds": level / (rate * size),
        "headroom_seconds": max(ring - 1 - woke_at, 0) // size / rate,
    }


def _print_json(verdict: Verdict, wanted: int, rate: float | None, flows: list[_Flow]) -> None:
    from dataclasses import asdict
    from json import dumps

    answer = {"watermark": wanted, **asdict(verdict)}
    if rate is not None:
        answer |= {"rate": rate, "flows": flows}
    typer.echo(dumps(answer, indent=2))


def _print_for_people(verdict: Verdict, wanted: int, flows: list[_Flow]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(
        Text(verdict.outcome, style=_STYLES[verdict.outcome]).append(f"  {_MEANING[verdict.outcome]}", "default")
    )
    console.print()
    console.print(_numbers(verdict, wanted))
    if console.is_terminal:
        console.print()
        console.print(_picture(verdict))
    if flows:
        console.print()
        console.print(_flow_table(flows))
    console.print()
    console.print(Padding(verdict.reason, (0, 2)))


def _numbers(verdict: Verdict, wanted: int) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(overflow="fold")
    taken = verdict.kernel_watermark
    for name, value, note in (
        ("  watermark", wanted, "" if taken == wanted else f"the kernel makes {taken} of it"),
        ("  largest safe", verdict.largest_safe, "" if verdict.largest_safe else "none: give the ring more pages"),
        ("  fullest level", verdict.fullest, ""),
        ("  ring", verdict.ring_bytes, ""),
    ):
        table.add_row(name, f"{value} bytes", note)
    return table


def _picture(verdict: Verdict) -> Text:
    """All watermarks from 1 to the ring, coloured by outcome, with a mark below the one in question."""
    from itertools import pairwise

    from rich.text import Text

    edges = (0, verdict.largest_safe, max(verdict.fullest - 1, verdict.largest_safe), verdict.ring_bytes)
    spans = list(pairwise(edges))
    widths = _widths([high - low for low, high in spans])
    scale, bar, mark = Text("  "), Text("  "), 0
    for (outcome, glyph, _), (low, high), width in zip(_ZONES, spans, widths, strict=True):
        if low < verdict.kernel_watermark <= high:
            mark = len(bar) + min((verdict.kernel_watermark - low) * width // (high - low), width - 1)
        scale.append(f"{low + 1:<{width}}" if width else "")
        bar.append(glyph * width, _STYLES[outcome])
    scale.append(str(verdict.ring_bytes))
    legend = "   ".join(f"{glyph} {text}" for (_, glyph, text), width in zip(_ZONES, widths, strict=True) if width)
    below = f"{' ' * mark}^ {verdict.kernel_watermark}"
    return Text("\n").join([scale, bar, Text(below, style="bold"), Text(f"  {legend}   (not to scale)", style="dim")])


def _widths(lengths: list[int]) -> list[int]:
    """Columns for each zone: to scale as far as every zone that exists can be seen."""
    shown = sum(length > 0 for length in lengths)
    room = _BAR - shown * _NARROWEST
    return [_NARROWEST + room * length // sum(lengths) if length else 0 for length in lengths]


def _flow_table(flows: list[_Flow]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
    for name in ("record", "bytes/s", "wakeups/s", "delivered within", "then drain within"):
        table.add_column(name, justify="right")
    for flow in flows:
        table.add_row(
            f"{flow['record_bytes']} B",
            _number(flow["bytes_per_second"]),
            _number(flow["wakeups_per_second"]),
            _duration(flow["latency_seconds"]),
            _duration(flow["headroom_seconds"]),
        )
    return table


def _number(value: float | None) -> str:
    return "never" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{_number(seconds * scale)} {unit}"
    return f"{seconds * 1e6:.2g} us" if seconds else "at once"
