"""HEADER_BUILD_ID: what tells the files that samples point into from others of the same name.

A build id is a note in an ELF file, elf(5): PT_NOTE segments hold notes of ``u32 namesz, descsz, type``, name and
content, each padded to 4 bytes; NT_GNU_BUILD_ID is type 3 of the name "GNU". The kernel shows its own notes in
/sys/kernel/notes.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfring.kernel import Kernel

__all__ = ["KERNEL_NAME", "decode_build_ids", "elf_build_id", "encode_build_ids", "kernel_build_id", "note_build_id"]

KERNEL_NAME: Final = "[kernel.kallsyms]"
"""What perf calls the kernel's code."""

_EVENT: Final = struct.Struct("=IHHi20sB3x")
"""struct perf_record_header_build_id: header, pid, build id, its size."""
_TYPE: Final = 67
_KERNEL, _USER, _HAS_SIZE = 1, 2, 1 << 15
_ALIGNED: Final = 64
_LONGEST_ID: Final = 20
_NOTE: Final = struct.Struct("=III")
_GNU, _BUILD_ID = b"GNU\0", 3
_PT_NOTE: Final = 4
_MOST_SEGMENTS: Final = 512
_MOST_NOTES: Final = 1 << 16
_ELF_BYTES: Final = 64


def encode_build_ids(build_ids: Iterable[tuple[str, bytes]]) -> bytes:
    """The section: path and build id of each file; the kernel is `KERNEL_NAME`."""
    return b"".join(_encode(name, build_id) for name, build_id in build_ids)


def _encode(name: str, build_id: bytes) -> bytes:
    raw = name.encode("utf-8", "surrogateescape") + b"\0"
    raw = raw.ljust(-(-len(raw) // _ALIGNED) * _ALIGNED, b"\0")
    mode = _KERNEL if name == KERNEL_NAME else _USER
    head = _EVENT.pack(_TYPE, mode | _HAS_SIZE, _EVENT.size + len(raw), -1, build_id, len(build_id))
    return head + raw


def decode_build_ids(content: bytes) -> list[tuple[str, bytes]]:
    """What `encode_build_ids` wrote, or perf did.

    Raises:
        ValueError: an entry does not fit.
    """
    offset, found = 0, []
    while offset < len(content):
        if len(content) - offset < _EVENT.size:
            raise ValueError(f"{len(content) - offset} bytes, too few for an entry")
        _, misc, size, _, build_id, length = _EVENT.unpack_from(content, offset)
        if size < _EVENT.size or size > len(content) - offset:
            raise ValueError(f"an entry of {size} bytes where {len(content) - offset} are left")
        name = content[offset + _EVENT.size : offset + size].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        found.append((name, build_id[: length if misc & _HAS_SIZE else _LONGEST_ID]))
        offset += size
    return found


def kernel_build_id(kernel: Kernel) -> bytes | None:
    """The running kernel's, or None where it does not show its notes."""
    try:
        return note_build_id(kernel.read_bytes("/sys/kernel/notes"))
    except OSError:
        return None


def note_build_id(notes: bytes) -> bytes | None:
    """The build id among some notes of this machine's byte order; None when there is none, or they make no sense."""
    offset = 0
    while offset + _NOTE.size <= len(notes):
        name_size, size, kind = _NOTE.unpack_from(notes, offset)
        name_at = offset + _NOTE.size
        content_at = name_at + (name_size + 3 & ~3)
        if kind == _BUILD_ID and notes[name_at : name_at + name_size] == _GNU:
            found = notes[content_at : content_at + size]
            return found if 0 < size <= _LONGEST_ID and len(found) == size else None
        offset = content_at + (size + 3 & ~3)
    return None


def elf_build_id(path: str) -> bytes | None:
    """The build id of an ELF file of this machine's byte order; None when it has none, or cannot be read."""
    try:
        # Without blocking: what is mapped may be called like a FIFO by now.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        return _elf_build_id(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except (OSError, struct.error, OverflowError):
        return None
    finally:
        os.close(fd)


def _elf_build_id(fd: int) -> bytes | None:
    head = os.pread(fd, _ELF_BYTES, 0)
    if len(head) < _ELF_BYTES or head[:4] != b"\x7fELF":
        return None
    wide = head[4] == 2
    table, entry_size, count = _program_headers(head, wide=wide)
    entries = os.pread(fd, min(count, _MOST_SEGMENTS) * entry_size, table)
    for at in range(0, len(entries) - entry_size + 1, entry_size or len(entries) + 1):
        kind, offset, size = _segment(entries, at, wide=wide)
        if kind == _PT_NOTE:
            found = note_build_id(os.pread(fd, min(size, _MOST_NOTES), offset))
            if found is not None:
                return found
    return None


def _program_headers(head: bytes, *, wide: bool) -> tuple[int, int, int]:
    """Offset, size of one and count: e_phoff, e_phentsize, e_phnum."""
    (table,) = struct.unpack_from("=Q" if wide else "=I", head, 32 if wide else 28)
    size, count = struct.unpack_from("=HH", head, 54 if wide else 42)
    return table, size, count


def _segment(entries: bytes, at: int, *, wide: bool) -> tuple[int, int, int]:
    """p_type, p_offset and p_filesz."""
    if wide:
        kind, _, offset, _, _, size = struct.unpack_from("=IIQQQQ", entries, at)
    else:
        kind, offset, _, _, size = struct.unpack_from("=IIIII", entries, at)
    return kind, offset, size
