"""How the records of one event look: compiled once from its attr, so that decoding is fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import starmap, takewhile
from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any, TypeAlias

from perfring import abi
from perfring.abi import Field, PerfEventAttr, SamplePart
from perfring.fields import Branch, BranchStack, Registers, UserStack, check_read_format, repeated, take_read
from perfring.records import Sample

if TYPE_CHECKING:
    from perfring.sideband import SideBand
    from perfring.tracepoint import TracepointFormat

__all__ = ["EventLayout", "attribute_name"]

_Step: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""Takes one field of a sample at an offset: the value and the offset behind it. ValueError: it does not fit."""


class EventLayout:
    """What is known of an event: enough to decode what it writes.

    Attributes:
        name: the event's name, which its records carry as `Record.event`.
        kind: what the session uses it for, an `EventKind`.
        format: the tracepoint's format, or None.
        sample_type: PERF_SAMPLE_* bits.
        read_format: PERF_FORMAT_* bits.
        sample_id_all: its records that are no samples end with the sample_id trailer.
        regs_user: which registers of user space a sample has, as bits.
        regs_intr: which of those at the interrupt.
        branch_sample_type: PERF_SAMPLE_BRANCH_* bits.
        places: where in the values of a sample which field is, by name.
        time_at: the place of the time, or None.
    """

    __slots__ = (
        *("branch_sample_type", "format", "kind", "name", "places", "read_format", "regs_intr", "regs_user"),
        *("sample_id_all", "sample_type", "time_at"),
        *("_leading", "_steps", "_trailer", "_trailer_places", "trailer_size"),
    )

    def __init__(self, attr: PerfEventAttr, *, name: str, kind: str, format: TracepointFormat | None = None) -> None:
        """Compiles the layout. Later changes of ``attr`` do not matter.

        Raises:
            ValueError: a bit of ``sample_type`` or ``read_format`` whose field is not known.
        """
        if attr.sample_type & ~abi.SAMPLE_TYPE_BITS:
            raise ValueError(f"sample_type {attr.sample_type:#x} of {name!r} has bits beyond {abi.SAMPLE_TYPE_BITS:#x}")
        check_read_format(attr.read_format)
        self.name = name
        self.kind = kind
        self.format = format
        self.sample_type = attr.sample_type
        self.read_format = attr.read_format
        self.regs_user = attr.sample_regs_user
        self.regs_intr = attr.sample_regs_intr
        self.branch_sample_type = attr.branch_sample_type
        self.sample_id_all = bool(attr.sample_id_all)
        parts = abi.sample_parts(attr.sample_type)
        leading = tuple(takewhile(lambda part: part.bits not in _VARYING, parts))
        self._leading, names = _compile(leading, prefix=f"{abi.HEADER.size}x")
        steps = [_step(part, attr) for part in parts[len(leading) :]]
        self._steps = tuple(step for _, step in steps)
        self.places = {name: at for at, name in enumerate([*names, *(name for name, _ in steps)])}
        self.time_at = self.places.get("time")
        trailing = abi.sample_id_parts(attr.sample_type) if self.sample_id_all else ()
        self._trailer, trailer_names = _compile(trailing)
        self._trailer_places = tuple((name, at) for at, name in enumerate(trailer_names))
        self.trailer_size = self._trailer.size

    def __repr__(self) -> str:
        return f"<EventLayout {self.name!r} ({self.kind}), sample_type {self.sample_type:#x}>"

    @property
    def identified(self) -> bool:
        """PERF_SAMPLE_IDENTIFIER: the id stands where it is found without knowing the event."""
        return bool(self.sample_type & abi.PERF_SAMPLE_IDENTIFIER)

    def sample(self, record: bytes, misc: int, cpu: int, position: int) -> Sample:
        """Decodes a sample of this event, given whole.

        Raises:
            ValueError or struct.error: the fields and the size do not agree.
        """
        leading = self._leading
        if not self._steps:
            return Sample(self, cpu, position, misc, len(record), leading.unpack(record))
        values = list(leading.unpack_from(record))
        offset = leading.size
        for step in self._steps:
            value, offset = step(record, offset)
            values.append(value)
        if offset != len(record):
            raise ValueError(f"the fields of {self.name!r} end at byte {offset} of {len(record)}")
        return Sample(self, cpu, position, misc, len(record), tuple(values))

    def load_trailer(self, made: SideBand, record: bytes) -> None:
        """Gives a record what its sample_id trailer says.

        Raises:
            struct.error: the record is shorter than the trailer.
        """
        values = self._trailer.unpack_from(record, len(record) - self.trailer_size)
        for name, at in self._trailer_places:
            setattr(made, name, values[at])


def _compile(parts: Iterable[SamplePart], *, prefix: str = "") -> tuple[Struct, list[str]]:
    """The Struct of parts that are numbers, and what `Sample` calls its values."""
    compiled, names = abi.fixed_struct((field for part in parts for field in part.fields), prefix=prefix)
    return compiled, [attribute_name(name) for name in names]


def attribute_name(name: str) -> str:
    """What `Sample` calls a field of the header's."""
    return _ATTRIBUTES.get(name, name)


def _step(part: SamplePart, attr: PerfEventAttr) -> tuple[str, _Step]:
    """One part behind the leading ones: what `Sample` calls it, and how it is taken."""
    if part.bits in _VARYING:
        name, make = _VARYING[part.bits]
        return name, make(part.fields, attr)
    (field,) = part.fields
    return attribute_name(field.name), _number_step(field)


def _number(field: Field) -> tuple[Callable[[bytes, int], tuple[int]], int]:
    """What unpacks a number at an offset, and its bytes."""
    number = Struct(f"={field.format}")
    return number.unpack_from, number.size


def _number_step(field: Field) -> _Step:
    unpack, size = _number(field)
    return lambda record, offset: (unpack(record, offset)[0], offset + size)


def _chain_step(fields: tuple[Field, ...], _: PerfEventAttr) -> _Step:
    """A count and as many addresses."""
    unpack, size = _number(fields[0])
    code = fields[1].format
    width = calcsize(f"={code}")

    def take(record: bytes, offset: int) -> tuple[tuple[int, ...], int]:
        (count,) = unpack(record, offset)
        offset += size
        # Before a Struct of that many words is made: the count of a corrupt record may be 2**64 - 1.
        end = _end(count * width, record, offset, "a call chain")
        return repeated(count, code).unpack_from(record, offset), end

    return take


def _sized(size: Field, what: str) -> _Step:
    """A size and so many bytes: the kernel pads them so that the next field is aligned."""
    unpack, width = _number(size)

    def take(record: bytes, offset: int) -> tuple[bytes, int]:
        (length,) = unpack(record, offset)
        offset += width
        end = _end(length, record, offset, what)
        return record[offset:end], end

    return take


def _raw_step(fields: tuple[Field, ...], _: PerfEventAttr) -> _Step:
    return _sized(fields[0], "raw data")


def _stack_step(fields: tuple[Field, ...], _: PerfEventAttr) -> _Step:
    """A size, the bytes, and how many of them count; the last is left out when the size is 0."""
    take_data = _sized(fields[0], "a user stack")
    unpack, width = _number(fields[2])

    def take(record: bytes, offset: int) -> tuple[UserStack, int]:
        data, offset = take_data(record, offset)
        if not data:
            return UserStack(b"", 0), offset
        (used,) = unpack(record, offset)
        if used > len(data):
            raise ValueError(f"{used} bytes of a user stack of {len(data)}")
        return UserStack(data, used), offset + width

    return take


def _aux_step(fields: tuple[Field, ...], _: PerfEventAttr) -> _Step:
    """A size and the bytes, padded to a multiple of 8."""
    take_data = _sized(fields[0], "AUX data")

    def take(record: bytes, offset: int) -> tuple[bytes, int]:
        data, offset = take_data(record, offset)
        return data, offset + -len(data) % 8

    return take


def _read_step(_: tuple[Field, ...], attr: PerfEventAttr) -> _Step:
    read_format = attr.read_format
    return lambda record, offset: take_read(read_format, record, offset)


def _registers_step(fields: tuple[Field, ...], attr: PerfEventAttr) -> _Step:
    """Which ABI, and unless it is NONE a register for each bit of the mask."""
    unpack, width = _number(fields[0])
    values = fields[1]
    mask: int = getattr(attr, str(values.repeat))
    registers = repeated(mask.bit_count(), values.format)

    def take(record: bytes, offset: int) -> tuple[Registers, int]:
        (register_abi,) = unpack(record, offset)
        offset += width
        if register_abi == abi.PERF_SAMPLE_REGS_ABI_NONE:
            return Registers(register_abi, mask, ()), offset
        return Registers(register_abi, mask, registers.unpack_from(record, offset)), offset + registers.size

    return take


def _branch_step(fields: tuple[Field, ...], attr: PerfEventAttr) -> _Step:
    """A count, perhaps the hardware's index, the branches, perhaps a u64 of counts for each."""
    take_count, branch = _number_step(fields[0]), Struct(f"={fields[1].format}")
    indexed = bool(attr.branch_sample_type & abi.PERF_SAMPLE_BRANCH_HW_INDEX)
    counted = bool(attr.branch_sample_type & abi.PERF_SAMPLE_BRANCH_COUNTERS)

    def take(record: bytes, offset: int) -> tuple[BranchStack, int]:
        count, offset = take_count(record, offset)
        end = _end(8 * indexed + count * (branch.size + 8 * counted), record, offset, "a branch stack")
        first = offset + 8 * indexed
        behind = first + count * branch.size
        index = repeated(1, "Q").unpack_from(record, offset)[0] if indexed else None
        rows = branch.iter_unpack(record[first:behind])
        if counted:
            counters = repeated(count, "Q").unpack_from(record, behind)
            rows = ((*row, counter) for row, counter in zip(rows, counters, strict=True))
        return BranchStack(tuple(starmap(Branch, rows)), index), end

    return take


def _end(needed: int, record: bytes, offset: int, what: str) -> int:
    """The offset behind so many bytes. ValueError: the record ends before."""
    end = offset + needed
    if end > len(record):
        raise ValueError(f"{what} of {needed} bytes where {max(0, len(record) - offset)} are left")
    return end


# What `Sample` calls a number otherwise than the header does.
_ATTRIBUTES = {"identifier": "id", "cpu": "sample_cpu"}

# The parts that are more than a number: what `Sample` calls them, and what takes them apart. What may follow them
# stands at another place in each record.
_VARYING: dict[int, tuple[str, Callable[[tuple[Field, ...], PerfEventAttr], _Step]]] = {
    abi.PERF_SAMPLE_READ: ("read", _read_step),
    abi.PERF_SAMPLE_CALLCHAIN: ("callchain", _chain_step),
    abi.PERF_SAMPLE_RAW: ("raw", _raw_step),
    abi.PERF_SAMPLE_BRANCH_STACK: ("branch_stack", _branch_step),
    abi.PERF_SAMPLE_REGS_USER: ("user_regs", _registers_step),
    abi.PERF_SAMPLE_STACK_USER: ("user_stack", _stack_step),
    abi.PERF_SAMPLE_REGS_INTR: ("intr_regs", _registers_step),
    abi.PERF_SAMPLE_AUX: ("aux", _aux_step),
}
