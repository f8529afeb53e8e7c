"""The words of programs: what numbers they stand for, and how numbers are spelled."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from perfring import abi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfring.kernel import Kernel
    from simkernel.contract.program import Step

__all__ = [
    "EPOLL_EVENTS",
    "FCNTL",
    "FCNTL_FLAGS",
    "IOCTLS",
    "OPEN_FLAGS",
    "POLL_EVENTS",
    "READ_FORMAT",
    "SAMPLE_TYPE",
    "SOFTWARE",
    "TRACEPOINTS",
    "attr_of",
    "number_in",
    "spelled",
    "tracepoint_id",
]

POLL_EVENTS: Final = {"IN": 1, "PRI": 2, "OUT": 4, "ERR": 8, "HUP": 16, "NVAL": 32, "RDNORM": 64}
"""poll.h."""
EPOLL_EVENTS: Final = POLL_EVENTS | {"EXCLUSIVE": 1 << 28, "WAKEUP": 1 << 29, "ONESHOT": 1 << 30, "ET": 1 << 31}
"""sys/epoll.h."""
FCNTL: Final = {"GETFL": 3, "SETFL": 4, "SETOWN": 8, "GETOWN": 9, "SETSIG": 10, "GETSIG": 11}
"""fcntl.h, commands."""
FCNTL_FLAGS: Final = {"NONBLOCK": 0o4000, "ASYNC": 0o20000}
"""fcntl.h, flags of SETFL."""
OPEN_FLAGS: Final = {
    "NO_GROUP": abi.PERF_FLAG_FD_NO_GROUP,
    "OUTPUT": abi.PERF_FLAG_FD_OUTPUT,
    "PID_CGROUP": abi.PERF_FLAG_PID_CGROUP,
    "CLOEXEC": abi.PERF_FLAG_FD_CLOEXEC,
}
"""The flags of perf_event_open(2)."""
READ_FORMAT: Final = {
    "ENABLED": abi.PERF_FORMAT_TOTAL_TIME_ENABLED,
    "RUNNING": abi.PERF_FORMAT_TOTAL_TIME_RUNNING,
    "ID": abi.PERF_FORMAT_ID,
    "GROUP": abi.PERF_FORMAT_GROUP,
    "LOST": abi.PERF_FORMAT_LOST,
}
"""PERF_FORMAT_*."""


def _named(prefix: str, *without: str) -> dict[str, int]:
    names = [name for name in abi.__all__ if name.startswith(prefix) and not name.startswith(without)]
    return {name.removeprefix(prefix): getattr(abi, name) for name in names}


SAMPLE_TYPE: Final = _named("PERF_SAMPLE_", "PERF_SAMPLE_BRANCH_", "PERF_SAMPLE_REGS_", "PERF_SAMPLE_WEIGHT_TYPE") | {
    "BRANCH_STACK": abi.PERF_SAMPLE_BRANCH_STACK,
    "REGS_USER": abi.PERF_SAMPLE_REGS_USER,
    "REGS_INTR": abi.PERF_SAMPLE_REGS_INTR,
}
"""PERF_SAMPLE_*."""
IOCTLS: Final = _named("PERF_EVENT_IOC_")
"""PERF_EVENT_IOC_*."""
SOFTWARE: Final = {
    name.lower().replace("_", "-"): number for name, number in _named("PERF_COUNT_SW_", "PERF_COUNT_SW_MAX").items()
}
"""PERF_COUNT_SW_*, as ``perf list`` spells them."""

TRACEPOINTS: Final = {
    "getppid": "syscalls/sys_enter_getppid",
    "getppid_exit": "syscalls/sys_exit_getppid",
    "rename": "task/task_rename",
    "sched_switch": "sched/sched_switch",
    "sched_fork": "sched/sched_process_fork",
    "sched_exec": "sched/sched_process_exec",
    "sched_exit": "sched/sched_process_exit",
}
"""The tracepoints that programs know, and where tracefs has them."""
_TRACEFS: Final = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

_BITS: Final = {"sample_type": SAMPLE_TYPE, "read_format": READ_FORMAT}


def number_in(text: str, symbols: Mapping[str, int]) -> int:
    """The number of ``"IN|ET"`` or ``"0x41"``.

    Raises:
        ValueError: a word is neither a number nor one of the symbols.
    """
    number = 0
    for word in text.split("|"):
        if word in symbols:
            number |= symbols[word]
            continue
        try:
            number |= int(word, 0)
        except ValueError:
            raise ValueError(f"{word!r} is no number and none of {', '.join(symbols)}") from None
    return number


def spelled(number: int, symbols: Mapping[str, int]) -> str:
    """The words of a number; bits without a word in hexadecimal."""
    words = [word for word, bit in symbols.items() if number & bit]
    rest = number & ~sum(symbols[word] for word in words)
    return "|".join([*words, hex(rest)] if rest else words) or "0"


def tracepoint_id(kernel: Kernel, path: str) -> int:
    """The number of a tracepoint, by its path below ``events`` of tracefs.

    Raises:
        ValueError: this kernel has none of that name, or no tracefs.
    """
    for root in _TRACEFS:
        with contextlib.suppress(FileNotFoundError):
            return int(kernel.read_text(f"{root}/events/{path}/id"))
    raise ValueError(f"no events/{path}/id below {' or '.join(_TRACEFS)}: mount tracefs, or the kernel has none such")


def attr_of(step: Step, tracepoint_id: Callable[[str], int]) -> tuple[abi.PerfEventAttr, str]:
    """The attr of an ``open``, and the name of its tracepoint or the empty string.

    Args:
        step: the step.
        tracepoint_id: gives the number of a tracepoint by its name.

    Raises:
        ValueError: the kind or a field is none.
    """
    kind, _, name = step.words[0].partition(":")
    fields: dict[str, Any] = {}
    if kind == "software":
        fields = {"type": abi.PERF_TYPE_SOFTWARE, "config": number_in(name, SOFTWARE)}
    elif kind == "tracepoint":
        fields = {"type": abi.PERF_TYPE_TRACEPOINT, "config": tracepoint_id(name)}
    elif kind == "type":
        fields = {"type": int(name, 0)}
    else:
        raise ValueError(f"{step.words[0]!r} is no kind of event: software:NAME, tracepoint:NAME or type:NUMBER")
    for option, value in step.options:
        if option not in ("pid", "cpu", "group", "open_flags"):
            fields[option] = number_in(value, _BITS.get(option, {}))
    return abi.PerfEventAttr(**fields), name if kind == "tracepoint" else ""
