"""Real records against the tables of `perfring.abi.layouts` and the bounds of `perfring.abi.sizes`."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from perfring import abi
from perfring.kernel import Mapping
from perfring.linux import LinuxKernel
from tests.linux._rings import DUMMY, mapped, opened, rename

TRAILER = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME | abi.PERF_SAMPLE_CPU
SIDE_BAND = DUMMY.copy(sample_type=TRAILER, sample_id_all=True)
CLOCK = SIDE_BAND.copy(config=abi.PERF_COUNT_SW_CPU_CLOCK, sample_period=100_000, exclude_kernel=True)


class Raw(NamedTuple):
    type: int
    misc: int
    body: bytes  # without header, with trailer


def raw_records(ring: Mapping) -> Iterator[Raw]:
    """Walks a ring that has not wrapped."""
    position, head = 0, ring.load_u64(abi.MMAP_PAGE_DATA_HEAD)
    assert head <= len(ring.data)
    while position < head:
        record_type, misc, size = abi.HEADER.unpack_from(ring.data, position)
        yield Raw(record_type, misc, bytes(ring.data[position + 8 : position + size]))
        position += size


def take(fields: tuple[abi.Field, ...], body: bytes, attr: abi.PerfEventAttr) -> tuple[dict[str, object], bytes]:
    """Reads fields as their docstring says; returns them and what is left."""
    values: dict[str, object] = {}
    for field in fields:
        if field.only_if is not None and not values[field.only_if]:
            continue
        value, body = take_one(field, body, values, attr)
        values[field.name] = value
    return values, body


def take_one(field: abi.Field, body: bytes, values: dict[str, object], attr: abi.PerfEventAttr) -> tuple[object, bytes]:
    if field.format == abi.CSTRING:
        text = body.split(b"\0", 1)[0]
        return text, body[(len(text) // 8 + 1) * 8 :]
    if field.format == abi.READ_FORMAT:
        size = abi.read_format_size(attr.read_format)
        return body[:size], body[size:]
    repeat = field.repeat
    if isinstance(repeat, str):
        repeat = int(str(values[repeat])) if repeat in values else getattr(attr, repeat).bit_count()
    layout = struct.Struct(
        "=" + (f"{repeat}s" if field.format == "s" else field.format * (1 if repeat is None else repeat))
    )
    items = layout.unpack_from(body)
    return items[0] if repeat is None or field.format == "s" else items, body[layout.size :]


def take_record(raw: Raw, attr: abi.PerfEventAttr) -> dict[str, object]:
    """Decodes a whole record; whatever is left over or missing is an error of the tables."""
    if raw.type == abi.PERF_RECORD_SAMPLE:
        parts = abi.sample_parts(attr.sample_type)
    else:
        parts = abi.sample_id_parts(attr.sample_type)
    fields = abi.body_fields(raw.type, raw.misc) or ()
    values, rest = take((*fields, *(field for part in parts for field in part.fields)), raw.body, attr)
    assert rest == b""
    return values


def records(ring: Mapping, attr: abi.PerfEventAttr) -> list[tuple[str, dict[str, object]]]:
    """All records, decoded; each must lie within the bounds that the attr promises."""
    bounds = abi.record_bytes(attr)
    found = []
    for raw in raw_records(ring):
        least, most = bounds[raw.type]
        assert least <= len(raw.body) + 8 <= most
        found.append((abi.RECORD_NAMES[raw.type], take_record(raw, attr)))
    return found


def of_kind(kind: str, found: list[tuple[str, dict[str, object]]]) -> list[dict[str, object]]:
    return [values for name, values in found if name == kind]


def test_comm_is_laid_out_as_the_table_says(kernel: LinuxKernel) -> None:
    attr = SIDE_BAND.copy(comm=True)
    with opened(kernel, attr) as fd, mapped(kernel, fd) as ring:
        rename()
        [comm] = of_kind("COMM", records(ring, attr))
    assert (comm["pid"], comm["comm"]) == (os.getpid(), kernel.read_bytes("/proc/thread-self/comm").strip())


def test_mmap2_is_laid_out_as_the_table_says(kernel: LinuxKernel) -> None:
    attr = SIDE_BAND.copy(mmap=True, mmap2=True)
    with opened(kernel, attr) as fd, mapped(kernel, fd) as ring, open(sys.executable, "rb") as program:
        mmap.mmap(program.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
        [mapping] = of_kind("MMAP2", records(ring, attr))
    assert mapping["filename"] == os.path.realpath(sys.executable).encode()
    assert mapping["ino"] == os.stat(sys.executable).st_ino


def test_mmap2_with_a_build_id_is_laid_out_as_the_table_says(kernel: LinuxKernel) -> None:
    attr = SIDE_BAND.copy(mmap=True, mmap2=True, build_id=True)
    with opened(kernel, attr) as fd, mapped(kernel, fd) as ring, open(sys.executable, "rb") as program:
        mmap.mmap(program.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
        [mapping] = of_kind("MMAP2", records(ring, attr))
    assert mapping["filename"] == os.path.realpath(sys.executable).encode()


def test_fork_and_exit_are_laid_out_as_the_table_says(kernel: LinuxKernel) -> None:
    attr = SIDE_BAND.copy(task=True, inherit=True)
    with opened(kernel, attr, 0, kernel.online_cpus()[0]) as fd, mapped(kernel, fd) as ring:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {kernel.online_cpus()[0]})
        child = subprocess.Popen(["/bin/true"])
        child.wait()
        os.sched_setaffinity(0, mine)
        found = records(ring, attr)
    assert of_kind("FORK", found)[0]["ppid"] == os.getpid()
    assert of_kind("EXIT", found)[0]["pid"] == child.pid


@pytest.mark.parametrize("pid", [0, -1])
def test_switches_are_laid_out_as_the_table_says(kernel: LinuxKernel, pid: int) -> None:
    attr = SIDE_BAND.copy(context_switch=True)
    kind = "SWITCH_CPU_WIDE" if pid == -1 else "SWITCH"
    with opened(kernel, attr, pid, kernel.online_cpus()[0]) as fd, mapped(kernel, fd, data_pages=64) as ring:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {kernel.online_cpus()[0]})
        os.sched_yield()
        subprocess.run(["/bin/true"], check=True)
        os.sched_setaffinity(0, mine)
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_DISABLE)
        assert of_kind(kind, records(ring, attr))


PARTS = {
    "ip": abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_ADDR | abi.PERF_SAMPLE_PERIOD,
    "ids": abi.PERF_SAMPLE_ID | abi.PERF_SAMPLE_STREAM_ID,
    "read": abi.PERF_SAMPLE_READ,
    "callchain": abi.PERF_SAMPLE_CALLCHAIN,
    "raw": abi.PERF_SAMPLE_RAW,
    "registers": abi.PERF_SAMPLE_REGS_USER | abi.PERF_SAMPLE_REGS_INTR,
    "stack": abi.PERF_SAMPLE_STACK_USER,
    "words": abi.PERF_SAMPLE_WEIGHT | abi.PERF_SAMPLE_DATA_SRC | abi.PERF_SAMPLE_TRANSACTION,
    "pages": abi.PERF_SAMPLE_PHYS_ADDR | abi.PERF_SAMPLE_DATA_PAGE_SIZE | abi.PERF_SAMPLE_CODE_PAGE_SIZE,
    "cgroup": abi.PERF_SAMPLE_CGROUP,
}


def sampled(kernel: LinuxKernel, attr: abi.PerfEventAttr) -> tuple[int, list[dict[str, object]]]:
    """The id of an event, and its samples of this thread at work."""
    with opened(kernel, attr) as fd, mapped(kernel, fd, data_pages=16) as ring:
        answer = bytearray(8)
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer)
        while ring.load_u64(abi.MMAP_PAGE_DATA_HEAD) < 8192:
            sum(range(1000))
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_DISABLE)
        return int.from_bytes(answer, sys.byteorder), of_kind("SAMPLE", records(ring, attr))


@pytest.mark.parametrize("part", PARTS)
def test_a_sample_is_laid_out_as_the_table_says(kernel: LinuxKernel, part: str) -> None:
    attr = CLOCK.copy(
        sample_type=TRAILER | PARTS[part],
        read_format=abi.PERF_FORMAT_ID | abi.PERF_FORMAT_TOTAL_TIME_ENABLED,
        sample_regs_user=0b111 if part == "registers" else 0,
        sample_regs_intr=0b11 if part == "registers" else 0,
        sample_stack_user=512 if part == "stack" else 0,
    )
    _, samples = sampled(kernel, attr)
    assert {sample["pid"] for sample in samples} == {os.getpid()}


def test_k35_all_parts_at_once_are_in_the_order_of_the_table(kernel: LinuxKernel) -> None:
    attr = CLOCK.copy(
        sample_type=(1 << 24) - 1 & ~(abi.PERF_SAMPLE_BRANCH_STACK | abi.PERF_SAMPLE_AUX),
        sample_regs_user=1,
        sample_regs_intr=1,
        sample_stack_user=512,
    )
    number, samples = sampled(kernel, attr)
    sample = samples[-1]
    assert [sample[name] for name in ("identifier", "id", "stream_id")] == [number] * 3
    assert (sample["pid"], sample["period"]) == (os.getpid(), attr.sample_period)
    assert sample["code_page_size"] in (0, kernel.page_size)


def test_k35_with_an_identifier_every_record_ends_with_the_id(kernel: LinuxKernel) -> None:
    attr = SIDE_BAND.copy(comm=True)
    with opened(kernel, attr) as fd, mapped(kernel, fd) as ring:
        answer = bytearray(8)
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer)
        rename()
        [raw] = raw_records(ring)
    assert raw.body[-8:] == answer
