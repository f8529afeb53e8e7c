"""From bytes to records.

What a record looks like depends on the event that wrote it, and a ring holds the records of many events. So every
event of a session has PERF_SAMPLE_IDENTIFIER: then the event's id is the first word of a sample and the last word of
every other record (K35), and the `Decoder` finds the `EventLayout` behind it. An `EventLayout` is compiled once into
the `struct.Struct` of its fields; a plain sample then costs one slice, one unpack and one object.

What can be wrong in a ring, and what is lost by it:

- A header that cannot be (below 8 bytes, no multiple of 8, K5): nothing tells where the next record begins, so all
  up to the head of the ring is given up.
- A sound header, and a body that is not what its event writes: that record alone is given up.
- A sound header of a type that is not known: no fault at all, newer kernels have more types.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from perfring import abi
from perfring.bodies import load_body
from perfring.errors import BadRecord
from perfring.fields import repeated, take_read
from perfring.sideband import RECORD_CLASSES, Read, SideBand, UnknownRecord

if TYPE_CHECKING:
    from perfring.layout import EventLayout
    from perfring.records import Record

__all__ = ["Decoder", "is_corrupt", "unreadable"]

_HEADER = abi.HEADER
_HEADER_SIZE = _HEADER.size
_U64_MASK = (1 << 64) - 1
_WORD = repeated(1, "Q")


class Decoder:
    """Decodes the records of a ring into which one event or many write.

    With many, every layout has PERF_SAMPLE_IDENTIFIER, and the same ``sample_id_all``. With one, no ids are needed.

    Attributes:
        default: the layout of records whose event is not known.
    """

    __slots__ = ("_by_id", "default")

    def __init__(self, layouts: Mapping[int, EventLayout] | None = None, *, default: EventLayout) -> None:
        """Knows some events.

        Args:
            layouts: the layout of each event id; None when ``default`` is the only event there is.
            default: how records look whose event is not known: the leader's layout. Samples of an unknown event are
                bad records, but a trailer of the default's form is a sound guess.

        Raises:
            ValueError: several events, and one of them without PERF_SAMPLE_IDENTIFIER.
        """
        self.default = default
        self._by_id: dict[int, EventLayout] | None = None
        if layouts is not None:
            self._by_id = {}
            for event_id, layout in layouts.items():
                self.add(event_id, layout)

    def add(self, event_id: int, layout: EventLayout) -> None:
        """Makes an event known, also while records are being read. From the first on, samples are told by id.

        Raises:
            ValueError: the layout, or the default's, lacks PERF_SAMPLE_IDENTIFIER, or they differ in ``sample_id_all``.
        """
        for each in (self.default, layout):
            if not each.identified:
                raise ValueError(f"{each.name!r} shares a ring: its sample_type needs PERF_SAMPLE_IDENTIFIER")
        if layout.sample_id_all != self.default.sample_id_all:
            raise ValueError(f"{layout.name!r} and {self.default.name!r} differ in sample_id_all: set it for both")
        if self._by_id is None:
            self._by_id = {}
        self._by_id[event_id] = layout

    @property
    def layouts(self) -> Mapping[int, EventLayout] | None:
        """The layout of each event id; None when there is one event and no ids are told."""
        return self._by_id

    def decode(self, buffer: bytes, offset: int = 0, *, cpu: int, position: int) -> Record:
        """Decodes one record.

        Args:
            buffer: where it is.
            offset: where in the buffer it begins.
            cpu: the CPU of the ring.
            position: where in the stream of the ring this record begins, for its `Record.position`.

        Raises:
            BadRecord: it makes no sense, or ends beyond the buffer.
            ValueError: the offset lies outside the buffer.
        """
        if not 0 <= offset <= len(buffer):
            raise ValueError(f"offset {offset} lies outside the buffer of {len(buffer)} bytes")
        left = len(buffer) - offset
        record_type, misc, size = _HEADER.unpack_from(buffer, offset) if left >= _HEADER_SIZE else (0, 0, 0)
        if not _sound(size) or size > left:
            raise unreadable(buffer, offset, cpu=cpu, position=position)
        try:
            return self._decode(record_type, misc, buffer[offset : offset + size], cpu, position)
        except (ValueError, struct.error) as error:
            raise _malformed(error, record_type, size, cpu=cpu, position=position) from error

    def decode_sound(self, image: memoryview, offset: int, *, cpu: int, position: int) -> Record:
        """As `decode`, of a record that was checked before."""
        record_type, misc, size = _HEADER.unpack_from(image, offset)
        return self._decode(record_type, misc, bytes(image[offset : offset + size]), cpu, position & _U64_MASK)

    def decode_run(
        self,
        buffer: bytes,
        *,
        cpu: int,
        position: int,
        on_bad: Callable[[BadRecord], None],
        final: bool = False,
        beyond: int = 0,
    ) -> tuple[list[Record], int]:
        """Decodes the records of an image that was copied out of a ring.

        Args:
            buffer: the image; a record begins at its first byte.
            cpu: the CPU of the ring.
            position: where in the stream of the ring the image begins.
            on_bad: is given each bad record; the reading goes on behind it.
            final: the image ends at the head of the ring, so that nothing may end beyond it.
            beyond: unread bytes behind the image, up to the head. A header that cannot be takes them with it: reading
                on behind the image would begin in the middle of a record, and take for headers what is none.

        Returns:
            The records, and how many bytes they and the bad ones took. Less than the image only when the last record
            goes on behind it, and not ``final``: an image of 64 KiB holds at least one record (K5). More, by
            ``beyond``, when all was given up.
        """
        records: list[Record] = []
        append, header, decode = records.append, _HEADER.unpack_from, self._decode
        offset, end = 0, len(buffer)
        while end - offset >= _HEADER_SIZE:
            record_type, misc, size = header(buffer, offset)
            stop = offset + size
            if stop > end or size < _HEADER_SIZE or size & 7:
                break
            at = (position + offset) & _U64_MASK
            try:
                append(decode(record_type, misc, buffer[offset:stop], cpu, at))
            except (ValueError, struct.error) as error:
                on_bad(_malformed(error, record_type, size, cpu=cpu, position=at))
            offset = stop
        if offset < end and (final or is_corrupt(buffer, offset)):
            on_bad(unreadable(buffer, offset, cpu=cpu, position=(position + offset) & _U64_MASK, beyond=beyond))
            offset = end + beyond
        return records, offset

    def _decode(self, record_type: int, misc: int, record: bytes, cpu: int, position: int) -> Record:
        """Decodes a record whose header is sound. Raises ValueError or struct.error."""
        if record_type != abi.PERF_RECORD_SAMPLE:
            return self._side_band(record_type, misc, record, cpu, position)
        if self._by_id is None:
            return self.default.sample(record, misc, cpu, position)
        (event_id,) = _WORD.unpack_from(record, _HEADER_SIZE)
        layout = self._by_id.get(event_id)
        if layout is None:
            raise ValueError(f"a sample of event id {event_id}, which is not known")
        return layout.sample(record, misc, cpu, position)

    def _side_band(self, record_type: int, misc: int, record: bytes, cpu: int, position: int) -> SideBand:
        writer = self._writer(record)
        layout = writer or self.default
        made_by = RECORD_CLASSES.get(record_type, UnknownRecord)
        event = writer.name if writer else None
        made = made_by(cpu=cpu, position=position, misc=misc, size=len(record), event=event)
        stop = len(record) - layout.trailer_size
        if stop >= _HEADER_SIZE:
            layout.load_trailer(made, record)
        elif made_by is UnknownRecord:
            stop = len(record)
        else:
            raise ValueError(f"no room for the trailer of {layout.trailer_size} bytes")
        body = record[_HEADER_SIZE:stop]
        if isinstance(made, UnknownRecord):
            made.record_type, made.body = record_type, body
        else:
            load_body(made, body)
        if writer is not None and isinstance(made, Read):
            made.values, _ = take_read(writer.read_format, made.raw_values, 0)
        return made

    def _writer(self, record: bytes) -> EventLayout | None:
        """The event that wrote a record which is no sample, or None when that is not known."""
        if self._by_id is None:
            return self.default
        if not self.default.sample_id_all or len(record) < _HEADER_SIZE + _WORD.size:
            return None
        return self._by_id.get(_WORD.unpack_from(record, len(record) - _WORD.size)[0])


def _sound(size: int) -> bool:
    """Whether a header's size can be: at least the header, and a multiple of 8 (K5)."""
    return size >= _HEADER_SIZE and not size & 7


def is_corrupt(buffer: bytes, offset: int) -> bool:
    """Whether it is a bad header that ended the run, and not just the end of the image."""
    return len(buffer) - offset >= _HEADER_SIZE and not _sound(_HEADER.unpack_from(buffer, offset)[2])


def unreadable(buffer: bytes, offset: int, *, cpu: int, position: int, beyond: int = 0) -> BadRecord:
    """Why nothing can be read from here to the end of the buffer, and what lies beyond it."""
    left = len(buffer) - offset
    text = f"{left} bytes, too few for a header"
    if left >= _HEADER_SIZE:
        record_type, _, size = _HEADER.unpack_from(buffer, offset)
        why = f"ends beyond the {left} bytes that are left" if _sound(size) else "cannot be"
        text = f"type {record_type}: a size of {size} {why}"
    return BadRecord(text, cpu=cpu, position=position, skipped=left + beyond)


def _malformed(error: Exception, record_type: int, size: int, *, cpu: int, position: int) -> BadRecord:
    """A record with a sound header whose body is not what its event writes."""
    return BadRecord(f"type {record_type}, size {size}: {error}", cpu=cpu, position=position, skipped=size)
