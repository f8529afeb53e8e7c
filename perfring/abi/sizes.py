"""How small and how large the records of an event can be: what the watermark rule is fed with.

Every bound follows from the attr alone, so that it can be known before anything is opened. Where the
kernel's own bound depends on the machine, the larger one is taken: a watermark judged safe then is.
Not counted is PERF_RECORD_LOST, which the rule adds by itself (`lost_record_bytes`, K44), and what
only AUX areas write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perfring.abi import constants as c
from perfring.abi.layouts import (
    HEADER,
    RECORD_BODIES,
    fixed_struct,
    leading_fields,
    read_format_size,
    sample_id_size,
    sample_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.abi.attr import PerfEventAttr

__all__ = [
    "MAX_BRANCH_ENTRIES",
    "MAX_PATH_BYTES",
    "MAX_SYMBOL_BYTES",
    "MAX_TRACE_BYTES",
    "SampleLimits",
    "lost_record_bytes",
    "max_record_bytes",
    "min_record_bytes",
    "record_bytes",
]

MAX_PATH_BYTES: Final = 4096
"""PATH_MAX: a file name in MMAP and MMAP2, a path in CGROUP, NUL and padding included."""
MAX_SYMBOL_BYTES: Final = 512
"""KSYM_NAME_LEN since 6.1 (128 before): the name in KSYMBOL."""
MAX_TRACE_BYTES: Final = 8192
"""PERF_MAX_TRACE_SIZE (2048 on older kernels): the payload of a tracepoint, kprobe or uprobe."""
MAX_BRANCH_ENTRIES: Final = 64
"""More than any branch stack in hardware has (LBR 32, BRBE 64)."""

_HEADER: Final = HEADER.size
_FIXED: Final = {kind: fixed_struct(leading_fields(fields))[0].size for kind, fields in RECORD_BODIES.items()}
_LARGEST: Final = 65528  # the header's u16 size, in steps of 8 (K5)
_COMM: Final = 16  # TASK_COMM_LEN
_NAMESPACES: Final = 7

_Range = tuple[int, int]
_NOTHING: Final[_Range] = (0, 0)


class SampleLimits:
    """Settings of the machine that bound a sample.

    Args:
        max_stack: /proc/sys/kernel/perf_event_max_stack, entries of a call chain.
        max_contexts: /proc/sys/kernel/perf_event_max_contexts_per_stack, marks between them.
        group_size: Counters read with PERF_SAMPLE_READ and PERF_FORMAT_GROUP.

    Raises:
        ValueError: One of them is negative, or the group is empty.
    """

    def __init__(
        self,
        *,
        max_stack: int = c.PERF_MAX_STACK_DEPTH,
        max_contexts: int = c.PERF_MAX_CONTEXTS_PER_STACK,
        group_size: int = 1,
    ) -> None:
        for name, value, least in (
            ("max_stack", max_stack, 0),
            ("max_contexts", max_contexts, 0),
            ("group_size", group_size, 1),
        ):
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        self.max_stack = max_stack
        self.max_contexts = max_contexts
        self.group_size = group_size

    def chain_bytes(self, attr: PerfEventAttr) -> int:
        """The longest call chain with its ``nr``: entries, marks, and the cookie of a deferred one."""
        entries = min(attr.sample_max_stack or self.max_stack, self.max_stack)
        deferred = 2 if attr.defer_callchain else 0
        return 8 * (1 + entries + self.max_contexts + deferred)


def record_bytes(attr: PerfEventAttr, *, limits: SampleLimits | None = None) -> dict[int, _Range]:
    """The least and the most bytes of each record type that an event with this attr may write.

    Sizes count header, body, padding and trailer; keys are PERF_RECORD_*. Empty for an event that
    only counts.
    """
    limits = limits or SampleLimits()
    sizes: dict[int, _Range] = {}
    if _samples(attr):
        sizes[c.PERF_RECORD_SAMPLE] = _sample_range(attr, limits)
    trailer = sample_id_size(attr.sample_type, sample_id_all=attr.sample_id_all)
    for record_type, (least, most) in _side_band(attr, limits):
        sizes[record_type] = (_HEADER + least + trailer, min(_HEADER + most + trailer, _LARGEST))
    return sizes


def max_record_bytes(attr: PerfEventAttr, *, limits: SampleLimits | None = None) -> int:
    """The largest record an event with this attr may write, 65528 at most; 0 when it writes none."""
    return max((most for _, most in record_bytes(attr, limits=limits).values()), default=0)


def min_record_bytes(attr: PerfEventAttr, *, limits: SampleLimits | None = None) -> int:
    """The smallest record an event with this attr may write, 8 at least; 0 when it writes none."""
    return min((least for least, _ in record_bytes(attr, limits=limits).values()), default=0)


def lost_record_bytes(attr: PerfEventAttr) -> int:
    """Bytes of the PERF_RECORD_LOST that an event with this attr writes: 24 and the trailer, 72 at most (K44)."""
    return _HEADER + _FIXED[c.PERF_RECORD_LOST] + sample_id_size(attr.sample_type, sample_id_all=attr.sample_id_all)


def _is_software(attr: PerfEventAttr, config: int) -> bool:
    return attr.type == c.PERF_TYPE_SOFTWARE and attr.config == config


def _samples(attr: PerfEventAttr) -> bool:
    if _is_software(attr, c.PERF_COUNT_SW_BPF_OUTPUT):
        return True  # a program writes them, whatever the period
    return attr.sample_period > 0 and not _is_software(attr, c.PERF_COUNT_SW_DUMMY)


def _side_band(attr: PerfEventAttr, limits: SampleLimits) -> Iterator[tuple[int, _Range]]:
    """Bodies of the records other than samples, as the flags and the sampling of the event call for.

    The ranges below are what comes behind the fields that have their fixed places.
    """
    for wanted, bodies in (
        (_wants_mappings(attr), {_mapping(attr): (8, MAX_PATH_BYTES)}),
        (attr.comm, {c.PERF_RECORD_COMM: (8, _COMM)}),
        # The kernel reports fork and exit to whoever wants names or mappings, too.
        (
            attr.task or attr.comm or _wants_mappings(attr),
            {c.PERF_RECORD_FORK: _NOTHING, c.PERF_RECORD_EXIT: _NOTHING},
        ),
        (attr.context_switch, {c.PERF_RECORD_SWITCH: _NOTHING, c.PERF_RECORD_SWITCH_CPU_WIDE: _NOTHING}),
        (attr.namespaces, {c.PERF_RECORD_NAMESPACES: _same(16 * _NAMESPACES)}),
        (attr.ksymbol, {c.PERF_RECORD_KSYMBOL: (8, MAX_SYMBOL_BYTES)}),
        (attr.bpf_event, {c.PERF_RECORD_BPF_EVENT: _NOTHING}),
        (attr.cgroup, {c.PERF_RECORD_CGROUP: (8, MAX_PATH_BYTES)}),
        (attr.text_poke, {c.PERF_RECORD_TEXT_POKE: (0, _LARGEST)}),
        (_samples(attr), {c.PERF_RECORD_THROTTLE: _NOTHING, c.PERF_RECORD_UNTHROTTLE: _NOTHING}),
        (_samples(attr) and attr.precise_ip > 0, {c.PERF_RECORD_LOST_SAMPLES: _NOTHING}),
        (attr.inherit_stat, {c.PERF_RECORD_READ: _same(_read_bytes(attr, limits))}),
        (attr.defer_output, {c.PERF_RECORD_CALLCHAIN_DEFERRED: (0, limits.chain_bytes(attr) - 8)}),
    ):
        if wanted:
            for record_type, (least, most) in bodies.items():
                fixed = _FIXED[record_type]
                yield record_type, (_round_up(fixed + least), _round_up(fixed + most))


def _same(size: int) -> _Range:
    return size, size


def _wants_mappings(attr: PerfEventAttr) -> bool:
    return attr.mmap or attr.mmap2 or attr.mmap_data


def _mapping(attr: PerfEventAttr) -> int:
    return c.PERF_RECORD_MMAP2 if attr.mmap2 else c.PERF_RECORD_MMAP


def _read_bytes(attr: PerfEventAttr, limits: SampleLimits) -> int:
    return read_format_size(attr.read_format, counters=limits.group_size)


def _sample_range(attr: PerfEventAttr, limits: SampleLimits) -> _Range:
    least = most = _HEADER
    for part in sample_parts(attr.sample_type):
        low, high = _part_range(part.bits, attr, limits)
        least += low
        most += high
    return min(least, _LARGEST), min(most, _LARGEST)


def _part_range(bits: int, attr: PerfEventAttr, limits: SampleLimits) -> _Range:
    """One part of a sample. Everything of variable length is 8 bytes at least: a count or a size."""
    if bits == c.PERF_SAMPLE_READ:
        return _same(_read_bytes(attr, limits))
    most = {
        c.PERF_SAMPLE_CALLCHAIN: limits.chain_bytes(attr),
        c.PERF_SAMPLE_RAW: _raw_bytes(attr),
        c.PERF_SAMPLE_BRANCH_STACK: _branch_bytes(attr),
        c.PERF_SAMPLE_REGS_USER: 8 + 8 * attr.sample_regs_user.bit_count(),
        c.PERF_SAMPLE_REGS_INTR: 8 + 8 * attr.sample_regs_intr.bit_count(),
        c.PERF_SAMPLE_STACK_USER: 16 + attr.sample_stack_user,
        c.PERF_SAMPLE_AUX: 8 + _round_up(attr.aux_sample_size),
    }
    return 8, most.get(bits, 8)


def _raw_bytes(attr: PerfEventAttr) -> int:
    """The raw part: a u32 size, the data, padding. Software events have no data but BPF output."""
    if attr.type != c.PERF_TYPE_SOFTWARE:
        return _round_up(4 + MAX_TRACE_BYTES)
    return _LARGEST if attr.config == c.PERF_COUNT_SW_BPF_OUTPUT else 8


def _branch_bytes(attr: PerfEventAttr) -> int:
    entry = 24 + (8 if attr.branch_sample_type & c.PERF_SAMPLE_BRANCH_COUNTERS else 0)
    index = 8 if attr.branch_sample_type & c.PERF_SAMPLE_BRANCH_HW_INDEX else 0
    return 8 + index + entry * MAX_BRANCH_ENTRIES


def _round_up(size: int) -> int:
    return (size + 7) // 8 * 8
