"""How the bytes of each record are laid out: must match ``enum perf_event_type`` in linux/perf_event.h.

Every record is ``header | body | sample_id``: the header is `HEADER`; the body is `RECORD_BODIES`, or
for PERF_RECORD_SAMPLE the parts of `SAMPLE_PARTS` whose bit is in ``sample_type``; the trailer is there
when ``sample_id_all`` is set, except behind a sample, which holds the same fields itself (K35)::

    u32 type | u16 misc | u16 size |  body ...                    |  sample_id
    0        4          6          8                              size - sample_id_size(sample_type)

The tables are data, shared by the reader, the simulated kernel and the tests. A `Field` is either one
value, or ``repeat`` of them one behind the other; what the two special kinds mean stands at `Field`.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from functools import reduce
from itertools import takewhile
from operator import or_
from typing import Final, NamedTuple

from perfring.abi import constants as c

__all__ = [
    "CSTRING",
    "HEADER",
    "READ_FORMAT",
    "READ_FORMAT_BITS",
    "RECORD_BODIES",
    "RECORD_NAMES",
    "SAMPLE_ID_PARTS",
    "SAMPLE_PARTS",
    "SAMPLE_TYPE_BITS",
    "TAIL",
    "Field",
    "SamplePart",
    "body_fields",
    "fixed_struct",
    "leading_fields",
    "read_counter_names",
    "read_format_size",
    "read_header_names",
    "sample_id_parts",
    "sample_id_size",
    "sample_parts",
]

HEADER: Final = struct.Struct("=IHH")
"""struct perf_event_header: type, misc, size. ``size`` counts the header and the trailer (K35)."""

CSTRING: Final = "cstring"
TAIL: Final = "tail"
READ_FORMAT: Final = "read_format"


class Field(NamedTuple):
    """One field of a record.

    Attributes:
        name: As the header calls it.
        format: A `struct` format of one item in native order without alignment ("I", "QQ"), or

            - ``CSTRING``: bytes up to a NUL; NULs pad it so that the record is a multiple of 8 bytes,
              and the kernel may leave old bytes behind the first NUL;
            - ``TAIL``: what is left up to the trailer, padding included;
            - ``READ_FORMAT``: what read(2) would give, see `read_header_names`.
        repeat: None for a single item; a number; the name of an earlier field that holds the number; or
            the name of a mask in the attr that has as many bits set. With format "s" it is a length in bytes.
        only_if: The field is there only when this earlier field is not 0.
    """

    name: str
    format: str
    repeat: int | str | None = None
    only_if: str | None = None

    @property
    def reserved(self) -> bool:
        """The header's ``res`` and ``__reserved_1``: padding."""
        return self.name == "res" or self.name.startswith("reserved_")

    @property
    def code(self) -> str:
        """The `struct` format of the whole field, as "I", "20s", "4x" where reserved; "" when its length varies."""
        if self.format in (CSTRING, TAIL, READ_FORMAT) or isinstance(self.repeat, str) or self.only_if:
            return ""
        count = 1 if self.repeat is None else self.repeat
        if self.reserved:
            return f"{count * struct.calcsize(f'={self.format}')}x"
        return f"{count}s" if self.format == "s" else self.format * count


class SamplePart(NamedTuple):
    """What one bit of ``sample_type`` puts into a sample or a trailer.

    Attributes:
        bits: PERF_SAMPLE_* bit; more than one where either gives the same bytes.
        fields: In order.
    """

    bits: int
    fields: tuple[Field, ...]


def _fields(format_: str, names: str) -> tuple[Field, ...]:
    # Interned, as names in source code are: the decoders set attributes by these names, for every record.
    return tuple(Field(sys.intern(name), format_) for name in names.split())


_TASK = _fields("I", "pid tid")
_FORK_EXIT = (*_fields("I", "pid ppid tid ptid"), Field("time", "Q"))
_THROTTLE = _fields("Q", "time id stream_id")
_MMAP = (*_TASK, *_fields("Q", "addr len pgoff"))
_MMAP2_END = (*_fields("I", "prot flags"), Field("filename", CSTRING))
_MMAP2_INODE = (*_MMAP, *_fields("I", "maj min"), *_fields("Q", "ino ino_generation"), *_MMAP2_END)
_MMAP2_BUILD_ID = (
    *_MMAP,
    Field("build_id_size", "B"),
    Field("reserved_1", "B"),
    Field("reserved_2", "H"),
    Field("build_id", "s", 20),
    *_MMAP2_END,
)

RECORD_NAMES: Final[dict[int, str]] = {
    value: name.removeprefix("PERF_RECORD_")
    for name, value in vars(c).items()
    if name.startswith("PERF_RECORD_") and not name.startswith(("PERF_RECORD_MISC_", "PERF_RECORD_KSYMBOL_"))
}
"""PERF_RECORD_* to the name behind the prefix: 2 to "LOST"."""

RECORD_BODIES: Final[dict[int, tuple[Field, ...]]] = {
    c.PERF_RECORD_MMAP: (*_MMAP, Field("filename", CSTRING)),
    c.PERF_RECORD_LOST: _fields("Q", "id lost"),
    c.PERF_RECORD_COMM: (*_TASK, Field("comm", CSTRING)),
    c.PERF_RECORD_EXIT: _FORK_EXIT,
    c.PERF_RECORD_THROTTLE: _THROTTLE,
    c.PERF_RECORD_UNTHROTTLE: _THROTTLE,
    c.PERF_RECORD_FORK: _FORK_EXIT,
    c.PERF_RECORD_READ: (*_TASK, Field("values", READ_FORMAT)),
    c.PERF_RECORD_MMAP2: _MMAP2_INODE,
    c.PERF_RECORD_AUX: _fields("Q", "aux_offset aux_size flags"),
    c.PERF_RECORD_ITRACE_START: _TASK,
    c.PERF_RECORD_LOST_SAMPLES: _fields("Q", "lost"),
    c.PERF_RECORD_SWITCH: (),
    c.PERF_RECORD_SWITCH_CPU_WIDE: _fields("I", "next_prev_pid next_prev_tid"),
    c.PERF_RECORD_NAMESPACES: (*_TASK, Field("nr_namespaces", "Q"), Field("namespaces", "QQ", "nr_namespaces")),
    c.PERF_RECORD_KSYMBOL: (
        Field("addr", "Q"),
        Field("len", "I"),
        *_fields("H", "ksym_type flags"),
        Field("name", CSTRING),
    ),
    c.PERF_RECORD_BPF_EVENT: (*_fields("H", "type flags"), Field("id", "I"), Field("tag", "s", 8)),
    c.PERF_RECORD_CGROUP: (Field("id", "Q"), Field("path", CSTRING)),
    c.PERF_RECORD_TEXT_POKE: (Field("addr", "Q"), *_fields("H", "old_len new_len"), Field("bytes", TAIL)),
    c.PERF_RECORD_AUX_OUTPUT_HW_ID: _fields("Q", "hw_id"),
    c.PERF_RECORD_CALLCHAIN_DEFERRED: (*_fields("Q", "cookie nr"), Field("ips", "Q", "nr")),
}
"""The body of every record type but PERF_RECORD_SAMPLE; for a given ``misc`` ask `body_fields`."""

SAMPLE_PARTS: Final[tuple[SamplePart, ...]] = (
    SamplePart(c.PERF_SAMPLE_IDENTIFIER, _fields("Q", "identifier")),
    SamplePart(c.PERF_SAMPLE_IP, _fields("Q", "ip")),
    SamplePart(c.PERF_SAMPLE_TID, _TASK),
    SamplePart(c.PERF_SAMPLE_TIME, _fields("Q", "time")),
    SamplePart(c.PERF_SAMPLE_ADDR, _fields("Q", "addr")),
    SamplePart(c.PERF_SAMPLE_ID, _fields("Q", "id")),
    SamplePart(c.PERF_SAMPLE_STREAM_ID, _fields("Q", "stream_id")),
    SamplePart(c.PERF_SAMPLE_CPU, _fields("I", "cpu res")),
    SamplePart(c.PERF_SAMPLE_PERIOD, _fields("Q", "period")),
    SamplePart(c.PERF_SAMPLE_READ, (Field("values", READ_FORMAT),)),
    SamplePart(c.PERF_SAMPLE_CALLCHAIN, (Field("nr", "Q"), Field("ips", "Q", "nr"))),
    SamplePart(c.PERF_SAMPLE_RAW, (Field("size", "I"), Field("data", "s", "size"))),
    SamplePart(c.PERF_SAMPLE_BRANCH_STACK, (Field("nr", "Q"), Field("entries", "QQQ", "nr"))),
    SamplePart(c.PERF_SAMPLE_REGS_USER, (Field("abi", "Q"), Field("regs", "Q", "sample_regs_user", "abi"))),
    SamplePart(
        c.PERF_SAMPLE_STACK_USER,
        (Field("size", "Q"), Field("data", "s", "size"), Field("dyn_size", "Q", None, "size")),
    ),
    SamplePart(c.PERF_SAMPLE_WEIGHT_TYPE, _fields("Q", "weight")),
    SamplePart(c.PERF_SAMPLE_DATA_SRC, _fields("Q", "data_src")),
    SamplePart(c.PERF_SAMPLE_TRANSACTION, _fields("Q", "transaction")),
    SamplePart(c.PERF_SAMPLE_REGS_INTR, (Field("abi", "Q"), Field("regs", "Q", "sample_regs_intr", "abi"))),
    SamplePart(c.PERF_SAMPLE_PHYS_ADDR, _fields("Q", "phys_addr")),
    SamplePart(c.PERF_SAMPLE_CGROUP, _fields("Q", "cgroup")),
    SamplePart(c.PERF_SAMPLE_DATA_PAGE_SIZE, _fields("Q", "data_page_size")),
    SamplePart(c.PERF_SAMPLE_CODE_PAGE_SIZE, _fields("Q", "code_page_size")),
    SamplePart(c.PERF_SAMPLE_AUX, (Field("size", "Q"), Field("data", "s", "size"))),
)
"""The body of PERF_RECORD_SAMPLE, in order (K35). What the attr decides besides ``sample_type``:

- ``regs``: as many as bits are set in ``attr.sample_regs_user`` or ``sample_regs_intr``, none when ``abi`` is 0;
- ``entries`` of a branch stack, each from, to, flags: behind ``nr`` comes a u64 ``hw_idx`` with
  PERF_SAMPLE_BRANCH_HW_INDEX, and behind the entries ``nr`` u64 counters with PERF_SAMPLE_BRANCH_COUNTERS;
  a sample without any branches may be the bare ``nr`` of 0;
- ``size`` of raw data counts its padding: 4 + size is a multiple of 8 bytes.
"""

_PART_OF: Final = {part.bits: part for part in SAMPLE_PARTS}

SAMPLE_ID_PARTS: Final[tuple[SamplePart, ...]] = tuple(
    _PART_OF[bit]
    for bit in (
        c.PERF_SAMPLE_TID,
        c.PERF_SAMPLE_TIME,
        c.PERF_SAMPLE_ID,
        c.PERF_SAMPLE_STREAM_ID,
        c.PERF_SAMPLE_CPU,
        c.PERF_SAMPLE_IDENTIFIER,
    )
)
"""struct sample_id: parts of a sample, in an order of its own (K35). With IDENTIFIER the last 8 bytes are the id."""

SAMPLE_TYPE_BITS: Final = reduce(or_, _PART_OF)
"""Every bit of ``sample_type`` whose part is known: another one would shift all that follows it."""

_READ_TIMES: Final = (
    (c.PERF_FORMAT_TOTAL_TIME_ENABLED, "time_enabled"),
    (c.PERF_FORMAT_TOTAL_TIME_RUNNING, "time_running"),
)
_READ_ENDS: Final = ((c.PERF_FORMAT_ID, "id"), (c.PERF_FORMAT_LOST, "lost"))

READ_FORMAT_BITS: Final = reduce(or_, (bit for bit, _ in (*_READ_TIMES, *_READ_ENDS)), c.PERF_FORMAT_GROUP)
"""Every bit of ``read_format`` whose value is known."""


def leading_fields(fields: Iterable[Field]) -> tuple[Field, ...]:
    """The fields in front that stand at the same place in every record with these fields."""
    return tuple(takewhile(lambda field: field.code, fields))


def fixed_struct(fields: Iterable[Field], *, prefix: str = "") -> tuple[struct.Struct, tuple[str, ...]]:
    """What unpacks fields that all have a `Field.code`, and the names of its values.

    Args:
        fields: In order; the reserved ones give no value.
        prefix: A `struct` format of what comes before them, as "8x".
    """
    chosen = tuple(fields)
    codes = "".join(field.code for field in chosen)
    return struct.Struct(f"={prefix}{codes}"), tuple(field.name for field in chosen if not field.reserved)


def body_fields(record_type: int, misc: int) -> tuple[Field, ...] | None:
    """The body of a record of this type and misc; None for PERF_RECORD_SAMPLE and for unknown types.

    Only MMAP2 depends on misc: with PERF_RECORD_MISC_MMAP_BUILD_ID the 24 bytes of device and inode
    hold a build id instead.
    """
    if record_type == c.PERF_RECORD_MMAP2 and misc & c.PERF_RECORD_MISC_MMAP_BUILD_ID:
        return _MMAP2_BUILD_ID
    return RECORD_BODIES.get(record_type)


def sample_parts(sample_type: int) -> tuple[SamplePart, ...]:
    """The parts of a sample with this ``sample_type``, in order."""
    return tuple(part for part in SAMPLE_PARTS if part.bits & sample_type)


def sample_id_parts(sample_type: int) -> tuple[SamplePart, ...]:
    """The parts of the trailer with this ``sample_type``, in order."""
    return tuple(part for part in SAMPLE_ID_PARTS if part.bits & sample_type)


def sample_id_size(sample_type: int, *, sample_id_all: bool = True) -> int:
    """Bytes of the trailer: 8 for each part, 48 at most; 0 without ``sample_id_all``."""
    return 8 * len(sample_id_parts(sample_type)) if sample_id_all else 0


def read_header_names(read_format: int) -> tuple[str, ...]:
    """The u64 values that come once, in front, in what read(2) and PERF_SAMPLE_READ give.

    With PERF_FORMAT_GROUP: ``nr`` and the times, then the counters of `read_counter_names` nr times.
    Without: nothing; `read_counter_names` is all there is.
    """
    return ("nr", *_chosen(_READ_TIMES, read_format)) if read_format & c.PERF_FORMAT_GROUP else ()


def read_counter_names(read_format: int) -> tuple[str, ...]:
    """The u64 values for each counter: value first, then times (not in a group), id, lost."""
    times = () if read_format & c.PERF_FORMAT_GROUP else _chosen(_READ_TIMES, read_format)
    return ("value", *times, *_chosen(_READ_ENDS, read_format))


def _chosen(table: tuple[tuple[int, str], ...], read_format: int) -> tuple[str, ...]:
    return tuple(name for bit, name in table if read_format & bit)


def read_format_size(read_format: int, *, counters: int = 1) -> int:
    """Bytes that read(2) gives for a group of so many counters; a smaller buffer is ENOSPC (K41)."""
    each = len(read_counter_names(read_format))
    if not read_format & c.PERF_FORMAT_GROUP:
        return 8 * each
    return 8 * (len(read_header_names(read_format)) + counters * each)
