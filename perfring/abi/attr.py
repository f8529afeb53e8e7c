"""``struct perf_event_attr``: what perf_event_open(2) is asked for.

The struct grew from 64 bytes to 144 by appending; the kernel takes any of the published sizes, and
larger ones as long as what it does not know is zero (K29). The words below are in the header's
order without holes, so packing them one behind the other gives the C layout on every 64-bit ABI.

Flags are bit fields of one u64, which C allocates from the low end on little-endian machines and
from the high end on big-endian ones: `_Bits` follows ``sys.byteorder``.
"""

from __future__ import annotations

import struct
import sys
from typing import Final, TypedDict, Unpack, overload

from perfring.abi.constants import PERF_ATTR_SIZE_VER0, PERF_ATTR_SIZE_VER9, PERF_TYPE_BREAKPOINT

__all__ = ["PerfEventAttr", "PerfEventAttrFields"]

# Every word of the struct, in order, with its struct format. The last word of each published size:
# VER0 config1, VER1 config2, VER2 branch_sample_type, VER3 clockid, VER4 sample_regs_intr,
# VER5 reserved_2, VER6 aux_action, VER7 sig_data, VER8 config3, VER9 config4.
_WORDS: Final[dict[str, str]] = {
    "type": "I",
    "size": "I",
    "config": "Q",
    "sample_period": "Q",
    "sample_type": "Q",
    "read_format": "Q",
    "flags": "Q",
    "wakeup_events": "I",
    "bp_type": "I",
    "config1": "Q",
    "config2": "Q",
    "branch_sample_type": "Q",
    "sample_regs_user": "Q",
    "sample_stack_user": "I",
    "clockid": "i",
    "sample_regs_intr": "Q",
    "aux_watermark": "I",
    "sample_max_stack": "H",
    "reserved_2": "H",
    "aux_sample_size": "I",
    "aux_action": "I",
    "sig_data": "Q",
    "config3": "Q",
    "config4": "Q",
}
_STRUCT: Final = struct.Struct("=" + "".join(_WORDS.values()))
_NEWEST_SIZE: Final = PERF_ATTR_SIZE_VER9
assert _STRUCT.size == _NEWEST_SIZE

# The other names of a union's one word.
_ALIASES: Final[dict[str, str]] = {
    "sample_freq": "sample_period",
    "wakeup_watermark": "wakeup_events",
    "bp_addr": "config1",
    "kprobe_func": "config1",
    "uprobe_path": "config1",
    "bp_len": "config2",
    "kprobe_addr": "config2",
    "probe_offset": "config2",
}

# The kernel always reads type and size, and refuses a size beyond the largest page before it reads more.
_SHORTEST_PACK: Final = 8
_LONGEST_PACK: Final = 1 << 16

# struct format: C type, least and greatest value.
_RANGES: Final = {
    "H": ("u16", 0, 2**16 - 1),
    "I": ("u32", 0, 2**32 - 1),
    "Q": ("u64", 0, 2**64 - 1),
    "i": ("s32", -(2**31), 2**31 - 1),
}


def _checked(name: str, value: object, low: int, high: int, kind: str) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name}={value} does not fit {kind}: it must be between {low} and {high}")
    return int(value)


class _Word:
    """An integer of the struct, under one of its names."""

    def __init__(self, format_: str) -> None:
        self.kind, self.low, self.high = _RANGES[format_]

    def __set_name__(self, owner: type[PerfEventAttr], name: str) -> None:
        self.name = name
        self.word = _ALIASES.get(name, name)

    @overload
    def __get__(self, attr: None, owner: type[PerfEventAttr]) -> _Word: ...
    @overload
    def __get__(self, attr: PerfEventAttr, owner: type[PerfEventAttr]) -> int: ...
    def __get__(self, attr: PerfEventAttr | None, owner: type[PerfEventAttr]) -> _Word | int:
        return self if attr is None else attr._words[self.word]

    def __set__(self, attr: PerfEventAttr, value: int) -> None:
        attr._words[self.word] = _checked(self.name, value, self.low, self.high, self.kind)


class _Bits:
    """Some bits of a word: where they are depends on the byte order."""

    def __init__(self, first: int, width: int, *, word: str = "flags") -> None:
        self.word = word
        self.high = (1 << width) - 1
        self.kind = f"{width} {'bit' if width == 1 else 'bits'}"
        word_bits = struct.calcsize("=" + _WORDS[word]) * 8
        self.shift = first if sys.byteorder == "little" else word_bits - first - width

    def __set_name__(self, owner: type[PerfEventAttr], name: str) -> None:
        self.name = name

    def read(self, attr: PerfEventAttr) -> int:
        return attr._words[self.word] >> self.shift & self.high

    @overload
    def __get__(self, attr: None, owner: type[PerfEventAttr]) -> _Bits: ...
    @overload
    def __get__(self, attr: PerfEventAttr, owner: type[PerfEventAttr]) -> int: ...
    def __get__(self, attr: PerfEventAttr | None, owner: type[PerfEventAttr]) -> _Bits | int:
        return self if attr is None else self.read(attr)

    def __set__(self, attr: PerfEventAttr, value: int) -> None:
        bits = _checked(self.name, value, 0, self.high, self.kind)
        others = attr._words[self.word] & ~(self.high << self.shift)
        attr._words[self.word] = others | bits << self.shift


class _Flag(_Bits):
    """One bit, read as a bool."""

    def __init__(self, bit: int, *, word: str = "flags") -> None:
        super().__init__(bit, 1, word=word)

    @overload
    def __get__(self, attr: None, owner: type[PerfEventAttr]) -> _Flag: ...
    @overload
    def __get__(self, attr: PerfEventAttr, owner: type[PerfEventAttr]) -> bool: ...
    def __get__(self, attr: PerfEventAttr | None, owner: type[PerfEventAttr]) -> _Flag | bool:
        return self if attr is None else bool(self.read(attr))


class PerfEventAttrFields(TypedDict, total=False):
    """The keywords of `PerfEventAttr`: every field and flag of the struct, by its header name."""

    type: int
    size: int
    config: int
    sample_period: int
    sample_freq: int
    sample_type: int
    read_format: int
    flags: int
    disabled: bool
    inherit: bool
    pinned: bool
    exclusive: bool
    exclude_user: bool
    exclude_kernel: bool
    exclude_hv: bool
    exclude_idle: bool
    mmap: bool
    comm: bool
    freq: bool
    inherit_stat: bool
    enable_on_exec: bool
    task: bool
    watermark: bool
    precise_ip: int
    mmap_data: bool
    sample_id_all: bool
    exclude_host: bool
    exclude_guest: bool
    exclude_callchain_kernel: bool
    exclude_callchain_user: bool
    mmap2: bool
    comm_exec: bool
    use_clockid: bool
    context_switch: bool
    write_backward: bool
    namespaces: bool
    ksymbol: bool
    bpf_event: bool
    aux_output: bool
    cgroup: bool
    text_poke: bool
    build_id: bool
    inherit_thread: bool
    remove_on_exec: bool
    sigtrap: bool
    defer_callchain: bool
    defer_output: bool
    reserved_1: int
    wakeup_events: int
    wakeup_watermark: int
    bp_type: int
    config1: int
    bp_addr: int
    kprobe_func: int
    uprobe_path: int
    config2: int
    bp_len: int
    kprobe_addr: int
    probe_offset: int
    branch_sample_type: int
    sample_regs_user: int
    sample_stack_user: int
    clockid: int
    sample_regs_intr: int
    aux_watermark: int
    sample_max_stack: int
    reserved_2: int
    aux_sample_size: int
    aux_action: int
    aux_start_paused: bool
    aux_pause: bool
    aux_resume: bool
    sig_data: int
    config3: int
    config4: int
    extra: bytes


class PerfEventAttr:
    """``struct perf_event_attr`` with plain mutable attributes; see perf_event_open(2).

    Every field and flag has its header name; flags are bools, ``precise_ip`` and the reserved parts
    are ints. Names that share a C union share one value: ``sample_period`` and ``sample_freq`` (read
    as a frequency with ``freq``), ``wakeup_events`` and ``wakeup_watermark`` (bytes, with
    ``watermark``), ``config1`` and ``bp_addr``/``kprobe_func``/``uprobe_path``, ``config2`` and
    ``bp_len``/``kprobe_addr``/``probe_offset``. The header's ``__reserved_1`` and ``__reserved_2`` are
    ``reserved_1`` and ``reserved_2`` here; a kernel refuses them unless they are 0 (K30).

    Args:
        **fields: The fields that are not 0. ``size`` defaults to 144, the newest; ``extra`` holds
            bytes behind the newest field, for a kernel that knows more than this class.

    Raises:
        TypeError: A name is unknown, or a value is not an int.
        ValueError: A value does not fit its C type, or one value was given under two names.
    """

    __slots__ = ("_extra", "_words")

    type = _Word("I")
    size = _Word("I")
    config = _Word("Q")
    sample_period = _Word("Q")
    sample_freq = _Word("Q")
    sample_type = _Word("Q")
    read_format = _Word("Q")
    flags = _Word("Q")
    disabled = _Flag(0)
    inherit = _Flag(1)
    pinned = _Flag(2)
    exclusive = _Flag(3)
    exclude_user = _Flag(4)
    exclude_kernel = _Flag(5)
    exclude_hv = _Flag(6)
    exclude_idle = _Flag(7)
    mmap = _Flag(8)
    comm = _Flag(9)
    freq = _Flag(10)
    inherit_stat = _Flag(11)
    enable_on_exec = _Flag(12)
    task = _Flag(13)
    watermark = _Flag(14)
    precise_ip = _Bits(15, 2)
    mmap_data = _Flag(17)
    sample_id_all = _Flag(18)
    exclude_host = _Flag(19)
    exclude_guest = _Flag(20)
    exclude_callchain_kernel = _Flag(21)
    exclude_callchain_user = _Flag(22)
    mmap2 = _Flag(23)
    comm_exec = _Flag(24)
    use_clockid = _Flag(25)
    context_switch = _Flag(26)
    write_backward = _Flag(27)
    namespaces = _Flag(28)
    ksymbol = _Flag(29)
    bpf_event = _Flag(30)
    aux_output = _Flag(31)
    cgroup = _Flag(32)
    text_poke = _Flag(33)
    build_id = _Flag(34)
    inherit_thread = _Flag(35)
    remove_on_exec = _Flag(36)
    sigtrap = _Flag(37)
    defer_callchain = _Flag(38)
    defer_output = _Flag(39)
    reserved_1 = _Bits(40, 24)
    wakeup_events = _Word("I")
    wakeup_watermark = _Word("I")
    bp_type = _Word("I")
    config1 = _Word("Q")
    bp_addr = _Word("Q")
    kprobe_func = _Word("Q")
    uprobe_path = _Word("Q")
    config2 = _Word("Q")
    bp_len = _Word("Q")
    kprobe_addr = _Word("Q")
    probe_offset = _Word("Q")
    branch_sample_type = _Word("Q")
    sample_regs_user = _Word("Q")
    sample_stack_user = _Word("I")
    clockid = _Word("i")
    sample_regs_intr = _Word("Q")
    aux_watermark = _Word("I")
    sample_max_stack = _Word("H")
    reserved_2 = _Word("H")
    aux_sample_size = _Word("I")
    aux_action = _Word("I")
    aux_start_paused = _Flag(0, word="aux_action")
    aux_pause = _Flag(1, word="aux_action")
    aux_resume = _Flag(2, word="aux_action")
    sig_data = _Word("Q")
    config3 = _Word("Q")
    config4 = _Word("Q")

    def __init__(self, **fields: Unpack[PerfEventAttrFields]) -> None:
        self._words = dict.fromkeys(_WORDS, 0) | {"size": _NEWEST_SIZE}
        self._extra = b""
        self._assign(dict(fields))

    def _assign(self, fields: dict[str, object]) -> None:
        taken: dict[str, str] = {}
        for name in fields:
            if name not in PerfEventAttrFields.__annotations__:
                raise TypeError(f"perf_event_attr has no field {name!r}")
            other = taken.setdefault(_ALIASES.get(name, name), name)
            if other != name:
                raise ValueError(f"{other} and {name} are one field of perf_event_attr: give one of them")
        # Whole words first, so that flags=... and a single flag can be given together.
        for name, value in sorted(fields.items(), key=lambda item: item[0] not in _WORDS):
            setattr(self, name, value)

    @property
    def extra(self) -> bytes:
        """Bytes behind the newest field this class knows."""
        return self._extra

    @extra.setter
    def extra(self, value: bytes) -> None:
        if not isinstance(value, bytes):
            raise TypeError(f"extra must be bytes, not {value!r}")
        self._extra = value

    def pack(self) -> bytes:
        """The struct as the kernel reads it: ``size`` bytes in native byte order.

        A ``size`` of 0 gives the 64 bytes it stands for (K29). Sizes that every kernel refuses unread are
        bounded: below 8 they give the 8 bytes of ``type`` and ``size``, above 65536 they give 65536.

        Raises:
            ValueError: ``size`` would cut off a field that is not 0, and the kernel would never see
                it; sizes of 1..63 are exempt because the kernel refuses them whole.
        """
        whole = _STRUCT.pack(*self._words.values()) + self._extra
        length = min(self.size or PERF_ATTR_SIZE_VER0, _LONGEST_PACK)
        if length >= PERF_ATTR_SIZE_VER0 and any(whole[length:]):
            cut = ", ".join(self._fields_from(length))
            raise ValueError(f"size={self.size} cuts off {cut}: raise size or leave those fields 0")
        length = max(length, _SHORTEST_PACK)
        return whole[:length].ljust(length, b"\0")

    def _fields_from(self, length: int) -> list[str]:
        offset, cut = 0, []
        for name, format_ in _WORDS.items():
            if offset >= length and self._words[name]:
                cut.append(f"{name}={self._words[name]}")
            offset += struct.calcsize("=" + format_)
        return cut + (["extra"] if any(self._extra) else [])

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview) -> PerfEventAttr:
        """Reads a struct in native byte order, as long as its own ``size`` says.

        Raises:
            ValueError: The data is shorter than 8 bytes, or than its ``size``.
        """
        raw = bytes(data)
        if len(raw) < _SHORTEST_PACK:
            raise ValueError(f"perf_event_attr needs its type and size, 8 bytes: got {len(raw)}")
        (size,) = struct.unpack_from("=I", raw, 4)
        length = size or PERF_ATTR_SIZE_VER0
        if len(raw) < length:
            raise ValueError(f"perf_event_attr says {length} bytes, but only {len(raw)} were given")
        attr = cls(extra=raw[_NEWEST_SIZE:length])
        values = _STRUCT.unpack(raw[:length][:_NEWEST_SIZE].ljust(_NEWEST_SIZE, b"\0"))
        attr._words = dict(zip(_WORDS, values, strict=True))
        return attr

    def copy(self, **changes: Unpack[PerfEventAttrFields]) -> PerfEventAttr:
        """A copy with some fields changed; raises what the constructor raises."""
        twin = PerfEventAttr()
        twin._words = dict(self._words)
        twin._extra = self._extra
        twin._assign(dict(changes))
        return twin

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PerfEventAttr):
            return NotImplemented
        return self._words == other._words and self._extra == other._extra

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        default = PerfEventAttr()
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name in self._names_to_show()
            if getattr(self, name) != getattr(default, name)
        ]
        return f"PerfEventAttr({', '.join(shown)})"

    def _names_to_show(self) -> list[str]:
        """One name for each value: of a union's names the one that type and flags make meant."""
        hidden = {"flags", *_ALIASES}
        hidden |= {"aux_action"} if self.aux_action < 8 else {"aux_start_paused", "aux_pause", "aux_resume"}
        for meant, alias in (
            (self.freq, "sample_freq"),
            (self.watermark, "wakeup_watermark"),
            (self.type == PERF_TYPE_BREAKPOINT, "bp_addr"),
            (self.type == PERF_TYPE_BREAKPOINT, "bp_len"),
        ):
            if meant:
                hidden -= {alias}
                hidden |= {_ALIASES[alias]}
        return [name for name in PerfEventAttrFields.__annotations__ if name not in hidden]
