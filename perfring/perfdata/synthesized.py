"""Records that no kernel wrote, as perf makes them: names and mappings of what runs already, and where the kernel is.

They have the form of the kernel's own. Their sample_id trailer is zeros: of no event, and of no time, so that a reader
takes them at once.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from perfring import abi
from perfring.abi import HEADER
from perfring.perfdata.format import UserType
from perfring.sideband import Comm, Mmap2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfring.kernel import Kernel
    from perfring.perfdata.described import FileEvent

__all__ = [
    "FINISHED_ROUND",
    "decode_id_index",
    "encode_id_index",
    "encode_synthesized",
    "kernel_mappings",
    "lost_record",
]

FINISHED_ROUND: Final = HEADER.pack(UserType.FINISHED_ROUND, 0, HEADER.size)
"""PERF_RECORD_FINISHED_ROUND: what is not younger than what the last one has seen can be put in order now."""

_ANY_PID: Final = 0xFFFF_FFFF
_LONGEST: Final = (1 << 16) - 8
_ID_ENTRY: Final = struct.Struct("=QQqq")
_MAP_HEAD: Final = struct.Struct("=IIQQQ")
_MAP2_INODE: Final = struct.Struct("=IIQQII")


def encode_synthesized(records: Iterable[Comm | Mmap2], *, trailer_bytes: int) -> bytes:
    """The records of `perfring.environment` as bytes.

    Args:
        records: each a COMM, or an MMAP2 without a build id.
        trailer_bytes: of the events' sample_id trailer.
    """
    return b"".join(_encode(record, trailer_bytes) for record in records)


def _encode(record: Comm | Mmap2, trailer_bytes: int) -> bytes:
    pid, tid = record.pid or 0, record.tid or 0
    if isinstance(record, Comm):
        body = struct.pack("=II", pid, tid) + _name(record.comm)
        return _framed(record.TYPE, record.misc, body, trailer_bytes)
    body = _MAP_HEAD.pack(pid, tid, record.addr, record.length, record.pgoff)
    body += _MAP2_INODE.pack(record.maj, record.min, record.ino, record.ino_generation, record.prot, record.flags)
    return _framed(record.TYPE, record.misc, body + _name(record.filename), trailer_bytes)


def _name(text: str) -> bytes:
    """With at least one zero behind it, up to a multiple of 8. PATH_MAX bytes fit into any record."""
    raw = text.encode("utf-8", "surrogateescape")
    return raw + bytes(8 - len(raw) % 8)


def _framed(record_type: int, misc: int, body: bytes, trailer_bytes: int) -> bytes:
    return HEADER.pack(record_type, misc, HEADER.size + len(body) + trailer_bytes) + body + bytes(trailer_bytes)


def kernel_mappings(kernel: Kernel, *, trailer_bytes: int) -> bytes:
    """MMAP records of the kernel's code and of its modules, without which perf finds no name for their addresses.

    Nothing where /proc/kallsyms shows no addresses (kernel.kptr_restrict).
    """
    found = [_kernel_text(kernel), *_modules(kernel)]
    return b"".join(_kernel_map(*each, trailer_bytes) for each in found if each is not None)


def _kernel_map(start: int, size: int, pgoff: int, name: str, trailer_bytes: int) -> bytes:
    body = _MAP_HEAD.pack(_ANY_PID, 0, start, size, pgoff) + _name(name)
    return _framed(abi.PERF_RECORD_MMAP, abi.PERF_RECORD_MISC_KERNEL, body, trailer_bytes)


def _kernel_text(kernel: Kernel) -> tuple[int, int, int, str] | None:
    """Where the kernel's code is, and the symbol that tells how far it was moved; None where it is not shown."""
    symbols = _read(kernel, "/proc/kallsyms")
    name = "_text" if _address(symbols, "_text") else "_stext"
    start, end = _address(symbols, name), _address(symbols, "_etext")
    return (start, end - start, start, f"[kernel.kallsyms]{name}") if start and end > start else None


def _address(symbols: bytes, name: str) -> int:
    """Of one symbol of the kernel itself, in lines ``address type name``; 0 where it is not there, or not shown."""
    end = symbols.find(f" {name}\n".encode())
    line = symbols[symbols.rfind(b"\n", 0, max(end, 0)) + 1 : max(end, 0)]
    return int(line.partition(b" ")[0] or b"0", 16)


def _modules(kernel: Kernel) -> Iterator[tuple[int, int, int, str]]:
    for line in _read(kernel, "/proc/modules").splitlines():
        words = line.split()
        address = int(words[5], 16) if len(words) > 5 else 0
        if address:
            yield address, int(words[1]), 0, f"[{words[0].decode('utf-8', 'surrogateescape')}]"


def _read(kernel: Kernel, path: str) -> bytes:
    """Nothing where there is no such file, as in a container, or on a simulated kernel."""
    try:
        return kernel.read_bytes(path)
    except OSError:
        return b""


def encode_id_index(events: Iterable[FileEvent]) -> bytes:
    """PERF_RECORD_ID_INDEX: which CPU and thread each id belongs to; several records where one is too short."""
    entries = [
        _ID_ENTRY.pack(event_id, at, *event.places[event_id])
        for at, event in enumerate(events)
        for event_id in event.ids
        if event_id in event.places
    ]
    most = (_LONGEST - HEADER.size - 8) // _ID_ENTRY.size
    pieces = [entries[start : start + most] for start in range(0, len(entries), most)]
    return b"".join(
        _framed(UserType.ID_INDEX, 0, struct.pack("=Q", len(piece)) + b"".join(piece), 0) for piece in pieces
    )


def decode_id_index(body: bytes) -> dict[int, int]:
    """The CPU of each id in a PERF_RECORD_ID_INDEX, where it has one.

    Args:
        body: the bytes behind the header. perf may have more behind the entries, of guests.

    Raises:
        ValueError, struct.error: it is too short for its entries.
    """
    (count,) = struct.unpack_from("=Q", body)
    if 8 + count * _ID_ENTRY.size > len(body):
        raise ValueError(f"{count} ids do not fit into {len(body)} bytes")
    entries = _ID_ENTRY.iter_unpack(body[8 : 8 + count * _ID_ENTRY.size])
    return {event_id: cpu for event_id, _, cpu, _ in entries if cpu >= 0}


def lost_record(event_id: int, lost: int, *, sample_type: int) -> bytes:
    """PERF_RECORD_LOST for what was lost and never told by a record (K22).

    Args:
        event_id: of the ring's leader.
        lost: how many records.
        sample_type: of the leader, which has PERF_SAMPLE_IDENTIFIER: the id is the last word of the trailer.
    """
    trailer = bytes(abi.sample_id_size(sample_type) - 8) + struct.pack("=Q", event_id)
    body = struct.pack("=QQ", event_id, lost) + trailer
    return _framed(abi.PERF_RECORD_LOST, 0, body, 0)
