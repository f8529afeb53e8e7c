"""How the records of one kind look as columns: compiled once from the layout of an event, or of a side-band record.

::

      sample      |  fixed: header, leading numbers, perhaps raw data | parts ...                       |
      side-band   |  fixed: header, leading numbers                   | part       | trailer: sample_id |

`fixed` and `trailer` are numpy dtypes with an offset for each field, so that a column is a view of the copied bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from perfring import abi
from perfring.bodies import attribute_name as side_band_name
from perfring.columns import parts as p
from perfring.columns.payload import payload_dtype
from perfring.layout import attribute_name as sample_name
from perfring.sideband import RECORD_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfring.abi import Field, SamplePart
    from perfring.layout import EventLayout
    from perfring.tracepoint import TracepointFormat

__all__ = ["Shape", "sample_shape", "side_band_shape"]

_HEADER_SIZE = abi.HEADER.size
_HEADER_FIELDS: tuple[tuple[str, Any, int], ...] = (("misc", "=u2", 4), ("size", "=u2", 6))
_RING = ("cpu", "position")
"""Columns that every record has, from the ring that it came out of."""
_ONE_BY_ONE = (abi.PERF_RECORD_READ,)
"""Kinds that cannot be told from their own bytes alone: which counts a READ holds depends on who wrote it."""


@dataclass(frozen=True, eq=False, slots=True)
class Shape:
    """One kind of record.

    Attributes:
        name: what its columns are found by: the event's name for a sample, else the kind.
        kind: as `Record.kind`.
        fixed: from the first byte of a record.
        parts: behind it, in order.
        trailer: at the end; None where there is none.
        time_at: the offset of the time: from the start, or negative from the end; None where there is no time.
        least: the bytes that it has at least.
        exact: the bytes that it always has; 0 where that varies.
        parts_at: where the parts begin; the payload of a tracepoint can be part of `fixed` and of the first part.
        format: the tracepoint's format, when the samples have its payload.
        strict: the parts must end where the record does.
    """

    name: str
    kind: str
    fixed: np.dtype[Any]
    parts: tuple[p.Part, ...] = ()
    trailer: np.dtype[Any] | None = None
    time_at: int | None = None
    least: int = _HEADER_SIZE
    exact: int = 0
    parts_at: int = 0
    format: TracepointFormat | None = None
    strict: bool = False
    names: tuple[str, ...] = field(init=False)
    """All columns."""
    part_names: tuple[str, ...] = field(init=False)
    """Those of the parts."""
    single: p.Part | None = field(init=False)
    """The only part, if its column can be gathered in one go."""

    def __post_init__(self) -> None:
        fixed = [name for name in self.fixed.names or () if name != "fields"]
        payload = [] if self.format is None else [f"fields.{field.name}" for field in self.format.fields]
        in_parts = [name for part in self.parts for name in part.names]
        trailer = () if self.trailer is None else self.trailer.names or ()
        quick = self.parts[0] if len(self.parts) == 1 and self.parts[0].quick else None
        own = {"names": tuple(dict.fromkeys([*_RING, *fixed, *payload, *in_parts, *trailer]))}
        for name, value in {**own, "part_names": tuple(in_parts), "single": quick}.items():
            object.__setattr__(self, name, value)  # frozen

    @property
    def alone(self) -> p.Part | None:
        """The part behind the numbers, when there is just one, and the record ends with it."""
        return self.parts[0] if self.strict and len(self.parts) == 1 and self.parts[0].head else None

    @property
    def text(self) -> frozenset[str]:
        """The columns that hold names of no fixed length."""
        dynamic = [] if self.format is None else [field for field in self.format.fields if field.item == "s"]
        own = (part.name for part in self.parts if isinstance(part, p.Text))
        return frozenset((*own, *(f"fields.{field.name}" for field in dynamic)))

    @property
    def payload_bytes(self) -> int:
        """The bytes that a tracepoint's payload has at least; 0 without one."""
        return 0 if self.format is None else payload_dtype(self.format).itemsize

    @property
    def trailer_bytes(self) -> int:
        """The bytes at the end that are not the parts'."""
        return 0 if self.trailer is None else self.trailer.itemsize


def sample_shape(layout: EventLayout, *, with_format: bool = True) -> Shape:
    """The samples of an event.

    Args:
        layout: the event's.
        with_format: take the payload of a tracepoint apart; False for samples whose payload does not fit the format.
    """
    sample_parts = abi.sample_parts(layout.sample_type)
    leading = tuple(takewhile(_is_fixed, sample_parts))
    fields, end = _numbers((field for part in leading for field in part.fields), _HEADER_SIZE, sample_name)
    behind = [_part_of(part, layout) for part in sample_parts[len(leading) :]]
    known = layout.format if with_format and layout.sample_type & abi.PERF_SAMPLE_RAW else None
    raw_first = bool(behind) and isinstance(behind[0], p.Raw)
    least = end + sum(part.head for part in behind[:1])
    if known is not None and raw_first:
        payload = payload_dtype(known)
        fields.append(("fields", payload, least))
        least += payload.itemsize
    return Shape(
        name=layout.name if with_format else f"{layout.name}:raw",
        kind="sample",
        fixed=_structure([*_HEADER_FIELDS, *fields], least if known is not None and raw_first else end),
        parts=tuple(behind),
        time_at=_offset_of("time", fields),
        least=_whole_words(least),
        exact=0 if behind else end,
        parts_at=end,
        format=known,
        strict=True,
    )


def side_band_shape(record_type: int, layout: EventLayout, *, build_id: bool = False) -> Shape | None:
    """The records of a type that is no sample, with the trailer of this event; None where each is decoded alone."""
    kind = RECORD_CLASSES.get(record_type)
    if kind is None or record_type in _ONE_BY_ONE:
        return None
    misc = abi.PERF_RECORD_MISC_MMAP_BUILD_ID if build_id else 0
    body = abi.body_fields(record_type, misc) or ()
    leading = abi.leading_fields(body)
    fields, end = _numbers(leading, _HEADER_SIZE, lambda name: side_band_name(record_type, name) or name)
    own = {name for name, _, _ in fields}
    trailing = abi.sample_id_parts(layout.sample_type) if layout.sample_id_all else ()
    trailer, length = _numbers((field for part in trailing for field in part.fields), 0, sample_name)
    # A number that the body has as well is the body's: as in `Decoder`, which loads it last.
    kept = [field for field in trailer if field[0] not in own]
    time_at = _offset_of("time", fields)
    if time_at is None and (in_trailer := _offset_of("time", trailer)) is not None:
        time_at = in_trailer - length
    return Shape(
        name=f"{kind.kind}_build_id" if build_id else kind.kind,
        kind=kind.kind,
        fixed=_structure([*_HEADER_FIELDS, *fields], end),
        parts=tuple(_body_part(record_type, field, fields) for field in body[len(leading) :]),
        parts_at=end,
        trailer=_structure(kept, length) if length else None,
        time_at=time_at,
        least=_whole_words(end + length),
    )


def _is_fixed(part: SamplePart) -> bool:
    return all(field.code for field in part.fields)


def _numbers(fields: Iterable[Field], offset: int, rename: Any) -> tuple[list[tuple[str, Any, int]], int]:
    """Name, dtype and offset of each field that is not reserved, and the offset behind the last."""
    found: list[tuple[str, Any, int]] = []
    for each in fields:
        dtype = np.dtype(f"V{each.repeat}") if each.format == "s" else np.dtype(f"={each.format}")
        width = dtype.itemsize * (each.repeat if isinstance(each.repeat, int) and each.format != "s" else 1)
        if not each.reserved:
            found.append((rename(each.name), dtype, offset))
        offset += width
    # IDENTIFIER and ID are the same number, and have the same name.
    return list({name: (name, dtype, at) for name, dtype, at in found}.values()), offset


def _structure(fields: Sequence[tuple[str, Any, int]], size: int) -> np.dtype[Any]:
    names, formats, offsets = zip(*fields, strict=True) if fields else ((), (), ())
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": _whole_words(size)})


def _whole_words(size: int) -> int:
    """A record has as many (K5), and whole words are copied fastest."""
    return size + -size % 8


def _offset_of(name: str, fields: Iterable[tuple[str, Any, int]]) -> int | None:
    return next((at for found, _, at in fields if found == name), None)


def _part_of(part: SamplePart, layout: EventLayout) -> p.Part:
    """What takes a part of a sample that has no fixed place."""
    match part.bits:
        case abi.PERF_SAMPLE_READ:
            return p.Read("read", layout.read_format)
        case abi.PERF_SAMPLE_CALLCHAIN:
            return p.Chain("callchain")
        case abi.PERF_SAMPLE_RAW:
            return p.Raw("raw")
        case abi.PERF_SAMPLE_BRANCH_STACK:
            asked = layout.branch_sample_type
            return p.Branches(
                "branch_stack",
                bool(asked & abi.PERF_SAMPLE_BRANCH_HW_INDEX),
                bool(asked & abi.PERF_SAMPLE_BRANCH_COUNTERS),
            )
        case abi.PERF_SAMPLE_REGS_USER:
            return p.Registers("user_regs", layout.regs_user.bit_count())
        case abi.PERF_SAMPLE_REGS_INTR:
            return p.Registers("intr_regs", layout.regs_intr.bit_count())
        case abi.PERF_SAMPLE_STACK_USER:
            return p.Stack("user_stack")
        case abi.PERF_SAMPLE_AUX:
            return p.Aux("aux")
        case _:
            (field,) = part.fields
            return p.Number(sample_name(field.name))


def _body_part(record_type: int, field: Field, fields: Sequence[tuple[str, Any, int]]) -> p.Part:
    """What takes the one field of a body that has no fixed length."""
    size_at = _offset_of("build_id_size", fields)
    if field.format == abi.CSTRING and size_at is not None:
        return p.BuildIdName(field.name, size_at)
    if field.format == abi.CSTRING:
        return p.Text(field.name)
    if field.format == abi.TAIL:
        return p.Code(field.name, _offset_of("old_len", fields) or 0)
    if record_type == abi.PERF_RECORD_NAMESPACES:
        return p.Counted(field.name, p.NAMESPACE, _offset_of("nr_namespaces", fields) or 0)
    raise AssertionError(f"record type {record_type} has a field {field.name!r} that no column is known for")
