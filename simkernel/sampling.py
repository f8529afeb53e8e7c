"""The bytes of a sample, and of the trailer that other records carry (K35): one encoder for each event.

What an event's attr decides is decided once, when the event is made: the fields of fixed length, header included,
become one `struct.Struct` over a selection of the values that a sample can have; what has a length of its own follows
as parts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from perfring.abi import (
    PERF_CONTEXT_KERNEL,
    PERF_CONTEXT_USER,
    PERF_COUNT_SW_BPF_OUTPUT,
    PERF_RECORD_MISC_KERNEL,
    PERF_RECORD_MISC_USER,
    PERF_RECORD_SAMPLE,
    PERF_SAMPLE_ADDR,
    PERF_SAMPLE_AUX,
    PERF_SAMPLE_CALLCHAIN,
    PERF_SAMPLE_CGROUP,
    PERF_SAMPLE_CODE_PAGE_SIZE,
    PERF_SAMPLE_CPU,
    PERF_SAMPLE_DATA_PAGE_SIZE,
    PERF_SAMPLE_DATA_SRC,
    PERF_SAMPLE_ID,
    PERF_SAMPLE_IDENTIFIER,
    PERF_SAMPLE_IP,
    PERF_SAMPLE_PERIOD,
    PERF_SAMPLE_PHYS_ADDR,
    PERF_SAMPLE_RAW,
    PERF_SAMPLE_READ,
    PERF_SAMPLE_REGS_ABI_64,
    PERF_SAMPLE_REGS_INTR,
    PERF_SAMPLE_REGS_USER,
    PERF_SAMPLE_STACK_USER,
    PERF_SAMPLE_STREAM_ID,
    PERF_SAMPLE_TID,
    PERF_SAMPLE_TIME,
    PERF_SAMPLE_TRANSACTION,
    PERF_SAMPLE_WEIGHT_TYPE,
    PERF_TYPE_SOFTWARE,
)
from simkernel.ringbuf import POISON

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr
    from simkernel.tasks import Task

__all__ = ["KERNEL_IP", "MAX_SAMPLE_BYTES", "USER_IP", "Encoder", "Hit"]

MAX_SAMPLE_BYTES: Final = 65528
"""What the u16 of a header can say, in steps of 8 (K5)."""
USER_IP: Final = 0x5555_5555_4000
"""Where the code of a simulated program is."""
KERNEL_IP: Final = 0xFFFF_FFFF_8100_0000
"""Where the simulated kernel's is."""

_USER_CHAIN: Final = tuple(USER_IP + 0x100 * depth for depth in range(1, 4))
_KERNEL_CHAIN: Final = tuple(KERNEL_IP + 0x100 * depth for depth in range(1, 4))
_STACK_POINTER: Final = 0x7FFF_FFFF_E000
_ROOT_CGROUP: Final = 1
_BPF_OUTPUT: Final = (PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT)
_CODE_PAGE: Final = 4096
_pack_u32: Final = struct.Struct("=I").pack

_TIME: Final = (7,)

# bit of sample_type: struct format, places in the values that `Encoder.sample` makes.
_FIXED: Final = (
    (PERF_SAMPLE_IDENTIFIER, "Q", (3,)),
    (PERF_SAMPLE_IP, "Q", (4,)),
    (PERF_SAMPLE_TID, "II", (5, 6)),
    (PERF_SAMPLE_TIME, "Q", _TIME),
    (PERF_SAMPLE_ADDR, "Q", (8,)),
    (PERF_SAMPLE_ID, "Q", (9,)),
    (PERF_SAMPLE_STREAM_ID, "Q", (10,)),
    (PERF_SAMPLE_CPU, "II", (11, 12)),
    (PERF_SAMPLE_PERIOD, "Q", (13,)),
)
_TRAILER: Final = (
    (PERF_SAMPLE_TID, "II", (0, 1)),
    (PERF_SAMPLE_TIME, "Q", (2,)),
    (PERF_SAMPLE_ID, "Q", (3,)),
    (PERF_SAMPLE_STREAM_ID, "Q", (4,)),
    (PERF_SAMPLE_CPU, "II", (5, 6)),
    (PERF_SAMPLE_IDENTIFIER, "Q", (7,)),
)


class Hit:
    """Something that events count: who did it, where, and what belongs to it.

    Attributes:
        task: who.
        cpu: where.
        now: when, on the monotonic clock.
        user: in user space, and not in the kernel.
        ip: at which instruction.
        addr: the address that was faulted, 0 for anything else.
        raw: a tracepoint's data, or a BPF program's.
    """

    __slots__ = ("addr", "cpu", "ip", "now", "raw", "task", "user")

    def __init__(
        self, task: Task, cpu: int, now: int, *, user: bool = False, addr: int = 0, raw: bytes | None = None
    ) -> None:
        self.task = task
        self.cpu = cpu
        self.now = now
        self.user = user
        self.ip = USER_IP if user else KERNEL_IP
        self.addr = addr
        self.raw = raw


_Part = Callable[[Hit], bytes]


class Encoder:
    """Makes the records of one event.

    Args:
        attr: the event's.
        identifier: what PERF_SAMPLE_ID and IDENTIFIER say: the id that the program knows.
        stream_id: the event's own id; differs for an inherited one.
        clock_offset: what the event's clock adds to the monotonic one.
        max_stack: entries of a call chain at most.
        no_data_source: what PERF_SAMPLE_DATA_SRC says.
        read: what PERF_SAMPLE_READ gives.
        room_left: how many bytes the kernel reserves for it beyond that (K50).

    Attributes:
        trailer_bytes: length of the trailer; 0 without sample_id_all (K44).
        time_place: where the time is in a sample, or None. Else samples of the same thing differ in their reads alone.
    """

    def __init__(
        self,
        attr: PerfEventAttr,
        *,
        identifier: int,
        stream_id: int,
        clock_offset: int,
        max_stack: int,
        no_data_source: int,
        read: Callable[[], bytes],
        room_left: Callable[[], int],
    ) -> None:
        self._id = identifier
        self._stream = stream_id
        self._offset = clock_offset
        self._attr = attr
        self._max_stack = max_stack
        self._no_data_source = no_data_source
        self._read = read
        self._room_left = room_left
        fixed = [(form, places) for bit, form, places in _FIXED if attr.sample_type & bit]
        before = "".join(form for form, _ in takewhile(lambda each: each[1] != _TIME, fixed))
        self.time_place = struct.calcsize("=IHH" + before) if attr.sample_type & PERF_SAMPLE_TIME else None
        self._pack = struct.Struct("=IHH" + "".join(form for form, _ in fixed)).pack
        self._fixed_bytes = struct.calcsize("=IHH" + "".join(form for form, _ in fixed))
        self._pick = itemgetter(0, 1, 2, *(place for _, places in fixed for place in places))
        self._parts = self._variable_parts(attr)
        trailer = [(form, places) for bit, form, places in _TRAILER if attr.sample_id_all and attr.sample_type & bit]
        self._trailer = struct.Struct("=" + "".join(form for form, _ in trailer))
        self._trailer_places = tuple(place for _, places in trailer for place in places)
        self.trailer_bytes = self._trailer.size

    def sample(self, hit: Hit, period: int) -> bytes:
        """A whole PERF_RECORD_SAMPLE."""
        tail = b"".join([part(hit) for part in self._parts]) if self._parts else b""
        pid = hit.task.pid
        values = (
            PERF_RECORD_SAMPLE,
            PERF_RECORD_MISC_USER if hit.user else PERF_RECORD_MISC_KERNEL,
            self._fixed_bytes + len(tail),
            self._id,
            hit.ip,
            pid,
            pid,
            hit.now + self._offset,
            hit.addr,
            self._id,
            self._stream,
            hit.cpu,
            0,
            period,
        )
        return self._pack(*self._pick(values)) + tail

    def trailer(self, task: Task, now: int, cpu: int) -> bytes:
        """The sample_id trailer: empty without sample_id_all."""
        values = (task.pid, task.pid, now + self._offset, self._id, self._stream, cpu, 0, self._id)
        return self._trailer.pack(*[values[place] for place in self._trailer_places])

    def _variable_parts(self, attr: PerfEventAttr) -> tuple[_Part, ...]:
        # Linux pads a BPF program's payload with what was in the ring before, a tracepoint's data with zeros.
        filler = POISON if (attr.type, attr.config) == _BPF_OUTPUT else 0
        every: tuple[tuple[int, _Part], ...] = (
            (PERF_SAMPLE_READ, lambda _hit: self._read()),
            (PERF_SAMPLE_CALLCHAIN, self._chain),
            (PERF_SAMPLE_RAW, partial(_raw, [bytes((filler,)) * padding for padding in range(8)])),
            (PERF_SAMPLE_REGS_USER, _registers(attr.sample_regs_user)),
            (PERF_SAMPLE_STACK_USER, self._stack),
            (PERF_SAMPLE_WEIGHT_TYPE, _word(0)),
            (PERF_SAMPLE_DATA_SRC, _word(self._no_data_source)),
            (PERF_SAMPLE_TRANSACTION, _word(0)),
            (PERF_SAMPLE_REGS_INTR, _registers(attr.sample_regs_intr)),
            (PERF_SAMPLE_PHYS_ADDR, _word(0)),
            (PERF_SAMPLE_CGROUP, _word(_ROOT_CGROUP)),
            (PERF_SAMPLE_DATA_PAGE_SIZE, _word(0)),
            (PERF_SAMPLE_CODE_PAGE_SIZE, _word(_CODE_PAGE)),
            (PERF_SAMPLE_AUX, _word(0)),
            (PERF_SAMPLE_READ, lambda _hit: bytes((POISON,)) * self._room_left()),
        )
        return tuple(part for bits, part in every if attr.sample_type & bits)

    def _chain(self, hit: Hit) -> bytes:
        """PERF_SAMPLE_CALLCHAIN: marks do not count towards the longest chain."""
        chain: list[int] = []
        room = self._max_stack
        if not hit.user and not self._attr.exclude_callchain_kernel:
            frames = (hit.ip, *_KERNEL_CHAIN)[:room]
            room -= len(frames)
            chain += (PERF_CONTEXT_KERNEL, *frames)
        # The idle task and kernel threads have no user space to look into.
        if hit.task.pid and not self._attr.exclude_callchain_user:
            first = hit.ip if hit.user else USER_IP
            chain += (PERF_CONTEXT_USER, *(first, *_USER_CHAIN)[:room])
        return struct.pack(f"={1 + len(chain)}Q", len(chain), *chain)

    def _stack(self, hit: Hit) -> bytes:
        """PERF_SAMPLE_STACK_USER: size, bytes, and how many of them are good."""
        if not hit.task.pid:
            return struct.pack("=Q", 0)
        size = min(self._attr.sample_stack_user, (MAX_SAMPLE_BYTES - self._fixed_bytes - 1024) // 8 * 8)
        if not size:
            return struct.pack("=Q", 0)
        return struct.pack(f"=Q{size}xQ", size, size)


def _raw(paddings: Sequence[bytes], hit: Hit) -> bytes:
    """PERF_SAMPLE_RAW: the size counts the padding. Software events have a word of zero (measured on 6.18)."""
    data = b"\0\0\0\0" if hit.raw is None else hit.raw
    padding = -(4 + len(data)) % 8
    return _pack_u32(len(data) + padding) + data + paddings[padding]


def _word(value: int) -> _Part:
    """A part that is always the same u64."""
    packed = struct.pack("=Q", value)
    return lambda _hit: packed


def _registers(mask: int) -> _Part:
    """A register dump: what is in them is made up, and tells which register it is. Idle tasks have no registers."""
    values = [_STACK_POINTER if bit == 7 else 0xBEEF_0000 + bit for bit in range(64) if mask >> bit & 1]
    packed = struct.pack(f"={1 + len(values)}Q", PERF_SAMPLE_REGS_ABI_64, *values)
    return lambda hit: packed if hit.task.pid else bytes(8)
