"""When which ring got how many bytes: what a recording was like, to be played again."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Final

from perfring.errors import PerfDataError
from perfring.perfdata.reader import PerfDataFile
from perfring.sideband import Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Traffic", "payload_bytes", "read_traffic"]

_MOST_RECORDS: Final = 10_000_000
"""Each is kept, in 12 bytes, and played in some microseconds."""
_BEFORE_PAYLOAD: Final = 36
"""Bytes of a sample of BPF output in a session that asks for nothing special: header, id, pid and tid, time, and the
u32 that tells the size of the payload."""
_SMALLEST: Final = 40
_LARGEST: Final = 65_032


class Traffic:
    """The records of a file by CPU, in the order of their times. LOST records are left out: they tell of losses.

    Attributes:
        path: of the file.
        start: the first time, in nanoseconds of the recording's clock.
        end: the last.
        lost: records that the recording itself lost: nobody knows when, so they cannot be played again.
        unplaced: records whose CPU the file does not tell; they count as those of CPU 0.
        bad_records: records of the file that made no sense.
        problems: what else is damaged, or cut off, as `PerfDataFile.problems`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.start = self.end = 0
        self.lost = self.unplaced = self.bad_records = 0
        self.problems: tuple[PerfDataError, ...] = ()
        self._times: dict[int, array[int]] = {}
        self._sizes: dict[int, array[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._times.values()))

    @property
    def cpus(self) -> tuple[int, ...]:
        """Whose rings got something, ascending."""
        return tuple(sorted(self._times))

    @property
    def sizes(self) -> Counter[int]:
        """How many records there are of which size, in bytes of the ring."""
        return sum((Counter(sizes) for sizes in self._sizes.values()), Counter())

    @property
    def reshaped(self) -> int:
        """Records that `payloads` cannot give their size: smaller than 40 bytes, or near to 64 KiB."""
        return sum(count for size, count in self.sizes.items() if not _SMALLEST <= size <= _LARGEST)

    def on(self, cpu: int) -> Iterator[tuple[int, int]]:
        """Time and size of each record of one CPU: nanoseconds, and bytes of the ring."""
        return zip(self._times.get(cpu, ()), self._sizes.get(cpu, ()), strict=True)

    def payloads(self, cpu: int) -> Iterator[tuple[int, int]]:
        """As `on`, with the bytes of BPF output that take the same room: for ``simkernel.workload.replay``."""
        return ((time, payload_bytes(size)) for time, size in self.on(cpu))

    def _add(self, cpu: int, time: int, size: int) -> None:
        if cpu not in self._times:
            self._times[cpu], self._sizes[cpu] = array("Q"), array("I")
        self._times[cpu].append(time)
        self._sizes[cpu].append(size)


def payload_bytes(size: int) -> int:
    """The bytes of BPF output whose record takes so many bytes of a ring, or as near to it as can be."""
    return min(max(size, _SMALLEST), _LARGEST) - _BEFORE_PAYLOAD


def read_traffic(path: str | os.PathLike[str], *, on_progress: Callable[[float], None] | None = None) -> Traffic:
    """Reads what a recording was like.

    Args:
        path: a perf.data file.
        on_progress: called now and then with the share that is read, from 0 to 1.

    Raises:
        OSError: it cannot be opened.
        PerfDataError: it is none, or of a form that is not read; or no record of it has a time, or there are more than
            ten million.
    """
    with PerfDataFile(os.fspath(path)) as recording:
        traffic = Traffic(recording.path)
        _read_into(traffic, recording, on_progress)
        traffic.lost, traffic.bad_records = recording.counts.lost, recording.counts.bad_records
        traffic.problems = recording.problems
    if not len(traffic):
        raise PerfDataError("no record in it has a time: there is nothing to play", path=traffic.path, offset=0)
    return traffic


def _read_into(traffic: Traffic, recording: PerfDataFile, on_progress: Callable[[float], None] | None) -> None:
    latest = 0
    for number, record in enumerate(recording.records()):
        if on_progress is not None and not number % 4096:
            on_progress(recording.counts.bytes / max(recording.data_bytes, 1))
        if record.time is None or record.synthesized or isinstance(record, Lost):
            continue
        if number >= _MOST_RECORDS:
            text = f"more than {_MOST_RECORDS:,} records to play"
            raise PerfDataError(text, path=traffic.path, offset=record.position)
        traffic.unplaced += record.cpu < 0
        # What comes late in the file is played late, too: the sort of the rounds has a bounded memory.
        latest = max(latest, record.time)
        if not traffic._times:
            traffic.start = latest
        traffic._add(max(record.cpu, 0), latest, record.size)
    traffic.end = latest
