"""A small rig for the facts: events and rings that close themselves, a child that obeys, a plain walk of a ring.

The walk is written from the layout alone (K2, K35) and shares nothing with perfring's reader, so that the
two can be held against each other.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from perfring import abi
from perfring.kernel import Epoll, Mapping
from perfring.linux import LinuxKernel

HEAD, TAIL, DATA_OFFSET, DATA_SIZE = 1024, 1032, 1040, 1048  # byte offsets in the metadata page (K2)
IN, PRI, OUT, ERR, HUP, RDNORM = 0x001, 0x002, 0x004, 0x008, 0x010, 0x040  # poll(2)
HEADER = struct.Struct("=IHH")
TRACEPOINTS = Path("/sys/kernel/tracing/events")
NOBODY = 65534
PATIENCE = 10.0
SAMPLE_BYTES = 16  # of `getppid_samples`: header 8, pid and tid 8
STEP, EXIT = b"s", b"x"
COMM_BYTES = 32  # of `renames`, with a name of 8 to 15 characters and no sample_id


class Record(NamedTuple):
    """One record as it lies in the ring."""

    type: int
    misc: int
    body: bytes

    @property
    def u64s(self) -> tuple[int, ...]:
        return struct.unpack(f"={len(self.body) // 8}Q", self.body)


def tracepoint_id(name: str) -> int:
    return int((TRACEPOINTS / name / "id").read_text())


def dummy(**fields: Any) -> abi.PerfEventAttr:
    """An event that counts and samples nothing; it only carries side-band."""
    return abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY).copy(**fields)


def renames(**fields: Any) -> abi.PerfEventAttr:
    """A COMM record for each `rename`, and nothing else."""
    return dummy(comm=True).copy(**fields)


def getppid_samples(**fields: Any) -> abi.PerfEventAttr:
    """A sample of 16 bytes for each getppid(2); a half ring wakes, as nothing is said about the watermark (K8)."""
    return abi.PerfEventAttr(
        type=abi.PERF_TYPE_TRACEPOINT,
        config=tracepoint_id("syscalls/sys_enter_getppid"),
        sample_period=1,
        sample_type=abi.PERF_SAMPLE_TID,
    ).copy(**fields)


def waking(watermark: int, **fields: Any) -> abi.PerfEventAttr:
    """`getppid_samples` with a byte watermark."""
    return getppid_samples(watermark=True, wakeup_watermark=watermark).copy(**fields)


def getppid(times: int) -> None:
    for _ in range(times):
        os.getppid()


def rename(times: int = 1) -> None:
    path = Path("/proc/thread-self/comm")
    name = path.read_bytes().strip()[:7] + b"perfring"
    for _ in range(times):
        path.write_bytes(name)


def head(mapping: Mapping) -> int:
    return mapping.load_u64(HEAD)


def free(mapping: Mapping) -> None:
    """Gives the kernel its space back, unread."""
    mapping.store_u64(TAIL, head(mapping))


def walk(mapping: Mapping, start: int, end: int) -> list[Record]:
    """The records between two positions of the ring, oldest first."""
    ring, records = bytes(mapping.data) * 2, []
    while start < end:
        at = start % len(mapping.data)
        kind, misc, size = HEADER.unpack_from(ring, at)
        assert size >= HEADER.size, f"a record of {size} bytes at {start}"
        records.append(Record(kind, misc, ring[at + HEADER.size : at + size]))
        start += size
    return records


def drain(mapping: Mapping) -> list[Record]:
    """Everything between tail and head; then the tail moves up."""
    end = head(mapping)
    records = walk(mapping, mapping.load_u64(TAIL), end)
    mapping.store_u64(TAIL, end)
    return records


def types(records: list[Record]) -> list[int]:
    return [record.type for record in records]


@contextlib.contextmanager
def refused(*errors: int) -> Iterator[None]:
    """The body raises OSError with one of these errnos."""
    with pytest.raises(OSError) as caught:
        yield
    assert errno.errorcode[caught.value.errno or 0] in [errno.errorcode[number] for number in errors]


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for what another CPU is about to do, and fails rather than hang."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        os.sched_yield()


class Child:
    """A forked process that takes its steps one at a time, and then waits to be told to exit."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._orders, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self._obey(theirs, steps)
        theirs.close()
        self._alive = True

    @staticmethod
    def _obey(orders: socket.socket, steps: tuple[Callable[[], object], ...]) -> NoReturn:
        status = 1
        try:
            todo = iter(steps)
            while orders.recv(1) == STEP:
                next(todo)()
                orders.send(b".")
            status = 0
        finally:
            os._exit(status)

    def step(self) -> None:
        """Has it take its next step, and waits until that is done."""
        self._orders.send(STEP)
        assert self._orders.recv(1) == b".", "the child failed"

    def finish(self) -> int:
        """Has it exit; returns its wait status."""
        if not self._alive:
            return 0
        self._alive = False
        self._orders.send(EXIT)  # said, not hung up: later children hold copies of this end
        self._orders.close()
        return os.waitpid(self.pid, 0)[1]


class Rig:
    """Opens, maps, asks; `close` undoes it all."""

    def __init__(self, kernel: LinuxKernel) -> None:
        self.kernel = kernel
        self._undo = contextlib.ExitStack()

    def open(self, attr: abi.PerfEventAttr, pid: int = 0, cpu: int = -1, group_fd: int = -1, flags: int = 0) -> int:
        fd = self.kernel.perf_event_open(attr, pid, cpu, group_fd, flags)
        self._undo.callback(self.close, fd)
        return fd

    def map(self, fd: int, pages: int = 1, *, writable: bool = True) -> Mapping:
        mapping = self.kernel.mmap(fd, (1 + pages) * self.kernel.page_size, writable=writable)
        self._undo.callback(mapping.close)
        return mapping

    def ring(self, attr: abi.PerfEventAttr, pages: int = 1, *, pid: int = 0, cpu: int = -1) -> tuple[int, Mapping]:
        fd = self.open(attr, pid, cpu)
        return fd, self.map(fd, pages)

    def redirect(self, fd: int, target: int) -> None:
        self.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_OUTPUT, target)

    def redirected(self, attr: abi.PerfEventAttr, target: int, *, pid: int = 0, cpu: int = -1) -> int:
        fd = self.open(attr, pid, cpu)
        self.redirect(fd, target)
        return fd

    def child(self, *steps: Callable[[], object]) -> Child:
        child = Child(*steps)
        self._undo.callback(child.finish)
        return child

    def epoll(self, *fds: int, events: int = IN) -> Epoll:
        epoll = self.kernel.epoll()
        self._undo.callback(epoll.close)
        for fd in fds:
            epoll.register(fd, events)
        return epoll

    def ask(self, fd: int, events: int = IN) -> int:
        """poll(2) without waiting: what it reports, which takes the latch (K14)."""
        return dict(self.kernel.poll([(fd, events)], 0)).get(fd, 0)

    def event_id(self, fd: int) -> int:
        answer = bytearray(8)
        self.kernel.ioctl(fd, abi.PERF_EVENT_IOC_ID, answer)
        return int.from_bytes(answer, sys.byteorder)

    def counts(self, fd: int, size: int = 4096) -> tuple[int, ...]:
        data = self.kernel.read(fd, size)
        return struct.unpack(f"={len(data) // 8}Q", data)

    def close(self, fd: int | None = None) -> None:
        """Closes one fd, if it still is open; without one, everything."""
        if fd is None:
            self._undo.close()
            return
        with contextlib.suppress(OSError):
            self.kernel.close(fd)


def status_of(body: Callable[[], object]) -> int:
    """The wait status of a forked child that runs ``body``: 0 when it returned."""
    pid = os.fork()
    if pid == 0:
        status = 1
        faulthandler.disable()  # some bodies are meant to crash
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def as_nobody(body: Callable[[], object]) -> None:
    """Runs the body in a child without privileges; its assertion fails here."""

    def unprivileged() -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        body()

    assert status_of(unprivileged) == 0, "failed as uid 65534; the traceback is in the captured stderr"
