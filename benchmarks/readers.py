"""The Python readers of the live figures, each run in a process of its own.

``python -m benchmarks.readers NAME SETTING``, SETTING being a `Setting` as JSON. The process says "ready" on standard
output when its events count, reads until SIGTERM, drains what is left, and prints what it has `Read` as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.measuring import percentile
from perfring import LinuxKernel, Sample, Session, SessionBuilder, TracepointEvents, abi
from perfring.plan import EventSpec

PAGE = os.sysconf("SC_PAGE_SIZE")
GETPPID = "syscalls:sys_enter_getppid"


@dataclass(frozen=True)
class Setting:
    """What a reader is to do.

    Attributes:
        source_cpu: the CPU whose getppid calls are recorded.
        own_cpu: the CPU that the reader keeps to.
        pages: data pages of the ring.
        watermark: bytes that wake the reader; None for half the ring.
        latencies: note how long each record was on its way. Costs CPU time.
    """

    source_cpu: int
    own_cpu: int
    pages: int
    watermark: int | None = None
    latencies: bool = False


@dataclass
class Read:
    """What a reader has read.

    Attributes:
        records: samples delivered.
        lost: records that the kernel dropped.
        wakeups: how often the reader was woken by the ring.
        seconds: CPU time of the process from "ready" to the end of reading.
        latencies: p50 and p99 in microseconds, from a record's time to its delivery; empty when not asked for.
    """

    records: int = 0
    lost: int = 0
    wakeups: int = 0
    seconds: float = 0.0
    latencies: dict[str, float] = field(default_factory=dict)


def _builder(setting: Setting) -> SessionBuilder:
    builder = SessionBuilder().with_page_count(setting.pages).with_target_cpu(setting.source_cpu)
    # Half a ring is what perf record waits for (K8), and a quarter what the builder would choose.
    watermark = setting.watermark or setting.pages * PAGE // 2
    builder = builder.with_wakeup_watermark(watermark)
    return builder.with_tracepoint_events(TracepointEvents(GETPPID))


def records(setting: Setting) -> Read:
    """`Session.batches`, a `Record` for each sample."""
    return _with_session(setting, _count_records)


def columns(setting: Setting) -> Read:
    """`Session.batches` as columns, all that has a fixed place of each sample in one array."""
    return _with_session(setting, _count_columns, with_columns=True)


def _with_session(setting: Setting, read: Callable[[Session, Setting], Read], *, with_columns: bool = False) -> Read:
    builder = _builder(setting)
    with (builder.with_columns() if with_columns else builder).build() as session:
        signal.signal(signal.SIGTERM, lambda *_: session.stop())
        session.enable()
        _ready()
        begin = time.process_time()
        found = read(session, setting)
        found.seconds = time.process_time() - begin
        counts = session.statistics()
        found.lost, found.wakeups = counts.lost, counts.wakeups
    return found


def _count_records(session: Session, setting: Setting) -> Read:
    if setting.latencies:
        return _time_records(session)
    count = 0
    for batch in session.batches():
        count += len(batch)
    return Read(count)


def _count_columns(session: Session, setting: Setting) -> Read:
    count, noted = 0, []
    for batch in session.batches():
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) if setting.latencies else 0
        for table in batch.columns.values():
            count += len(table.rows)
            if setting.latencies and table.kind == "sample":
                noted.append((now - table.array("time").astype(np.int64)) / 1e3)
    if not setting.latencies:
        return Read(count)
    middle, late = np.percentile(np.concatenate(noted), (50, 99)).tolist()
    return Read(count, latencies={"p50": middle, "p99": late})


def _time_records(session: Session) -> Read:
    """Notes the moment of each batch, and looks at the records when all is over."""
    noted = [(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), batch) for batch in session.batches()]
    taken = sorted(now - one.time for now, batch in noted for one in batch if isinstance(one, Sample) and one.time)
    middle, late = (percentile(taken, percent) / 1e3 for percent in (50, 99))
    return Read(len(taken), latencies={"p50": middle, "p99": late})


def plain(setting: Setting) -> Read:
    """What somebody writes who has only `struct`: one event, a ring, epoll, a loop that builds tuples."""
    from benchmarks.plainreader import getppid_tuples

    kernel, found = LinuxKernel(), Read()
    fd, mapping = _open_plainly(kernel, setting)
    epoll, going = kernel.epoll(), [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    epoll.register(fd, 1)
    kernel.ioctl(fd, abi.PERF_EVENT_IOC_ENABLE)
    _ready()
    begin, tail, size = time.process_time(), 0, len(mapping.data)
    while True:
        last = not going  # asked before the drain: what comes after the signal's is not the producer's
        head = mapping.load_u64(abi.MMAP_PAGE_DATA_HEAD)
        start, end = tail % size, tail % size + head - tail
        image = bytes(mapping.data[start:end])
        if end > size:
            image += bytes(mapping.data[: end - size])
        batch = getppid_tuples(image)
        tail = head
        mapping.store_u64(abi.MMAP_PAGE_DATA_TAIL, tail)
        found.records += len(batch)
        if last:
            break
        # The timeout is for the signal: Python would go on waiting when its handler is done.
        found.wakeups += len(epoll.poll(0.1))
    found.seconds = time.process_time() - begin
    found.lost = int.from_bytes(kernel.read(fd, 64)[16:24], sys.byteorder)
    mapping.close()
    epoll.close()
    kernel.close(fd)
    return found


def _open_plainly(kernel: LinuxKernel, setting: Setting) -> tuple[int, Any]:
    """The same event as a session opens, mapped itself."""
    plan = _builder(setting).plan(kernel)
    spec: EventSpec = plan.events[0]
    watermark = plan.wakeup_watermark or 0
    fd = kernel.perf_event_open(spec.attr.copy(wakeup_events=watermark), -1, setting.source_cpu)
    return fd, kernel.mmap(fd, (1 + setting.pages) * kernel.page_size)


READERS: dict[str, Callable[[Setting], Read]] = {"columns": columns, "records": records, "plain": plain}


def _ready() -> None:
    print("ready", flush=True)


def main(name: str, setting: Setting) -> None:
    """Runs one reader on its CPU, and prints what it read."""
    os.sched_setaffinity(0, {setting.own_cpu})
    print(json.dumps(asdict(READERS[name](setting))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Setting(**json.loads(sys.argv[2])))
