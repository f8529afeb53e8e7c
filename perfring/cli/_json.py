"""Records as JSON lines, fast enough for a stream of samples.

A line is what ``json.dumps(record.to_dict())`` gives; a test holds the two together. Samples of an event all have the
same names in the same order, so the text between their numbers is made once for each event: a third of the price.
"""

from __future__ import annotations

from json import JSONEncoder
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from perfring.errors import RawDataError
from perfring.records import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.layout import EventLayout
    from perfring.records import Record
    from perfring.tracepoint import TracepointFormat

    _Write = Callable[[Sample], str]

__all__ = ["JsonLines"]

# Escaped to ASCII, so that the surrogates of undecodable names survive. Bytes are hex, as in `Record.to_dict`.
_encode: Final = JSONEncoder(separators=(",", ":"), check_circular=False, default=bytes.hex).encode
_FIRST: Final = ("time", "pid", "tid", "id")
_NUMBERS: Final = frozenset((*_FIRST, "ip", "addr", "stream_id", "sample_cpu", "period"))
_INTEGER_SIZES: Final = frozenset((1, 2, 4, 8))


class JsonLines:
    """Writes records as lines, each with its newline."""

    def __init__(self) -> None:
        self._by_layout: dict[EventLayout, _Write] = {}

    def of(self, record: Record) -> str:
        """The line of a record."""
        if not isinstance(record, Sample):
            return _plainly(record)
        write = self._by_layout.get(record.layout)
        if write is None:
            write = self._by_layout[record.layout] = _compiled(record.layout)
        return write(record)

    def summary(self, figures: dict[str, Any]) -> str:
        """The last line."""
        return _encode({"summary": figures}) + "\n"


def _plainly(record: Record) -> str:
    return _encode(record.to_dict()) + "\n"


def _compiled(layout: EventLayout) -> _Write:
    """What writes the samples of an event: of nothing but numbers and a tracepoint's payload, else it is `_plainly`."""
    names = [*_FIRST, *(name for name in layout.places if name in _NUMBERS and name not in _FIRST)]
    wanted = {*names, "raw"} if layout.format is not None else set(names)
    if layout.places.keys() != wanted:
        return _plainly
    texts = [f'"{name}":%d' for name in names]
    texts.insert(len(_FIRST), f'"event":{_encode(layout.name)}'.replace("%", "%%"))
    head = f'{{"kind":"sample","cpu":%d,"position":%d,{",".join(texts)}'
    pick = itemgetter(*(layout.places[name] for name in names))
    if layout.format is None:
        return _numbers_writer(head + "}\n", pick)
    return _tracepoint_writer(head + ',"fields":%s}\n', pick, layout.places["raw"], layout.format)


def _numbers_writer(template: str, pick: Callable[[Any], tuple[int, ...]]) -> _Write:
    def write(sample: Sample) -> str:
        return template % (sample.cpu, sample.position, *pick(sample.values))

    return write


def _tracepoint_writer(
    template: str, pick: Callable[[Any], tuple[int, ...]], raw_at: int, format: TracepointFormat
) -> _Write:
    fields, decode = _fields_writer(format), format.decode

    def write(sample: Sample) -> str:
        values = sample.values
        try:
            payload = decode(values[raw_at])
        except RawDataError:
            return _plainly(sample)
        return template % (sample.cpu, sample.position, *pick(values), fields(payload))

    return write


def _fields_writer(format: TracepointFormat) -> Callable[[dict[str, Any]], str]:
    """What writes the payload: nothing but integers needs no encoder."""
    for field in format.fields:
        if field.dynamic or "[" in field.type or field.type == "bool" or field.size not in _INTEGER_SIZES:
            return _encode
    template = "{" + ",".join(f'"{field.name}":%d' for field in format.fields) + "}"
    return lambda payload: template % tuple(payload.values())
