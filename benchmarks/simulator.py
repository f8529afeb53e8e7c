"""The simulated kernel: a record against a plain packing loop, its import, exploration, and a session without work."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.measuring import Figure, figure, in_turns, ratio
from perfring import KernelEvents, SessionBuilder, TracepointEvents
from simkernel import RingBuffer, SimKernel, Writer
from simkernel.explore import Scenario, explore, waiting_reader

_RECORD = struct.Struct("=IHHQIIQQQQ")
"""A getppid sample's 56 bytes."""
_RING_BYTES = 1 << 16
_EVERYTHING = frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"})


def figures(*, records: int = 200_000, rounds: int = 7) -> Iterator[Figure]:
    """All figures of this file.

    Args:
        records: for each run of a loop.
        rounds: how often each is run.
    """

    def plain() -> None:
        _pack_plainly(records)

    def simulated() -> None:
        _simulate(records)

    packed, ringed = in_turns(rounds, plain, simulated)
    yield figure("plain packing loop, per record", [seconds / records * 1e9 for seconds in packed], "ns")
    yield figure("simulated record, reader included", [seconds / records * 1e9 for seconds in ringed], "ns")
    yield ratio("simulated record / plain loop", ringed, packed, at_most=4.0)
    yield figure("getppid sample, through SimKernel to a Record", _whole_way_ns(records // 10, rounds), "ns")
    yield figure("import simkernel, SimKernel loaded", _import_ms(rounds), "ms", at_most=60.0)
    yield figure("explored state, every interleaving", _explored_us(records // 20, rounds), "us", at_most=600.0)
    yield figure("a simulated second of an idle 8-CPU session", _idle_ms(rounds), "ms", at_most=1.0)


def _pack_plainly(records: int) -> None:
    memory, pack_into, offset, size = bytearray(_RING_BYTES), _RECORD.pack_into, 0, _RECORD.size
    for number in range(records):
        if offset + size > _RING_BYTES:
            offset = 0
        pack_into(memory, offset, 9, 1, size, number, 1, 1, number, 7, 8, 9)
        offset += size


def _simulate(records: int) -> None:
    """The same bytes through a ring, with a reader that drains on each wake by copying and storing its tail."""
    ring = RingBuffer(_RING_BYTES, watermark=_RING_BYTES // 2)
    data = memoryview(ring.memory)[-_RING_BYTES:]
    writer = Writer(7)
    pack, size = _RECORD.pack, _RECORD.size
    for number in range(records):
        ring.output(writer, pack(9, 1, size, number, 1, 1, number, 7, 8, 9), sample=True)
        if ring.latch:
            ring.take_latch()
            _drain(ring, data)


def _drain(ring: RingBuffer, data: memoryview) -> bytes:
    head, tail = ring.load_u64(1024), ring.load_u64(1032)
    start, end = tail % _RING_BYTES, head % _RING_BYTES
    image = bytes(data[start:end]) if start < end else bytes(data[start:]) + bytes(data[:end])
    ring.store_u64(1032, head)
    return image


def _whole_way_ns(records: int, rounds: int) -> list[float]:
    """From an actor's call through events, ring, wakeup, session and decoder: everything that a user's test pays."""
    taken = []
    for _ in range(rounds):
        kernel = SimKernel(capabilities=_EVERYTHING)
        actor = kernel.actor()
        builder = SessionBuilder().with_page_count(4096).with_target_pid(actor.pid)
        with builder.with_tracepoint_events(TracepointEvents("syscalls:sys_enter_getppid")).build(kernel) as session:
            session.enable()
            begin = time.process_time()
            actor.getppid(records)
            session.parse_all()
            taken.append((time.process_time() - begin) / records * 1e9)
    return taken


def _import_ms(rounds: int) -> list[float]:
    """What the import adds to an interpreter that has started, in a process of its own, compiled as installed."""
    code = "import time; b = time.process_time(); import simkernel; simkernel.SimKernel; print(time.process_time() - b)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def once() -> float:
        ended = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
        return float(ended.stdout) * 1e3

    once()
    return [once() for _ in range(rounds)]


def _explored_us(states: int, rounds: int) -> list[float]:
    """CPU time for each state: 600 us are 100,000 states in a minute."""
    scenario = Scenario(ring_bytes=128, watermark=40, records=(24,) * 6, interrupts=(16, 24), pauses=1)
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        explored = explore(waiting_reader, scenario, max_states=states)
        taken.append((time.process_time() - begin) / explored.states * 1e6)
    return taken


def _idle_ms(rounds: int) -> list[float]:
    """Per simulated second, over a hundred of them, with a latency bound of a second that expires in each."""
    taken = []
    for _ in range(rounds):
        kernel = SimKernel(cpus=8, capabilities=_EVERYTHING)
        builder = SessionBuilder().with_max_latency(1.0).with_kernel_events(KernelEvents())
        with builder.build(kernel) as session:
            session.enable()
            begin = time.process_time()
            session.parse_for_duration(100.0)
            taken.append((time.process_time() - begin) / 100 * 1e3)
    return taken
