"""The bodies of the records that tell of tasks: pure functions from what happened to bytes (K35)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simkernel.tasks import Task, VirtualMapping

__all__ = ["comm_body", "mmap2_body", "mmap_body", "namespaces_body", "read_body", "switch_body", "task_body"]

# Where namespaces live and their inodes, in the order of the record: net, uts, ipc, pid, user, mnt, cgroup.
_NAMESPACES = (0xF0000098, 0xEFFFFFFE, 0xEFFFFFFF, 0xEFFFFFFC, 0xEFFFFFFD, 0xF0000000, 0xEFFFFFFB)
_NSFS_DEVICE = 4


def _string(text: str) -> bytes:
    """A C string, padded to a multiple of 8 with zeros."""
    raw = text.encode("utf-8", "surrogateescape") + b"\0"
    return raw + bytes(-len(raw) % 8)


def comm_body(task: Task) -> bytes:
    """PERF_RECORD_COMM."""
    return struct.pack("=II", task.pid, task.pid) + _string(task.comm)


def mmap_body(task: Task, mapping: VirtualMapping) -> bytes:
    """PERF_RECORD_MMAP."""
    place = struct.pack("=IIQQQ", task.pid, task.pid, mapping.start, mapping.length, mapping.pgoff)
    return place + _string(mapping.path)


def mmap2_body(task: Task, mapping: VirtualMapping) -> bytes:
    """PERF_RECORD_MMAP2, with device and inode."""
    return (
        struct.pack("=IIQQQ", task.pid, task.pid, mapping.start, mapping.length, mapping.pgoff)
        + struct.pack("=IIQQII", mapping.major, mapping.minor, mapping.inode, 0, mapping.prot, mapping.flags)
        + _string(mapping.path)
    )


def task_body(task: Task, parent: int, time: int) -> bytes:
    """PERF_RECORD_FORK and PERF_RECORD_EXIT."""
    return struct.pack("=IIIIQ", task.pid, parent, task.pid, parent, time)


def switch_body(other: Task) -> bytes:
    """PERF_RECORD_SWITCH_CPU_WIDE: who comes next, or was before. PERF_RECORD_SWITCH has no body."""
    return struct.pack("=II", other.pid, other.pid)


def namespaces_body(task: Task) -> bytes:
    """PERF_RECORD_NAMESPACES."""
    pairs = [number for inode in _NAMESPACES for number in (_NSFS_DEVICE, inode)]
    return struct.pack(f"=IIQ{len(pairs)}Q", task.pid, task.pid, len(_NAMESPACES), *pairs)


def read_body(task: Task, values: bytes) -> bytes:
    """PERF_RECORD_READ: what a child counted, in the read_format of its event."""
    return struct.pack("=II", task.pid, task.pid) + values
