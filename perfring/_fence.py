"""Memory order towards the kernel's side of a ring (K37).

The kernel writes a record, then ``data_head``; we load ``data_head``, then read the record, then
store ``data_tail``, and the kernel reads the tail before it overwrites. Python has neither acquire
loads nor release stores, so what the machine guarantees for plain aligned 8-byte accesses counts:

- x86-64 and s390x keep loads in order with loads, and stores behind earlier loads: nothing to do.
- The others need a fence between. ``MEMBARRIER_CMD_GLOBAL_EXPEDITED`` is one: the kernel runs a full
  barrier on entry and on exit, and no other CPU is disturbed unless a process asked for that.
  The private variant would not do: the kernel returns early, without any barrier, when the calling
  process has one thread (``membarrier_private_expedited`` in kernel/sched/membarrier.c), and a
  system call by itself is no barrier. With one CPU online the call does nothing, and nothing is needed.
- Where seccomp forbids membarrier, ``atomic_thread_fence`` of libatomic (part of GCC) does the same.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from perfring._libc import libc
from perfring.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fence_for", "libatomic_fence", "membarrier_fence"]

_ORDERED: Final = frozenset({"x86_64", "s390x"})
_MEMBARRIER_CMD_GLOBAL_EXPEDITED: Final = 1 << 1
_MEMORY_ORDER_SEQ_CST: Final = 5


def membarrier_fence() -> Callable[[], object]:
    """A full fence by system call; OSError when the kernel or seccomp refuses it."""
    barrier = libc().membarrier

    def fence() -> None:
        barrier(_MEMBARRIER_CMD_GLOBAL_EXPEDITED)

    fence()
    return fence


def libatomic_fence() -> Callable[[], object]:
    """A full fence without a system call; OSError when the library is not installed."""
    try:
        function = ctypes.CDLL("libatomic.so.1").atomic_thread_fence
    except AttributeError as missing:
        raise OSError(f"libatomic has no fence: {missing}") from missing
    function.argtypes = [ctypes.c_int]
    function.restype = None

    def fence() -> None:
        function(_MEMORY_ORDER_SEQ_CST)

    fence()
    return fence


# Tried in this order: membarrier needs nothing to be installed.
_MAKERS: Final = (membarrier_fence, libatomic_fence)


def fence_for(machine: str) -> Callable[[], object] | None:
    """The fence an architecture needs between ``data_head`` and the data; None where plain accesses do.

    Raises:
        Unsupported: One is needed and none is to be had: reading on would deliver torn records.
    """
    if machine in _ORDERED:
        return None
    refusals: list[str] = []
    for make in _MAKERS:
        try:
            return make()
        except OSError as refused:
            refusals.append(f"{make.__name__}: {refused}")
    raise Unsupported(
        f"a ring cannot be read safely on {machine}: it needs a memory fence, and there is none "
        f"({'; '.join(refusals)}). Allow membarrier(2) in the seccomp profile or install libatomic1"
    )
