"""The format of one tracepoint, and the decoding of its raw data (PERF_SAMPLE_RAW).

The kernel describes each tracepoint in a ``format`` file of tracefs: where every field lies in the raw data, how long
it is and of which C type. From that a decoder is compiled once: one `struct.Struct` over all fields, and a function for
each field that is more than a number.

What a C type becomes:

    integers, enums, pointers              int
    bool                                   bool
    char[N], __data_loc char[]             str, up to the first NUL, undecodable bytes as surrogates
    u8[N], unsigned char[N]                bytes
    other arrays of integers or pointers   tuple of int
    anything else (a struct by value)      bytes

Strings and arrays of no fixed length lie behind the fixed part. Their field holds one u32: offset in the low half,
length in bytes in the high half; ``__data_loc`` counts the offset from the start of the raw data, ``__rel_loc`` from
the end of that u32. Raw data from perf is padded to a multiple of 8 less 4: there can be bytes behind the last field.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from perfring.errors import RawDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["TracepointField", "TracepointFormat", "Value", "parse_format"]

Value: TypeAlias = int | str | bytes | tuple[int, ...]
"""What a field can decode to; a bool is an int."""

_Raw: TypeAlias = bytes | bytearray | memoryview

_FIELD = re.compile(r"\s*field:([^;]+);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:(-?\d+);)?")
_DECLARATION = re.compile(r"(?P<type>.*?)\s*\b(?P<name>\w+)(?P<array>(?:\[[^]]*\])*)")
_ARRAY = re.compile(r"(?P<element>.*?)\s*\[(?P<count>[^]]*)\]$")
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_LONG = struct.calcsize("l")
_ELEMENT_BYTES = {
    **dict.fromkeys(
        ("char", "signed char", "unsigned char", "u8", "s8", "__u8", "__s8", "uint8_t", "int8_t", "bool"), 1
    ),
    **dict.fromkeys(("short", "unsigned short", "u16", "s16", "__u16", "__s16", "uint16_t", "int16_t"), 2),
    **dict.fromkeys(("int", "unsigned int", "unsigned", "u32", "s32", "__u32", "__s32", "uint32_t", "int32_t"), 4),
    **dict.fromkeys(("long long", "unsigned long long", "u64", "s64", "__u64", "__s64", "uint64_t", "int64_t"), 8),
    **dict.fromkeys(("long", "unsigned long", "cpumask_t"), _LONG),
}
"""Needed only where the format does not say it: arrays whose length is not a number in the file."""


class TracepointField(NamedTuple):
    """One field, as the format file declares it.

    Attributes:
        name: as in ``prev_comm``.
        type: the C type, the array behind it: ``char[16]``, ``__data_loc char[]``, ``const char *``.
        offset: where in the raw data, in bytes.
        size: how many bytes; for a dynamic field those of the u32 that tells where the data is.
        signed: whether its integers are.
    """

    name: str
    type: str
    offset: int
    size: int
    signed: bool

    @property
    def dynamic(self) -> bool:
        """Whether the data lies behind the fixed part."""
        return self.type.startswith(("__data_loc ", "__rel_loc "))

    @property
    def flexible(self) -> bool:
        """Whether the data begins at `offset` and reaches to the end: an array without a length."""
        return not self.size

    @property
    def item(self) -> str:
        """What the field holds, or each element of an array, as a `struct` code; "" when it is just bytes.

        "s" is text: the bytes of an array of char, which count up to the first NUL.
        """
        # What has no fixed length is an array, also where its type does not say so: ``__data_loc cpumask_t``.
        if not (self.array or self.dynamic or self.flexible):
            return _scalar_code(self)
        element, count = _element(self)
        if element == "char":
            return "s"
        size = _element_bytes(element, count, self)
        return "" if size == 1 and not self.signed else _integer_code(size, signed=self.signed) or ""

    @property
    def array(self) -> bool:
        """Whether it is an array, of fixed length or not."""
        return _ARRAY.match(self.type) is not None


class TracepointFormat:
    """A tracepoint's fields and the decoder compiled from them. Immutable.

    Attributes:
        system: the first half of its name: ``sched``.
        event: the second half: ``sched_switch``.
        id: what goes into `attr.config` of a PERF_TYPE_TRACEPOINT event. Not the same after a reboot.
        fields: the tracepoint's own fields, in the order of their offsets.
        common: the fields that every tracepoint has: ``common_type``, ``common_flags``, ``common_preempt_count`` and
            ``common_pid``.
        print_format: the kernel's own way to print it, unparsed.
    """

    def __init__(
        self, *, system: str, event: str, id: int, fields: Iterable[TracepointField], print_format: str = ""
    ) -> None:
        every = sorted(fields, key=lambda field: field.offset)
        self.system = system
        self.event = event
        self.id = id
        self.fields = tuple(field for field in every if not field.name.startswith("common_"))
        self.common = tuple(field for field in every if field.name.startswith("common_"))
        self.print_format = print_format
        self._own = _Decoder(self.name, self.fields)
        self._common = _Decoder(self.name, self.common)
        self._single = {field.name: _Decoder(self.name, (field,)) for field in every}

    @property
    def name(self) -> str:
        """``system:event``."""
        return f"{self.system}:{self.event}"

    def __repr__(self) -> str:
        return f"<TracepointFormat {self.name} id={self.id} fields={[field.name for field in self.fields]}>"

    def decode(self, raw: _Raw) -> dict[str, Value]:
        """All fields of the tracepoint by name, in their order in memory, without the common ones.

        Args:
            raw: the raw data of one sample, without the u32 size before it; longer than the format says is fine.

        Raises:
            RawDataError: it is shorter than the format says; the text names the field.
        """
        return self._own.decode(raw)

    def decode_common(self, raw: _Raw) -> dict[str, Value]:
        """The ``common_*`` fields by name; raises as `decode`."""
        return self._common.decode(raw)

    def value(self, raw: _Raw, field: str) -> Value:
        """One field, common or not, without decoding the others; raises as `decode`.

        Raises:
            KeyError: the tracepoint has no such field.
        """
        decoder = self._single.get(field)
        if decoder is None:
            raise KeyError(f"{self.name} has no field {field!r}; it has {', '.join(self._single)}")
        return decoder.only(raw)


class _Decoder:
    """The compiled part: `unpack_from` over everything, then what must be made of single values."""

    def __init__(self, tracepoint: str, fields: tuple[TracepointField, ...]) -> None:
        self._tracepoint = tracepoint
        self._fields = fields
        self._names = tuple(field.name for field in fields)
        self._unpack = struct.Struct(_layout(tracepoint, fields)).unpack_from
        self._converters = [(field.name, convert) for field in fields if (convert := _converter(field))]
        self._locators = [(field, _contents(field)) for field in fields if field.dynamic or field.flexible]

    def decode(self, raw: _Raw) -> dict[str, Value]:
        try:
            values: dict[str, Value] = dict(zip(self._names, self._unpack(raw), strict=True))
        except struct.error:
            raise self._too_short(raw) from None
        for name, convert in self._converters:
            values[name] = convert(values[name])
        for field, contents in self._locators:
            values[field.name] = contents(self._locate(field, values[field.name], raw))
        return values

    def only(self, raw: _Raw) -> Value:
        """The value of a decoder of one field, without a dict around it."""
        if self._locators:
            return self.decode(raw)[self._names[0]]
        try:
            (value,) = self._unpack(raw)
        except struct.error:
            raise self._too_short(raw) from None
        for _, convert in self._converters:
            value = convert(value)
        found: Value = value
        return found

    def _locate(self, field: TracepointField, word: Any, raw: _Raw) -> bytes:
        if not field.dynamic:  # a flexible array reaches to the end
            return bytes(raw[field.offset :])
        start, length = word & 0xFFFF, word >> 16
        if field.type.startswith("__rel_loc"):
            start += field.offset + field.size
        if start + length > len(raw):
            raise self._outside(field, start, start + length, raw)
        return bytes(raw[start : start + length])

    def _too_short(self, raw: _Raw) -> RawDataError:
        field = next(field for field in self._fields if field.offset + field.size > len(raw))
        return self._outside(field, field.offset, field.offset + field.size, raw)

    def _outside(self, field: TracepointField, start: int, end: int, raw: _Raw) -> RawDataError:
        where = f"the field {field.name!r} is bytes {start} to {end} of the raw data, which has {len(raw)}"
        return RawDataError(f"{self._tracepoint}: {where}", tracepoint=self._tracepoint, field=field.name)


def _layout(tracepoint: str, fields: tuple[TracepointField, ...]) -> str:
    """The struct format of the fixed part; what lies between the fields is skipped."""
    parts, position = ["="], 0
    for field in fields:
        if field.offset < position:
            raise ValueError(f"{tracepoint}: the field {field.name!r} at {field.offset} lies inside the one before it")
        parts.append(f"{field.offset - position}x{_code(field)}")
        position = field.offset + field.size
    return "".join(parts)


def _code(field: TracepointField) -> str:
    if field.array and not field.dynamic:
        return f"{field.size}s"
    return _scalar_code(field) or f"{field.size}s"


def _scalar_code(field: TracepointField) -> str:
    """The struct code of a number, or "" of a struct by value."""
    if field.type == "bool" and field.size == 1:
        return "?"
    return _integer_code(field.size, signed=field.signed) or ""


def _integer_code(size: int, *, signed: bool) -> str | None:
    code = _CODES.get(size)
    return code if signed or code is None else code.upper()


def _converter(field: TracepointField) -> Callable[[Any], Value] | None:
    """What makes the bytes of an array of fixed length into its value; None where struct has done all."""
    if field.dynamic or field.flexible or not field.array:
        return None
    contents = _contents(field)
    return None if contents is bytes else contents


def _contents(field: TracepointField) -> Callable[[bytes], Value]:
    """What makes the bytes of an array into its value."""
    element, count = _element(field)
    if element == "char":
        return _text
    size = _element_bytes(element, count, field)
    if size == 1 and not field.signed:
        return bytes
    code = _integer_code(size, signed=field.signed)
    return bytes if code is None else _integers(code, size)


def _element(field: TracepointField) -> tuple[str, str]:
    """The element's type and the array's length as written; ``""`` where there is none."""
    plain = field.type.removeprefix("__data_loc ").removeprefix("__rel_loc ").removeprefix("const ")
    array = _ARRAY.match(plain)
    return (array["element"], array["count"]) if array else (plain, "")


def _element_bytes(element: str, count: str, field: TracepointField) -> int:
    """0 when it cannot be known."""
    if count.isdigit() and int(count) and not field.dynamic:
        return field.size // int(count)
    if element.endswith("*"):
        return _LONG
    return _ELEMENT_BYTES.get(element, 0)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _integers(code: str, size: int) -> Callable[[bytes], tuple[int, ...]]:
    def unpack(data: bytes) -> tuple[int, ...]:
        return struct.unpack(f"={len(data) // size}{code}", data[: len(data) - len(data) % size])

    return unpack


def parse_format(text: str, *, system: str) -> TracepointFormat:
    """Reads a ``format`` file of tracefs.

    Args:
        text: the whole file.
        system: the directory it comes from, which the file does not name.

    Raises:
        ValueError: it is not such a file.
    """
    head, _, print_format = text.partition("\nprint fmt: ")
    lines = head.split("\n")
    keys = dict(line.split(": ", 1) for line in lines if line.startswith(("name: ", "ID: ")))
    if "name" not in keys or not keys.get("ID", "").isdigit():
        raise ValueError(f"not a tracepoint's format file (no name or no ID in it): {text[:80]!r}")
    return TracepointFormat(
        system=system,
        event=keys["name"],
        id=int(keys["ID"]),
        fields=[_parse_field(line) for line in lines if line.lstrip().startswith("field:")],
        print_format=print_format.rstrip("\n"),
    )


def _parse_field(line: str) -> TracepointField:
    found = _FIELD.match(line)
    declared = _DECLARATION.fullmatch(found[1]) if found else None
    if not found or not declared:
        raise ValueError(f"not a field of a tracepoint's format: {line!r}")
    return TracepointField(
        name=declared["name"],
        type=declared["type"] + declared["array"],
        offset=int(found[2]),
        size=int(found[3]),
        signed=found[4] not in (None, "0"),
    )
