"""How the records of one event look: compiled once from its attr, so that decoding is fast."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

from perfring import abi
from perfring.fields import Branch, BranchStack, Registers, UserStack, check_read_format, take_read, words
from perfring.records import Sample

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from perfring.tracepoint import TracepointFormat

__all__ = ["EventLayout"]

_WORD = Struct("=Q")
_U32 = Struct("=I")

# The order of the fields in a sample, which is not that of the bits: must match perf_event_type in
# linux/perf_event.h. Each is (bit, struct codes, names); a code "x" is padding.
_LEADING = (
    (abi.PERF_SAMPLE_IDENTIFIER, "Q", ("id",)),
    (abi.PERF_SAMPLE_IP, "Q", ("ip",)),
    (abi.PERF_SAMPLE_TID, "II", ("pid", "tid")),
    (abi.PERF_SAMPLE_TIME, "Q", ("time",)),
    (abi.PERF_SAMPLE_ADDR, "Q", ("addr",)),
    (abi.PERF_SAMPLE_ID, "Q", ("id",)),
    (abi.PERF_SAMPLE_STREAM_ID, "Q", ("stream_id",)),
    (abi.PERF_SAMPLE_CPU, "I4x", ("sample_cpu",)),
    (abi.PERF_SAMPLE_PERIOD, "Q", ("period",)),
)
# The sample_id trailer has some of them, in its own order.
_TRAILING = (
    (abi.PERF_SAMPLE_TID, "II", ("pid", "tid")),
    (abi.PERF_SAMPLE_TIME, "Q", ("time",)),
    (abi.PERF_SAMPLE_ID, "Q", ("id",)),
    (abi.PERF_SAMPLE_STREAM_ID, "Q", ("stream_id",)),
    (abi.PERF_SAMPLE_CPU, "I4x", ("sample_cpu",)),
    (abi.PERF_SAMPLE_IDENTIFIER, "Q", ("id",)),
)
_SAMPLE_BITS = (1 << 25) - 1

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
        places: where in the values of a sample which field is, by name.
        time_at: the place of the time, or None.
    """

    __slots__ = (
        *("format", "kind", "name", "places", "read_format", "sample_id_all", "sample_type", "time_at"),
        *("_leading", "_steps", "_trailer", "_trailer_names", "trailer_size"),
    )

    def __init__(self, attr: PerfEventAttr, *, name: str, kind: str, format: TracepointFormat | None = None) -> None:
        """Compiles the layout. Later changes of ``attr`` do not matter.

        Raises:
            ValueError: a bit of ``sample_type`` or ``read_format`` whose field is not known.
        """
        if attr.sample_type & ~_SAMPLE_BITS:
            raise ValueError(f"sample_type {attr.sample_type:#x} of {name!r} has bits beyond {_SAMPLE_BITS:#x}")
        check_read_format(attr.read_format)
        self.name = name
        self.kind = kind
        self.format = format
        self.sample_type = attr.sample_type
        self.read_format = attr.read_format
        self.sample_id_all = bool(attr.sample_id_all)
        self._leading, names = _compile(_LEADING, attr.sample_type, prefix="8x")
        steps = [(name, step) for bit, name, step in _steps(attr) if attr.sample_type & bit]
        self._steps = tuple(step for _, step in steps)
        self.places = {name: at for at, name in enumerate([*names, *(name for name, _ in steps)])}
        self.time_at = self.places.get("time")
        self._trailer, self._trailer_names = _compile(_TRAILING, attr.sample_type if self.sample_id_all else 0)
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

    def trailer(self, record: bytes) -> dict[str, int]:
        """The fields of the sample_id trailer by name.

        Raises:
            struct.error: the record is shorter than the trailer.
        """
        values = self._trailer.unpack_from(record, len(record) - self.trailer_size)
        return dict(zip(self._trailer_names, values, strict=True))


def _compile(
    table: tuple[tuple[int, str, tuple[str, ...]], ...], sample_type: int, *, prefix: str = ""
) -> tuple[Struct, list[str]]:
    """The Struct of the fields that ``sample_type`` asks for, and the names of its values."""
    chosen = [(codes, names) for bit, codes, names in table if sample_type & bit]
    codes = "".join(codes for codes, _ in chosen)
    return Struct(f"={prefix}{codes}"), [name for _, names in chosen for name in names]


def _steps(attr: PerfEventAttr) -> tuple[tuple[int, str, _Step], ...]:
    """The fields behind the leading ones, in the order in which the kernel writes them."""
    return (
        (abi.PERF_SAMPLE_READ, "read", _read_step(attr.read_format)),
        (abi.PERF_SAMPLE_CALLCHAIN, "callchain", _take_words),
        (abi.PERF_SAMPLE_RAW, "raw", _take_raw),
        (abi.PERF_SAMPLE_BRANCH_STACK, "branch_stack", _branch_step(attr.branch_sample_type)),
        (abi.PERF_SAMPLE_REGS_USER, "user_regs", _registers_step(attr.sample_regs_user)),
        (abi.PERF_SAMPLE_STACK_USER, "user_stack", _take_stack),
        (abi.PERF_SAMPLE_WEIGHT_TYPE, "weight", _take_word),
        (abi.PERF_SAMPLE_DATA_SRC, "data_src", _take_word),
        (abi.PERF_SAMPLE_TRANSACTION, "transaction", _take_word),
        (abi.PERF_SAMPLE_REGS_INTR, "intr_regs", _registers_step(attr.sample_regs_intr)),
        (abi.PERF_SAMPLE_PHYS_ADDR, "phys_addr", _take_word),
        (abi.PERF_SAMPLE_CGROUP, "cgroup", _take_word),
        (abi.PERF_SAMPLE_DATA_PAGE_SIZE, "data_page_size", _take_word),
        (abi.PERF_SAMPLE_CODE_PAGE_SIZE, "code_page_size", _take_word),
        (abi.PERF_SAMPLE_AUX, "aux", _take_aux),
    )


def _take_word(record: bytes, offset: int) -> tuple[int, int]:
    return _WORD.unpack_from(record, offset)[0], offset + 8


def _take_words(record: bytes, offset: int) -> tuple[tuple[int, ...], int]:
    """A u64 count and as many u64."""
    (count,) = _WORD.unpack_from(record, offset)
    offset += 8
    # Before a Struct of that many words is made: the count of a corrupt record may be 2**64 - 1.
    _check_room(count * 8, record, offset, "a call chain")
    return words(count).unpack_from(record, offset), offset + count * 8


def _take_bytes(record: bytes, offset: int, length: int, what: str) -> tuple[bytes, int]:
    _check_room(length, record, offset, what)
    return record[offset : offset + length], offset + length


def _take_raw(record: bytes, offset: int) -> tuple[bytes, int]:
    """A u32 size and so many bytes: the kernel pads them so that the next field is aligned."""
    (length,) = _U32.unpack_from(record, offset)
    return _take_bytes(record, offset + 4, length, "raw data")


def _take_stack(record: bytes, offset: int) -> tuple[UserStack, int]:
    """A u64 size, the bytes, and how many of them count; the last is left out when the size is 0."""
    (length,) = _WORD.unpack_from(record, offset)
    if not length:
        return UserStack(b"", 0), offset + 8
    data, offset = _take_bytes(record, offset + 8, length, "a user stack")
    (dynamic_size,) = _WORD.unpack_from(record, offset)
    if dynamic_size > length:
        raise ValueError(f"{dynamic_size} bytes of a user stack of {length}")
    return UserStack(data, dynamic_size), offset + 8


def _take_aux(record: bytes, offset: int) -> tuple[bytes, int]:
    """A u64 size and the bytes, padded to a multiple of 8."""
    (length,) = _WORD.unpack_from(record, offset)
    data, offset = _take_bytes(record, offset + 8, length, "AUX data")
    return data, offset + -length % 8


def _read_step(read_format: int) -> _Step:
    return lambda record, offset: take_read(read_format, record, offset)


def _registers_step(mask: int) -> _Step:
    """A u64 that says which ABI, and unless it is NONE a u64 for each bit of the mask."""
    registers = words(mask.bit_count())

    def take(record: bytes, offset: int) -> tuple[Registers, int]:
        (register_abi,) = _WORD.unpack_from(record, offset)
        offset += 8
        if register_abi == abi.PERF_SAMPLE_REGS_ABI_NONE:
            return Registers(register_abi, mask, ()), offset
        return Registers(register_abi, mask, registers.unpack_from(record, offset)), offset + registers.size

    return take


def _branch_step(branch_sample_type: int) -> _Step:
    """A u64 count, perhaps the hardware's index, three u64 for each branch, perhaps a u64 of counts for each."""
    indexed = bool(branch_sample_type & abi.PERF_SAMPLE_BRANCH_HW_INDEX)
    counted = bool(branch_sample_type & abi.PERF_SAMPLE_BRANCH_COUNTERS)

    def take(record: bytes, offset: int) -> tuple[BranchStack, int]:
        (count,) = _WORD.unpack_from(record, offset)
        offset += 8
        total = indexed + count * (3 + counted)
        _check_room(total * 8, record, offset, "a branch stack")
        numbers = words(total).unpack_from(record, offset)
        index = numbers[0] if indexed else None
        ends = [indexed + part * count for part in (0, 3, 3 + counted)]
        flat, counters = numbers[ends[0] : ends[1]], numbers[ends[1] : ends[2]] or (None,) * count
        entries = tuple(map(Branch, flat[::3], flat[1::3], flat[2::3], counters))
        return BranchStack(entries, index), offset + total * 8

    return take


def _check_room(needed: int, record: bytes, offset: int, what: str) -> None:
    if needed > len(record) - offset:
        raise ValueError(f"{what} of {needed} bytes where {max(0, len(record) - offset)} are left")
