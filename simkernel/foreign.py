"""What somebody else wrote: files that may be endless, and values that may be of any size and hold anything."""

from __future__ import annotations

import os
import re
import reprlib
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["plain", "read_text", "shown", "unprintable"]

_MOST_SHOWN: Final = 80
_MOST_BITS: Final = 256


def read_text(path: str | Path, *, most: int) -> str:
    """The text of a file, decompressed when its name ends in ``.gz``; never more of it than a limit is held in memory.

    Args:
        path: the file.
        most: bytes of text that it may have.

    Raises:
        ValueError: it is larger, also when a few bytes decompress to more; or no UTF-8, or no gzip. The text tells
            what is wrong, and not of which file.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = _decompressed(file, most) if os.fspath(path).endswith(".gz") else file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as wrong:
        raise ValueError(f"it is no text in UTF-8: byte {wrong.start} is 0x{data[wrong.start]:02x}") from None


def _decompressed(file: IO[bytes], most: int) -> bytes:
    import gzip  # what every test of a user's imports need not pay for
    import zlib

    try:
        with gzip.GzipFile(fileobj=file) as whole:
            return whole.read(most + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as broken:
        raise ValueError(f"it is damaged, or no gzip: {broken}") from None


class _Short(reprlib.Repr):
    """Of a whole number, which may have more digits than `repr` is ready to write, the size will do."""

    def repr_int(self, value: int, _: int) -> str:
        """For `reprlib.Repr.repr1`."""
        return repr(value) if value.bit_length() <= _MOST_BITS else f"a number of {value.bit_length()} bits"


_SHORT: Final = _Short()
_SHORT.maxstring = _SHORT.maxother = _MOST_SHOWN
_SHORT.maxlevel = 3


def shown(value: object) -> str:
    """A value for an error: as `repr` has it, and so without control characters, but never longer than a line."""
    return _SHORT.repr(value)


_UNPRINTED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters but tabs and line ends, halves of characters, and what turns the direction of a line round."""


def unprintable(text: str) -> str:
    """The first character of a text that does things to a terminal; empty when there is none."""
    found = _UNPRINTED.search(text)
    return found[0] if found else ""


def plain(text: str) -> str:
    """A text for a terminal: characters that would do something to it are spelled, ESC as a backslash and x1b."""
    return _UNPRINTED.sub(lambda found: ascii(found[0])[1:-1], text)
