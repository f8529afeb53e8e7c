"""Files of perf to damage, and what reads them: shared by the properties and the fuzzer."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Final

from perfring.errors import PerfDataError
from perfring.perfdata import PerfDataFile
from tests.unit import perfdata_encoder as encode
from tests.unit.encoder import Form, record, u32, u64
from tests.unit.perfdata_encoder import FINISHED_ROUND, a_comm, a_sample, attr, file
from tests.unit.test_perfdata_reader import FORMAT, RAW

__all__ = ["SEEDS", "most_memory", "read_whatever"]

_CHAIN: Final = Form(sample_type=1 << 16 | 1 << 1 | 1 << 2 | 1 << 5)
_TRACING: Final = encode.tracing_data("syscalls", [FORMAT, FORMAT.replace("305", "306")])
_RECORDS: Final = b"".join(
    (
        encode.id_index([(7, 0, 1), (8, 1, 1), (9, 0, 1)]),
        a_comm("before", 0, event=0),
        a_sample(5, event=7, callchain=(1, 2, 3), form=_CHAIN),
        a_comm("hello", 6, event=8),
        FINISHED_ROUND,
        a_sample(7, event=9, form=RAW, raw=bytes(20)),
        record(71, u64(16) + bytes(32)) + bytes(16),
        a_sample(3, event=7, callchain=(), form=_CHAIN),
        FINISHED_ROUND,
    )
)
_EVENTS: Final = [(attr(_CHAIN), (7,)), (attr(), (8,)), (attr(RAW, type_=2, config=305), (9,))]
_NAMED: Final = [(packed, f"event {ids[0]}", ids) for packed, ids in _EVENTS]
_FEATURES: Final = {
    encode.TRACING_DATA: _TRACING,
    encode.BUILD_ID: encode.build_id("/bin/x", b"\1" * 20) + encode.build_id("/bin/y", b"\2" * 8),
    encode.HOSTNAME: encode.text("here"),
    encode.NRCPUS: u32(2) + u32(2),
    encode.CMDLINE: encode.texts(["perf", "record"]),
    encode.EVENT_DESC: encode.event_desc(_NAMED),
    encode.SAMPLE_TIME: u64(3) + u64(7),
}
_PIPED: Final = encode.piped(
    *(encode.attr_record(packed, ids) for packed, ids in _EVENTS),
    encode.feature_record(encode.EVENT_DESC, encode.event_desc(_NAMED)),
    record(66, u32(len(_TRACING) + -len(_TRACING) % 8) + u32(0)) + _TRACING + bytes(-len(_TRACING) % 8),
    _RECORDS,
)

SEEDS: Final = {"file": file(_RECORDS, events=_EVENTS, features=_FEATURES), "pipe": _PIPED}
"""Whole files with something of everything."""


def read_whatever(path: str, data: bytes) -> tuple[int, PerfDataError | None]:
    """Reads a file to its end, everything in it: how many records there were, and the error that ended it.

    Raises:
        whatever else the reader raises: that is what is looked for.
    """
    Path(path).write_bytes(data)
    count = 0
    try:
        with PerfDataFile(path) as found:
            for each in found.records():
                each.to_dict()
                count += 1
            str((found.events, found.features, found.problems, found.build_ids, found.counts))
    except PerfDataError as error:
        return count, error
    return count, None


def most_memory(path: str, data: bytes) -> int:
    """The bytes that Python had in use at most while a file was read."""
    tracemalloc.start()
    try:
        read_whatever(path, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
