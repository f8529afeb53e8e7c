r"""HEADER_TRACING_DATA: the formats of the tracepoints, as ``trace-cmd`` and perf keep them.

Must match perf's util/trace-event-info.c, version 0.6::

    17 08 44 "tracing" "0.6\0"  u8 endian  u8 sizeof(long)  u32 page size
    "header_page\0" u64 n, n bytes   "header_event\0" u64 n, n bytes
    u32 count of ftrace's own formats, each u64 n, n bytes
    u32 count of systems, each: name\0, u32 count of events, each u64 n, n bytes
    u32 n, kallsyms   u32 n, printk formats   u64 n, saved command lines
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Final

from perfring.tracefs import find_tracefs, parse_format, split_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfring.kernel import Kernel
    from perfring.tracefs import TracepointFormat

__all__ = ["collect_tracing_data", "decode_tracing_data", "encode_tracing_data"]

_MAGIC: Final = b"\x17\x08\x44tracing"
_U32: Final = struct.Struct("=I")
_U64: Final = struct.Struct("=Q")
_LONG: Final = 8
_MOST_FORMATS: Final = 1 << 14
"""More than any kernel has."""
_PARTS: Final = ("header_page", "header_event")


def collect_tracing_data(kernel: Kernel, names: Iterable[str]) -> bytes:
    """What perf needs to print these tracepoints, read from tracefs.

    Args:
        kernel: whose tracefs.
        names: each ``system:event``.

    Raises:
        TracepointNotFound, PermissionDenied: tracefs is not there, or not readable.
        OSError: a format file cannot be read.
    """
    events = f"{find_tracefs(kernel)}/events"
    formats: dict[str, list[bytes]] = {}
    for name in names:
        system, event = split_name(name)
        formats.setdefault(system, []).append(kernel.read_bytes(f"{events}/{system}/{event}/format"))
    heads = [_read_or_nothing(kernel, f"{events}/{part}") for part in _PARTS]
    return encode_tracing_data(formats, heads=heads, page_size=kernel.page_size)


def _read_or_nothing(kernel: Kernel, path: str) -> bytes:
    """Nothing is what readers take for a kernel that is too old to have the file; perf's records need neither."""
    try:
        return kernel.read_bytes(path)
    except OSError:
        return b""


def encode_tracing_data(
    formats: dict[str, list[bytes]], *, heads: Iterable[bytes] = (b"", b""), page_size: int = 4096
) -> bytes:
    """The section.

    Args:
        formats: the ``format`` files by system.
        heads: the files header_page and header_event; empty where they are not known.
        page_size: bytes.
    """
    order = 0 if sys.byteorder == "little" else 1
    parts = [_MAGIC, b"0.6\0", bytes((order, _LONG)), _U32.pack(page_size)]
    for name, content in zip(_PARTS, heads, strict=True):
        parts += [name.encode() + b"\0", _U64.pack(len(content)), content]
    parts += [_U32.pack(0), _U32.pack(len(formats))]
    for system, files in formats.items():
        parts += [system.encode() + b"\0", _U32.pack(len(files))]
        for content in files:
            parts += [_U64.pack(len(content)), content]
    return b"".join((*parts, _U32.pack(0), _U32.pack(0), _U64.pack(0)))


def decode_tracing_data(content: bytes) -> dict[int, TracepointFormat | str]:
    """The formats in the section, by the tracepoint's id; in place of one that makes no sense, why.

    Raises:
        struct.error, ValueError: it is cut off, or no such section, or of another byte order.
    """
    source = _Source(content)
    if source.take(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not begin as tracing data does")
    source.text()
    if source.take(1)[0] != (0 if sys.byteorder == "little" else 1):
        raise ValueError("it is of a machine with another byte order")
    source.take(1 + _U32.size)
    for _ in _PARTS:
        source.text()
        source.file()
    for _ in range(source.number(_U32)):
        source.file()
    return dict(_formats(source))


def _formats(source: _Source) -> Iterator[tuple[int, TracepointFormat | str]]:
    room = _MOST_FORMATS
    for _ in range(source.number(_U32)):
        system = source.text()
        for _ in range(source.number(_U32)):
            room -= 1
            if room < 0:
                raise ValueError(f"more than {_MOST_FORMATS} formats")
            text = source.file().decode("utf-8", "replace")
            try:
                found = parse_format(text, system=system)
            except (ValueError, struct.error, OverflowError) as error:
                yield -1, f"{system}: {error}"
            else:
                yield found.id, found


class _Source:
    """Takes one thing after the other. ValueError where the section ends before."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._offset = 0

    def take(self, size: int) -> bytes:
        start, end = self._offset, self._offset + size
        if end > len(self._content):
            raise ValueError(f"{size} bytes where {len(self._content) - start} are left")
        self._offset = end
        return self._content[start:end]

    def number(self, form: struct.Struct) -> int:
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def file(self) -> bytes:
        return self.take(self.number(_U64))

    def text(self) -> str:
        end = self._content.find(b"\0", self._offset)
        if end < 0:
            raise ValueError("a text without an end")
        return self.take(end + 1 - self._offset)[:-1].decode("utf-8", "replace")
