"""Writes perf records byte by byte, from the comments in linux/perf_event.h.

Independent of the decoder on purpose: it shares no table, no constant and no Struct with it, so that a field that is
forgotten or out of order on one side shows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from perfring.abi import PerfEventAttr
from perfring.layout import EventLayout


def u16(number: int) -> bytes:
    return number.to_bytes(2, sys.byteorder)


def u32(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder)


def u64(number: int) -> bytes:
    return number.to_bytes(8, sys.byteorder)


def u64s(numbers: Iterable[int]) -> bytes:
    return b"".join(u64(number) for number in numbers)


def padded(name: bytes) -> bytes:
    """A name with at least one NUL behind it, filled up to a multiple of 8."""
    return name + bytes(8 - len(name) % 8)


@dataclass(frozen=True)
class Form:
    """What of perf_event_attr decides how an event's records look."""

    sample_type: int
    read_format: int = 0
    regs_user: int = 0
    regs_intr: int = 0
    branch_type: int = 0
    sample_id_all: bool = True

    def layout(self, name: str = "event") -> EventLayout:
        attr = PerfEventAttr(
            type=1,
            sample_type=self.sample_type,
            read_format=self.read_format,
            sample_regs_user=self.regs_user,
            sample_regs_intr=self.regs_intr,
            branch_sample_type=self.branch_type,
            sample_id_all=self.sample_id_all,
        )
        return EventLayout(attr, name=name, kind="custom")


PLAIN = Form(sample_type=1 << 16 | 1 << 1 | 1 << 2)
"""IDENTIFIER, TID and TIME: what every event of a session has."""


def record(record_type: int, payload: bytes, *, misc: int = 0) -> bytes:
    return u32(record_type) + u16(misc) + u16(8 + len(payload)) + payload


def read_values(read_format: int, values: Mapping[str, Any]) -> bytes:
    """``struct read_format``: values has "enabled", "running" and "counts", a list of (value, id, lost)."""
    counts = values["counts"]
    times = b""
    if read_format & 1:
        times += u64(values["enabled"])
    if read_format & 2:
        times += u64(values["running"])
    cells = []
    for value, event_id, lost in counts:
        cell = [u64(value)]
        if read_format & 4:
            cell.append(u64(event_id))
        if read_format & 16:
            cell.append(u64(lost))
        cells.append(cell)
    if read_format & 8:
        return u64(len(counts)) + times + b"".join(b"".join(cell) for cell in cells)
    only = cells[0]
    return only[0] + times + b"".join(only[1:])


def registers(values: tuple[int, list[int]]) -> bytes:
    abi, numbers = values
    return u64(abi) + (u64s(numbers) if abi else b"")


def branches(branch_type: int, values: Mapping[str, Any]) -> bytes:
    """Values has "index" and "entries", a list of (from, to, flags, counters)."""
    out = u64(len(values["entries"]))
    if branch_type & 1 << 17:
        out += u64(values["index"])
    for entry in values["entries"]:
        out += u64s(entry[:3])
    if branch_type & 1 << 19:
        out += u64s(entry[3] for entry in values["entries"])
    return out


def sample(form: Form, values: Mapping[str, Any], *, misc: int = 0) -> bytes:
    """PERF_RECORD_SAMPLE of an event of this form."""
    payload = _sample_head(form, values) + _sample_middle(form, values) + _sample_end(form, values)
    return record(9, payload, misc=misc)


def _sample_head(form: Form, values: Mapping[str, Any]) -> bytes:
    asked = form.sample_type
    out = b""
    if asked & 65536:
        out += u64(values["id"])
    if asked & 1:
        out += u64(values["ip"])
    if asked & 2:
        out += u32(values["pid"]) + u32(values["tid"])
    if asked & 4:
        out += u64(values["time"])
    if asked & 8:
        out += u64(values["addr"])
    if asked & 64:
        out += u64(values["id"])
    if asked & 512:
        out += u64(values["stream_id"])
    if asked & 128:
        out += u32(values["sample_cpu"]) + u32(0)
    if asked & 256:
        out += u64(values["period"])
    return out


def _sample_middle(form: Form, values: Mapping[str, Any]) -> bytes:
    asked = form.sample_type
    out = b""
    if asked & 16:
        out += read_values(form.read_format, values["read"])
    if asked & 32:
        out += u64(len(values["callchain"])) + u64s(values["callchain"])
    if asked & 1024:
        out += u32(len(values["raw"])) + values["raw"]
    if asked & 2048:
        out += branches(form.branch_type, values["branch_stack"])
    if asked & 4096:
        out += registers(values["user_regs"])
    if asked & 8192:
        stack, used = values["user_stack"]
        out += u64(len(stack)) + (stack + u64(used) if stack else b"")
    return out


def _sample_end(form: Form, values: Mapping[str, Any]) -> bytes:
    asked = form.sample_type
    out = b""
    if asked & (16384 | 16777216):
        out += u64(values["weight"])
    if asked & 32768:
        out += u64(values["data_src"])
    if asked & 131072:
        out += u64(values["transaction"])
    if asked & 262144:
        out += registers(values["intr_regs"])
    if asked & 524288:
        out += u64(values["phys_addr"])
    if asked & 2097152:
        out += u64(values["cgroup"])
    if asked & 4194304:
        out += u64(values["data_page_size"])
    if asked & 8388608:
        out += u64(values["code_page_size"])
    if asked & 1048576:
        out += u64(len(values["aux"])) + values["aux"] + bytes(-len(values["aux"]) % 8)
    return out


def trailer(form: Form, values: Mapping[str, Any]) -> bytes:
    """``struct sample_id``: what stands behind every record that is no sample."""
    asked = form.sample_type if form.sample_id_all else 0
    out = b""
    if asked & 2:
        out += u32(values["pid"]) + u32(values["tid"])
    if asked & 4:
        out += u64(values["time"])
    if asked & 64:
        out += u64(values["id"])
    if asked & 512:
        out += u64(values["stream_id"])
    if asked & 128:
        out += u32(values["sample_cpu"]) + u32(0)
    if asked & 65536:
        out += u64(values["id"])
    return out
