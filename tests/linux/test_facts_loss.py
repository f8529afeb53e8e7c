"""K21 to K24: what becomes of records that do not fit."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfring import abi
from tests.linux._rig import (
    COMM_BYTES,
    IN,
    Rig,
    drain,
    free,
    getppid,
    getppid_samples,
    head,
    rename,
    renames,
    types,
    waking,
)

LOST_BYTES = 24
LOST, COMM, SAMPLE = abi.PERF_RECORD_LOST, abi.PERF_RECORD_COMM, abi.PERF_RECORD_SAMPLE
RATE = Path("/proc/sys/kernel/perf_event_max_sample_rate")


def full_after(mapping_bytes: int) -> int:
    """How many 16-byte records fit (K6)."""
    return (mapping_bytes - 1) // 16


def test_k21_the_next_record_that_fits_is_preceded_by_one_lost(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    getppid(full_after(len(mapping.data)) + 5)
    free(mapping)
    getppid(2)
    lost, *samples = drain(mapping)
    assert types([lost, *samples]) == [LOST, SAMPLE, SAMPLE]
    assert lost.u64s == (rig.event_id(fd), 5)


def test_k21_record_and_lost_must_fit_together(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples())
    getppid(full_after(len(mapping.data)) + 1)
    room = 16 + LOST_BYTES
    # One byte stays free (K6), and 16 bytes are free already.
    mapping.store_u64(1032, room - 16)
    os.getppid()
    assert head(mapping) == len(mapping.data) - 16
    mapping.store_u64(1032, room)
    os.getppid()
    assert head(mapping) == len(mapping.data) - 16 + room


def test_k21_the_id_is_of_the_event_that_writes_next_not_of_the_one_that_lost(rig: Rig) -> None:
    loser, mapping = rig.ring(getppid_samples())
    writer = rig.redirected(renames(), loser)
    getppid(full_after(len(mapping.data)) + 3)
    free(mapping)
    rename()
    lost, comm = drain(mapping)
    assert types([lost, comm]) == [LOST, COMM]
    assert lost.u64s == (rig.event_id(writer), 3)


def test_k21_the_trailer_follows_where_sample_id_all_is_set(rig: Rig) -> None:
    fields = abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_IDENTIFIER
    fd, mapping = rig.ring(renames(sample_type=fields, sample_id_all=True))
    rename(len(mapping.data) // (COMM_BYTES + 16) + 2)
    free(mapping)
    rename()
    lost = drain(mapping)[0]
    pid, tid, identifier = struct.unpack("=IIQ", lost.body[16:])
    assert (pid, tid, identifier) == (os.getpid(), os.getpid(), rig.event_id(fd))


def test_k22_losses_without_a_later_record_never_appear_in_the_ring(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(read_format=abi.PERF_FORMAT_LOST))
    fits = full_after(len(mapping.data))
    getppid(fits + 7)
    assert set(types(drain(mapping))) == {SAMPLE}
    assert drain(mapping) == []
    assert rig.counts(fd) == (fits + 7, 7)


def test_k22_each_event_counts_its_own_losses(rig: Rig) -> None:
    leader, mapping = rig.ring(getppid_samples(read_format=abi.PERF_FORMAT_LOST))
    comm = rig.redirected(renames(read_format=abi.PERF_FORMAT_LOST), leader)
    fits = full_after(len(mapping.data))
    getppid(fits)
    rename(2)
    getppid(3)
    assert (rig.counts(comm), rig.counts(leader)) == ((0, 2), (fits + 3, 3))


def test_k22_reset_leaves_the_count_of_losses(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(read_format=abi.PERF_FORMAT_LOST))
    getppid(full_after(len(mapping.data)) + 7)
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_RESET)
    assert rig.counts(fd) == (0, 7)


@pytest.mark.parametrize("pages", [None, 0])
def test_k22_without_a_data_area_nothing_counts_as_lost(rig: Rig, pages: int | None) -> None:
    fd = rig.open(getppid_samples(read_format=abi.PERF_FORMAT_LOST))
    if pages is not None:
        rig.map(fd, pages)
    getppid(3)
    assert rig.counts(fd) == (3, 0)


def test_k23_a_paused_ring_drops_and_counts(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(read_format=abi.PERF_FORMAT_LOST))
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
    getppid(4)
    assert (head(mapping), rig.counts(fd)) == (0, (4, 4))


def test_k23_after_resuming_the_first_record_carries_the_lost(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
    getppid(4)
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 0)
    assert head(mapping) == 0
    os.getppid()
    lost, sample = drain(mapping)
    assert (lost.type, lost.u64s[1], sample.type) == (LOST, 4, SAMPLE)


def test_k23_pausing_does_not_signal(rig: Rig) -> None:
    fd, _ = rig.ring(waking(1))
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
    getppid(4)
    assert rig.ask(fd) == 0
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 0)
    os.getppid()
    assert rig.ask(fd) == IN


@pytest.fixture
def half_rate() -> Iterator[int]:
    """The highest sampling rate, halved for a moment; yields what it was.

    The lock keeps two runs on one machine from restoring each other's half.
    """
    with RATE.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = RATE.read_text()
        RATE.write_text(str(int(before) // 2))
        try:
            yield int(before)
        finally:
            RATE.write_text(before)


def test_k24_a_clock_faster_than_the_sysctl_is_throttled_and_let_go_again(rig: Rig, half_rate: int) -> None:
    period = 1_000_000_000 // half_rate
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_CPU_CLOCK, sample_period=period)
    fd, mapping = rig.ring(attr, pages=256)
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        pass
    throttling = [record for record in drain(mapping) if record.type != SAMPLE]
    assert set(types(throttling)) == {abi.PERF_RECORD_THROTTLE, abi.PERF_RECORD_UNTHROTTLE}
    assert throttling[0].u64s[1:] == (rig.event_id(fd), rig.event_id(fd))


def test_k24_a_tracepoint_is_not_throttled(rig: Rig, half_rate: int) -> None:
    fd, mapping = rig.ring(getppid_samples(), pages=256)
    getppid(20_000)
    assert head(mapping) == 20_000 * 16
    assert rig.counts(fd) == (20_000,)
