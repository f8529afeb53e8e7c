"""The tracepoints of the simulated machine: their ids, fields, and format files.

The ids are the simulator's own, as they are every kernel's: read them from tracefs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from perfring.abi import PERF_TYPE_TRACEPOINT

__all__ = ["Field", "Tracepoint", "Tracepoints", "Value"]

Value = int | str | tuple[int, ...]
"""Of a field: a number, a string, or the numbers of an array."""

_GETPPID_NUMBER: Final = 110  # of x86-64
_COMMON: Final = struct.Struct("=HBBi")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a tracepoint, as its format file says.

    Attributes:
        declaration: in C, as in "pid_t next_pid" or "char comm[16]"; "__data_loc char[] filename" is a string of no
            fixed length, which lies behind the fields: the field itself tells where, and how long.
        form: struct format.
        signed: the field is a signed number.
    """

    declaration: str
    form: str
    signed: bool = True

    @property
    def name(self) -> str:
        """The name alone."""
        return self.declaration.split()[-1].split("[")[0]

    @property
    def size(self) -> int:
        """Its bytes."""
        return struct.calcsize("=" + self.form)

    @property
    def align(self) -> int:
        """Of what its offset is a multiple."""
        return struct.calcsize("=" + self.form[-1])

    @property
    def elsewhere(self) -> bool:
        """What it holds is a place, and the string is there."""
        return self.declaration.startswith("__data_loc ")

    @property
    def is_array(self) -> bool:
        """It is an array, of whatever."""
        return "[" in self.declaration

    @property
    def is_string(self) -> bool:
        """It is an array of char, here or elsewhere."""
        return self.is_array and "char" in self.declaration


_COMMON_FIELDS: Final = (
    Field("unsigned short common_type", "H", signed=False),
    Field("unsigned char common_flags", "B", signed=False),
    Field("unsigned char common_preempt_count", "B", signed=False),
    Field("int common_pid", "i"),
)


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """One tracepoint.

    Attributes:
        id: what attr.config says.
        name: system and event, as in "sched:sched_switch".
        fields: its own, without the common ones.
        for_all: everybody may see its raw data on his own tasks (K31): the system calls'.
        align: of its C struct, whose size is a multiple of it: 8 for those of system calls, which end in an array of
            longs also when it is empty (measured on 6.18: 20 bytes of raw data for getppid, 4 + 16 to a multiple of 8).
        key: what an event that counts it has as (type, config).
        size: bytes of its C struct: where strings of no fixed length begin.
    """

    id: int
    name: str
    fields: tuple[Field, ...]
    for_all: bool = False
    align: int = 4
    key: tuple[int, int] = field(init=False)
    size: int = field(init=False)
    _struct: struct.Struct = field(init=False, repr=False)
    _values: tuple[tuple[str, bool], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Lays the struct out, once: it is packed for every hit."""
        form, offset = _COMMON.format, _COMMON.size
        for each in self.fields:
            padding = -offset % each.align
            form += f"{padding}x{each.form}"
            offset += padding + each.size
        made = struct.Struct(f"{form}{-offset % self.align}x")
        values = tuple((each.name, each.elsewhere) for each in self.fields)
        for name, value in (("_struct", made), ("_values", values), ("size", made.size)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "key", (PERF_TYPE_TRACEPOINT, self.id))

    def values(self, pid: int, given: dict[str, Value], *, comm: str, cpu: int) -> dict[str, Value]:
        """All fields, the common ones too, for a filter to look at; and the task's name and CPU."""
        common = {"common_type": self.id, "common_flags": 0, "common_preempt_count": 1, "common_pid": pid}
        # A field of the tracepoint's own hides what every tracepoint has.
        return {"comm": comm, "COMM": comm, "cpu": cpu, "CPU": cpu, **common, **given}

    def encode(self, pid: int, given: dict[str, Value]) -> bytes:
        """The raw data of a hit."""
        packed: list[int | bytes] = []
        strings = b""
        for name, elsewhere in self._values:
            value = given[name]
            if isinstance(value, str):
                text = value.encode("utf-8", "surrogateescape")
                if elsewhere:
                    packed.append(len(text) + 1 << 16 | self.size + len(strings))
                    strings += text + b"\0"
                else:
                    packed.append(text)
            elif isinstance(value, tuple):
                packed += value
            else:
                packed.append(value)
        return self._struct.pack(self.id, 0, 1, pid, *packed) + strings

    def format_text(self) -> str:
        """The format file of tracefs."""
        lines = [f"name: {self.name.split(':')[1]}", f"ID: {self.id}", "format:"]
        offset = 0
        for place, each in enumerate((*_COMMON_FIELDS, *self.fields)):
            signed = int(each.signed)
            offset += -offset % each.align
            lines.append(f"\tfield:{each.declaration};\toffset:{offset};\tsize:{each.size};\tsigned:{signed};")
            if place == len(_COMMON_FIELDS) - 1:
                lines.append("")
            offset += each.size
        shown = ", ".join(f"{each.name}=%{'s' if each.is_string else 'd'}" for each in self.fields)
        taken = (f"__get_str({each.name})" if each.elsewhere else f"REC->{each.name}" for each in self.fields)
        arguments = "".join(f", {text}" for text in taken)
        return "\n".join([*lines, "", f'print fmt: "{shown}"{arguments}', ""])


_COMM = "char {}[16]"
_STRING = "__data_loc char[] {}"
_WAKEUP: Final = (
    Field(_COMM.format("comm"), "16s", signed=False),
    Field("pid_t pid", "i"),
    Field("int prio", "i"),
    Field("int target_cpu", "i"),
)
_POINTS: Final = (
    Tracepoint(2031, "syscalls:sys_enter_getppid", (Field("int __syscall_nr", "i"),), for_all=True, align=8),
    Tracepoint(
        2030, "syscalls:sys_exit_getppid", (Field("int __syscall_nr", "i"), Field("long ret", "q")), for_all=True
    ),
    Tracepoint(
        443,
        "raw_syscalls:sys_enter",
        (Field("long id", "q"), Field("unsigned long args[6]", "6Q", signed=False)),
        for_all=True,
    ),
    Tracepoint(442, "raw_syscalls:sys_exit", (Field("long id", "q"), Field("long ret", "q")), for_all=True),
    Tracepoint(
        1412,
        "sched:sched_switch",
        (
            Field(_COMM.format("prev_comm"), "16s", signed=False),
            Field("pid_t prev_pid", "i"),
            Field("int prev_prio", "i"),
            Field("long prev_state", "q"),
            Field(_COMM.format("next_comm"), "16s", signed=False),
            Field("pid_t next_pid", "i"),
            Field("int next_prio", "i"),
        ),
    ),
    Tracepoint(1415, "sched:sched_wakeup", _WAKEUP),
    Tracepoint(1414, "sched:sched_wakeup_new", _WAKEUP),
    Tracepoint(
        1408,
        "sched:sched_process_exec",
        (
            Field(_STRING.format("filename"), "I", signed=False),
            Field("pid_t pid", "i"),
            Field("pid_t old_pid", "i"),
        ),
    ),
    Tracepoint(
        1409,
        "sched:sched_process_fork",
        (
            Field(_STRING.format("parent_comm"), "I", signed=False),
            Field("pid_t parent_pid", "i"),
            Field(_STRING.format("child_comm"), "I", signed=False),
            Field("pid_t child_pid", "i"),
        ),
    ),
    Tracepoint(
        1411,
        "sched:sched_process_exit",
        (
            Field(_COMM.format("comm"), "16s", signed=False),
            Field("pid_t pid", "i"),
            Field("int prio", "i"),
            Field("bool group_dead", "B", signed=False),
        ),
    ),
    Tracepoint(
        1187,
        "task:task_rename",
        (
            Field("pid_t pid", "i"),
            Field(_COMM.format("oldcomm"), "16s", signed=False),
            Field(_COMM.format("newcomm"), "16s", signed=False),
            Field("short oom_score_adj", "h"),
        ),
    ),
)


class Tracepoints:
    """All of them, by name and by id."""

    getppid_number = _GETPPID_NUMBER

    def __init__(self) -> None:
        self._by_name = {point.name: point for point in _POINTS}
        self._by_id = {point.id: point for point in _POINTS}

    def __getitem__(self, name: str) -> Tracepoint:
        """By name. Raises KeyError."""
        return self._by_name[name]

    def with_id(self, number: int) -> Tracepoint | None:
        """By id; None for an id that there is not."""
        return self._by_id.get(number)

    def systems(self) -> dict[str, list[Tracepoint]]:
        """All, by system."""
        found: dict[str, list[Tracepoint]] = {}
        for point in _POINTS:
            found.setdefault(point.name.split(":")[0], []).append(point)
        return found
