"""The records that are no samples: losses, names, mappings, births and deaths of tasks, switches.

The classes say what there is; where it stands in the bytes is told by `perfring.abi.RECORD_BODIES`, and
`perfring.bodies` reads it from there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from perfring import abi
from perfring.fields import Namespace, ReadValues
from perfring.records import Record

__all__ = [
    "RECORD_CLASSES",
    "Aux",
    "AuxOutputHwId",
    "BpfEvent",
    "Cgroup",
    "Comm",
    "Exit",
    "Fork",
    "ItraceStart",
    "Ksymbol",
    "Lost",
    "LostSamples",
    "Mmap",
    "Mmap2",
    "Namespaces",
    "Read",
    "SideBand",
    "Switch",
    "SwitchCpuWide",
    "TextPoke",
    "Throttle",
    "UnknownRecord",
    "Unthrottle",
]


@dataclass(slots=True, kw_only=True, repr=False)
class SideBand(Record):
    """What all records have that are no samples. Read-only by convention: it is not enforced, for speed.

    Attributes:
        stream_id: PERF_SAMPLE_STREAM_ID of the trailer, or None.
        sample_cpu: PERF_SAMPLE_CPU of the trailer: the CPU it was written on, or None.
    """

    cpu: int = -1
    position: int = -1
    misc: int = 0
    size: int = 0
    time: int | None = None
    pid: int | None = None
    tid: int | None = None
    id: int | None = None
    stream_id: int | None = None
    sample_cpu: int | None = None
    event: str | None = None

    def details(self) -> dict[str, Any]:
        """The fields that only this kind of record has, by name, as they are."""
        own = fields(self)[_COMMON_FIELDS:]
        trailer = {"stream_id": self.stream_id, "sample_cpu": self.sample_cpu}
        named = {field.name: getattr(self, field.name) for field in own}
        return named | {name: value for name, value in trailer.items() if value is not None}


_COMMON_FIELDS = len(fields(SideBand))


@dataclass(slots=True, kw_only=True, repr=False)
class Mmap(SideBand):
    """PERF_RECORD_MMAP: memory was mapped.

    Attributes:
        addr: where.
        length: how many bytes.
        pgoff: the offset in the file, in bytes.
        filename: the file's path as the task saw it, or ``//anon``, ``[vdso]`` and the like.
    """

    TYPE = abi.PERF_RECORD_MMAP
    kind = "mmap"

    addr: int = 0
    length: int = 0
    pgoff: int = 0
    filename: str = ""

    @property
    def data(self) -> bool:
        """PERF_RECORD_MISC_MMAP_DATA: the mapping is not executable."""
        return bool(self.misc & abi.PERF_RECORD_MISC_MMAP_DATA)

    @property
    def parse_timeout(self) -> bool:
        """PERF_RECORD_MISC_PROC_MAP_PARSE_TIMEOUT: mappings are missing, reading them from /proc took too long."""
        return bool(self.misc & abi.PERF_RECORD_MISC_PROC_MAP_PARSE_TIMEOUT)


@dataclass(slots=True, kw_only=True, repr=False)
class Mmap2(Mmap):
    """PERF_RECORD_MMAP2: memory was mapped; with what tells one file from another.

    Attributes:
        maj: major number of the file's device; 0 when there is a build id instead, as are the next three.
        min: minor number of the device.
        ino: the inode.
        ino_generation: its generation.
        build_id: the file's GNU build id, or None when the record has the four numbers instead.
        prot: PROT_* bits.
        flags: MAP_* bits.
    """

    TYPE = abi.PERF_RECORD_MMAP2
    kind = "mmap2"

    maj: int = 0
    min: int = 0
    ino: int = 0
    ino_generation: int = 0
    build_id: bytes | None = None
    prot: int = 0
    flags: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class Lost(SideBand):
    """PERF_RECORD_LOST: the ring was full, or paused, and records were dropped.

    Attributes:
        lost_id: the event that wrote this record, not the one that lost (K21).
        lost: how many records of this ring were dropped since the last LOST.
    """

    TYPE = abi.PERF_RECORD_LOST
    kind = "lost"

    lost_id: int = 0
    lost: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class LostSamples(SideBand):
    """PERF_RECORD_LOST_SAMPLES: the hardware dropped samples (K24).

    Attributes:
        lost: how many.
    """

    TYPE = abi.PERF_RECORD_LOST_SAMPLES
    kind = "lost_samples"

    lost: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class Comm(SideBand):
    """PERF_RECORD_COMM: a thread has a new name.

    Attributes:
        comm: the name, at most 15 bytes.
    """

    TYPE = abi.PERF_RECORD_COMM
    kind = "comm"

    comm: str = ""

    @property
    def exec(self) -> bool:
        """PERF_RECORD_MISC_COMM_EXEC: by execve(2), told only with ``attr.comm_exec``."""
        return bool(self.misc & abi.PERF_RECORD_MISC_COMM_EXEC)

    def details(self) -> dict[str, Any]:
        """The name, and whether it came by execve(2)."""
        # The named base, not super(): a dataclass with slots is another class than the one in the source.
        return SideBand.details(self) | {"exec": self.exec}


@dataclass(slots=True, kw_only=True, repr=False)
class _Task(SideBand):
    """What FORK and EXIT share: `pid` and `tid` are the child's, or those of the task that ended."""

    ppid: int = 0
    ptid: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class Fork(_Task):
    """PERF_RECORD_FORK: a task was made; `pid` and `tid` are its own.

    Attributes:
        ppid: the process that made it; of a new thread its own process.
        ptid: the thread that made it.
    """

    TYPE = abi.PERF_RECORD_FORK
    kind = "fork"


@dataclass(slots=True, kw_only=True, repr=False)
class Exit(_Task):
    """PERF_RECORD_EXIT: a task ended (K40).

    Attributes:
        ppid: its parent process.
        ptid: its parent thread.
    """

    TYPE = abi.PERF_RECORD_EXIT
    kind = "exit"


@dataclass(slots=True, kw_only=True, repr=False)
class Throttle(SideBand):
    """PERF_RECORD_THROTTLE: the event fired too often and is paused for the rest of a tick (K24)."""

    TYPE = abi.PERF_RECORD_THROTTLE
    kind = "throttle"


@dataclass(slots=True, kw_only=True, repr=False)
class Unthrottle(Throttle):
    """PERF_RECORD_UNTHROTTLE: the event goes on."""

    TYPE = abi.PERF_RECORD_UNTHROTTLE
    kind = "unthrottle"


@dataclass(slots=True, kw_only=True, repr=False)
class Read(SideBand):
    """PERF_RECORD_READ: the count of an inherited event of a task that ended, with ``attr.inherit_stat``.

    Attributes:
        values: the counts; None when the event's read_format is not known.
        raw_values: their bytes, for whoever knows the read_format.
    """

    TYPE = abi.PERF_RECORD_READ
    kind = "read"

    values: ReadValues | None = None
    raw_values: bytes = b""


@dataclass(slots=True, kw_only=True, repr=False)
class Aux(SideBand):
    """PERF_RECORD_AUX: new data in the AUX area.

    Attributes:
        aux_offset: where it begins.
        aux_size: how many bytes.
        flags: PERF_AUX_FLAG_* bits.
    """

    TYPE = abi.PERF_RECORD_AUX
    kind = "aux"

    aux_offset: int = 0
    aux_size: int = 0
    flags: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class ItraceStart(SideBand):
    """PERF_RECORD_ITRACE_START: an instruction trace began."""

    TYPE = abi.PERF_RECORD_ITRACE_START
    kind = "itrace_start"


@dataclass(slots=True, kw_only=True, repr=False)
class Switch(SideBand):
    """PERF_RECORD_SWITCH: the task of the trailer came onto its CPU, or left it."""

    TYPE = abi.PERF_RECORD_SWITCH
    kind = "switch"

    @property
    def out(self) -> bool:
        """PERF_RECORD_MISC_SWITCH_OUT: it left."""
        return bool(self.misc & abi.PERF_RECORD_MISC_SWITCH_OUT)

    @property
    def preempt(self) -> bool:
        """PERF_RECORD_MISC_SWITCH_OUT_PREEMPT: it left while it could have run on."""
        return bool(self.misc & abi.PERF_RECORD_MISC_SWITCH_OUT_PREEMPT)

    def details(self) -> dict[str, Any]:
        """The direction, and the task on the other side where it is known."""
        return SideBand.details(self) | {"out": self.out, "preempt": self.preempt}


@dataclass(slots=True, kw_only=True, repr=False)
class SwitchCpuWide(Switch):
    """PERF_RECORD_SWITCH_CPU_WIDE: the same from an event of a whole CPU.

    Attributes:
        next_prev_pid: the process that comes next (`out`) or was there before (in).
        next_prev_tid: its thread.
    """

    TYPE = abi.PERF_RECORD_SWITCH_CPU_WIDE
    kind = "switch_cpu_wide"

    next_prev_pid: int = 0
    next_prev_tid: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class Namespaces(SideBand):
    """PERF_RECORD_NAMESPACES: a task was made, or moved, with these namespaces.

    Attributes:
        namespaces: in the order of NET_NS_INDEX, UTS, IPC, PID, USER, MNT, CGROUP.
    """

    TYPE = abi.PERF_RECORD_NAMESPACES
    kind = "namespaces"

    namespaces: tuple[Namespace, ...] = ()


@dataclass(slots=True, kw_only=True, repr=False)
class Ksymbol(SideBand):
    """PERF_RECORD_KSYMBOL: a symbol of the kernel was registered or removed, as when a BPF program is loaded.

    Attributes:
        addr: where it begins.
        length: its bytes.
        symbol_type: PERF_RECORD_KSYMBOL_TYPE_*.
        flags: PERF_RECORD_KSYMBOL_FLAGS_*.
        name: its name.
    """

    TYPE = abi.PERF_RECORD_KSYMBOL
    kind = "ksymbol"

    addr: int = 0
    length: int = 0
    symbol_type: int = 0
    flags: int = 0
    name: str = ""

    @property
    def unregister(self) -> bool:
        """PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER: it was removed."""
        return bool(self.flags & abi.PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER)


@dataclass(slots=True, kw_only=True, repr=False)
class BpfEvent(SideBand):
    """PERF_RECORD_BPF_EVENT: a BPF program was loaded or removed.

    Attributes:
        event_type: PERF_BPF_EVENT_PROG_LOAD or PERF_BPF_EVENT_PROG_UNLOAD.
        flags: none are defined.
        program_id: the program's id.
        tag: its tag, 8 bytes.
    """

    TYPE = abi.PERF_RECORD_BPF_EVENT
    kind = "bpf_event"

    event_type: int = 0
    flags: int = 0
    program_id: int = 0
    tag: bytes = b""


@dataclass(slots=True, kw_only=True, repr=False)
class Cgroup(SideBand):
    """PERF_RECORD_CGROUP: a cgroup was made.

    Attributes:
        cgroup_id: its id, as in `Sample.cgroup`.
        path: its path below the root of the hierarchy.
    """

    TYPE = abi.PERF_RECORD_CGROUP
    kind = "cgroup"

    cgroup_id: int = 0
    path: str = ""


@dataclass(slots=True, kw_only=True, repr=False)
class TextPoke(SideBand):
    """PERF_RECORD_TEXT_POKE: the kernel changed its own code.

    Attributes:
        addr: where.
        old: the bytes before; empty when code was added.
        new: the bytes after; empty when code was removed.
    """

    TYPE = abi.PERF_RECORD_TEXT_POKE
    kind = "text_poke"

    addr: int = 0
    old: bytes = b""
    new: bytes = b""


@dataclass(slots=True, kw_only=True, repr=False)
class AuxOutputHwId(SideBand):
    """PERF_RECORD_AUX_OUTPUT_HW_ID: the hardware's id of the event, for decoders of the AUX area.

    Attributes:
        hw_id: the id.
    """

    TYPE = abi.PERF_RECORD_AUX_OUTPUT_HW_ID
    kind = "aux_output_hw_id"

    hw_id: int = 0


@dataclass(slots=True, kw_only=True, repr=False)
class UnknownRecord(SideBand):
    """A type of record that this version does not know: from a newer kernel, with a sound header.

    Attributes:
        record_type: the header's number.
        body: all between header and trailer.
    """

    TYPE = 0
    kind = "unknown"

    record_type: int = 0
    body: bytes = b""

    @property
    def type(self) -> int:
        """The header's number."""
        return self.record_type


_CLASSES: tuple[type[SideBand], ...] = (
    *(Mmap, Mmap2, Lost, LostSamples, Comm, Fork, Exit, Throttle, Unthrottle, Read, Aux, ItraceStart),
    *(Switch, SwitchCpuWide, Namespaces, Ksymbol, BpfEvent, Cgroup, TextPoke, AuxOutputHwId),
)

RECORD_CLASSES: dict[int, type[SideBand]] = {record.TYPE: record for record in _CLASSES}
"""The class of each PERF_RECORD_* number, without PERF_RECORD_SAMPLE."""
