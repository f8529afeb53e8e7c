"""What perf_event_open(2) refuses, in the order in which Linux looks: when two things are wrong, the same one wins.

The order was measured on 6.18 (K29, K30, K31): attr, rights to look into the kernel, sampling rates, the group's
descriptor, the task, the CPU, the event itself, rights to the task or the CPU, and the group's rules at the end.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from perfring.abi import (
    PERF_ATTR_SIZE_VER0,
    PERF_ATTR_SIZE_VER9,
    PERF_COUNT_SW_CGROUP_SWITCHES,
    PERF_SAMPLE_BRANCH_PLM_ALL,
    PERF_SAMPLE_BRANCH_STACK,
    PERF_SAMPLE_CALLCHAIN,
    PERF_SAMPLE_PHYS_ADDR,
    PERF_SAMPLE_RAW,
    PERF_SAMPLE_READ,
    PERF_SAMPLE_REGS_INTR,
    PERF_SAMPLE_REGS_USER,
    PERF_SAMPLE_STACK_USER,
    PERF_SAMPLE_TID,
    PERF_SAMPLE_WEIGHT_TYPE,
    PERF_TYPE_BREAKPOINT,
    PERF_TYPE_SOFTWARE,
    PERF_TYPE_TRACEPOINT,
    PerfEventAttr,
)
from simkernel.clock import CLOCK_OFFSETS, SCHED_CLOCK_OFFSET
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from simkernel.event import Context, PerfEvent
    from simkernel.machine import Machine
    from simkernel.tasks import Task

__all__ = [
    "check_attr",
    "check_group",
    "check_kind",
    "check_rates",
    "check_rights",
    "check_target_rights",
    "clock_offset",
    "copy_attr",
]

_LONGEST_ATTR: Final = 4096
_READ_BITS: Final = 5
"""With PERF_FORMAT_LOST, which came with Linux 6.0 and went back to 5.10.223 (K22)."""
_LARGEST_STACK: Final = 0xFFFF
_REGISTERS: Final = sum(1 << bit for bit in range(24) if bit not in range(12, 16))
"""Of x86-64: without the data segments, which 64-bit mode does not have."""
_WIDE_REGISTERS: Final = 0xFFFF_FFFF << 32
_ANY_CLOCK: Final = frozenset(CLOCK_OFFSETS)
_NMI_SAFE_CLOCKS: Final = frozenset((1, 4))


def _refuse(code: int) -> NoReturn:
    raise os_error(code)


def copy_attr(machine: Machine, attr: PerfEventAttr) -> PerfEventAttr:
    """The kernel's own copy of the attr; with E2BIG it writes its size into the caller's (K29)."""
    size = attr.size or PERF_ATTR_SIZE_VER0
    known = machine.features.attr_size
    packed = attr.pack()
    if not PERF_ATTR_SIZE_VER0 <= size <= _LONGEST_ATTR or any(packed[known:]):
        attr.size = known
        _refuse(errno.E2BIG)
    whole = bytearray(packed[:known].ljust(PERF_ATTR_SIZE_VER9, b"\0"))
    whole[4:8] = PERF_ATTR_SIZE_VER9.to_bytes(4, sys.byteorder)
    return PerfEventAttr.unpack(bytes(whole))


def check_attr(machine: Machine, attr: PerfEventAttr) -> None:
    """The bits: everything that is wrong whatever the event is, and whoever asks."""
    features = machine.features
    unknown_flags = attr.flags >> features.flag_bits
    if unknown_flags or attr.reserved_2 or attr.aux_action & ~7:
        _refuse(errno.EINVAL)
    if attr.sample_type >> features.sample_bits or attr.read_format >> _READ_BITS:
        _refuse(errno.EINVAL)
    if attr.sample_type & PERF_SAMPLE_BRANCH_STACK:
        mask = attr.branch_sample_type
        if mask >> features.branch_bits or not mask & ~PERF_SAMPLE_BRANCH_PLM_ALL:
            _refuse(errno.EINVAL)
    _check_registers(attr.sample_type & PERF_SAMPLE_REGS_USER, attr.sample_regs_user)
    if attr.sample_type & PERF_SAMPLE_STACK_USER and (
        attr.sample_stack_user >= _LARGEST_STACK or attr.sample_stack_user & 7
    ):
        _refuse(errno.EINVAL)
    _check_registers(attr.sample_type & PERF_SAMPLE_REGS_INTR, attr.sample_regs_intr)
    if attr.sample_type & PERF_SAMPLE_WEIGHT_TYPE == PERF_SAMPLE_WEIGHT_TYPE:
        _refuse(errno.EINVAL)
    if attr.inherit_thread and not attr.inherit:
        _refuse(errno.EINVAL)
    if attr.remove_on_exec and attr.enable_on_exec:
        _refuse(errno.EINVAL)
    if attr.sigtrap and not attr.remove_on_exec:
        _refuse(errno.EINVAL)


def _check_registers(wanted: int, mask: int) -> None:
    # Which of the wide registers there are is asked later, and of the PMU.
    if wanted and (not mask or mask & ~(_REGISTERS | _WIDE_REGISTERS)):
        _refuse(errno.EINVAL)


def check_rights(machine: Machine, attr: PerfEventAttr) -> None:
    """Who may look into the kernel, at namespaces and at physical addresses (K31); sampling rates in between."""
    into_kernel = machine.settings.paranoid <= 1 or machine.perfmon
    if not attr.exclude_kernel and not into_kernel:
        _refuse(errno.EACCES)
    if attr.namespaces and not machine.perfmon:
        _refuse(errno.EACCES)
    check_rates(machine, attr)
    if attr.sample_type & PERF_SAMPLE_PHYS_ADDR and not into_kernel:
        _refuse(errno.EACCES)


def check_rates(machine: Machine, attr: PerfEventAttr) -> None:
    """A frequency above the sysctl, a period with the highest bit (K30)."""
    if attr.freq and attr.sample_freq > machine.settings.max_sample_rate:
        _refuse(errno.EINVAL)
    if not attr.freq and attr.sample_period >> 63:
        _refuse(errno.EINVAL)


def check_kind(machine: Machine, attr: PerfEventAttr, task: Task | None, cpu: int) -> None:
    """What the event is: CPU, combinations, type, config (K30)."""
    if cpu not in machine.cpus and (task is None or cpu != -1):
        _refuse(errno.EINVAL)
    if attr.sigtrap and task is None:
        _refuse(errno.EINVAL)
    if attr.inherit and attr.sample_type & PERF_SAMPLE_READ:
        with_tid = attr.sample_type & PERF_SAMPLE_TID
        if not machine.features.inherit_read or not with_tid:
            _refuse(errno.EINVAL)
    _check_type(machine, attr, task)
    if (attr.sample_regs_user | attr.sample_regs_intr) & _WIDE_REGISTERS:
        _refuse(errno.EOPNOTSUPP)
    if attr.aux_output or attr.aux_start_paused:
        _refuse(errno.EOPNOTSUPP)
    if attr.aux_action:
        _refuse(errno.EINVAL)
    if attr.sample_type & PERF_SAMPLE_CALLCHAIN and attr.sample_max_stack > machine.settings.max_stack:
        _refuse(errno.EOVERFLOW)
    if attr.aux_sample_size:  # there is no event with an AUX area to sample
        _refuse(errno.EINVAL)
    _check_modelled(attr)


def _check_type(machine: Machine, attr: PerfEventAttr, task: Task | None) -> None:
    branches = attr.sample_type & PERF_SAMPLE_BRANCH_STACK
    if attr.type == PERF_TYPE_SOFTWARE:
        if branches:
            _refuse(errno.EOPNOTSUPP)
        if attr.config > PERF_COUNT_SW_CGROUP_SWITCHES:
            _refuse(errno.ENOENT)
    elif attr.type == PERF_TYPE_TRACEPOINT:
        if branches:
            _refuse(errno.EOPNOTSUPP)
        point = machine.tracepoints.with_id(attr.config)
        if point is None:
            _refuse(errno.EINVAL)
        raw = attr.sample_type & PERF_SAMPLE_RAW and not (task is not None and point.for_all)
        if raw and machine.settings.paranoid > -1 and not machine.perfmon:
            _refuse(errno.EPERM)
    elif attr.type == PERF_TYPE_BREAKPOINT:
        raise NotImplementedError("simkernel has no breakpoints (PERF_TYPE_BREAKPOINT)")
    else:
        _refuse(errno.ENOENT)


def _check_modelled(attr: PerfEventAttr) -> None:
    """What Linux takes and the simulator does not have: named, and never silently ignored.

    ``ksymbol``, ``bpf_event``, ``cgroup`` and ``text_poke`` ask for news of things that never happen here, so an event
    that has them is complete.
    """
    if attr.sigtrap:
        raise NotImplementedError("simkernel has no perf_event_attr.sigtrap")
    if attr.build_id and attr.mmap2:  # without mmap2 it says nothing, here as on Linux
        raise NotImplementedError("simkernel has no perf_event_attr.build_id: its files have no build ids")


def clock_offset(attr: PerfEventAttr) -> int:
    """What the event's clock adds to the monotonic one; tracepoints take only those that an NMI may read."""
    if not attr.use_clockid:
        return SCHED_CLOCK_OFFSET
    allowed = _NMI_SAFE_CLOCKS if attr.type == PERF_TYPE_TRACEPOINT else _ANY_CLOCK
    if attr.clockid not in allowed:
        _refuse(errno.EINVAL)
    return CLOCK_OFFSETS[attr.clockid]


def check_target_rights(machine: Machine, task: Task | None) -> None:
    """Who may watch a whole CPU, and somebody else's task (K31)."""
    held = machine.settings.capabilities
    if task is None:
        if machine.settings.paranoid > 0 and not machine.perfmon:
            _refuse(errno.EACCES)
    elif task.uid != machine.settings.uid and not machine.perfmon and "CAP_SYS_PTRACE" not in held:
        _refuse(errno.EACCES)


def check_group(attr: PerfEventAttr, offset: int, context: Context, cpu: int, leader: PerfEvent) -> None:
    """Who may be in one group."""
    if (
        leader.leader is not leader
        or leader.clock_offset != offset
        or leader.cpu != cpu
        or leader.context is not context
        or attr.exclusive
        or attr.pinned
    ):
        _refuse(errno.EINVAL)
