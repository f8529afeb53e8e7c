"""The page of ``perfring verify --html``: readers watched on each kernel, and every measurement in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perfring.picture import Table, render_page
from perfring.stories import STORIES, watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfring.verify import Arm, Measurement

__all__ = ["verify_page"]

_HOW: Final = (
    "Equal records fill a ring. The reader waits in poll(2) until it is woken, drains to the head and waits again. "
    "Everything here was recorded while it happened, on each kernel; nothing is drawn from a prediction."
)
_RULE: Final = (
    "A watermark up to the largest safe one always wakes the reader, also after losses. From the fullest level that "
    "the records can reach, and so from the size of the ring on, none ever does. In between it depends, for instance "
    "on whether a record was ever lost."
)


def verify_page(arms: Sequence[Arm], rows: Sequence[Measurement]) -> str:
    """Watches every story on every kernel and returns the page.

    Args:
        arms: the kernels.
        rows: what the sweep measured on them.

    Raises:
        OSError: a kernel refuses a ring.
        Unsupported: plotly is not installed.
    """
    seen = [watch(arm, story) for story in STORIES for arm in arms]
    tables = (_summary(rows), _details(rows))
    return render_page(seen, title="When the kernel wakes the reader", intro=(_HOW, _RULE), tables=tables)


def _summary(rows: Sequence[Measurement]) -> Table:
    kernels = _names(rows)
    streams = dict.fromkeys((row.ring_bytes, row.record_bytes, row.after_loss) for row in rows)
    counted = [
        (*_stream_cells(*stream), *(_agreement(_of(rows, kernel, stream)) for kernel in kernels)) for stream in streams
    ]
    total = ("", "", "all", *(_agreement([row for row in rows if row.kernel == kernel]) for kernel in kernels))
    columns = ("ring bytes", "record bytes", "wake", *(f"agree on {kernel}" for kernel in kernels))
    return Table("Predicted and measured: how many watermarks agree", columns, (*counted, total))


def _of(rows: Iterable[Measurement], kernel: str, stream: tuple[int, int, bool]) -> list[Measurement]:
    return [
        row for row in rows if row.kernel == kernel and (row.ring_bytes, row.record_bytes, row.after_loss) == stream
    ]


def _agreement(rows: Sequence[Measurement]) -> str:
    return f"{sum(row.agrees for row in rows)} of {len(rows)}"


def _details(rows: Sequence[Measurement]) -> Table:
    columns = (
        "ring bytes",
        "record bytes",
        "wake",
        "watermark",
        "predicted",
        "expected",
        "kernel",
        "woke at",
        "agrees",
    )
    cells = tuple(
        (
            *_stream_cells(row.ring_bytes, row.record_bytes, row.after_loss),
            str(row.watermark),
            str(row.predicted),
            _head(row.predicted_woke_at),
            row.kernel,
            _head(row.woke_at),
            "yes" if row.agrees else "NO",
        )
        for row in rows
    )
    return Table("Every measurement: bytes written when the reader was woken", columns, cells, folded=True)


def _stream_cells(ring_bytes: int, record_bytes: int, after_loss: bool) -> tuple[str, str, str]:
    return str(ring_bytes), str(record_bytes), "after a loss" if after_loss else "first"


def _head(woke_at: int | None) -> str:
    return "never" if woke_at is None else str(woke_at)


def _names(rows: Iterable[Measurement]) -> list[str]:
    return list(dict.fromkeys(row.kernel for row in rows))
