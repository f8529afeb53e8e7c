"""Reads a perf.data file: what it tells of itself, and its records in time order."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from perfring.abi import PERF_ATTR_SIZE_VER0
from perfring.errors import BadRecord, PerfDataError
from perfring.perfdata.decoder import FileDecoder
from perfring.perfdata.format import FIRST_USER_TYPE, UserType
from perfring.perfdata.head import Head, read_head
from perfring.perfdata.rounds import RoundOrder
from perfring.perfdata.source import Source
from perfring.perfdata.synthesized import decode_id_index
from perfring.perfdata.walking import Walker
from perfring.sideband import Lost, LostSamples

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO

    from perfring.perfdata.described import FileEvent, FileFeatures
    from perfring.perfdata.walking import FoundRecord
    from perfring.records import Record

__all__ = ["FileCounts", "PerfDataFile"]

_U32: Final = struct.Struct("=I")
_U64: Final = struct.Struct("=Q")
_COMPRESSED: Final = "the records are compressed, which needs zstd: record without -z"
_LOST: Final = (Lost, LostSamples)


@dataclass(slots=True, kw_only=True)
class FileCounts:
    """What was read so far.

    Attributes:
        records: records by event and kind; the event is None where no id tells it.
        synthesized: records that perf made from /proc, which are counted nowhere else.
        lost: records that the recording lost, by its own word.
        late: records that came out after a younger one.
        bad_records: records, or stretches of the file, that made no sense and were skipped.
        skipped_bytes: the bytes of those.
        aux_bytes: bytes of AUX data, which are passed over.
        rounds: how often the recorder had read all its rings.
        bytes: bytes of the data section that were read.
    """

    records: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    synthesized: int = 0
    lost: int = 0
    late: int = 0
    bad_records: int = 0
    skipped_bytes: int = 0
    aux_bytes: int = 0
    rounds: int = 0
    bytes: int = 0

    def add(self, record: Record) -> None:
        """Counts one record."""
        if record.synthesized:
            self.synthesized += 1
            return
        self.records[record.event, record.kind] += 1
        if isinstance(record, _LOST):
            self.lost += record.lost

    @property
    def samples(self) -> int:
        """PERF_RECORD_SAMPLE records."""
        return sum(count for (_, kind), count in self.records.items() if kind == "sample")


class PerfDataFile:
    """A perf.data file, written by perf or by perfring, of the file form or the pipe form.

    ::

        with PerfDataFile("perf.data") as recording:
            for record in recording.records():
                print(record)
            print(recording.counts)

    Args:
        path: of the file.
        stream: what to read in place of a file, such as ``sys.stdin.buffer``: it is saved to its end before anything
            else. ``path`` is what errors call it.

    Attributes:
        counts: what was read so far.

    Raises:
        OSError: it cannot be opened, or there is no room to save the stream.
        PerfDataError: it is none, it is cut off before its records begin, or it is of a form that is not read
            (compressed, a directory, another byte order).
    """

    def __init__(self, path: str, *, stream: BinaryIO | None = None) -> None:
        self._source = Source(path, stream=stream)
        try:
            self._head = read_head(self._source)
            self._decoder = None if self._head.piped else FileDecoder(self._head, self._source)
        except BaseException:
            self._source.close()
            raise
        self.counts = FileCounts()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. Idempotent."""
        self._source.close()

    @property
    def path(self) -> str:
        """The file's."""
        return self._source.path

    @property
    def data_bytes(self) -> int:
        """Bytes of the records."""
        return self._head.data.size

    @property
    def events(self) -> tuple[FileEvent, ...]:
        """The events of the file. In the pipe form they are known only when the first record is."""
        return tuple(replace(event, name=self._head.name_of(event)) for event in self._head.events)

    @property
    def features(self) -> FileFeatures:
        """What the file tells besides; in the pipe form known only when the first record is."""
        return self._head.features

    @property
    def build_ids(self) -> dict[str, bytes]:
        """Of the files that samples point into, by path."""
        return dict(self._head.build_ids)

    @property
    def problems(self) -> tuple[PerfDataError, ...]:
        """What was damaged around the records, and left out."""
        return tuple(self._head.problems)

    def records(self, *, on_bad: Callable[[BadRecord], None] | None = None) -> Iterator[Record]:
        """The records of the kernel, in time order, as far as the rounds of the file tell it.

        Their `Record.position` is that in the file; ``cpu`` is -1 where the file does not tell it.

        Args:
            on_bad: is given each bad record, and the reading goes on behind it; None only counts them.

        Raises:
            PerfDataError: the records are compressed, or of the pipe form and without an event.
            OSError: the file cannot be read any more.
        """
        self.counts = FileCounts()
        order = RoundOrder()
        for record in self._in_file_order(on_bad):
            released = order.end_round() if record is None else order.add(record)
            yield from self._counted(released, order)
        yield from self._counted(order.finish(), order)

    def _counted(self, released: list[Record], order: RoundOrder) -> Iterator[Record]:
        self.counts.late = order.late
        for record in released:
            self.counts.add(record)
            yield record

    def _in_file_order(self, on_bad: Callable[[BadRecord], None] | None) -> Iterator[Record | None]:
        """Each record, and None at the end of a round."""
        counts, data = self.counts, self._head.data
        walker = Walker(self._source, data)
        if self._head.piped:
            self._head, self._decoder = Head(data, piped=True), None
        for found in walker:
            counts.bytes = walker.position - data.offset
            try:
                if found.type < FIRST_USER_TYPE:
                    yield self._decode(found)
                elif found.type == UserType.FINISHED_ROUND:
                    counts.rounds += 1
                    yield None
                else:
                    self._user_record(found, walker)
            except BadRecord as error:
                self._bad(error, on_bad)
        counts.bytes = data.size
        if walker.bad is not None:
            self._bad(walker.bad, on_bad)

    def _bad(self, error: BadRecord, on_bad: Callable[[BadRecord], None] | None) -> None:
        self.counts.bad_records += 1
        self.counts.skipped_bytes += error.skipped
        if on_bad is not None:
            on_bad(error)

    def _decode(self, found: FoundRecord) -> Record:
        if self._decoder is None:  # the pipe form: what describes the records has come by now
            self._decoder = FileDecoder(self._head, self._source)
        return self._decoder.decode(found.buffer, found.offset, found.position)

    def _user_record(self, found: FoundRecord, walker: Walker) -> None:
        """One of perf's own records; those of which nothing is needed are passed by."""
        if found.type in (UserType.COMPRESSED, UserType.COMPRESSED2):
            raise self._source.error(_COMPRESSED, found.position)
        try:
            if found.type == UserType.ID_INDEX:
                self._head.add_cpus(decode_id_index(found.body))
            elif found.type == UserType.AUXTRACE:
                self._pass_aux(found, walker)
            elif self._head.piped:
                self._describe(found, walker)
        except (ValueError, struct.error) as error:
            if isinstance(error, PerfDataError):
                raise
            text = f"type {found.type}, size {found.size}: {error}"
            raise BadRecord(text, cpu=-1, position=found.position, skipped=found.size) from error

    def _pass_aux(self, found: FoundRecord, walker: Walker) -> None:
        (size,) = _U64.unpack_from(found.body)
        if walker.pass_over(size):
            self.counts.aux_bytes += size

    def _describe(self, found: FoundRecord, walker: Walker) -> None:
        """The records by which the pipe form tells what a file has in front."""
        if found.type not in (UserType.ATTR, UserType.FEATURE, UserType.TRACING_DATA):
            return
        content, offset = found.body, found.position
        if found.type == UserType.TRACING_DATA:
            (size,) = _U32.unpack_from(content)
            offset = walker.position
            if not walker.pass_over(size):
                return
            content = self._source.exactly(offset, size, "tracing data")
        if self._decoder is not None:
            raise ValueError("it describes records, and comes behind the first of them: left out")
        self._learn(found.type, content, offset)

    def _learn(self, kind: int, content: bytes, offset: int) -> None:
        if kind == UserType.TRACING_DATA:
            self._head.add_tracing_data(self._source, content, offset)
        elif kind == UserType.FEATURE:
            (bit,) = _U64.unpack_from(content)
            self._head.add_feature(self._source, bit, content[_U64.size :], offset)
        else:
            (size,) = _U32.unpack_from(content, _U32.size)  # struct perf_event_attr: type, size
            size = size or PERF_ATTR_SIZE_VER0
            self._head.add_event(self._source, content[:size], content[size:], offset)
