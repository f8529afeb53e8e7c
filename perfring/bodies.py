"""The bodies of the records that are no samples: from bytes to the attributes of their class.

A body lies between the header and the sample_id trailer (K35). It may be longer than what is read: the header of
perf_event.h promises that new fields come behind the old ones. What stands where, `perfring.abi.RECORD_BODIES` tells:
it is compiled once into the `struct.Struct` of the numbers in front, and what takes the one field behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, TypeAlias

from perfring import abi
from perfring.abi import Field
from perfring.fields import Namespace
from perfring.sideband import SideBand

__all__ = ["attribute_name", "load_body"]

_Values: TypeAlias = tuple[Any, ...]
_Take: TypeAlias = Callable[[Any, _Values, bytes], None]
"""Gives a record what the numbers in front and the bytes behind them say."""

# What the classes call a field otherwise than the header does: to tell it from one that every record has, or in full.
_ATTRIBUTES = {
    abi.PERF_RECORD_MMAP: {"len": "length"},
    abi.PERF_RECORD_MMAP2: {"len": "length"},
    abi.PERF_RECORD_LOST: {"id": "lost_id"},
    abi.PERF_RECORD_READ: {"values": "raw_values"},
    abi.PERF_RECORD_KSYMBOL: {"len": "length", "ksym_type": "symbol_type"},
    abi.PERF_RECORD_BPF_EVENT: {"type": "event_type", "id": "program_id"},
    abi.PERF_RECORD_CGROUP: {"id": "cgroup_id"},
}
# Numbers that only tell how much there is of something else.
_LENGTHS = ("build_id_size", "nr_namespaces", "old_len", "new_len")


def load_body(made: SideBand, body: bytes) -> None:
    """Gives a record what its body says. Its `TYPE` and `misc` tell how the body looks.

    Args:
        made: of a type that `perfring.abi.RECORD_BODIES` knows.
        body: the bytes between header and trailer.

    Raises:
        ValueError or struct.error: the body is too short for its fields.
    """
    _loader(made.TYPE, made.misc)(made, body)


def attribute_name(record_type: int, field: str) -> str | None:
    """What the record's class calls a field of the header's; None for one that only tells a length."""
    return None if field in _LENGTHS else _ATTRIBUTES.get(record_type, {}).get(field, field)


@lru_cache(maxsize=256)
def _loader(record_type: int, misc: int) -> Callable[[SideBand, bytes], None]:
    fields = abi.body_fields(record_type, misc) or ()
    leading = abi.leading_fields(fields)
    head, names = abi.fixed_struct(leading)
    named = tuple((attribute_name(record_type, name), at) for at, name in enumerate(names))
    places = tuple((name, at) for name, at in named if name is not None)
    behind = tuple(
        _taker(field, attribute_name(record_type, field.name) or "", names) for field in fields[len(leading) :]
    )
    unpack, size = head.unpack_from, head.size

    def load(made: SideBand, body: bytes) -> None:
        values = unpack(body)
        for name, at in places:
            setattr(made, name, values[at])
        for take in behind:
            take(made, values, body[size:])

    return load


def _taker(field: Field, name: str, names: tuple[str, ...]) -> _Take:
    """What takes the field behind the numbers, which have these names."""
    if field.format == abi.TAIL:
        return _code(names.index("old_len"), names.index("new_len"))
    if field.format == abi.READ_FORMAT:
        return lambda made, _, data: setattr(made, name, data)
    if field.format != abi.CSTRING:
        return _namespaces(field, names.index(str(field.repeat)))
    if "build_id" in names:
        return _build_id(names.index("build_id_size"), names.index("build_id"), name)
    return lambda made, _, data: setattr(made, name, _text(data))


def _text(data: bytes) -> str:
    """A zero-terminated name; what is no UTF-8 survives as surrogates, as in `os.fsdecode`."""
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _build_id(size_at: int, id_at: int, name: str) -> _Take:
    """The build id of an MMAP2, cut to its own length, besides the file's name."""

    def take(made: Any, values: _Values, data: bytes) -> None:
        size, room = values[size_at], values[id_at]
        if size > len(room):
            raise ValueError(f"a build id of {size} bytes, where {len(room)} is the most")
        made.build_id = room[:size]
        setattr(made, name, _text(data))

    return take


def _namespaces(field: Field, count_at: int) -> _Take:
    link = Struct(f"={field.format}")

    def take(made: Any, values: _Values, data: bytes) -> None:
        count = values[count_at]
        size = count * link.size
        if size > len(data):
            raise ValueError(f"{count} namespaces do not fit into {len(data)} bytes")
        made.namespaces = tuple(map(Namespace._make, link.iter_unpack(data[:size])))

    return take


def _code(old_at: int, new_at: int) -> _Take:
    """The bytes of a TEXT_POKE: the old code, and right behind it the new."""

    def take(made: Any, values: _Values, data: bytes) -> None:
        old, new = values[old_at], values[new_at]
        if old + new > len(data):
            raise ValueError(f"{old} old and {new} new bytes where {len(data)} are left")
        made.old, made.new = data[:old], data[old : old + new]

    return take
