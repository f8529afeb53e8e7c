"""A kernel that can be planned for and not opened on: files from a dict, and an error for everything else."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

from perfring.builder import SessionBuilder
from perfring.events import TracepointEvents

if TYPE_CHECKING:
    from perfring.kernel import Kernel
    from perfring.plan import EventSpec

__all__ = ["GETPPID", "OPENED", "fixed_tracepoint", "only_event", "planning_kernel"]

ROOT = "/sys/kernel/tracing/events"
GETPPID = "syscalls:sys_enter_getppid"
OPENED = "sys:opened"
_COMMON = """\
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

"""
_FIELDS = {
    GETPPID: ("int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;",),
    OPENED: ("__data_loc char[] path;\toffset:8;\tsize:4;\tsigned:0;",),
    "sched:sched_switch": ("pid_t prev_pid;\toffset:8;\tsize:4;\tsigned:1;",),
    "uprobes:malloc": (
        "unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;",
        "u64 bytes;\toffset:16;\tsize:8;\tsigned:0;",
    ),
}
_IDS = {name: number for number, name in enumerate(_FIELDS, start=300)}


class PlanningKernel:
    """perf_event_open and the like are not there, so whoever calls them gets an AttributeError."""

    release = "6.18.0"

    def __init__(self, page_size: int, files: dict[str, str]) -> None:
        self.page_size = page_size
        self._files = {
            "/proc/sys/kernel/perf_event_max_sample_rate": "100000\n",
            "/proc/sys/kernel/perf_event_max_stack": "127\n",
            **{f"{ROOT}/{name.replace(':', '/')}/format": _format(name) for name in _FIELDS},
            **files,
        }

    def online_cpus(self) -> tuple[int, ...]:
        return (0, 1)

    def read_text(self, path: str) -> str:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self._files[path]

    def list_dir(self, path: str) -> list[str]:
        below = [name[len(path) + 1 :] for name in self._files if name.startswith(path + "/")]
        if not below:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return sorted({name.split("/")[0] for name in below})


def _format(name: str) -> str:
    lines = "".join(f"\tfield:{field}\n" for field in _FIELDS[name])
    event = name.partition(":")[2]
    return f'name: {event}\nID: {_IDS[name]}\nformat:\n{_COMMON}{lines}\nprint fmt: ""\n'


def planning_kernel(*, page_size: int = 4096, **files: str) -> Kernel:
    """With `GETPPID`, whose records are 56 bytes at most, `OPENED`, which holds a string, and a few more."""
    return cast("Kernel", PlanningKernel(page_size, files))


def fixed_tracepoint() -> SessionBuilder:
    """A builder for rings of one page with nothing but `GETPPID` in them."""
    return SessionBuilder().with_page_count(1).with_tracepoint_events(TracepointEvents(GETPPID))


def only_event(builder: SessionBuilder) -> EventSpec:
    """The one event that the builder plans."""
    (event,) = builder.plan(planning_kernel()).events
    return event
