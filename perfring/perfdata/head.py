"""What stands before the records: header, attrs, features of a file; or the first records of the pipe form."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from perfring.abi import PERF_TYPE_TRACEPOINT, PerfEventAttr
from perfring.errors import PerfDataError
from perfring.events import PROFILING_EVENTS
from perfring.perfdata.buildids import decode_build_ids
from perfring.perfdata.described import FileEvent, FileFeatures
from perfring.perfdata.features import MOST_EVENTS, READABLE_FEATURES, decode_event_desc, decode_feature
from perfring.perfdata.format import (
    FILE_HEADER,
    FOREIGN_MAGIC,
    MAGIC,
    OLD_MAGIC,
    PIPE_HEADER,
    SECTION,
    Feature,
    FileHeader,
    Section,
)
from perfring.perfdata.tracing import decode_tracing_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.perfdata.source import Source
    from perfring.tracefs import TracepointFormat

__all__ = ["Head", "read_head"]

_MOST_IDS: Final = 1 << 21
_KNOWN: Final = {number: name for name, number in PROFILING_EVENTS.items()}
_DIRECTORY: Final = "one file of a directory, as `perf record --threads` makes it: record without --threads"
_UNDERSTOOD: Final = READABLE_FEATURES | {Feature.EVENT_DESC, Feature.BUILD_ID, Feature.TRACING_DATA}


@dataclass(slots=True)
class Head:
    """All that is known before the first record. In the pipe form it fills up while records are read.

    Attributes:
        data: where the records are.
        piped: whether it is the pipe form.
        events: by their attrs, in the order of the file.
        features: what the file tells of itself.
        formats: of its tracepoints, by id.
        build_ids: of the files that its samples point into, by path.
        cpus: the CPU of each id, as far as it was told.
        problems: what makes no sense, and was left out.
    """

    data: Section
    piped: bool = False
    events: list[FileEvent] = field(default_factory=list)
    features: FileFeatures = field(default_factory=FileFeatures)
    formats: dict[int, TracepointFormat] = field(default_factory=dict)
    build_ids: dict[str, bytes] = field(default_factory=dict)
    cpus: dict[int, int] = field(default_factory=dict)
    problems: list[PerfDataError] = field(default_factory=list)

    def add_event(self, source: Source, attr: bytes, ids: bytes, offset: int) -> None:
        """One more event, from its attr and its ids as they stand in the file.

        Raises:
            PerfDataError: it is no attr, or one too many.
        """
        if len(self.events) >= MOST_EVENTS:
            raise source.error(f"more than {MOST_EVENTS} events: the file is damaged", offset)
        try:
            found = PerfEventAttr.unpack(attr)
        except ValueError as error:
            raise source.error(f"attr of event {len(self.events)}: {error}: the file is damaged", offset) from error
        if sum(len(event.ids) for event in self.events) + len(ids) // 8 > _MOST_IDS:
            raise source.error(f"more than {_MOST_IDS} ids: the file is damaged", offset)
        numbers = struct.unpack(f"={len(ids) // 8}Q", ids[: len(ids) // 8 * 8])
        self.events.append(FileEvent(attr=found, name="", ids=numbers))

    def add_feature(self, source: Source, bit: int, content: bytes, offset: int) -> None:
        """What one more feature tells. One that makes no sense becomes one of the `problems`.

        Raises:
            PerfDataError: it tells of a form that is not read.
        """
        if bit == Feature.DIR_FORMAT:
            raise source.error(_DIRECTORY, offset)
        with self.noting(source, offset, f"feature {bit}"):
            if bit in READABLE_FEATURES:
                self.features = replace(self.features, **decode_feature(Feature(bit), content))
            elif bit == Feature.EVENT_DESC:
                self._name_events(decode_event_desc(content))
            elif bit == Feature.BUILD_ID:
                self.build_ids |= dict(decode_build_ids(content))
            elif bit == Feature.TRACING_DATA:
                self.add_tracing_data(source, content, offset)

    def add_tracing_data(self, source: Source, content: bytes, offset: int) -> None:
        """The formats of tracepoints."""
        with self.noting(source, offset, "tracing data"):
            for event_id, found in decode_tracing_data(content).items():
                if isinstance(found, str):
                    self.problems.append(source.error(f"format of a tracepoint: {found}", offset))
                else:
                    self.formats[event_id] = found

    def add_cpus(self, cpus: dict[int, int]) -> None:
        """The CPU of each id, from the records that tell it.

        Raises:
            ValueError: more than any honest file has.
        """
        if len(self.cpus) + len(cpus) > _MOST_IDS:
            raise ValueError(f"more than {_MOST_IDS} ids")
        self.cpus |= cpus

    @contextmanager
    def noting(self, source: Source, offset: int, what: str) -> Iterator[None]:
        """Makes a problem of what is too short for what it says is in it."""
        try:
            yield
        except PerfDataError:
            raise
        except (ValueError, struct.error, OverflowError) as error:
            self.problems.append(source.error(f"{what} makes no sense and is left out: {error}", offset))

    def _name_events(self, named: list[tuple[str, tuple[int, ...]]]) -> None:
        by_ids = {ids: name for name, ids in named}
        for at, event in enumerate(self.events):
            in_turn = named[at][0] if at < len(named) else ""
            self.events[at] = replace(event, name=by_ids.get(event.ids, in_turn) if event.ids else in_turn)

    def name_of(self, event: FileEvent) -> str:
        """The event's name; of a tracepoint without one, that of its format; else what its attr says."""
        attr = event.attr
        if event.name:
            return event.name
        if attr.type == PERF_TYPE_TRACEPOINT and attr.config in self.formats:
            return self.formats[attr.config].name
        return _KNOWN.get((attr.type, attr.config), f"type {attr.type} config {attr.config:#x}")


def read_head(source: Source) -> Head:
    """Reads what stands before the records.

    Raises:
        PerfDataError: it is no perf.data file of a form that is read.
    """
    start = source.some(0, PIPE_HEADER.size)
    magic = start[: len(MAGIC)]
    if not magic:
        raise source.error("it is empty: what recorded it was ended before it wrote anything; record anew", 0)
    if magic == FOREIGN_MAGIC:
        raise source.error("written on a machine of the other byte order: read it on such a machine", 0)
    if magic == OLD_MAGIC:
        raise source.error("of a perf before 2.6.36: record it anew", 0)
    if magic != MAGIC:
        text = f"not a perf.data file: it begins with {magic!r}, and not with {MAGIC!r}"
        raise source.error(f"{text}; name what perf record, or perfring record -o FILE.data, wrote", 0)
    (_, size) = PIPE_HEADER.unpack(source.exactly(0, PIPE_HEADER.size, "the header"))
    if size == PIPE_HEADER.size:
        return Head(Section(size, max(source.size - size, 0)), piped=True)
    if size != FILE_HEADER.size:
        raise source.error(f"a header of {size} bytes, and not of {FILE_HEADER.size}: the file is damaged", 8)
    return _read_file_head(source, FileHeader.unpack(source.exactly(0, size, "the header")))


def _read_file_head(source: Source, header: FileHeader) -> Head:
    head = Head(_checked_data(source, header.data))
    if Feature.DIR_FORMAT in header.feature_bits():
        raise source.error(_DIRECTORY, 0)
    _read_attrs(source, header, head)
    _note_data(source, header, head)
    try:
        sections = dict(_feature_sections(source, header))
    except PerfDataError as error:  # damage behind the records is no reason not to read them
        head.problems.append(error)
        return head
    for bit in sorted(_UNDERSTOOD & sections.keys()):
        section = sections[bit]
        try:
            head.add_feature(source, bit, source.section(section, f"feature {bit}"), section.offset)
        except PerfDataError as error:
            head.problems.append(error)
    return head


def _checked_data(source: Source, data: Section) -> Section:
    """The part of the records that is there. None is counted before the recording has ended well: then all that is."""
    if data.offset > source.size:
        raise source.error(f"the records begin at byte {data.offset} of {source.size}: it is cut off; copy it again", 0)
    left = source.size - data.offset
    return Section(data.offset, min(data.size or left, left))


def _note_data(source: Source, header: FileHeader, head: Head) -> None:
    size, there = header.data.size, head.data.size
    if there < size:
        text = f"the records have {size} bytes, and {there} are there: the file is cut off; reads what there is"
        head.problems.append(source.error(text, head.data.end))
    elif not size and there:
        text = "the header counts no records: the recording did not end well; reads up to the end of the file"
        head.problems.append(source.error(text, 40))


def _read_attrs(source: Source, header: FileHeader, head: Head) -> None:
    entry, attrs = header.attr_size, header.attrs
    if entry < SECTION.size + 8 or not attrs.size or attrs.size % entry:
        text = f"attrs of {attrs.size} bytes in entries of {entry}: the file is damaged"
        raise source.error(text, attrs.offset)
    table = source.section(attrs, "the table of attrs")
    for at in range(0, len(table), entry):
        ids = Section(*SECTION.unpack_from(table, at + entry - SECTION.size))
        packed = source.section(ids, f"the ids of event {len(head.events)}")
        head.add_event(source, table[at : at + entry - SECTION.size], packed, attrs.offset + at)


def _feature_sections(source: Source, header: FileHeader) -> Iterator[tuple[int, Section]]:
    bits = header.feature_bits()
    if not header.data.size:
        return  # the table is where the records are
    table = source.exactly(header.data.end, SECTION.size * len(bits), "the table of features")
    for at, bit in enumerate(bits):
        yield bit, Section(*SECTION.unpack_from(table, at * SECTION.size))
