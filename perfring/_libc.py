"""The system calls that Python has no function for, over one libc with declared argument types.

Nothing here runs at import, so that perfring imports on macOS and Windows as well.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct
import sys
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_ulong, c_void_p
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perfring.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Libc", "SyscallNumbers", "check_fits", "libc", "syscall_numbers"]


_PR_SET_NAME: Final = 15  # linux/prctl.h
_PR_GET_NAME: Final = 16


class SyscallNumbers(NamedTuple):
    """Numbers of the calls that libc has no wrapper for (``asm/unistd.h``)."""

    perf_event_open: int
    bpf: int
    membarrier: int


_NUMBERS: Final[dict[str, SyscallNumbers]] = {
    "x86_64": SyscallNumbers(298, 321, 324),
    "aarch64": SyscallNumbers(241, 280, 283),
    "riscv64": SyscallNumbers(241, 280, 283),
    "ppc64le": SyscallNumbers(319, 361, 365),
    "s390x": SyscallNumbers(331, 351, 356),
}


def syscall_numbers(machine: str, *, pointer_bytes: int = 8) -> SyscallNumbers:
    """The numbers for an architecture as ``uname -m`` names it.

    Raises:
        Unsupported: The architecture is unknown, or the process is a 32-bit one, whose numbers and
            structures differ from what the kernel's name for the machine suggests.
    """
    if pointer_bytes != 8:
        raise Unsupported(f"perfring needs a 64-bit Python, this one has {pointer_bytes * 8}-bit pointers")
    if machine not in _NUMBERS:
        known = ", ".join(_NUMBERS)
        raise Unsupported(
            f"no system call numbers for {machine!r}; known are {known}. simkernel.SimKernel runs anywhere"
        )
    return _NUMBERS[machine]


def check_fits(name: str, value: int, *, bits: int, signed: bool) -> int:
    """Refuses an int that ctypes would cut to its low bits (pid 2**32 would become pid 0)."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise ValueError(f"{name}={value} must be between {low} and {high}")
    return value


def _call(function: Callable[..., int], *arguments: object) -> int:
    """Calls; turns -1 into OSError with the errno of this thread; repeats after EINTR as PEP 475 does."""
    while True:
        result = function(*arguments)
        if result != -1:
            return result
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


_MAP_FAILED: Final = c_void_p(-1).value


class Libc:
    """libc with explicit types; each method raises OSError with the kernel's errno.

    Buffers are ctypes objects or addresses; the caller keeps them alive and large enough.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise Unsupported(
                f"LinuxKernel needs Linux, this is {sys.platform}; simkernel.SimKernel runs the same programs anywhere"
            )
        numbers = syscall_numbers(platform.machine(), pointer_bytes=struct.calcsize("P"))
        self._library = ctypes.CDLL(None, use_errno=True)
        address, size, number, word, mask = c_void_p, c_size_t, c_int, c_long, c_ulong
        self._mmap = self._bind("mmap", address, address, size, number, number, number, word)
        self._munmap = self._bind("munmap", number, address, size)
        self._ioctl = self._bind("ioctl", number, number, mask, address)
        self._prctl = self._bind("prctl", number, number, c_char_p, mask, mask, mask)
        self._sigtimedwait = self._bind("sigtimedwait", number, address, address, address)
        self._open_event = self._bind_syscall(numbers.perf_event_open, address, number, number, number, mask)
        self._bpf = self._bind_syscall(numbers.bpf, number, address, c_uint)
        self._membarrier = self._bind_syscall(numbers.membarrier, number, c_uint, number)

    def _bind(self, name: str, result: type[Any], *arguments: type[Any]) -> Callable[..., int]:
        # A prototype of its own: an attribute of the library has room for one signature of syscall(2) only.
        function: Callable[..., int] = ctypes.CFUNCTYPE(result, *arguments, use_errno=True)((name, self._library))
        return function

    def _bind_syscall(self, number: int, *arguments: type[Any]) -> Callable[..., int]:
        return functools.partial(self._bind("syscall", c_long, c_long, *arguments), number)

    def perf_event_open(self, attr: ctypes.Array[ctypes.c_char], pid: int, cpu: int, group_fd: int, flags: int) -> int:
        """perf_event_open(2)."""
        return _call(self._open_event, attr, pid, cpu, group_fd, flags)

    def mmap(self, length: int, protection: int, flags: int, fd: int, offset: int) -> int:
        """mmap(2): the address. Python's own mmap duplicates the fd and so keeps the event alive."""
        address = self._mmap(None, length, protection, flags, fd, offset)
        if address == _MAP_FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return address

    def munmap(self, address: int, length: int) -> None:
        """munmap(2)."""
        _call(self._munmap, address, length)

    def ioctl(self, fd: int, request: int, argument: object) -> int:
        """ioctl(2) with an address or a number as its argument."""
        return _call(self._ioctl, fd, request, argument)

    def bpf(self, command: int, attr: ctypes.Array[ctypes.c_char]) -> int:
        """bpf(2)."""
        return _call(self._bpf, command, attr, len(attr))

    def membarrier(self, command: int) -> int:
        """membarrier(2) without flags."""
        return _call(self._membarrier, command, 0, 0)

    def set_thread_name(self, name: bytes) -> None:
        """prctl(2) PR_SET_NAME for the calling thread; the kernel keeps the first 15 bytes."""
        _call(self._prctl, _PR_SET_NAME, name, 0, 0, 0)

    def thread_name(self) -> bytes:
        """prctl(2) PR_GET_NAME of the calling thread."""
        buffer = ctypes.create_string_buffer(16)
        _call(self._prctl, _PR_GET_NAME, buffer, 0, 0, 0)
        return buffer.value

    def sigtimedwait(self, signals: object, info: object, timeout: object) -> int:
        """sigtimedwait(2): the number of the signal taken."""
        return _call(self._sigtimedwait, signals, info, timeout)


@functools.cache
def libc() -> Libc:
    """The one `Libc` of this process."""
    return Libc()
