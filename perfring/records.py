"""Records as a program sees them: what every record has, and samples.

The other kinds are in `perfring.sideband`. Records are made by `perfring.decoding.Decoder`; nothing
else keeps a reference to one, and none of them looks into the ring again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from perfring.abi import (
    PERF_RECORD_MISC_CPUMODE_MASK,
    PERF_RECORD_MISC_EXACT_IP,
    PERF_RECORD_SAMPLE,
)
from perfring.errors import RawDataError
from perfring.fields import Frame, WeightParts, frames_of

if TYPE_CHECKING:
    from perfring.fields import BranchStack, ReadValues, Registers, UserStack
    from perfring.layout import EventLayout
    from perfring.tracepoint import Value

__all__ = ["Record", "Sample"]

_CPU_MODES = ("unknown", "kernel", "user", "hypervisor", "guest_kernel", "guest_user")
_COMMON = ("cpu", "position", "time", "pid", "tid", "id", "event")
_TOLD_BY_LAYOUT = ("time", "pid", "tid", "id")


class Record:
    """What all records have.

    Attributes:
        kind: the name of its type, as in ``"sample"``, ``"lost"``, ``"comm"``.
        cpu: the CPU of the ring it came from, -1 when it came from none.
        position: where it stood in the stream of that ring, in bytes since its start, modulo 2**64; -1 when
            it was synthesized.
        misc: the header's PERF_RECORD_MISC_* bits; named by properties.
        size: its bytes in the ring, header included; 0 when it was synthesized.
        time: nanoseconds of the event's clock, or None when the event does not say.
        event: the name of the event that wrote it, or None when its id is not known.
    """

    __slots__ = ()

    TYPE: ClassVar[int]
    kind: ClassVar[str]

    if TYPE_CHECKING:
        cpu: int
        position: int
        misc: int
        size: int
        time: int | None
        event: str | None

    @property
    def pid(self) -> int | None:
        """The process that it is about, or None."""
        raise NotImplementedError

    @property
    def tid(self) -> int | None:
        """The thread that it is about, or None."""
        raise NotImplementedError

    @property
    def id(self) -> int | None:
        """The id of the event that wrote it, or None."""
        raise NotImplementedError

    @property
    def type(self) -> int:
        """The header's PERF_RECORD_* number."""
        return self.TYPE

    @property
    def synthesized(self) -> bool:
        """Made from /proc by `perfring.environment`, not written by the kernel."""
        return self.position < 0

    @property
    def cpu_mode(self) -> str:
        """What the CPU ran: ``"kernel"``, ``"user"``, ``"hypervisor"``, ``"guest_kernel"``, ``"guest_user"``.

        ``"unknown"`` when the header does not say, as in most records that are no samples.
        """
        mode = self.misc & PERF_RECORD_MISC_CPUMODE_MASK
        return _CPU_MODES[mode] if mode < len(_CPU_MODES) else "unknown"

    def details(self) -> dict[str, Any]:
        """The fields that only this kind of record has, by name, as they are."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it. The schema is stable:

        ``kind``, ``cpu``, ``position``, ``time``, ``pid``, ``tid``, ``id``, ``event`` are always there (null when
        not known), then the fields of the kind by their attribute names: all of them for a side-band record, those
        that its event asked for in a sample. Bytes are lower-case hex, named tuples are objects. A sample of a
        tracepoint with a known format has ``fields`` instead of ``raw``. ``synthesized`` is there, and true, only in
        a record made from /proc.
        """
        common = {name: getattr(self, name) for name in _COMMON}
        marks = {"synthesized": True} if self.synthesized else {}
        details = {name: _plain(value) for name, value in self.details().items()}
        return {"kind": self.kind, **common, **marks, **details}

    def __repr__(self) -> str:
        common = {name: getattr(self, name) for name in _COMMON}
        shown = {name: value for name, value in (common | self.details()).items() if value is not None}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _plain(value: object) -> object:
    """A value as JSON can hold it."""
    if type(value) is int:  # nearly all of them are
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(item) for name, item in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


class Sample(Record):
    """PERF_RECORD_SAMPLE: an event happened, and this is what it was asked to tell.

    Every field is None unless the event's ``sample_type`` asks for it; the property names the bit.

    Attributes:
        layout: what is known of the event.
    """

    # A sample is the record that comes by the million: it keeps the tuple that struct made, and its layout
    # knows which place of it is which field. To spread it over twenty attributes would double its cost.
    __slots__ = ("_fields", "_values", "cpu", "event", "layout", "misc", "position", "size", "time")

    TYPE = PERF_RECORD_SAMPLE
    kind = "sample"

    def __init__(
        self, layout: EventLayout, cpu: int, position: int, misc: int, size: int, values: tuple[Any, ...]
    ) -> None:
        self.layout = layout
        self.event = layout.name
        self.cpu = cpu
        self.position = position
        self.misc = misc
        self.size = size
        self._values = values
        time_at = layout.time_at
        self.time = None if time_at is None else values[time_at]

    @property
    def values(self) -> tuple[Any, ...]:
        """All fields in the order of the sample: ``layout.places`` tells which is which."""
        return self._values

    def _get(self, name: str) -> Any:
        at = self.layout.places.get(name)
        return None if at is None else self._values[at]

    @property
    def id(self) -> int | None:
        """PERF_SAMPLE_IDENTIFIER or PERF_SAMPLE_ID: the event; of an inherited event, the one it was inherited from."""
        value: int | None = self._get("id")
        return value

    @property
    def ip(self) -> int | None:
        """PERF_SAMPLE_IP: the instruction pointer."""
        value: int | None = self._get("ip")
        return value

    @property
    def pid(self) -> int | None:
        """PERF_SAMPLE_TID: the process, in the reader's pid namespace."""
        value: int | None = self._get("pid")
        return value

    @property
    def tid(self) -> int | None:
        """PERF_SAMPLE_TID: the thread."""
        value: int | None = self._get("tid")
        return value

    @property
    def addr(self) -> int | None:
        """PERF_SAMPLE_ADDR: the address that the event is about, as that of a page fault."""
        value: int | None = self._get("addr")
        return value

    @property
    def stream_id(self) -> int | None:
        """PERF_SAMPLE_STREAM_ID: the event itself, also where `id` is that of its parent."""
        value: int | None = self._get("stream_id")
        return value

    @property
    def sample_cpu(self) -> int | None:
        """PERF_SAMPLE_CPU: the CPU it happened on."""
        value: int | None = self._get("sample_cpu")
        return value

    @property
    def period(self) -> int | None:
        """PERF_SAMPLE_PERIOD: how many events this sample stands for."""
        value: int | None = self._get("period")
        return value

    @property
    def read(self) -> ReadValues | None:
        """PERF_SAMPLE_READ: the counts at that moment."""
        value: ReadValues | None = self._get("read")
        return value

    @property
    def callchain(self) -> tuple[int, ...] | None:
        """PERF_SAMPLE_CALLCHAIN: return addresses, innermost first, with PERF_CONTEXT_* marks between."""
        value: tuple[int, ...] | None = self._get("callchain")
        return value

    @property
    def frames(self) -> tuple[Frame, ...] | None:
        """PERF_SAMPLE_CALLCHAIN without the marks, innermost first: of each function where it is, and in what."""
        chain = self.callchain
        return None if chain is None else tuple(frames_of(chain))

    @property
    def raw(self) -> bytes | None:
        """PERF_SAMPLE_RAW: a tracepoint's or a BPF program's payload, with the kernel's padding behind it."""
        value: bytes | None = self._get("raw")
        return value

    @property
    def branch_stack(self) -> BranchStack | None:
        """PERF_SAMPLE_BRANCH_STACK: the last branches."""
        value: BranchStack | None = self._get("branch_stack")
        return value

    @property
    def user_regs(self) -> Registers | None:
        """PERF_SAMPLE_REGS_USER: the registers of user space."""
        value: Registers | None = self._get("user_regs")
        return value

    @property
    def user_stack(self) -> UserStack | None:
        """PERF_SAMPLE_STACK_USER: a copy of the user's stack."""
        value: UserStack | None = self._get("user_stack")
        return value

    @property
    def weight(self) -> int | None:
        """PERF_SAMPLE_WEIGHT or PERF_SAMPLE_WEIGHT_STRUCT: the cost, as the PMU defines it; whole."""
        value: int | None = self._get("weight")
        return value

    @property
    def weight_parts(self) -> WeightParts | None:
        """The three parts of `weight`: for PERF_SAMPLE_WEIGHT_STRUCT."""
        weight = self.weight
        if weight is None:
            return None
        # The header orders the parts so that they sit at the same bits of the u64 in both byte orders.
        return WeightParts(weight & 0xFFFF_FFFF, weight >> 32 & 0xFFFF, weight >> 48)

    @property
    def data_src(self) -> int | None:
        """PERF_SAMPLE_DATA_SRC: ``union perf_mem_data_src``, whole."""
        value: int | None = self._get("data_src")
        return value

    @property
    def transaction(self) -> int | None:
        """PERF_SAMPLE_TRANSACTION: PERF_TXN_* bits and the abort code."""
        value: int | None = self._get("transaction")
        return value

    @property
    def intr_regs(self) -> Registers | None:
        """PERF_SAMPLE_REGS_INTR: the registers at the interrupt."""
        value: Registers | None = self._get("intr_regs")
        return value

    @property
    def phys_addr(self) -> int | None:
        """PERF_SAMPLE_PHYS_ADDR: the physical address behind `addr`, 0 when unknown."""
        value: int | None = self._get("phys_addr")
        return value

    @property
    def cgroup(self) -> int | None:
        """PERF_SAMPLE_CGROUP: the id of the task's cgroup, as in `Cgroup` records."""
        value: int | None = self._get("cgroup")
        return value

    @property
    def data_page_size(self) -> int | None:
        """PERF_SAMPLE_DATA_PAGE_SIZE: the size in bytes of the page at `addr`, 0 when unknown."""
        value: int | None = self._get("data_page_size")
        return value

    @property
    def code_page_size(self) -> int | None:
        """PERF_SAMPLE_CODE_PAGE_SIZE: the size in bytes of the page at `ip`, 0 when unknown."""
        value: int | None = self._get("code_page_size")
        return value

    @property
    def aux(self) -> bytes | None:
        """PERF_SAMPLE_AUX: a piece of the AUX area."""
        value: bytes | None = self._get("aux")
        return value

    @property
    def exact_ip(self) -> bool:
        """PERF_RECORD_MISC_EXACT_IP: `ip` is the very instruction that caused the event."""
        return bool(self.misc & PERF_RECORD_MISC_EXACT_IP)

    @property
    def fields(self) -> dict[str, Value] | None:
        """The payload of a tracepoint by field name, decoded when first asked for.

        None when the event's layout has no format, or the sample has no `raw`.

        Raises:
            RawDataError: `raw` does not fit the format.
        """
        layout, raw = self.layout, self.raw
        if layout.format is None or raw is None:
            return None
        try:
            return self._fields
        except AttributeError:  # not asked for yet: the slot is empty
            self._fields: dict[str, Value] = layout.format.decode(raw)
            return self._fields

    def field(self, name: str) -> Any:
        """One field of a tracepoint's payload, without decoding the others: ``sample.field("next_pid")``.

        As untyped as what `struct` unpacks: an int, a str, or for other arrays bytes or a tuple of ints.

        Raises:
            KeyError: the tracepoint has no such field; the text names those that it has.
            TypeError: it is no sample of a tracepoint with a known format.
            RawDataError: `raw` does not fit the format.
        """
        layout, raw = self.layout, self.raw
        if layout.format is None or raw is None:
            raise TypeError(
                f"a sample of {self.event!r} has no field {name!r}: it is no tracepoint, or its format is unknown"
            )
        return layout.format.value(raw, name)

    def details(self) -> dict[str, Any]:
        """The fields that its event asked for, and `fields` in place of `raw` where the format is known and fits."""
        found = {name: self._values[at] for name, at in self.layout.places.items() if name not in _COMMON}
        with suppress(RawDataError):
            if self.fields is not None:
                found["fields"] = self.fields
                del found["raw"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """As `Record.to_dict`, at half the price: samples come by the million."""
        values, places = self._values, self.layout.places
        found: dict[str, Any] = {"kind": self.kind, "cpu": self.cpu, "position": self.position}
        for name in _TOLD_BY_LAYOUT:
            at = places.get(name)
            found[name] = None if at is None else values[at]
        found["event"] = self.event
        if self.position < 0:
            found["synthesized"] = True
        for name, value in self.details().items():
            found[name] = value if type(value) is int else _plain(value)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        mine = (self.cpu, self.position, self.misc, self.size, self.event, self.layout.places, self._values)
        return mine == (
            *(other.cpu, other.position, other.misc, other.size, other.event),
            *(other.layout.places, other._values),
        )

    __hash__ = None  # type: ignore[assignment]
