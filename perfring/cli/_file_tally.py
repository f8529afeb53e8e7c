"""What was found in a perf.data file: for programs and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from perfring.cli._lines import printable

if TYPE_CHECKING:
    from rich.console import Group

    from perfring.errors import BadRecord
    from perfring.perfdata import PerfDataFile

__all__ = ["FileTally"]

_MOST_SHOWN: Final = 5
_UNKNOWN: Final = "?"


class FileTally:
    """Sums a file up when it has been read.

    Args:
        recording: the file.
    """

    def __init__(self, recording: PerfDataFile) -> None:
        self._recording = recording
        self._bad: list[BadRecord] = []

    def note(self, error: BadRecord) -> None:
        """Keeps the first bad records, to show them."""
        if len(self._bad) < _MOST_SHOWN:
            self._bad.append(error)

    @property
    def damaged(self) -> bool:
        """Whether something made no sense, in the records or around them."""
        return bool(self._recording.counts.bad_records or self._recording.problems)

    def figures(self) -> dict[str, Any]:
        """The figures as the last JSON line has them."""
        counts, recording = self._recording.counts, self._recording
        events: dict[str, dict[str, int]] = {}
        for (event, kind), count in sorted(counts.records.items(), key=lambda item: -item[1]):
            events.setdefault(_UNKNOWN if event is None else event, {})[kind] = count
        losses = sum(count for (_, kind), count in counts.records.items() if kind == "lost")
        return {
            "samples": counts.samples,
            "sideband": counts.records.total() - counts.samples - losses,
            "synthesized": counts.synthesized,
            "lost": counts.lost,
            "late": counts.late,
            "bytes": counts.bytes,
            "bad_records": counts.bad_records,
            "skipped_bytes": counts.skipped_bytes,
            "aux_bytes": counts.aux_bytes,
            "events": events,
            "problems": [str(problem) for problem in recording.problems],
        }

    def for_people(self, figures: dict[str, Any]) -> Group:
        """The same in words; what went wrong stands out."""
        from rich.console import Group
        from rich.text import Text

        return Group(self._origin(), self._table(figures), _totals(figures), *(Text(text) for text in self._troubles()))

    def _origin(self) -> Any:
        from rich.text import Text

        told, text = self._recording.features, Text(printable(self._recording.path), "bold")
        where = " ".join(filter(None, (told.hostname, told.release, told.arch)))
        text.append(f"  {printable(where)}" if where else "", "not bold")
        text.append(f", by {printable(told.version)}" if told.version else "", "not bold")
        text.append(f": {printable(' '.join(told.command))}" if told.command else "", "dim not bold")
        return text

    def _table(self, figures: dict[str, Any]) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for event, kinds in figures["events"].items():
            for kind, count in kinds.items():
                table.add_row(f"{count:>12,}", kind, Text(printable(event)))
        return table

    def _troubles(self) -> list[str]:
        """What was damaged, the first of each kind of trouble."""
        problems = [str(problem) for problem in self._recording.problems[:_MOST_SHOWN]]
        bad = [str(error).removeprefix("cpu -1, ") for error in self._bad]
        return [printable(f"damaged: {text}") for text in problems + bad]


def _totals(figures: dict[str, Any]) -> Any:
    from rich.text import Text

    text = Text(f"{figures['samples']:,} samples", "bold")
    text.append(f" and {figures['sideband']:,} side-band records", "not bold")
    if figures["synthesized"]:
        text.append(f", and {figures['synthesized']:,} made from /proc", "not bold")
    text.append(f", {figures['bytes']:,} bytes", "not bold")
    if figures["aux_bytes"]:
        text.append(f"; {figures['aux_bytes']:,} bytes of AUX data passed over", "not bold")
    if figures["late"]:
        text.append(f"; {figures['late']:,} records late", "not bold")
    lost, bad = figures["lost"], figures["bad_records"]
    text.append(
        f"\n{lost:,} records LOST when it was recorded" if lost else "\nNothing lost.", "red" if lost else "green"
    )
    if bad:
        text.append(f"\n{bad:,} bad record{'s' * (bad > 1)}, {figures['skipped_bytes']:,} bytes skipped", "bold red")
    return text
