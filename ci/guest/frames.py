"""What travels from a guest to the host over a serial port: named pieces, each with its length and checksum.

A frame is one line, ``%PERFRING name length sha256``, and so many bytes. A guest that panics midway leaves half a
frame, and one that prints to the wrong port leaves text: both are told from results, never taken for them. Runs in the
guest and on the host, and imports nothing of the project.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["BadFrame", "Frame", "FrameReader", "encode"]

_LINE: Final = re.compile(rb"%PERFRING ([\w./-]{1,200}) (\d{1,9}) ([0-9a-f]{64})\n")
_LONGEST_LINE: Final = 300
_SHOWN: Final = 80


class BadFrame(ValueError):
    """The port carried something that is no frame, or a frame that arrived damaged."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece.

    Attributes:
        name: such as ``"checks/status"``.
        data: its bytes, decompressed.
    """

    name: str
    data: bytes


def encode(name: str, data: bytes) -> bytes:
    """A frame's bytes as they go through the port; compressed, for the port is slow.

    Raises:
        ValueError: the name has characters other than letters, digits, ``_ . / -``, or is too long.
    """
    packed = zlib.compress(data)
    line = b"%%PERFRING %s %d %s\n" % (name.encode(), len(packed), hashlib.sha256(packed).hexdigest().encode())
    if not _LINE.fullmatch(line):
        raise ValueError(f"a frame cannot be named {name!r}: 1 to 200 letters, digits and _ . / -")
    return line + packed


class FrameReader:
    """Finds the frames in bytes that come in pieces of any size."""

    def __init__(self) -> None:
        self._pending = b""

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are there."""
        return len(self._pending)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Takes bytes, yields the frames that they complete.

        Raises:
            BadFrame: what arrived is no frame; nothing that follows can be trusted.
        """
        self._pending += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        line, newline, rest = self._pending.partition(b"\n")
        if not newline and len(line) < _LONGEST_LINE:
            return None
        matched = _LINE.fullmatch(line + newline)
        if matched is None:
            raise BadFrame(f"no frame begins with {self._pending[:_SHOWN]!r}")
        name, length = matched[1].decode(), int(matched[2])
        if len(rest) < length:
            return None
        packed, self._pending = rest[:length], rest[length:]
        if hashlib.sha256(packed).hexdigest().encode() != matched[3]:
            raise BadFrame(f"frame {name!r} of {length} bytes arrived damaged")
        return Frame(name, zlib.decompress(packed))
