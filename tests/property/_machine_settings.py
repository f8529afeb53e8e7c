"""What the steps of a session's machine are drawn from, and how its records look to the model."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from perfring.records import Record, Sample
from perfring.sideband import Comm, Exit, Fork, Lost
from tests.property._model import Kind

CALLS, SIDE_BAND, OUTPUT = "syscalls:sys_enter_getppid", "side-band", "bpf-output"
# In the order in which a session opens them: side-band, tracepoints, BPF output.
KINDS = {SIDE_BAND: Kind.NAMES, CALLS: Kind.CALLS, OUTPUT: Kind.OUTPUT}
CALL_BYTES = 20
CPUS = (0, 2)
NUMBERS = {Sample: 9, Lost: 2, Comm: 3, Fork: 7, Exit: 4}
TYPES = {9: "sample", 2: "lost", 3: "comm", 7: "fork", 4: "exit"}
TOPICS = ("*", *TYPES.values(), "tracepoint", "bpf-output", CALLS)
SPOILED = "exit"
"""The topic whose callback fails."""

WATERMARKS = st.none() | st.integers(1, 3000) | st.sampled_from([4000, 4039, 4072, 4087, 4095, 4096, 9000])
SETTINGS = st.fixed_dictionaries(
    {
        "pages": st.sampled_from([1, 1, 1, 2, 4]),
        "watermark": WATERMARKS,
        "wakeup_events": st.sampled_from([0, 0, 0, 1, 5]),
        "latency": st.sampled_from([None, None, 0.007]),
        "cpus": st.sampled_from([(), (), (0,), (2,), (0, 2)]),
        "names": st.sampled_from([{CALLS}, {CALLS, SIDE_BAND}, {*KINDS}, {*KINDS}, {SIDE_BAND, OUTPUT}]),
        "inherit": st.sampled_from([None, None, False]),
    }
)
TIMES = st.sampled_from([1, 3, 20, 50, 75, 160]) | st.integers(1, 80)
LENGTHS = st.sampled_from([1, 4, 5, 60, 700, 4000])
NAMES_OF_TASKS = st.sampled_from(["a", "sevench", "eightchr", "fifteencharacte"])
TIMEOUTS = st.sampled_from([0.0, 0.0, 0.004, 0.02])
# What ends a session ends what can be found out with it.
SELDOM = st.sampled_from([False, False, False, True])
LATENCIES = st.sampled_from([None, None, 0.003])


def as_modelled(record: Record) -> tuple[str | None, int, int, int, bytes]:
    """Writer, position, type, size and the beginning of the body, which for a sample is its task."""
    front = b""
    if isinstance(record, Sample):
        front = struct.pack("=II", record.pid, record.tid)
    elif isinstance(record, Lost):
        front = struct.pack("=Q", record.lost)
    elif isinstance(record, Comm):
        name = record.comm.encode()
        front = struct.pack("=II", record.pid, record.tid) + name.ljust(-(-(len(name) + 1) // 8) * 8, b"\0")
    elif isinstance(record, (Fork, Exit)):
        front = struct.pack("=IIII", record.pid, record.ppid, record.tid, record.ptid)
    return record.event, record.position, NUMBERS[type(record)], record.size, front
