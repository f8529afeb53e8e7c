"""From the bytes of a file's records to records: which event wrote one is told by its id, wherever that stands."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from perfring import abi
from perfring.abi import HEADER, PERF_RECORD_SAMPLE
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.layout import EventLayout
from perfring.records import Sample
from perfring.sideband import SideBand

if TYPE_CHECKING:
    from perfring.perfdata.head import Head
    from perfring.perfdata.source import Source
    from perfring.records import Record

__all__ = ["FileDecoder"]

_WORD: Final = struct.Struct("=Q")
_BEFORE_ID: Final = (abi.PERF_SAMPLE_IP, abi.PERF_SAMPLE_TID, abi.PERF_SAMPLE_TIME, abi.PERF_SAMPLE_ADDR)
_BEHIND_ID: Final = (abi.PERF_SAMPLE_STREAM_ID, abi.PERF_SAMPLE_CPU)
_NONE: Final = -1
"""In place of a position in the file, or of a CPU: what was not written by a kernel has none."""


class FileDecoder:
    """Decodes the records of all events of a file.

    perf puts an id into every record where there are several events, at a place that all of them share: by
    PERF_SAMPLE_IDENTIFIER, or by PERF_SAMPLE_ID behind what stands before it. Of a single event every record is its.

    Args:
        head: what the file tells.
        source: the file, for the errors.

    Raises:
        PerfDataError: an attr makes no sense, or the events cannot be told apart.
    """

    def __init__(self, head: Head, source: Source) -> None:
        if not head.events:
            raise source.error("it has records and no event: it is cut off or damaged", head.data.offset)
        layouts = [_layout(head, at, source) for at in range(len(head.events))]
        self._decoders = [Decoder(default=layout) for layout in layouts]
        self._default = self._decoders[0]
        self._by_id: dict[int, Decoder] | None = None
        self._sample_at, self._from_end = _places(layouts[0].sample_type)
        self._cpus = head.cpus
        if len(layouts) > 1:
            self._check_places(layouts, source, head)
            pairs = zip(head.events, self._decoders, strict=True)
            self._by_id = {each: decoder for event, decoder in pairs for each in event.ids}
        self._sideband_ids = bool(layouts[0].sample_id_all) and self._from_end > 0

    def decode(self, buffer: bytes, offset: int, position: int) -> Record:
        """Decodes a record of the kernel's, whose header is sound and which is whole.

        Args:
            buffer: where it is.
            offset: where in the buffer it begins.
            position: where in the file: its `Record.position`, unless perf made it.

        Raises:
            BadRecord: it makes no sense.
        """
        kind, _, size = HEADER.unpack_from(buffer, offset)
        sample = kind == PERF_RECORD_SAMPLE
        event_id = self._id_of(buffer, offset, size, sample=sample)
        decoder = self._default if self._by_id is None or not event_id else self._by_id.get(event_id)
        if decoder is None and sample:
            text = f"type {kind}, size {size}: a sample of event id {event_id}, which is not known"
            raise BadRecord(text, cpu=_NONE, position=position, skipped=size)
        record = (decoder or self._default).decode(buffer, offset, cpu=_NONE, position=position)
        if not isinstance(record, Sample | SideBand):
            raise AssertionError(f"{type(record).__name__} is neither a sample nor side-band")
        self._place(record, event_id)
        if decoder is None or (not event_id and self._by_id is not None):
            record.event = None
        return record

    def _id_of(self, buffer: bytes, offset: int, size: int, *, sample: bool) -> int | None:
        """The id in a record; None where there is none, or no room for one."""
        if sample:
            at, there = offset + self._sample_at, self._sample_at > 0
        else:
            at, there = offset + size - self._from_end, self._sideband_ids
        if not there or not offset + HEADER.size <= at <= offset + size - _WORD.size:
            return None
        found: int = _WORD.unpack_from(buffer, at)[0]
        return found

    def _place(self, record: Sample | SideBand, event_id: int | None) -> None:
        """Its CPU; or the mark of what perf made: it is of no time and of no event."""
        if (
            isinstance(record, SideBand)
            and not record.time
            and not event_id
            and (record.time, event_id) != (None, None)
        ):
            record.position = _NONE
        else:
            cpu = record.sample_cpu
            record.cpu = self._cpus.get(event_id or 0, _NONE) if cpu is None else cpu

    def _check_places(self, layouts: list[EventLayout], source: Source, head: Head) -> None:
        """All events must have their id at the same place, and have one."""
        if self._sample_at < 0:
            text = f"{len(layouts)} events, and no id in their records tells which of them wrote one"
            raise source.error(text, head.data.offset)
        first = (self._sample_at, self._from_end, layouts[0].sample_id_all)
        for layout in layouts:
            if (*_places(layout.sample_type), layout.sample_id_all) != first:
                text = f"{layout.name!r} has its id elsewhere than {layouts[0].name!r}: the file is damaged"
                raise source.error(text, head.data.offset)


def _layout(head: Head, at: int, source: Source) -> EventLayout:
    event = head.events[at]
    attr, name = event.attr, head.name_of(event)
    format_ = head.formats.get(attr.config) if attr.type == abi.PERF_TYPE_TRACEPOINT else None
    try:
        return EventLayout(attr, name=name, kind="custom" if format_ is None else "tracepoint", format=format_)
    except ValueError as error:
        raise source.error(f"attr of event {at}: {error}: damaged, or of a newer kernel", head.data.offset) from error


def _places(sample_type: int) -> tuple[int, int]:
    """Where the id stands in a sample, from its beginning, and in other records, from their end; -1 for nowhere."""
    if sample_type & abi.PERF_SAMPLE_IDENTIFIER:
        return HEADER.size, _WORD.size
    if not sample_type & abi.PERF_SAMPLE_ID:
        return _NONE, _NONE
    before = sum(bool(sample_type & bit) for bit in _BEFORE_ID)
    behind = sum(bool(sample_type & bit) for bit in _BEHIND_ID)
    return HEADER.size + 8 * before, 8 * (behind + 1)
