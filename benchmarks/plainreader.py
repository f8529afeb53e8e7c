"""What somebody writes who has only `struct`: a loop that builds tuples, made for the image at hand."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from benchmarks.images import GETPPID_SAMPLE, Image
from perfring import abi
from perfring.plan import EventSpec

_HEADER = struct.Struct("=IHH")
_WORD = struct.Struct("=Q")
Taking: TypeAlias = Callable[[bytes, int], tuple[Any, ...]]


def plain_loop(image: Image) -> Callable[[bytes], list[tuple[Any, ...]]]:
    """The loop for an image: its bytes to one tuple for each record."""
    if len(image.events) == 1:
        return getppid_tuples
    return functools.partial(_mixed_tuples, takers=dict(_each_taker(image.events)))


def getppid_tuples(data: bytes) -> list[tuple[Any, ...]]:
    """One tuple for each sample: whoever expects one kind of record reads its header with the rest."""
    found: list[tuple[Any, ...]] = []
    append, take, whole = found.append, GETPPID_SAMPLE.unpack_from, GETPPID_SAMPLE.size
    offset, end = 0, len(data)
    while end - offset >= 8:
        record_type, _, size = _HEADER.unpack_from(data, offset)
        if record_type == 9 and size == whole:
            append(take(data, offset))
        else:
            append((record_type, data[offset + 8 : offset + size]))
        offset += size
    return found


def _mixed_tuples(data: bytes, takers: dict[int, Taking]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    append, header, word = found.append, _HEADER.unpack_from, _WORD.unpack_from
    offset, end = 0, len(data)
    while end - offset >= 8:
        record_type, _, size = header(data, offset)
        if record_type == 9:
            (event_id,) = word(data, offset + 8)
            append(takers[event_id](data, offset))
        else:
            append((record_type, data[offset + 8 : offset + size]))
        offset += size
    return found


def _each_taker(events: Mapping[int, EventSpec]) -> Iterator[tuple[int, Taking]]:
    for event_id, spec in events.items():
        bits = spec.attr.sample_type
        if bits & abi.PERF_SAMPLE_CALLCHAIN:
            yield event_id, _take_chain
        elif bits & abi.PERF_SAMPLE_ADDR:
            yield event_id, struct.Struct("=8xQQIIQQ").unpack_from
        elif spec.name == "sched:sched_switch":
            yield event_id, struct.Struct("=8xQIIQIHBBi16siiq16sii").unpack_from
        elif bits & abi.PERF_SAMPLE_RAW:
            yield event_id, struct.Struct("=8xQIIQIHBBii").unpack_from


_CHAIN = struct.Struct("=8xQIIQQ")


def _take_chain(data: bytes, offset: int) -> tuple[Any, ...]:
    event_id, pid, tid, time, count = _CHAIN.unpack_from(data, offset)
    return event_id, pid, tid, time, struct.unpack_from(f"={count}Q", data, offset + _CHAIN.size)
