"""The ioctl requests of a perf event fd, encoded as the running architecture encodes them.

``asm-generic/ioctl.h`` packs direction, size of the argument, a letter and a number into 32 bits.
Most architectures spend 14 bits on the size and 2 on the direction (none 0, write 1, read 2);
powerpc, mips, sparc and alpha spend 13 and 3 and number the directions 1, 4 and 2 (their own
``asm/ioctl.h``). So ``PERF_EVENT_IOC_ENABLE`` is 0x2400 on x86-64 and 0x20002400 on ppc64le.

"Write" and "read" are seen from the program: ``_IOW`` means that the kernel reads. The argument
sizes are those of the header, which encodes the size of a pointer where it passes an array.
"""

from __future__ import annotations

import platform
import struct

# fmt: off
__all__ = [
    "PERF_EVENT_IOC_DISABLE", "PERF_EVENT_IOC_ENABLE", "PERF_EVENT_IOC_ID",
    "PERF_EVENT_IOC_MODIFY_ATTRIBUTES", "PERF_EVENT_IOC_PAUSE_OUTPUT", "PERF_EVENT_IOC_PERIOD",
    "PERF_EVENT_IOC_QUERY_BPF", "PERF_EVENT_IOC_REFRESH", "PERF_EVENT_IOC_RESET",
    "PERF_EVENT_IOC_SET_BPF", "PERF_EVENT_IOC_SET_FILTER", "PERF_EVENT_IOC_SET_OUTPUT",
    "PERF_IOC_FLAG_GROUP", "ioctl_request",
]
# fmt: on

_WIDE_DIRECTION = ("ppc", "powerpc", "mips", "sparc", "alpha")


def ioctl_request(direction: str, number: int, size: int, *, machine: str | None = None) -> int:
    """Encode one perf ioctl, as ``_IO``, ``_IOR``, ``_IOW`` and ``_IOWR`` of ``linux/ioctl.h`` do.

    Args:
        direction: "" for ``_IO``, else "r", "w" or "rw", seen from the program.
        number: The number of the request in perf's own series, 0..255.
        size: ``sizeof`` the argument in bytes, below 8192.
        machine: An architecture as ``uname -m`` names it; None means this machine.

    Raises:
        ValueError: The direction is unknown, or number or size do not fit their bits.
    """
    if direction not in ("", "r", "w", "rw"):
        raise ValueError(f"ioctl direction must be '', 'r', 'w' or 'rw', not {direction!r}")
    if not 0 <= number <= 0xFF:
        raise ValueError(f"ioctl number must fit in 8 bits, not {number}")
    if not 0 <= size < 1 << 13:
        raise ValueError(f"ioctl argument size must be below 8192 bytes, not {size}")
    wide = (machine or platform.machine()).lower().startswith(_WIDE_DIRECTION)
    none, read, write, shift = (1, 2, 4, 29) if wide else (0, 2, 1, 30)
    bits = (read if "r" in direction else 0) | (write if "w" in direction else 0)
    return (bits or none) << shift | size << 16 | ord("$") << 8 | number


_POINTER = struct.calcsize("P")

PERF_EVENT_IOC_ENABLE = ioctl_request("", 0, 0)
PERF_EVENT_IOC_DISABLE = ioctl_request("", 1, 0)
PERF_EVENT_IOC_REFRESH = ioctl_request("", 2, 0)
PERF_EVENT_IOC_RESET = ioctl_request("", 3, 0)
PERF_EVENT_IOC_PERIOD = ioctl_request("w", 4, 8)
PERF_EVENT_IOC_SET_OUTPUT = ioctl_request("", 5, 0)
PERF_EVENT_IOC_SET_FILTER = ioctl_request("w", 6, _POINTER)
PERF_EVENT_IOC_ID = ioctl_request("r", 7, _POINTER)
PERF_EVENT_IOC_SET_BPF = ioctl_request("w", 8, 4)
PERF_EVENT_IOC_PAUSE_OUTPUT = ioctl_request("w", 9, 4)
PERF_EVENT_IOC_QUERY_BPF = ioctl_request("rw", 10, _POINTER)
PERF_EVENT_IOC_MODIFY_ATTRIBUTES = ioctl_request("w", 11, _POINTER)

# The argument of ENABLE, DISABLE and RESET: apply it to the whole group.
PERF_IOC_FLAG_GROUP = 1 << 0
