"""How a record reads on the screen: one line, and the call chain below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from perfring import procfs
from perfring.errors import TargetNotFound
from perfring.sideband import Comm, Fork, Lost, Mmap, Mmap2, Switch, SwitchCpuWide

if TYPE_CHECKING:
    from perfring.kernel import Kernel
    from perfring.records import Record, Sample

__all__ = ["Lines", "Names", "printable"]

_HEX: Final = frozenset(("ip", "addr", "phys_addr", "data_src"))
_SHOWN_APART: Final = frozenset(("stream_id", "sample_cpu", "fields", "ip", "callchain"))
_RESET: Final = "\x1b[0m"
_DIM, _BOLD, _CYAN, _LOUD = "\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[1;31m"
_UNKNOWN: Final = "?"


def printable(text: str) -> str:
    """The text without what a terminal would obey: threads and files may be called anything."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Names:
    """What threads are called: from their COMM and FORK records, and /proc for those that run already.

    Args:
        kernel: whose /proc; None for records from a file, which may be of another machine and another day.
    """

    def __init__(self, kernel: Kernel | None) -> None:
        self._kernel = kernel
        self._names: dict[int, str] = {}

    def learn(self, record: Record) -> None:
        """Takes a new name from a record, if there is one in it."""
        if isinstance(record, Comm) and record.tid is not None:
            self._names[record.tid] = printable(record.comm)
        elif isinstance(record, Fork) and record.tid is not None:
            self._names[record.tid] = self.of(record.ppid, record.ptid)

    def of(self, pid: int | None, tid: int | None) -> str:
        """The name of a thread, ``?`` when it is not known. The idle thread of each CPU has the id 0."""
        if not pid or not tid:
            return "swapper" if tid == 0 else _UNKNOWN
        found = self._names.get(tid)
        if found is None:
            found = self._names[tid] = self._look_up(pid, tid)
        return found

    def _look_up(self, pid: int, tid: int) -> str:
        if self._kernel is None:
            return _UNKNOWN
        try:
            return printable(procfs.comm(self._kernel, pid, tid))
        except (TargetNotFound, OSError, ValueError):  # it has ended, or is another pid namespace's
            return _UNKNOWN


class Lines:
    """Writes records as lines.

    Args:
        names: what threads are called; learns from every record that is written.
        colour: whether there is a terminal to understand it.
    """

    def __init__(self, names: Names, *, colour: bool = False) -> None:
        self._names = names
        self._colour = colour

    def of(self, record: Record) -> str:
        """The line of a record, its call chain in lines of their own, each with its newline."""
        self._names.learn(record)
        time, task = self._paint(_DIM, _time(record.time)), self._task(record)
        cpu = f"[{record.cpu:03d}]" if record.cpu >= 0 else "[---]"
        what, details = self._sample(record) if record.kind == "sample" else self._side_band(record)  # type: ignore[arg-type]
        return f"{time} {self._paint(_DIM, cpu)} {task} {what} {details}".rstrip() + "\n" + _chain(record)

    def _paint(self, style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if self._colour else text

    def _task(self, record: Record) -> str:
        pid, tid = record.pid, record.tid
        if pid is None or pid == 0xFFFF_FFFF:  # the kernel's word for a task that is being torn down
            return f"{'-':<15} {'-':<11}"
        ids = f"{pid}" if pid == tid else f"{pid}/{tid}"
        return f"{self._names.of(pid, tid):<15} {ids:<11}"

    def _sample(self, sample: Sample) -> tuple[str, str]:
        parts = [] if sample.ip is None else [f"{sample.ip:#x}"]
        details = sample.details()
        parts += [f"{name}={_value(name, value)}" for name, value in details.items() if name not in _SHOWN_APART]
        parts += [f"{name}={_value(name, value)}" for name, value in details.get("fields", {}).items()]
        return self._paint(_BOLD, sample.event or _UNKNOWN), " ".join(parts)

    def _side_band(self, record: Record) -> tuple[str, str]:
        style = _LOUD if isinstance(record, Lost) else _CYAN
        return self._paint(style, record.kind), _describe(record)


def _time(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return f"{'-':>14}"
    seconds, rest = divmod(nanoseconds // 1000, 1_000_000)
    return f"{seconds:>7}.{rest:06d}"


def _chain(record: Record) -> str:
    frames = getattr(record, "frames", None) or ()
    return "".join(f"{'':15}{frame.address:>16x} {frame.mode.replace('_', ' ')}\n" for frame in frames)


def _value(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return printable(value) if value and " " not in value else f'"{printable(value)}"'
    if isinstance(value, int) and name in _HEX:
        return hex(value)
    return printable(str(value))


def _describe(record: Record) -> str:
    if isinstance(record, Comm):
        return f'"{printable(record.comm)}"' + (" by exec" if record.exec else "")
    if isinstance(record, Fork):
        return f"of {record.ppid}/{record.ptid}"
    if isinstance(record, Mmap):
        return (
            f"{_protection(record)}{record.addr:#x}+{record.length:#x} @{record.pgoff:#x} {printable(record.filename)}"
        )
    if isinstance(record, Lost):
        return f"{record.lost} records: the ring was full"
    if isinstance(record, Switch):
        return _switch(record)
    shown = {name: value for name, value in record.details().items() if name not in _SHOWN_APART}
    return " ".join(f"{name}={_value(name, value)}" for name, value in shown.items())


def _protection(record: Mmap) -> str:
    if not isinstance(record, Mmap2):
        return ""
    bits = "".join(letter if record.prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
    return bits + ("s " if record.flags & 1 else "p ")


def _switch(record: Switch) -> str:
    text = ("out, preempted" if record.preempt else "out") if record.out else "in"
    if isinstance(record, SwitchCpuWide):
        text += f", {'next' if record.out else 'before'} {record.next_prev_pid}/{record.next_prev_tid}"
    return text
