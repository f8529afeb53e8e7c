"""The parts of a record that are more than a number: counts, branches, registers, stacks.

Must match the comments on PERF_RECORD_SAMPLE and ``struct read_format`` in linux/perf_event.h.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from operator import itemgetter
from struct import Struct
from typing import Any, Final, NamedTuple

from perfring import abi
from perfring.abi import READ_FORMAT_BITS, read_counter_names, read_header_names

__all__ = [
    "Branch",
    "BranchStack",
    "Count",
    "Frame",
    "Namespace",
    "ReadValues",
    "Registers",
    "UserStack",
    "WeightParts",
    "check_read_format",
    "frames_of",
    "parse_read",
    "repeated",
    "take_read",
]


@lru_cache(maxsize=512)
def repeated(count: int, code: str) -> Struct:
    """The Struct of so many numbers; cached, for call chains of the same depth come again and again."""
    return Struct(f"={count}{code}")


class Count(NamedTuple):
    """The count of one event, as read(2) or PERF_SAMPLE_READ gives it.

    Attributes:
        value: what was counted.
        id: the event's id, with PERF_FORMAT_ID.
        lost: records of this event that the kernel dropped, with PERF_FORMAT_LOST (K22).
    """

    value: int
    id: int | None = None
    lost: int | None = None


class ReadValues(NamedTuple):
    """``struct read_format``: the counts of an event, or with PERF_FORMAT_GROUP of its whole group.

    Attributes:
        counts: one `Count`; of a group, the leader's first.
        time_enabled: nanoseconds for which the event was enabled.
        time_running: nanoseconds for which it counted; less when the PMU was shared.
    """

    counts: tuple[Count, ...]
    time_enabled: int | None = None
    time_running: int | None = None

    @property
    def value(self) -> int:
        """The count of the event, or of the group's leader."""
        return self.counts[0].value

    @property
    def id(self) -> int | None:
        """The id of the event, or of the group's leader."""
        return self.counts[0].id

    @property
    def lost(self) -> int | None:
        """The dropped records of the event, or of the group's leader (K22)."""
        return self.counts[0].lost


_DEFERRED: Final = ""
_MODES: Final = {
    abi.PERF_CONTEXT_HV: "hypervisor",
    abi.PERF_CONTEXT_KERNEL: "kernel",
    abi.PERF_CONTEXT_USER: "user",
    abi.PERF_CONTEXT_USER_DEFERRED: _DEFERRED,
    abi.PERF_CONTEXT_GUEST: "guest",
    abi.PERF_CONTEXT_GUEST_KERNEL: "guest_kernel",
    abi.PERF_CONTEXT_GUEST_USER: "guest_user",
}


class Frame(NamedTuple):
    """One function of a call chain, as `Sample.frames` tells it.

    Attributes:
        address: where the CPU was; of a function that had called another, where it goes on when that returns.
        mode: what the CPU runs there: the words of `Record.cpu_mode`, and ``"guest"``.
        is_return: it had called another: the address is the one behind the call.
    """

    address: int
    mode: str
    is_return: bool

    @property
    def call_site(self) -> int:
        """What to look the function up by: behind a call that never returns another function may begin."""
        return self.address - 1 if self.is_return else self.address


def frames_of(chain: Iterable[int]) -> Iterator[Frame]:
    """A call chain without its marks: each entry knows by itself where it lies.

    Args:
        chain: as in `Sample.callchain`: addresses, and before those of the kernel and of user space a mark
            (``enum perf_callchain_context`` in linux/perf_event.h). Behind the mark of a deferred chain there is no
            address but a number, which is left out.
    """
    mode, is_return = "unknown", False
    for entry in chain:
        if entry >= abi.PERF_CONTEXT_MAX:
            mode, is_return = _MODES.get(entry, "unknown"), False
        elif mode != _DEFERRED:
            yield Frame(entry, mode, is_return)
            is_return = True


class Registers(NamedTuple):
    """The registers of PERF_SAMPLE_REGS_USER or PERF_SAMPLE_REGS_INTR.

    Attributes:
        abi: PERF_SAMPLE_REGS_ABI_NONE (there were none, as for a kernel thread), _32 or _64.
        mask: which registers were asked for: bit n is register n of the architecture's asm/perf_regs.h.
        values: the registers in the order of their bits; empty when ``abi`` is NONE.
    """

    abi: int
    mask: int
    values: tuple[int, ...]

    def by_number(self) -> dict[int, int]:
        """The registers by their number in asm/perf_regs.h."""
        numbers = (number for number in range(64) if self.mask >> number & 1)
        return dict(zip(numbers, self.values, strict=False))


class UserStack(NamedTuple):
    """The copy of the user's stack, PERF_SAMPLE_STACK_USER.

    Attributes:
        data: the whole field, from the stack pointer up.
        dynamic_size: how many of its bytes the kernel could fill; what lies behind them is not the stack.
    """

    data: bytes
    dynamic_size: int

    @property
    def used(self) -> bytes:
        """The bytes that are the stack's."""
        return self.data[: self.dynamic_size]


class WeightParts(NamedTuple):
    """``union perf_sample_weight`` as its struct: what the parts mean depends on the PMU."""

    var1_dw: int
    var2_w: int
    var3_w: int


def _flag_bits(flags: int, low: int, width: int) -> int:
    """A bit field of ``struct perf_branch_entry``; a big-endian compiler hands them out from the top."""
    shift = low if sys.byteorder == "little" else 64 - low - width
    return flags >> shift & (1 << width) - 1


class Branch(NamedTuple):
    """``struct perf_branch_entry``: one branch that was taken.

    Attributes:
        from_ip: the address of the branch.
        to_ip: where it went.
        flags: the third word, whole; the properties name its parts.
        counters: the event counts of this branch, with PERF_SAMPLE_BRANCH_COUNTERS.
    """

    from_ip: int
    to_ip: int
    flags: int
    counters: int | None = None

    @property
    def mispredicted(self) -> bool:
        """The target was mispredicted."""
        return bool(_flag_bits(self.flags, 0, 1))

    @property
    def predicted(self) -> bool:
        """The target was predicted; neither of the two: the PMU does not say."""
        return bool(_flag_bits(self.flags, 1, 1))

    @property
    def in_transaction(self) -> bool:
        """Inside a hardware transaction."""
        return bool(_flag_bits(self.flags, 2, 1))

    @property
    def abort(self) -> bool:
        """The abort of a hardware transaction."""
        return bool(_flag_bits(self.flags, 3, 1))

    @property
    def cycles(self) -> int:
        """Cycles since the branch before, 0 when not supported."""
        return _flag_bits(self.flags, 4, 16)

    @property
    def type(self) -> int:
        """PERF_BR_*."""
        return _flag_bits(self.flags, 20, 4)

    @property
    def speculation(self) -> int:
        """PERF_BR_SPEC_*."""
        return _flag_bits(self.flags, 24, 2)

    @property
    def new_type(self) -> int:
        """PERF_BR_NEW_*, when ``type`` is PERF_BR_EXTEND_ABI."""
        return _flag_bits(self.flags, 26, 4)

    @property
    def privilege(self) -> int:
        """PERF_BR_PRIV_*."""
        return _flag_bits(self.flags, 30, 3)


class BranchStack(NamedTuple):
    """PERF_SAMPLE_BRANCH_STACK: the last branches, the newest first.

    Attributes:
        entries: the branches.
        hardware_index: the PMU's own index of the newest, with PERF_SAMPLE_BRANCH_HW_INDEX.
    """

    entries: tuple[Branch, ...]
    hardware_index: int | None = None


class Namespace(NamedTuple):
    """``struct perf_ns_link_info``: a namespace as ``/proc/PID/ns`` shows it."""

    dev: int
    ino: int


def parse_read(read_format: int, data: bytes) -> ReadValues:
    """Decodes what read(2) of a perf fd returned.

    Args:
        read_format: the event's ``attr.read_format``, PERF_FORMAT_* bits.
        data: the bytes that read(2) gave.

    Raises:
        ValueError: an unknown bit in ``read_format``, or ``data`` of another length than it calls for.
    """
    check_read_format(read_format)
    values, end = take_read(read_format, data, 0)
    if end != len(data):
        raise ValueError(f"read_format {read_format:#x} calls for {end} bytes, not for {len(data)}")
    return values


def check_read_format(read_format: int) -> None:
    """Raises ValueError for bits that no known kernel writes: their fields would shift all that follow."""
    if read_format & ~READ_FORMAT_BITS:
        raise ValueError(f"read_format {read_format:#x} has bits beyond the known {READ_FORMAT_BITS:#x}")


def take_read(read_format: int, data: bytes, offset: int) -> tuple[ReadValues, int]:
    """Decodes a ``struct read_format`` inside other data: the values and the offset behind them.

    Raises:
        ValueError: it does not fit into ``data``.
    """
    shape = _read_shape(read_format)
    header, offset = _take_words(read_format, data, offset, shape.once) if shape.once else ((), offset)
    counters = header[0] if header else 1
    numbers, end = _take_words(read_format, data, offset, counters * shape.each)
    starts = range(0, len(numbers), shape.each)
    counts = [Count._make(shape.counter((*numbers[start : start + shape.each], None))) for start in starts]
    return ReadValues(tuple(counts), *shape.times((*(header or numbers), None))), end


class _ReadShape(NamedTuple):
    """How ``struct read_format`` looks: so many u64 once, so many for each counter, and what picks the values.

    The pickers are given one None behind the numbers: what they find in place of a number that was not asked for.
    """

    once: int
    each: int
    counter: Callable[[tuple[int | None, ...]], tuple[Any, ...]]
    times: Callable[[tuple[int | None, ...]], tuple[Any, ...]]


@lru_cache(maxsize=READ_FORMAT_BITS + 1)
def _read_shape(read_format: int) -> _ReadShape:
    once, each = read_header_names(read_format), read_counter_names(read_format)
    counter = _picker(each, ("value", "id", "lost"))
    return _ReadShape(len(once), len(each), counter, _picker(once or each, ("time_enabled", "time_running")))


def _picker(names: tuple[str, ...], wanted: tuple[str, ...]) -> Callable[[tuple[int | None, ...]], tuple[Any, ...]]:
    return itemgetter(*(names.index(name) if name in names else -1 for name in wanted))


def _take_words(read_format: int, data: bytes, offset: int, count: int) -> tuple[tuple[int, ...], int]:
    # Before a Struct of that many words is made: the count of a corrupt record may be 2**64 - 1.
    end = offset + 8 * count
    if end > len(data):
        left = max(0, len(data) - offset)
        raise ValueError(f"{count} words of read_format {read_format:#x} do not fit into {left} bytes")
    return repeated(count, "Q").unpack_from(data, offset), end
