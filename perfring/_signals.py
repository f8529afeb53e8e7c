"""Collecting the signals of O_ASYNC fds (K20) without a signal handler.

The signals are blocked and taken with sigtimedwait(2), so no handler runs and none is lost to the
default action, which for SIGIO and the realtime signals ends the process. ``siginfo.si_fd`` and
``si_code`` are filled in only after ``F_SETSIG``, and only realtime signals queue: with plain SIGIO a
second overflow before the first was taken is merged with it. Python's ``signal.sigtimedwait`` hides
``si_fd``, hence libc's.

Blocking is per thread: it covers the calling thread and those it starts later. A process-wide
``F_SETOWN`` may be delivered to an older thread that does not block the signal, and then ends the
process. Libraries start such threads when they are imported, numpy's BLAS among them: call
``signal.pthread_sigmask`` before, or give ``F_SETOWN_EX`` the thread that takes the signals.
"""

from __future__ import annotations

import ctypes
import errno
import signal
import struct

from perfring._libc import libc
from perfring.kernel import Signal

__all__ = ["SignalCollector"]

_SIGINFO_BYTES = 128
_SIGSET_BYTES = 128
# siginfo_t: si_signo, si_errno, si_code, padding, then for SIGPOLL si_band (long) and si_fd (int).
_SIGINFO = struct.Struct("@iiili")
_SI_KERNEL = 0x80


class SignalCollector:
    """The signals of this process that report perf overflows."""

    def __init__(self) -> None:
        self._wanted: set[int] = set()

    def want(self, number: int) -> None:
        """Blocks a signal in the calling thread and collects it from now on."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        self._wanted.add(number)

    def take(self) -> list[Signal]:
        """Everything pending, realtime signals in the order they were sent."""
        if not self._wanted:
            return []
        pending = _sigset(self._wanted)
        info = ctypes.create_string_buffer(_SIGINFO_BYTES)
        taken: list[Signal] = []
        while _next(pending, info):
            _signo, _errno, code, _band, fd = _SIGINFO.unpack_from(info)
            # Without F_SETSIG, or when the queue overflowed, the kernel says only that something happened.
            taken.append(Signal(-1 if code == _SI_KERNEL else fd, code))
        return taken


def _next(signals: ctypes.Array[ctypes.c_char], info: ctypes.Array[ctypes.c_char]) -> bool:
    at_once = struct.pack("@ll", 0, 0)
    try:
        libc().sigtimedwait(signals, info, at_once)
    except BlockingIOError as refused:
        if refused.errno != errno.EAGAIN:
            raise
        return False
    return True


def _sigset(numbers: set[int]) -> ctypes.Array[ctypes.c_char]:
    """``sigset_t``: bit n - 1 of an array of unsigned longs stands for signal n, on every Linux."""
    words = [0] * (_SIGSET_BYTES // 8)
    for number in numbers:
        words[(number - 1) // 64] |= 1 << (number - 1) % 64
    return ctypes.create_string_buffer(struct.pack(f"@{len(words)}Q", *words), _SIGSET_BYTES)
