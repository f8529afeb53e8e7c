"""K35: how a record is laid out."""

from __future__ import annotations

import os
import struct

from perfring import abi
from tests.linux._rig import COMM_BYTES, Rig, drain, getppid_samples, head, rename, renames

IDENTIFIED = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME | abi.PERF_SAMPLE_CPU


def test_k35_the_header_is_type_misc_and_size(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    os.getppid()
    kind, misc, size = struct.unpack_from("=IHH", mapping.data)
    assert (kind, misc & abi.PERF_RECORD_MISC_CPUMODE_MASK) == (
        abi.PERF_RECORD_SAMPLE,
        abi.PERF_RECORD_MISC_USER,
    )
    assert size == head(mapping) == 16


def test_k35_identifier_puts_the_id_first_and_the_rest_follows_in_order(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(sample_type=IDENTIFIED | abi.PERF_SAMPLE_PERIOD))
    os.getppid()
    identifier, pid, tid, time, cpu, reserved, period = struct.unpack("=QIIQIIQ", drain(mapping)[0].body)
    assert (identifier, pid, tid) == (rig.event_id(fd), os.getpid(), os.getpid())
    assert time > 0
    assert cpu in rig.kernel.online_cpus()
    assert (reserved, period) == (0, 1)


def test_k35_in_a_trailer_the_id_comes_last(rig: Rig) -> None:
    fd, mapping = rig.ring(renames(sample_type=IDENTIFIED, sample_id_all=True))
    rename()
    body = drain(mapping)[0].body
    pid, tid, time, cpu, reserved, identifier = struct.unpack("=IIQIIQ", body[COMM_BYTES - 8 :])
    assert (pid, tid, identifier, reserved) == (os.getpid(), os.getpid(), rig.event_id(fd), 0)
    assert time > 0
    assert cpu in rig.kernel.online_cpus()


def test_k35_without_sample_id_all_there_is_no_trailer(rig: Rig) -> None:
    _, mapping = rig.ring(renames(sample_type=IDENTIFIED))
    rename()
    assert len(drain(mapping)[0].body) == COMM_BYTES - 8


def test_k35_raw_data_is_padded_together_with_its_size_to_eight_bytes(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples(sample_type=abi.PERF_SAMPLE_RAW))
    os.getppid()
    body = drain(mapping)[0].body
    (size,) = struct.unpack_from("=I", body)
    assert len(body) == 4 + size
    assert len(body) % 8 == 0
