"""The three commands of bpf(2) that send BPF output into a ring: must match ``union bpf_attr``."""

from __future__ import annotations

import ctypes
import os
import struct

from perfring._libc import check_fits, libc

__all__ = ["map_fd_by_id", "map_fd_by_path", "map_update"]

_BPF_MAP_UPDATE_ELEM = 2
_BPF_OBJ_GET = 7
_BPF_MAP_GET_FD_BY_ID = 14
_BPF_ANY = 0


def _bpf(command: int, attr: bytes) -> int:
    return libc().bpf(command, ctypes.create_string_buffer(attr, len(attr)))


def map_fd_by_id(map_id: int) -> int:
    """A new fd of a map by its id (``bpftool map list``), close-on-exec as all of bpf's.

    Raises:
        OSError: ENOENT, there is no such map; EPERM, CAP_SYS_ADMIN is missing.
    """
    check_fits("map id", map_id, bits=32, signed=False)
    return _bpf(_BPF_MAP_GET_FD_BY_ID, struct.pack("=III", map_id, 0, 0))


def map_fd_by_path(path: str) -> int:
    """A new fd of a map by its pin in bpffs.

    Raises:
        OSError: ENOENT, there is no such pin; EINVAL or EPERM, it is something else.
    """
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(_BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))


def map_update(map_fd: int, key: int, value_fd: int) -> None:
    """Puts a perf fd into slot ``key`` (a CPU) of a perf event array.

    Raises:
        OSError: EBADF, one of the two is no such fd; E2BIG, the array has no such slot.
    """
    for name, number in (("map fd", map_fd), ("key", key), ("value fd", value_fd)):
        check_fits(name, number, bits=32, signed=False)
    slot, value = ctypes.c_uint32(key), ctypes.c_uint32(value_fd)
    attr = struct.pack("=I4xQQQ", map_fd, ctypes.addressof(slot), ctypes.addressof(value), _BPF_ANY)
    _bpf(_BPF_MAP_UPDATE_ELEM, attr)
