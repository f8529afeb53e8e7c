"""Sessions opened where there is almost nothing left: of descriptors, of addresses."""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfring import PerfringError, SessionBuilder, TracepointEvents

PATIENCE = 10.0
GETPPID = "syscalls:sys_enter_getppid"


def held() -> tuple[int, int, int]:
    """Descriptors, mapped rings, threads of this process."""
    maps = Path("/proc/self/maps").read_text(errors="surrogateescape")
    return (
        len(os.listdir("/proc/self/fd")) - 1,
        maps.count("anon_inode:[perf_event]"),
        len(os.listdir("/proc/self/task")),
    )


def settled(before: tuple[int, int, int]) -> tuple[int, int, int]:
    """What is held once there are no more threads than before, or when the patience is over.

    A thread that was joined leaves /proc a moment later.
    """
    deadline = time.monotonic() + PATIENCE
    while (now := held())[2] > before[2] and time.monotonic() < deadline:
        os.sched_yield()
    return now


def leaked(before: tuple[int, int, int]) -> str:
    """What is held that was not before, in words; "" for nothing."""
    after = settled(before)
    if all(now <= then for now, then in zip(after, before, strict=True)):
        return ""  # fewer: a thread was just leaving when they were counted
    return f"descriptors, rings, threads were {before} and are {after}"


@contextmanager
def _limited(what: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def open_with_few_descriptors(more: int) -> str:
    """Opens a session with so many descriptors to spare: "opened", or the errno; OSError only, and nothing left."""
    free = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    return _tried(resource.RLIMIT_NOFILE, free + more, pages=1)


def open_with_few_addresses(spare_bytes: int) -> str:
    """The same with so many bytes of address space to spare, and rings of 16 MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return _tried(resource.RLIMIT_AS, pages * resource.getpagesize() + spare_bytes, pages=4096)


def _tried(what: int, soft: int, *, pages: int) -> str:
    builder = SessionBuilder().with_page_count(pages).with_wakeup_watermark(pages * 1024)
    builder = builder.with_tracepoint_events(TracepointEvents(GETPPID))
    before = held()
    said = "opened"
    try:
        with _limited(what, soft):
            builder.build().close()
    except (PerfringError, OSError, MemoryError) as error:
        said = errno.errorcode.get(getattr(error, "errno", 0) or 0, type(error).__name__)
    left = leaked(before)
    assert not left, f"{said} with a limit of {soft}: {left}"
    return said
