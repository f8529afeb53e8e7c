"""What may differ between two runs of one program, and what may not.

`HIDDEN` is the one table of it; `docs/conformance/README.md` repeats it and a test compares the two. Everything else
in a trace is compared exactly.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from perfring import abi

if TYPE_CHECKING:
    from simkernel.contract.raw import RawRecord

__all__ = ["HIDDEN", "Names", "Writer", "decode", "identified", "is_noisy", "lower_bound", "read_counts", "record_name"]

HIDDEN: Final[dict[str, str]] = {
    "pid, tid": "the name of the actor, ? for all others; 0 and -1 as they are",
    "id, identifier": "the name of the event, or ?1, ?2, ...",
    "stream_id": "likewise, and left out where the event has inherit: parent and child may swap their events",
    "fd": "the name of the event or epoll",
    "time": "whether it is zero, and whether it steps back behind the record before",
    "time enabled, time running": (
        "lower bounds of 1: a real actor runs a little before and after each order; left out in samples, between "
        "which a coarse clock stands still"
    ),
    "ip, addr, phys_addr, registers, call chains, user stacks": "whether they are zero; how many there are is compared",
    "addresses and offsets of mappings; device, inode, generation": "that they are there",
    "length of mappings": "that it is not zero",
    "the executable of the actors": "its path is $EXE where it occurs; the simulator is given the same path",
    "counts of clocks, and of groups in which noise is counted": "lower bounds of 1",
    "counts and samples of noisy events": (
        "lower bounds: a real actor switches, faults pages and takes time. Noisy are page faults, switches, "
        "migrations, clocks, frequencies, sched tracepoints, context_switch, mmap_data, whole CPUs"
    ),
    "counts of switches, and of records that they bring": (
        "half of them, less two: a real actor that is given its next order early does not sleep in between"
    ),
    "rings that a noisy event may write into": (
        "head, tail and IN are left out; of their records the types that noise has are counted, the others compared, "
        "until something is lost"
    ),
    "signals, when a noisy event can send some": "left out",
    "records of events that cannot be told apart": "type, misc and size; give them IDENTIFIER and sample_id_all",
    "the order in which epoll_wait reports": "left out, as Linux leaves it open",
    "BPF output": "without its last 7 bytes: Linux does not write what pads the payload",
    "type of a tracepoint in raw data": "left out: Linux numbers them as it boots",
    "common_flags of a tracepoint": "without the bits of a pending reschedule",
    "common_preempt_count of a tracepoint": "left out: it depends on how the kernel was configured, not on its release",
    "bytes behind the fields of a sample": "how many: Linux leaves there what was in the ring before",
    "cgroup": "left out",
}
"""What is hidden: which part of a trace, and what is left of it."""

_U64: Final = (1 << 64) - 1
_NOISY_SOFTWARE: Final = frozenset(
    {
        abi.PERF_COUNT_SW_CPU_CLOCK,
        abi.PERF_COUNT_SW_TASK_CLOCK,
        abi.PERF_COUNT_SW_PAGE_FAULTS,
        abi.PERF_COUNT_SW_PAGE_FAULTS_MIN,
        abi.PERF_COUNT_SW_PAGE_FAULTS_MAJ,
        abi.PERF_COUNT_SW_CONTEXT_SWITCHES,
        abi.PERF_COUNT_SW_CPU_MIGRATIONS,
        abi.PERF_COUNT_SW_CGROUP_SWITCHES,
    }
)
_SWITCHES: Final = frozenset({abi.PERF_COUNT_SW_CONTEXT_SWITCHES, abi.PERF_COUNT_SW_CPU_MIGRATIONS})
_CLOCKS: Final = frozenset({abi.PERF_COUNT_SW_CPU_CLOCK, abi.PERF_COUNT_SW_TASK_CLOCK})
_SIDE_BAND: Final = ("mmap", "mmap2", "comm", "task", "namespaces", "ksymbol", "bpf_event", "cgroup", "text_poke")
_TRAILER: Final = (
    (abi.PERF_SAMPLE_TID, "tid"),
    (abi.PERF_SAMPLE_TIME, "time"),
    (abi.PERF_SAMPLE_ID, "id"),
    (abi.PERF_SAMPLE_STREAM_ID, "stream"),
    (abi.PERF_SAMPLE_CPU, "cpu"),
    (abi.PERF_SAMPLE_IDENTIFIER, "identifier"),
)


class Names:
    """What stands for numbers that differ from run to run."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], str] = {}
        self._strangers: dict[str, int] = {}

    def give(self, kind: str, number: int, name: str) -> None:
        """From now on this pid, id or fd has this name."""
        self._known[kind, number] = name

    def forget(self, kind: str, number: int) -> None:
        """It is free for another."""
        self._known.pop((kind, number), None)

    def of(self, kind: str, number: int) -> str:
        """Its name; a stranger gets the next one."""
        name = self._known.get((kind, number))
        if name is None:
            self._strangers[kind] = self._strangers.get(kind, 0) + 1
            name = self._known[kind, number] = f"?{self._strangers[kind]}"
        return name

    def pid(self, number: int) -> str:
        """The name of a pid or tid; 0 and -1 mean something."""
        return {0: "0", 0xFFFFFFFF: "-1"}.get(number) or self._known.get(("pid", number), "?")


@dataclass(slots=True)
class Writer:
    """An event that writes records: what is needed to read them.

    Attributes:
        name: the event's.
        attr: as it was opened.
        tracepoint: the name of the tracepoint, or empty.
        id: the event's.
        whole_cpu: it records whatever runs there.
        last_time: of its newest record that was decoded.
    """

    name: str
    attr: abi.PerfEventAttr
    tracepoint: str = ""
    id: int = 0
    whole_cpu: bool = False
    last_time: int = field(default=0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Records of writers of one shape are read alike."""
        attr = self.attr
        return (
            *(attr.sample_type, attr.read_format, attr.sample_regs_user, attr.sample_regs_intr),
            *(int(attr.sample_id_all), attr.branch_sample_type),
        )


def is_noisy(attr: abi.PerfEventAttr, tracepoint: str, *, whole_cpu: bool) -> bool:
    """Whether the event counts or records what a real actor does beside its orders."""
    if attr.context_switch or attr.mmap_data or attr.freq:
        return True
    if attr.type == abi.PERF_TYPE_SOFTWARE and attr.config in _NOISY_SOFTWARE:
        return True
    if attr.type == abi.PERF_TYPE_TRACEPOINT and (tracepoint.startswith("sched") or whole_cpu):
        return True
    return whole_cpu and any(getattr(attr, name) for name in _SIDE_BAND)


class _Reader:
    """The bytes of a record, from the front."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from("=" + layout, self.body, self.at)
        self.at += struct.calcsize("=" + layout)
        return values

    def u64(self) -> int:
        return self.take("Q")[0]

    def piece(self, count: int) -> bytes:
        if self.at + count > len(self.body):
            raise struct.error(f"{count} bytes wanted at {self.at} of {len(self.body)}")
        piece = self.body[self.at : self.at + count]
        self.at += count
        return piece

    @property
    def rest(self) -> bytes:
        return self.body[self.at :]


def identified(record: RawRecord, writers: list[Writer]) -> Writer | None:
    """The event that wrote a record, as far as the record's own bytes tell, or one that is read alike."""
    writers = [writer for writer in writers if _may_write(writer.attr, record.type)] or writers
    if len({writer.shape for writer in writers}) == 1 and len({writer.tracepoint for writer in writers}) == 1:
        own = _by_id(record, writers)
        return own or writers[0]
    return _by_id(record, writers)


def _may_write(attr: abi.PerfEventAttr, kind: int) -> bool:
    if kind == abi.PERF_RECORD_SAMPLE:
        return bool(attr.sample_period)
    flags = _FLAGS_OF.get(kind, ())
    return not flags or any(getattr(attr, flag) for flag in flags)


_MEMORY: Final = ("mmap", "mmap2", "mmap_data")
_FLAGS_OF: Final = {
    abi.PERF_RECORD_COMM: ("comm",),
    abi.PERF_RECORD_FORK: ("task", "comm", *_MEMORY),
    abi.PERF_RECORD_EXIT: ("task", "comm", *_MEMORY),
    abi.PERF_RECORD_MMAP: _MEMORY,
    abi.PERF_RECORD_MMAP2: _MEMORY,
    abi.PERF_RECORD_SWITCH: ("context_switch",),
    abi.PERF_RECORD_SWITCH_CPU_WIDE: ("context_switch",),
    abi.PERF_RECORD_NAMESPACES: ("namespaces",),
}


def _by_id(record: RawRecord, writers: list[Writer]) -> Writer | None:
    if not all(writer.attr.sample_type & abi.PERF_SAMPLE_IDENTIFIER for writer in writers) or len(record.body) < 8:
        return None
    if record.type == abi.PERF_RECORD_SAMPLE:
        number = struct.unpack_from("=Q", record.body)[0]
    elif all(writer.attr.sample_id_all for writer in writers):
        number = struct.unpack_from("=Q", record.body, len(record.body) - 8)[0]
    else:
        return None
    return next((writer for writer in writers if writer.id == number), None)


def decode(record: RawRecord, writer: Writer | None, names: Names, *, executable: str) -> dict[str, Any]:
    """A record as plain data: everything that two kernels must agree on.

    Args:
        record: as it lies in the ring.
        writer: the event that wrote it, or None when that cannot be told.
        names: what stands for pids and ids.
        executable: the path that becomes ``$EXE``.
    """
    found: dict[str, Any] = {"type": record_name(record.type), "misc": record.misc, "size": record.size}
    if writer is None:
        return found
    decoder = _Decoder(record.body, writer, names, executable)
    try:
        found |= decoder.sample() if record.type == abi.PERF_RECORD_SAMPLE else decoder.side_band(record)
    except struct.error as short:
        found["short"] = str(short)
    return found


def record_name(number: int) -> str:
    """``SAMPLE`` for 9; the number itself when there is no such type."""
    return _RECORD_NAMES.get(number, str(number))


_RECORD_NAMES: Final = {
    getattr(abi, name): name.removeprefix("PERF_RECORD_")
    for name in abi.__all__
    if name.startswith("PERF_RECORD_") and "MISC" not in name and "KSYMBOL_" not in name
}


class _Decoder:
    def __init__(self, body: bytes, writer: Writer, names: Names, executable: str) -> None:
        self.reader = _Reader(body)
        self.writer = writer
        self.names = names
        self.executable = executable
        self.attr = writer.attr

    # Pieces.

    def tid(self) -> str:
        return "/".join(map(self.names.pid, self.reader.take("II")))

    def time(self) -> str:
        now, before = self.reader.u64(), self.writer.last_time
        self.writer.last_time = now
        return "0" if not now else "back" if now < before else "t"

    def id(self) -> str:
        return self.names.of("id", self.reader.u64())

    def stream(self) -> str:
        number = self.reader.u64()
        return "" if self.attr.inherit else self.names.of("id", number)

    def cpu(self) -> list[int]:
        return list(self.reader.take("II"))

    def address(self) -> str:
        return "a" if self.reader.u64() else "0"

    def period(self) -> int | str:
        value = self.reader.u64()
        return "p" if _is_clock(self.attr) or self.attr.freq else value

    def read(self) -> list[Any]:
        values, used = _counts(self.reader.rest, self.attr, self.names, noisy=_is_clock(self.attr), least_time=0)
        self.reader.piece(used)
        return values

    def chain(self) -> int:
        count = self.reader.u64()
        self.reader.piece(8 * count)
        return count

    def raw(self) -> Any:
        size = self.reader.take("I")[0]
        return [size, self.tracepoint(self.reader.piece(size))]

    def tracepoint(self, data: bytes) -> Any:
        fields = _TRACEPOINTS.get(self.writer.tracepoint)
        if fields is None:
            return data[:-_MOST_PADDING].hex() if not self.writer.tracepoint else len(data)
        layout, kinds = fields
        values = struct.unpack_from("=" + layout, data)
        return [self._field(kind, value) for kind, value in zip(kinds, values, strict=True)]

    def _field(self, kind: str, value: Any) -> Any:
        if kind == "pid":
            return self.names.pid(value)
        if kind == "comm":
            return value.split(b"\0")[0].decode("utf-8", "replace")
        if kind == "flags":
            return value & ~_NEED_RESCHED
        return "" if kind == "hidden" else value

    def registers(self, mask: int) -> Any:
        abi_word = self.reader.u64()
        if abi_word:
            self.reader.piece(8 * mask.bit_count())
        return abi_word

    def stack(self) -> Any:
        size = self.reader.u64()
        if size:
            self.reader.piece(size + 8)
        return size

    def aux(self) -> int:
        size = self.reader.u64()
        self.reader.piece(size)
        return size

    # Whole records.

    def sample(self) -> dict[str, Any]:
        attr, u64 = self.attr, self.reader.u64
        fields: tuple[tuple[int, str, Any], ...] = (
            (abi.PERF_SAMPLE_IDENTIFIER, "identifier", self.id),
            (abi.PERF_SAMPLE_IP, "ip", self.address),
            (abi.PERF_SAMPLE_TID, "tid", self.tid),
            (abi.PERF_SAMPLE_TIME, "time", self.time),
            (abi.PERF_SAMPLE_ADDR, "addr", self.address),
            (abi.PERF_SAMPLE_ID, "id", self.id),
            (abi.PERF_SAMPLE_STREAM_ID, "stream", self.stream),
            (abi.PERF_SAMPLE_CPU, "cpu", self.cpu),
            (abi.PERF_SAMPLE_PERIOD, "period", self.period),
            (abi.PERF_SAMPLE_READ, "read", self.read),
            (abi.PERF_SAMPLE_CALLCHAIN, "chain", self.chain),
            (abi.PERF_SAMPLE_RAW, "raw", self.raw),
            (abi.PERF_SAMPLE_REGS_USER, "user_regs", lambda: self.registers(attr.sample_regs_user)),
            (abi.PERF_SAMPLE_STACK_USER, "user_stack", self.stack),
            (abi.PERF_SAMPLE_WEIGHT | abi.PERF_SAMPLE_WEIGHT_STRUCT, "weight", u64),
            (abi.PERF_SAMPLE_DATA_SRC, "data_src", u64),
            (abi.PERF_SAMPLE_TRANSACTION, "transaction", u64),
            (abi.PERF_SAMPLE_REGS_INTR, "intr_regs", lambda: self.registers(attr.sample_regs_intr)),
            (abi.PERF_SAMPLE_PHYS_ADDR, "phys_addr", self.address),
            (abi.PERF_SAMPLE_CGROUP, "cgroup", lambda: "" if u64() else "0"),
            (abi.PERF_SAMPLE_DATA_PAGE_SIZE, "data_page", u64),
            (abi.PERF_SAMPLE_CODE_PAGE_SIZE, "code_page", u64),
            (abi.PERF_SAMPLE_AUX, "aux", self.aux),
        )
        found = {name: read() for bit, name, read in fields if attr.sample_type & bit}
        return found | ({"rest": len(self.reader.rest)} if self.reader.rest else {})

    def side_band(self, record: RawRecord) -> dict[str, Any]:
        trailer = self.trailer(record)
        body = getattr(self, "_" + record_name(record.type).lower(), None)
        found = body() if body is not None else {}
        return found | ({"rest": self.reader.rest.hex()} if self.reader.rest else {}) | trailer

    def trailer(self, record: RawRecord) -> dict[str, Any]:
        """Reads the end of the body, and leaves what is before it."""
        if not self.attr.sample_id_all:
            return {}
        bits = [(bit, name) for bit, name in _TRAILER if self.attr.sample_type & bit]
        start = len(record.body) - 8 * len(bits)
        if start < 0:
            raise struct.error(f"no room for a trailer of {len(bits)} words in {len(record.body)} bytes")
        whole, self.reader = self.reader, _Reader(record.body[start:])
        readers = {"stream": self.stream, "tid": self.tid, "time": self.time, "cpu": self.cpu}
        found: dict[str, Any] = {"id_" + name: readers.get(name, self.id)() for _, name in bits}
        self.reader = whole
        self.reader.body = record.body[:start]
        return found

    def _lost(self) -> dict[str, Any]:
        return {"id": self.id(), "lost": self.reader.u64()}

    def _comm(self) -> dict[str, Any]:
        return {"tid": self.tid(), "comm": self._text()}

    def _text(self) -> str:
        text = self.reader.piece(len(self.reader.rest)).split(b"\0")[0].decode("utf-8", "surrogateescape")
        return "$EXE" if text == self.executable else text

    def _fork(self) -> dict[str, Any]:
        pid, ppid, tid, ptid = map(self.names.pid, self.reader.take("IIII"))
        return {"pid": pid, "ppid": ppid, "tid": tid, "ptid": ptid, "time": self.time()}

    _exit = _fork

    def _mmap(self) -> dict[str, Any]:
        tid = self.tid()
        _, length, _ = self.reader.take("QQQ")
        return {"tid": tid, "length": bool(length), "path": self._text()}

    def _mmap2(self) -> dict[str, Any]:
        tid = self.tid()
        _, length, _ = self.reader.take("QQQ")
        self.reader.piece(24)
        return {"tid": tid, "length": bool(length), "prot_flags": list(self.reader.take("II")), "path": self._text()}

    def _throttle(self) -> dict[str, Any]:
        return {"time": self.time(), "id": self.id(), "stream": self.stream()}

    _unthrottle = _throttle

    def _read(self) -> dict[str, Any]:
        return {"tid": self.tid(), "read": self.read()}

    def _switch(self) -> dict[str, Any]:
        return {}

    def _switch_cpu_wide(self) -> dict[str, Any]:
        return {"next_prev": self.tid()}

    def _namespaces(self) -> dict[str, Any]:
        tid = self.tid()
        count = self.reader.u64()
        self.reader.piece(16 * count)
        return {"tid": tid, "namespaces": count}


_MOST_PADDING: Final = 7
"""Bytes of padding behind a payload: Linux leaves there what was in the ring before."""
_NEED_RESCHED: Final = 0x26
"""Bits of common_flags: that the scheduler would like to run, by timer or otherwise."""
_COMMON: Final = ("hidden", "flags", "hidden", "pid")
_TRACEPOINTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "getppid": ("HBBiI", (*_COMMON, "number")),
    "getppid_exit": ("HBBiI4xq", (*_COMMON, "number", "pid")),
    "rename": ("HBBii16s16sh", (*_COMMON, "pid", "comm", "comm", "score")),
}
"""The payload of tracepoints: how it lies there, and what its fields are."""


def _is_clock(attr: abi.PerfEventAttr) -> bool:
    return attr.type == abi.PERF_TYPE_SOFTWARE and attr.config in _CLOCKS


def lower_bound(count: int, *, slack: bool) -> dict[str, int]:
    """A count that is at least so much on Linux; with slack, half of it less two will do."""
    return {"at_least": count} | ({"slack": count // 2 + 2} if slack else {})


def read_counts(data: bytes, attr: abi.PerfEventAttr, names: Names, *, noisy: bool) -> list[Any]:
    """What read(2) returned, by word: times and clocks as whether they are zero, noisy counts as lower bounds."""
    values, used = _counts(data, attr, names, noisy=noisy)
    return values if used == len(data) else [*values, {"rest": data[used:].hex()}]


def _counts(
    data: bytes, attr: abi.PerfEventAttr, names: Names, *, noisy: bool, least_time: int = 1
) -> tuple[list[Any], int]:
    words = struct.unpack_from(f"={len(data) // 8}Q", data)
    bits = attr.read_format
    times = [bit for bit in (abi.PERF_FORMAT_TOTAL_TIME_ENABLED, abi.PERF_FORMAT_TOTAL_TIME_RUNNING) if bits & bit]
    group = bool(bits & abi.PERF_FORMAT_GROUP)
    at, members = 0, 1
    found: list[Any] = []
    if group:
        members = words[0]
        found.append({"members": members})
        at = 1
    value_first = [] if group else [words[0]]
    at += len(value_first)
    shown = [{"at_least": min(word, least_time)} for word in words[at : at + len(times)]]
    at += len(times)
    for _ in range(members):
        value = value_first[0] if value_first else words[at]
        at += 0 if value_first else 1
        found.append(_value(value, attr, noisy=noisy))
        if bits & abi.PERF_FORMAT_ID:
            found.append(names.of("id", words[at]))
            at += 1
        if bits & abi.PERF_FORMAT_LOST:
            found.append({"at_least": words[at]} if noisy else words[at])
            at += 1
    return [*found, *shown], 8 * at


def _value(value: int, attr: abi.PerfEventAttr, *, noisy: bool) -> Any:
    if _is_clock(attr) or (noisy and attr.read_format & abi.PERF_FORMAT_GROUP):  # other members may be clocks
        return {"at_least": int(value > 0)}
    switches = attr.type != abi.PERF_TYPE_SOFTWARE or attr.config in _SWITCHES
    return lower_bound(value, slack=switches) if noisy else value
