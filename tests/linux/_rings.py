"""The smallest producer there is: a COMM record of 32 bytes for each renaming of this thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfring import abi
from perfring.kernel import Mapping
from perfring.linux import LinuxKernel

COMM_BYTES = 32  # header 8, pid and tid 8, the name padded to 16
DUMMY = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY)
COMM = DUMMY.copy(comm=True, watermark=True, wakeup_watermark=1)


def rename() -> None:
    """Writes one COMM record into every ring that watches this thread."""
    path = Path("/proc/thread-self/comm")
    path.write_bytes(path.read_bytes().strip()[:7] + b"perfring")


@contextmanager
def opened(kernel: LinuxKernel, attr: abi.PerfEventAttr = COMM, pid: int = 0, cpu: int = -1) -> Iterator[int]:
    """An event of this thread, closed again whatever the test does to it."""
    fd = kernel.perf_event_open(attr, pid, cpu, flags=abi.PERF_FLAG_FD_CLOEXEC)
    try:
        yield fd
    finally:
        kernel.close(fd)


@contextmanager
def mapped(kernel: LinuxKernel, fd: int, *, data_pages: int = 1, writable: bool = True) -> Iterator[Mapping]:
    mapping = kernel.mmap(fd, (1 + data_pages) * kernel.page_size, writable=writable)
    try:
        yield mapping
    finally:
        mapping.close()
