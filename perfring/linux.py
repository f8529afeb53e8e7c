"""`LinuxKernel`: the seam of `perfring.kernel` over the Linux this process runs on.

It adds nothing to the system calls but the checks without which ctypes would cut numbers short or
the kernel would write past a buffer. What is peculiar about each call stands in its docstring.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from perfring import _bpf
from perfring._fence import fence_for
from perfring._libc import check_fits, libc
from perfring._mapping import LinuxMapping
from perfring._signals import SignalCollector
from perfring.abi import (
    PERF_ATTR_SIZE_VER9,
    PERF_EVENT_IOC_ID,
    PERF_EVENT_IOC_PERIOD,
    PERF_EVENT_IOC_QUERY_BPF,
)
from perfring.engine import core
from perfring.errors import Unsupported
from perfring.procfs import parse_cpu_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.abi import PerfEventAttr
    from perfring.kernel import Signal

__all__ = ["LinuxEpoll", "LinuxKernel", "LinuxWaker"]

# From linux/fcntl.h, asm-generic; the fcntl module does not exist on Windows, where this file must import.
_F_SETFL: Final = 4
_F_SETSIG: Final = 10
_MOST_SIGNALS: Final = 64

# Requests that read or write through a pointer, and how many bytes at least.
_LEAST_BYTES: Final = {PERF_EVENT_IOC_PERIOD: 8, PERF_EVENT_IOC_ID: 8, PERF_EVENT_IOC_QUERY_BPF: 8}
_KERNEL_WRITES: Final = frozenset({PERF_EVENT_IOC_ID, PERF_EVENT_IOC_QUERY_BPF})
# QUERY_BPF writes as many ids as the caller's own header asks for, up to 64 of 4 bytes.
_SCRATCH_BYTES: Final = 4096


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout={timeout} must be None (for ever) or at least 0 seconds")


class LinuxEpoll:
    """epoll(7). Registering or modifying a perf fd asks it, and so takes its latch (K15)."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def register(self, fd: int, eventmask: int) -> None:
        """EPOLL_CTL_ADD. Raises OSError: EEXIST, EBADF, EPERM, ELOOP."""
        self._epoll.register(fd, eventmask)

    def modify(self, fd: int, eventmask: int) -> None:
        """EPOLL_CTL_MOD. Raises OSError: ENOENT, EBADF."""
        self._epoll.modify(fd, eventmask)

    def unregister(self, fd: int) -> None:
        """EPOLL_CTL_DEL. Raises OSError: ENOENT, EBADF."""
        self._epoll.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """epoll_wait(2): ``[(fd, events)]``; the timeout is in seconds and rounded up to milliseconds."""
        _check_timeout(timeout)
        return self._epoll.poll(timeout, maxevents)

    def fileno(self) -> int:
        """The fd of the epoll instance."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Closes it, once. A thread that waits in `poll` goes on waiting (K45)."""
        self._epoll.close()


class LinuxWaker:
    """eventfd(2), non-blocking: `set` makes it readable until `clear`."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """The fd to wait for. Raises ValueError once closed."""
        if self._fd < 0:
            raise ValueError("the waker is closed")
        return self._fd

    def set(self) -> None:
        """Makes it readable, from any thread."""
        try:
            os.eventfd_write(self.fileno(), 1)
        except BlockingIOError:
            return  # the counter is full: it has been readable for 2**64 - 2 calls

    def clear(self) -> None:
        """Makes it unreadable; harmless when it is."""
        try:
            os.eventfd_read(self.fileno())
        except BlockingIOError:
            return

    def close(self) -> None:
        """Closes it, once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class LinuxKernel:
    """The real kernel. All instances share one libc and are interchangeable.

    Attributes:
        page_size: Bytes in a page: 4096, 16384 or 65536.
        release: ``uname -r``.

    Raises:
        Unsupported: This is not Linux, or an architecture whose system call numbers are unknown.
    """

    def __init__(self) -> None:
        self._libc = libc()
        self.page_size = mmap.PAGESIZE
        self.release = platform.release()
        self._signals = SignalCollector()

    def __repr__(self) -> str:
        return f"LinuxKernel(release={self.release!r}, page_size={self.page_size})"

    def online_cpus(self) -> tuple[int, ...]:
        """/sys/devices/system/cpu/online, ascending; ids may have gaps."""
        return parse_cpu_list(self.read_text("/sys/devices/system/cpu/online"))

    def perf_event_open(self, attr: PerfEventAttr, pid: int, cpu: int, group_fd: int = -1, flags: int = 0) -> int:
        """perf_event_open(2): the new fd, close-on-exec only with PERF_FLAG_FD_CLOEXEC.

        Raises:
            OSError: The kernel refuses (K29-K33). With E2BIG ``attr.size`` is the kernel's own size after
                the call when the size was the matter; a sample that is too large for a record is E2BIG too.
            ValueError: ``attr`` does not fit its size, or a number does not fit its C type.
        """
        for name, value in (("pid", pid), ("cpu", cpu), ("group_fd", group_fd)):
            check_fits(name, value, bits=32, signed=True)
        check_fits("flags", flags, bits=64, signed=False)
        packed = attr.pack()
        # The kernel writes its size even into a struct that is said to be shorter than that field.
        buffer = ctypes.create_string_buffer(packed, max(len(packed), PERF_ATTR_SIZE_VER9))
        try:
            return self._libc.perf_event_open(buffer, pid, cpu, group_fd, flags)
        except OSError as refused:
            if refused.errno == errno.E2BIG:
                attr.size = int.from_bytes(buffer.raw[4:8], sys.byteorder)
            raise

    def mmap(
        self, fd: int, length: int, *, writable: bool = True, shared: bool = True, offset: int = 0
    ) -> LinuxMapping:
        """mmap(2) of a perf fd: one metadata page and 2**n data pages (K1); not writable is overwrite mode (K4).

        Raises:
            OSError: The kernel refuses (K1, K3, K27, K28, K32).
            Unsupported: The CPU needs a memory fence that is not to be had (K37); or an AUX area was mapped.
        """
        check_fits("fd", fd, bits=32, signed=True)
        check_fits("length", length, bits=63, signed=False)
        check_fits("offset", offset, bits=64, signed=True)
        compiled = core()
        fence = fence_for(platform.machine()) if compiled is None else None
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        address = self._libc.mmap(length, protection, mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE, fd, offset)
        if offset:
            self._libc.munmap(address, length)
            raise Unsupported(
                f"offset={offset} maps an AUX area: perfring reads the data area only, which is at offset 0"
            )
        length = -(-length // self.page_size) * self.page_size  # as the kernel took it
        return LinuxMapping(address, length, page_size=self.page_size, writable=writable, fence=fence, core=compiled)

    def ioctl(self, fd: int, request: int, argument: int | bytes | bytearray | memoryview = 0) -> int:
        """ioctl(2). A number is passed as it is; of a buffer the address is, and what the kernel wrote copied back.

        Raises:
            OSError: The kernel refuses (K25, K38).
            TypeError: The request writes, and the buffer is read-only.
            ValueError: The buffer is too short for the request.
        """
        check_fits("fd", fd, bits=32, signed=True)
        check_fits("request", request, bits=32, signed=False)
        if isinstance(argument, int):
            check_fits("argument", argument, bits=64, signed=argument < 0)
            return self._libc.ioctl(fd, request, argument)
        return self._ioctl_buffer(fd, request, memoryview(argument).cast("B"))

    def _ioctl_buffer(self, fd: int, request: int, argument: memoryview) -> int:
        least = _LEAST_BYTES.get(request, 0)
        if len(argument) < least:
            raise ValueError(f"ioctl {request:#x} needs a buffer of at least {least} bytes, not {len(argument)}")
        if argument.readonly and request in _KERNEL_WRITES:
            raise TypeError(f"ioctl {request:#x} writes its answer: pass a bytearray, not bytes")
        scratch = ctypes.create_string_buffer(argument.tobytes(), max(len(argument) + 1, _SCRATCH_BYTES))
        result = self._libc.ioctl(fd, request, ctypes.addressof(scratch))
        if not argument.readonly:
            argument[:] = scratch.raw[: len(argument)]
        return result

    def fcntl(self, fd: int, command: int, argument: int = 0) -> int:
        """fcntl(2). F_SETSIG and F_SETFL with O_ASYNC also block the signal, for `take_signals`."""
        import fcntl

        if command == _F_SETSIG and 0 < argument <= _MOST_SIGNALS:  # the kernel refuses the others
            self._signals.want(argument)
        if command == _F_SETFL and argument & os.O_ASYNC:
            self._signals.want(signal.SIGIO)
        return fcntl.fcntl(fd, command, argument)

    def read(self, fd: int, size: int) -> bytes:
        """read(2) of the counts. Raises OSError: ENOSPC below what read_format needs (K41)."""
        return os.read(fd, size)

    def write(self, fd: int, data: bytes) -> int:
        """write(2): EINVAL on every perf fd (K38)."""
        return os.write(fd, data)

    def close(self, fd: int) -> None:
        """close(2). Raises OSError: EBADF."""
        os.close(fd)

    def poll(self, fds: Sequence[tuple[int, int]], timeout: float | None = None) -> list[tuple[int, int]]:
        """poll(2): ``[(fd, events)]`` of those with events, in the order given. Takes latches (K14).

        Raises:
            ValueError: The timeout is negative, or an fd is negative or given twice (asking twice would
                make the second answer depend on the first).
        """
        _check_timeout(timeout)
        if len({fd for fd, _ in fds}) != len(fds):
            raise ValueError(f"an fd is given twice: {[fd for fd, _ in fds]}")
        poller = select.poll()
        for fd, events in fds:
            poller.register(fd, events)
        return poller.poll(None if timeout is None else timeout * 1000)

    def epoll(self) -> LinuxEpoll:
        """epoll_create1(2) with EPOLL_CLOEXEC."""
        return LinuxEpoll()

    def waker(self) -> LinuxWaker:
        """eventfd(2)."""
        return LinuxWaker()

    def take_signals(self) -> list[Signal]:
        """The signals of O_ASYNC fds since last asked (K20); ``fcntl`` of this kernel must have set them up.

        For ``Signal.fd``, and for one signal per overflow, give the fd a realtime signal of its own first:
        ``fcntl(fd, F_SETSIG, signal.SIGRTMIN)``. Plain SIGIO is merged, says -1 for the fd, and its code is
        SI_KERNEL (128).
        """
        return self._signals.take()

    def bpf_map_fd(self, map_id_or_path: int | str) -> int:
        """bpf(2) BPF_MAP_GET_FD_BY_ID or BPF_OBJ_GET: a new fd of a map, by its id or by its pin in bpffs."""
        if isinstance(map_id_or_path, str):
            return _bpf.map_fd_by_path(map_id_or_path)
        return _bpf.map_fd_by_id(map_id_or_path)

    def bpf_map_update(self, map_fd: int, key: int, value_fd: int) -> None:
        """bpf(2) BPF_MAP_UPDATE_ELEM: puts a perf fd into slot ``key``, a CPU, of a perf event array."""
        _bpf.map_update(map_fd, key, value_fd)

    def clock_ns(self, clock_id: int) -> int:
        """clock_gettime(2) in nanoseconds."""
        return time.clock_gettime_ns(clock_id)

    def read_bytes(self, path: str) -> bytes:
        """A whole file."""
        with open(path, "rb") as file:
            return file.read()

    def read_text(self, path: str) -> str:
        """A whole file as UTF-8 with ``surrogateescape``, line ends untouched."""
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def list_dir(self, path: str) -> list[str]:
        """The names in a directory, in the order the kernel gives them."""
        return os.listdir(path)
