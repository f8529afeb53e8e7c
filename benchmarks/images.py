"""Images of rings: bytes as a session finds them between tail and head, the same from the same seed.

What the events ask for is what a session asks for: the attrs come from `SessionBuilder.plan`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from perfring import (
    KernelEvents,
    ProfilingEvents,
    SessionBuilder,
    SoftPageFaultEvents,
    TracepointEvents,
    abi,
)
from perfring.decoding import Decoder
from perfring.layout import EventLayout
from perfring.plan import EventSpec
from simkernel import SimKernel

GETPPID = "syscalls:sys_enter_getppid"
GETPPID_SAMPLE = struct.Struct("=IHHQIIQIHBBiIII")
"""Header, id, pid, tid, time, size of the raw data, and those: four common fields, the number of the call, padding."""
PRIVILEGED = frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"})

_HEADER = abi.HEADER
_TRAILER = struct.Struct("=IIQQ")
_FIRST_ID = 101
_START_NS = 1_000_000_000_000
_GAP_NS = 1_300
_PID = 4321
_SIDE_BAND_SHARE = 0.05
_LAYOUT_WEIGHTS = (40, 25, 15, 15)


@dataclass(frozen=True)
class Image:
    """Whole records, one behind the other.

    Attributes:
        name: as the table calls it.
        data: the bytes.
        records: how many records they are.
        samples: how many of those are samples.
        events: what wrote them, by event id.
        leader: the event that the ring is mapped from.
    """

    name: str
    data: bytes
    records: int
    samples: int
    events: Mapping[int, EventSpec]
    leader: EventSpec

    def layouts(self) -> dict[int, EventLayout]:
        """How the records of each event look, by id."""
        return {event_id: layout_of(spec) for event_id, spec in self.events.items()}

    def decoder(self) -> Decoder:
        """What a session would decode the image with."""
        return Decoder(self.layouts(), default=layout_of(self.leader))


def layout_of(spec: EventSpec) -> EventLayout:
    """The layout that a session makes of an event."""
    return EventLayout(spec.attr, name=spec.name, kind=spec.kind.value, format=spec.format)


def one_layout(size: int, *, event_id: int = _FIRST_ID) -> Image:
    """Samples of getppid and nothing else, 56 bytes each.

    Args:
        size: bytes, of which the last few are left out where no whole record fits.
        event_id: the id that they carry.
    """
    plan = SessionBuilder().with_tracepoint_events(TracepointEvents(GETPPID)).plan(SimKernel(capabilities=PRIVILEGED))
    count = size // GETPPID_SAMPLE.size
    data = b"".join(_getppid(event_id, _START_NS + number * _GAP_NS) for number in range(count))
    return Image("one layout", data, count, count, {event_id: plan.events[0]}, plan.leader)


def mixed(size: int, *, seed: int = 6) -> Image:
    """Four layouts of samples, in no order, and every twentieth record is side-band.

    Two tracepoints whose raw data differ in size, page faults with IP and ADDR, the clock with call chains of 3 to 24
    addresses.

    Args:
        size: bytes; the image ends with the last record that fits.
        seed: of everything that varies.
    """
    builder = (
        SessionBuilder()
        .with_tracepoint_events(TracepointEvents(GETPPID, "sched:sched_switch"))
        .with_soft_page_fault_events(SoftPageFaultEvents(ip=True))
        .with_profiling_events(ProfilingEvents(997, callchain=True))
        .with_kernel_events(KernelEvents(context_switch=True))
    )
    plan = builder.plan(SimKernel(capabilities=PRIVILEGED))
    ids = {spec.name: event_id for event_id, spec in enumerate(plan.events, _FIRST_ID)}
    events = dict(enumerate(plan.events, _FIRST_ID))
    pieces, room, samples = [], size, 0
    for record in _mixture(random.Random(seed), ids):
        room -= len(record)
        if room < 0:
            break
        pieces.append(record)
        samples += record[0] == abi.PERF_RECORD_SAMPLE
    return Image("mixed", b"".join(pieces), len(pieces), samples, events, plan.leader)


def _mixture(chance: random.Random, ids: Mapping[str, int]) -> Iterator[bytes]:
    makers: tuple[Callable[[int, int], bytes], ...] = (
        _getppid,
        _switch_sample,
        lambda event_id, time: _fault(event_id, time, chance),
        lambda event_id, time: _clock(event_id, time, chance),
    )
    chosen_ids = [ids[name] for name in (GETPPID, "sched:sched_switch", "minor-faults", "cpu-clock")]
    time = _START_NS
    while True:
        time += chance.randrange(100, 2 * _GAP_NS, 4)
        if chance.random() < _SIDE_BAND_SHARE:
            yield chance.choice(_SIDE_BAND)(ids["side-band"], time)
        else:
            (kind,) = chance.choices(range(len(makers)), _LAYOUT_WEIGHTS)
            yield makers[kind](chosen_ids[kind], time)


# Samples. Each begins with its header and the event's id (PERF_SAMPLE_IDENTIFIER).


def _by_user(size: int) -> tuple[int, int, int]:
    """The header of a sample taken in user space."""
    return abi.PERF_RECORD_SAMPLE, abi.PERF_RECORD_MISC_USER, size


def _getppid(event_id: int, time: int) -> bytes:
    size = GETPPID_SAMPLE.size
    return GETPPID_SAMPLE.pack(
        *(*_by_user(size), event_id, _PID, _PID, time),
        *(20, 2031, 0, 1, _PID, 110, 0, 0),
    )


_SWITCH_SAMPLE = struct.Struct("=IHHQIIQIHBBi16siiq16siiI")


def _switch_sample(event_id: int, time: int) -> bytes:
    return _SWITCH_SAMPLE.pack(
        *(abi.PERF_RECORD_SAMPLE, abi.PERF_RECORD_MISC_KERNEL, _SWITCH_SAMPLE.size, event_id, _PID, _PID, time, 68),
        *(1412, 0, 0, _PID, b"busy", _PID, 120, 1, b"swapper/0", 0, 120, 0),
    )


_FAULT = struct.Struct("=IHHQQIIQQ")


def _fault(event_id: int, time: int, chance: random.Random) -> bytes:
    ip, address = 0x5555_0000_0000 + chance.randrange(1 << 20), 0x7F00_0000_0000 + chance.randrange(0, 1 << 30, 8)
    return _FAULT.pack(*_by_user(_FAULT.size), event_id, ip, _PID, _PID, time, address)


def _clock(event_id: int, time: int, chance: random.Random) -> bytes:
    addresses = [0x5555_0000_0000 + chance.randrange(1 << 20) for _ in range(chance.randrange(2, 24))]
    chain = [abi.PERF_CONTEXT_USER, *addresses]
    size = _HEADER.size + 32 + 8 * len(chain)
    return struct.pack(
        f"=IHHQIIQQ{len(chain)}Q",
        *(*_by_user(size), event_id, _PID, _PID, time, len(chain), *chain),
    )


# Side-band: a body, and the trailer TID, TIME, IDENTIFIER (K35).


def _with_trailer(record_type: int, body: bytes, event_id: int, time: int, *, misc: int = 0) -> bytes:
    size = _HEADER.size + len(body) + _TRAILER.size
    return _HEADER.pack(record_type, misc, size) + body + _TRAILER.pack(_PID, _PID, time, event_id)


def _comm(event_id: int, time: int) -> bytes:
    body = struct.pack("=II16s", _PID, _PID, b"worker-thread")
    return _with_trailer(abi.PERF_RECORD_COMM, body, event_id, time)


def _mmap2(event_id: int, time: int) -> bytes:
    places = (0x7F00_0000_0000, 0x1000, 0)
    body = struct.pack("=IIQQQIIQQII32s", _PID, _PID, *places, 8, 1, 77, 1, 5, 2, b"/usr/lib/libsomething.so.6")
    return _with_trailer(abi.PERF_RECORD_MMAP2, body, event_id, time, misc=2)


def _fork(event_id: int, time: int) -> bytes:
    body = struct.pack("=IIIIQ", _PID + 1, _PID, _PID + 1, _PID, time)
    return _with_trailer(abi.PERF_RECORD_FORK, body, event_id, time)


def _exit(event_id: int, time: int) -> bytes:
    body = struct.pack("=IIIIQ", _PID + 1, _PID, _PID + 1, _PID, time)
    return _with_trailer(abi.PERF_RECORD_EXIT, body, event_id, time)


def _lost(event_id: int, time: int) -> bytes:
    return _with_trailer(abi.PERF_RECORD_LOST, struct.pack("=QQ", event_id, 3), event_id, time)


def _switch(event_id: int, time: int) -> bytes:
    return _with_trailer(abi.PERF_RECORD_SWITCH, b"", event_id, time)


_SIDE_BAND = (_comm, _mmap2, _fork, _exit, _lost, _switch)
