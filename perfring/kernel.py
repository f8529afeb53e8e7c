"""The seam: what perfring asks of a kernel, and nothing else.

Two things stand behind these protocols: `perfring.LinuxKernel` (system calls of the machine underneath) and
`simkernel.SimKernel` (a simulated machine in virtual time). Everything above the seam runs unchanged on both.

Conventions that hold for every method:

* Timeouts are seconds as float; ``None`` waits for ever, ``0`` only asks.
* A refusal is an `OSError` with the kernel's errno, so `FileNotFoundError`, `PermissionError` and the like where Python
  maps the errno to one.
* File descriptors are plain ints and belong to whoever opened them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.abi import PerfEventAttr

__all__ = ["Epoll", "Kernel", "Mapping", "Signal", "Waker"]


class Signal(NamedTuple):
    """One SIGIO delivery (K20): which fd, and why.

    Attributes:
        fd: ``si_fd``: the perf fd whose event overflowed.
        code: ``si_code``: ``POLL_IN`` (1) for an overflow, ``POLL_HUP`` (6) for the last one of REFRESH (K39).
    """

    fd: int
    code: int


@runtime_checkable
class Mapping(Protocol):
    """A ring as user space sees it: the metadata page and the data area (K1, K2).

    After `close` the memory is gone; whoever needs bytes for longer copies them first.
    """

    data: memoryview
    """The data area, ``data_size`` bytes: empty when only the metadata page is mapped (K1)."""

    def load_u64(self, offset: int) -> int:
        """Reads the u64 at a byte offset of the metadata page, with acquire order (K37)."""
        ...

    def store_u64(self, offset: int, value: int) -> None:
        """Writes the u64 at a byte offset of the metadata page, with release order (K37)."""
        ...

    def close(self) -> None:
        """munmap(2). Idempotent. In a forked child, which has no mapping (K45), only forgets it."""
        ...


@runtime_checkable
class Epoll(Protocol):
    """An epoll instance. To register or modify a perf fd *asks* it, and so takes its latch (K15)."""

    def register(self, fd: int, eventmask: int) -> None:
        """``EPOLL_CTL_ADD``. Raises OSError: EEXIST, EBADF, EPERM, ELOOP."""
        ...

    def modify(self, fd: int, eventmask: int) -> None:
        """``EPOLL_CTL_MOD``. Raises OSError: ENOENT, EBADF."""
        ...

    def unregister(self, fd: int) -> None:
        """``EPOLL_CTL_DEL``. Raises OSError: ENOENT, EBADF."""
        ...

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """epoll_wait(2): ``[(fd, events)]``, empty after the timeout."""
        ...

    def fileno(self) -> int:
        """The fd of the epoll instance itself."""
        ...

    def close(self) -> None:
        """Closes it. Idempotent. Does not wake a thread that waits in `poll` (K45)."""
        ...


@runtime_checkable
class Waker(Protocol):
    """An eventfd: the way to end another thread's wait, which closing the fds does not (K45)."""

    def fileno(self) -> int:
        """The fd to register with epoll, an event loop, or poll."""
        ...

    def set(self) -> None:
        """Makes the fd readable. Safe from any thread."""
        ...

    def clear(self) -> None:
        """Makes it unreadable again; harmless when it is not set."""
        ...

    def close(self) -> None:
        """Closes it. Idempotent."""
        ...


@runtime_checkable
class Kernel(Protocol):
    """The system calls and files that perfring needs."""

    page_size: int
    """Bytes in a page of this machine: 4096, 16384 or 65536."""
    release: str
    """``uname -r``, as in ``"6.18.44"``."""

    def online_cpus(self) -> tuple[int, ...]:
        """The CPUs that are online, ascending. Ids need not be contiguous."""
        ...

    def perf_event_open(self, attr: PerfEventAttr, pid: int, cpu: int, group_fd: int = -1, flags: int = 0) -> int:
        """perf_event_open(2): a new fd. On E2BIG the kernel's own size stands in ``attr.size`` (K29)."""
        ...

    def mmap(self, fd: int, length: int, *, writable: bool = True, shared: bool = True, offset: int = 0) -> Mapping:
        """mmap(2) of a perf fd; ``length`` = (1 + 2**n) pages (K1). Not writable means overwrite mode (K4)."""
        ...

    def ioctl(self, fd: int, request: int, argument: int | bytes | bytearray | memoryview = 0) -> int:
        """ioctl(2). A writable buffer receives what the kernel writes; bytes are passed by address."""
        ...

    def fcntl(self, fd: int, command: int, argument: int = 0) -> int:
        """fcntl(2)."""
        ...

    def read(self, fd: int, size: int) -> bytes:
        """read(2) of the counts. Raises OSError: ENOSPC when ``size`` is below what read_format needs (K41)."""
        ...

    def write(self, fd: int, data: bytes) -> int:
        """write(2). Perf fds refuse it with EINVAL (K38)."""
        ...

    def close(self, fd: int) -> None:
        """close(2). Does not wake a thread that waits for the fd (K45)."""
        ...

    def poll(self, fds: Sequence[tuple[int, int]], timeout: float | None = None) -> list[tuple[int, int]]:
        """poll(2) on ``[(fd, events)]``. Takes the latch of each perf fd that it asks (K14)."""
        ...

    def epoll(self) -> Epoll:
        """epoll_create1(2)."""
        ...

    def waker(self) -> Waker:
        """eventfd(2)."""
        ...

    def take_signals(self) -> list[Signal]:
        """The SIGIO deliveries since last asked (K20), oldest first."""
        ...

    def bpf_map_fd(self, map_id_or_path: int | str) -> int:
        """bpf(2): a new fd of a BPF map, by its id or by its path in bpffs."""
        ...

    def bpf_map_update(self, map_fd: int, key: int, value_fd: int) -> None:
        """bpf(2) BPF_MAP_UPDATE_ELEM: puts a perf fd into a perf event array."""
        ...

    def clock_ns(self, clock_id: int) -> int:
        """clock_gettime(2), in nanoseconds."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """A whole file of /proc, /sys or tracefs."""
        ...

    def read_text(self, path: str) -> str:
        """The same, decoded as UTF-8 with ``surrogateescape``."""
        ...

    def list_dir(self, path: str) -> list[str]:
        """The names in a directory."""
        ...
