"""The contents of the features, both ways: must match ``write_*`` and ``process_*`` of perf's util/header.c."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from perfring.perfdata.described import FileEvent, FileFeatures
from perfring.perfdata.format import Feature

__all__ = [
    "MOST_EVENTS",
    "READABLE_FEATURES",
    "decode_event_desc",
    "decode_feature",
    "encode_event_desc",
    "encode_features",
]

_U32: Final = struct.Struct("=I")
_U64: Final = struct.Struct("=Q")
MOST_EVENTS: Final = 1 << 14
"""Of a file that is not damaged."""
_ALIGNED: Final = 64
"""NAME_ALIGN: perf pads its strings with zeros up to a multiple."""


# Writing.


def encode_features(features: FileFeatures) -> dict[Feature, bytes]:
    """The content of each feature that is known."""
    encoded: dict[Feature, bytes] = {}
    for feature, (name, encode, _) in _CODECS.items():
        value = getattr(features, name)
        if value is not None and value != ():
            encoded[feature] = encode(value)
    return encoded


def encode_event_desc(events: Sequence[FileEvent], attr_bytes: int) -> bytes:
    """HEADER_EVENT_DESC: each event once more, with its name.

    Args:
        events: in the order of the attrs.
        attr_bytes: of each attr.
    """
    parts = [_U32.pack(len(events)), _U32.pack(attr_bytes)]
    for event in events:
        attr = event.attr.copy(size=attr_bytes).pack()
        ids = struct.pack(f"={len(event.ids)}Q", *event.ids)
        parts += [attr, _U32.pack(len(event.ids)), _string(event.name), ids]
    return b"".join(parts)


def _string(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0"
    padded = raw.ljust(-(-len(raw) // _ALIGNED) * _ALIGNED, b"\0")
    return _U32.pack(len(padded)) + padded


def _strings(texts: Sequence[str]) -> bytes:
    return _U32.pack(len(texts)) + b"".join(map(_string, texts))


# Reading. What is cut off raises struct.error or ValueError.


def decode_feature(feature: Feature, content: bytes) -> dict[str, Any]:
    """The attribute of `FileFeatures` that a feature tells, and its value.

    Args:
        feature: one of `READABLE_FEATURES`.
        content: its section.

    Raises:
        struct.error, ValueError: the content is too short for what it says is in it.
    """
    name, _, decode = _CODECS[feature]
    return {name: decode(content)}


def decode_event_desc(content: bytes) -> list[tuple[str, tuple[int, ...]]]:
    """HEADER_EVENT_DESC: name and ids of each event, in the order of the attrs.

    Raises:
        struct.error, ValueError: the content is too short for what it says is in it.
    """
    count, attr_bytes = _U32.unpack_from(content, 0)[0], _U32.unpack_from(content, 4)[0]
    if count > MOST_EVENTS:
        raise ValueError(f"{count} events, where {MOST_EVENTS} are the most")
    offset, found = 8, []
    for _ in range(count):
        (ids,) = _U32.unpack_from(content, offset + attr_bytes)
        name, offset = _take_string(content, offset + attr_bytes + 4)
        found.append((name, _take_ids(content, offset, ids)))
        offset += 8 * ids
    return found


def _take_ids(content: bytes, offset: int, count: int) -> tuple[int, ...]:
    # Before a format of that length is made: the count of a damaged file may be 2**32 - 1.
    if 8 * count > len(content) - offset:
        raise ValueError(f"{count} ids do not fit into the {max(0, len(content) - offset)} bytes that are left")
    return struct.unpack_from(f"={count}Q", content, offset)


def _take_string(content: bytes, offset: int) -> tuple[str, int]:
    (size,) = _U32.unpack_from(content, offset)
    start, end = offset + 4, offset + 4 + size
    if end > len(content):
        raise ValueError(f"a text of {size} bytes where {len(content) - start} are left")
    return content[start:end].partition(b"\0")[0].decode("utf-8", "surrogateescape"), end


def _take_strings(content: bytes) -> tuple[str, ...]:
    (count,) = _U32.unpack_from(content, 0)
    offset, found = 4, []
    for _ in range(count):
        text, offset = _take_string(content, offset)
        found.append(text)
    return tuple(found)


def _one_string(content: bytes) -> str:
    return _take_string(content, 0)[0]


_Codec = tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]


def _numbers(code: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    pair = struct.Struct(code)
    return lambda value: pair.pack(*value), pair.unpack_from


def _number() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    return _U64.pack, lambda content: _U64.unpack_from(content)[0]


_CODECS: Final[dict[Feature, _Codec]] = {
    Feature.HOSTNAME: ("hostname", _string, _one_string),
    Feature.OSRELEASE: ("release", _string, _one_string),
    Feature.VERSION: ("version", _string, _one_string),
    Feature.ARCH: ("arch", _string, _one_string),
    Feature.NRCPUS: ("cpus", *_numbers("=II")),
    Feature.CPUDESC: ("cpu_description", _string, _one_string),
    Feature.TOTAL_MEM: ("memory_kib", *_number()),
    Feature.CMDLINE: ("command", _strings, _take_strings),
    Feature.SAMPLE_TIME: ("times", *_numbers("=QQ")),
    Feature.CLOCKID: ("clock_resolution", *_number()),
}

READABLE_FEATURES: Final = frozenset(_CODECS)
"""Those that `decode_feature` understands."""
