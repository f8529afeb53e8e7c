"""Writes perf.data files byte by byte, from the description in tools/perf/Documentation/perf.data-file-format.txt.

Independent of `perfring.perfdata` on purpose: it shares no table, no constant and no Struct with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.unit.encoder import PLAIN, Form, record, sample, trailer, u16, u32, u64, u64s

FINISHED_ROUND = u32(68) + u16(0) + u16(8)
TRACING_DATA, BUILD_ID, HOSTNAME, NRCPUS, CMDLINE, EVENT_DESC, SAMPLE_TIME = 1, 2, 3, 7, 11, 12, 21


def attr(form: Form = PLAIN, *, type_: int = 1, config: int = 9, size: int = 112) -> bytes:
    """struct perf_event_attr with sample_id_all."""
    # sample_id_all is the 19th of 64 bit fields: they are handed out from the other end on big-endian machines.
    flags = 1 << 18 if sys.byteorder == "little" else 1 << 45
    words = u32(type_) + u32(size) + u64(config) + u64(1) + u64(form.sample_type) + u64(form.read_format) + u64(flags)
    return words.ljust(size, b"\0")


def text(words: str) -> bytes:
    """A u32 length, and the text with its NUL, padded to 64 bytes."""
    raw = words.encode() + b"\0"
    padded = raw + bytes(-len(raw) % 64)
    return u32(len(padded)) + padded


def texts(words: Sequence[str]) -> bytes:
    return u32(len(words)) + b"".join(map(text, words))


def event_desc(events: Iterable[tuple[bytes, str, Sequence[int]]]) -> bytes:
    """Attr, name and ids of each event."""
    listed = list(events)
    out = u32(len(listed)) + u32(len(listed[0][0]))
    for each, name, ids in listed:
        out += each + u32(len(ids)) + text(name) + u64s(ids)
    return out


def build_id(path: str, value: bytes, *, kernel: bool = False) -> bytes:
    """struct build_id_event: header, pid, 20 bytes, their length, 3 reserved, the path."""
    raw = path.encode() + b"\0"
    raw += bytes(-len(raw) % 64)
    return (
        u32(67)
        + u16(1 << 15 | (1 if kernel else 2))
        + u16(36 + len(raw))
        + u32(0xFFFF_FFFF)
        + value.ljust(20, b"\0")
        + bytes((len(value), 0, 0, 0))
        + raw
    )


def tracing_data(system: str, formats: Sequence[str]) -> bytes:
    """What trace-cmd writes, version 0.6."""
    order = b"\0" if sys.byteorder == "little" else b"\1"
    out = b"\x17\x08\x44tracing0.6\0" + order + b"\x08" + u32(4096)
    out += b"header_page\0" + u64(2) + b"ab" + b"header_event\0" + u64(0)
    out += u32(1) + u64(3) + b"own" + u32(1) + system.encode() + b"\0" + u32(len(formats))
    out += b"".join(u64(len(each)) + each.encode() for each in formats)
    return out + u32(0) + u32(0) + u64(0)


def file(
    records: bytes,
    *,
    events: Sequence[tuple[bytes, Sequence[int]]] = ((attr(), (7,)),),
    features: Mapping[int, bytes] | None = None,
    data_size: int | None = None,
) -> bytes:
    """A whole file: header, ids, attrs, records, the table of features and their contents."""
    ids = b"".join(u64s(numbers) for _, numbers in events)
    table, offset = b"", 104
    for packed, numbers in events:
        table += packed + u64(offset) + u64(8 * len(numbers))
        offset += 8 * len(numbers)
    data = 104 + len(ids) + len(table)
    chosen = dict(sorted((features or {}).items()))
    at, sections = data + len(records) + 16 * len(chosen), b""
    for content in chosen.values():
        sections += u64(at) + u64(len(content))
        at += len(content)
    bits = sum(1 << bit for bit in chosen)
    header = b"PERFILE2" + u64(104) + u64(len(events[0][0]) + 16) + u64(104 + len(ids)) + u64(len(table))
    header += u64(data) + u64(len(records) if data_size is None else data_size) + u64(0) * 2
    header += u64(bits) + u64(0) * 3
    return header + ids + table + records + sections + b"".join(chosen.values())


def piped(*records: bytes) -> bytes:
    """The pipe form."""
    return b"PERFILE2" + u64(16) + b"".join(records)


def attr_record(packed: bytes, ids: Sequence[int]) -> bytes:
    return record(64, packed + u64s(ids))


def feature_record(bit: int, content: bytes) -> bytes:
    return record(80, u64(bit) + content + bytes(-len(content) % 8))


def id_index(entries: Iterable[tuple[int, int, int]]) -> bytes:
    """Id, CPU, thread of each."""
    listed = list(entries)
    return record(69, u64(len(listed)) + b"".join(u64(i) + u64(0) + u64(cpu) + u64(tid) for i, cpu, tid in listed))


def a_sample(time: int, *, event: int = 7, form: Form = PLAIN, tid: int = 1, **more: object) -> bytes:
    return sample(form, {"id": event, "pid": tid, "tid": tid, "time": time, "ip": 0x1000, "addr": 0, **more})


def a_comm(name: str, time: int, *, event: int = 7, form: Form = PLAIN, tid: int = 1) -> bytes:
    raw = name.encode() + bytes(8 - len(name) % 8)
    values = {"id": event, "pid": tid, "tid": tid, "time": time, "stream_id": 0, "sample_cpu": 0}
    return record(3, u32(tid) + u32(tid) + raw + trailer(form, values))


def saved(folder: Path, data: bytes, name: str = "x.data") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)
