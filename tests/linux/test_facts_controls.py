"""K20, K38 to K41: signals, ioctls, read and write on an event."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct

import pytest

from perfring import abi
from perfring.kernel import Signal
from tests.linux._rig import (
    COMM_BYTES,
    Rig,
    drain,
    dummy,
    getppid,
    getppid_samples,
    head,
    refused,
    rename,
    renames,
    types,
    waking,
)

POLL_IN, POLL_HUP = 1, 6
COUNTING = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_CPU_CLOCK)
U64 = struct.Struct("=Q")


def signalling(rig: Rig, fd: int) -> int:
    """Has overflows of this event queue a realtime signal to this process."""
    rig.kernel.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    rig.kernel.fcntl(fd, 10, signal.SIGRTMIN)  # F_SETSIG
    rig.kernel.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_ASYNC)
    return fd


def test_k20_every_sample_signals_whatever_the_watermark(rig: Rig) -> None:
    fd = signalling(rig, rig.ring(waking(4000))[0])
    getppid(3)
    assert rig.kernel.take_signals() == [Signal(fd, POLL_IN)] * 3


def test_k20_a_crossing_by_samples_does_not_signal_twice(rig: Rig) -> None:
    fd = signalling(rig, rig.ring(waking(1))[0])
    os.getppid()
    assert rig.kernel.take_signals() == [Signal(fd, POLL_IN)]


def test_k20_without_a_ring_samples_signal_all_the_same(rig: Rig) -> None:
    fd = signalling(rig, rig.open(getppid_samples()))
    os.getppid()
    assert rig.kernel.take_signals() == [Signal(fd, POLL_IN)]


def test_k20_side_band_signals_when_it_crosses_the_watermark(rig: Rig) -> None:
    # Since 6.10 only: before, a wakeup by side-band sent nothing.
    fd = signalling(rig, rig.ring(renames(watermark=True, wakeup_watermark=COMM_BYTES))[0])
    rename()
    assert rig.kernel.take_signals() == []
    rename()
    since_6_10 = tuple(int(part) for part in rig.kernel.release.split(".")[:2]) >= (6, 10)
    assert rig.kernel.take_signals() == [Signal(fd, POLL_IN)] * since_6_10


def test_k20_a_redirected_events_samples_signal_its_own_owner_and_not_the_leaders(rig: Rig) -> None:
    leader, _ = rig.ring(dummy(watermark=True, wakeup_watermark=16))
    signalling(rig, leader)
    fd = rig.redirected(waking(16), leader)
    getppid(3)
    assert rig.kernel.take_signals() == []
    signalling(rig, fd)
    getppid(3)
    assert rig.kernel.take_signals() == [Signal(fd, POLL_IN)] * 3


def test_k20_samples_that_are_dropped_signal_too(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)
    signalling(rig, fd)
    getppid(2)
    assert (head(mapping), rig.kernel.take_signals()) == (0, [Signal(fd, POLL_IN)] * 2)


def test_k38_refresh_and_period_are_for_sampling_events(rig: Rig) -> None:
    fd = rig.open(COUNTING)
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_REFRESH, 1)
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PERIOD, U64.pack(5))


@pytest.mark.parametrize("period", [0, 1 << 63, (1 << 64) - 1])
def test_k38_a_period_of_0_or_with_the_top_bit_is_refused(rig: Rig, period: int) -> None:
    fd = rig.open(getppid_samples())
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PERIOD, U64.pack(period))


@pytest.mark.parametrize("request_name", ["PERIOD", "ID", "SET_FILTER", "QUERY_BPF", "MODIFY_ATTRIBUTES"])
def test_k38_a_null_pointer_is_refused(rig: Rig, request_name: str) -> None:
    fd = rig.open(getppid_samples())
    with refused(errno.EFAULT):
        rig.kernel.ioctl(fd, getattr(abi, f"PERF_EVENT_IOC_{request_name}"), 0)


@pytest.mark.parametrize("request_name", ["ENABLE", "DISABLE", "RESET"])
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_k38_enable_disable_and_reset_take_any_event_and_argument(rig: Rig, request_name: str, argument: int) -> None:
    assert rig.kernel.ioctl(rig.open(COUNTING), getattr(abi, f"PERF_EVENT_IOC_{request_name}"), argument) == 0


@pytest.mark.parametrize("pages", [None, 0])
def test_k38_pausing_needs_a_data_area(rig: Rig, pages: int | None) -> None:
    fd = rig.open(dummy())
    if pages is not None:
        rig.map(fd, pages)
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)


@pytest.mark.parametrize("text", [b"nosuchfield == 1\0", b"\0", b"0\0"])
def test_k38_a_filter_the_kernel_cannot_read_is_refused(rig: Rig, text: bytes) -> None:
    fd = rig.open(getppid_samples())
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_FILTER, text)


def test_k38_filters_and_bpf_queries_are_for_tracepoints(rig: Rig) -> None:
    fd = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid != 0\0")
    with refused(errno.EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_QUERY_BPF, bytearray(8))


def test_k38_modify_attributes_is_for_breakpoints(rig: Rig) -> None:
    fd = rig.open(attr := getppid_samples())
    with refused(errno.EOPNOTSUPP):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_MODIFY_ATTRIBUTES, attr.pack())


@pytest.mark.parametrize("request_number", [0x2450, 0x5401, 0x541B])
def test_k38_an_unknown_request_is_enotty(rig: Rig, request_number: int) -> None:
    fd = rig.open(dummy())
    with refused(errno.ENOTTY):
        rig.kernel.ioctl(fd, request_number)


def test_k38_write_is_refused(rig: Rig) -> None:
    fd = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.kernel.write(fd, b"x")


def test_k39_after_n_overflows_the_event_is_disabled_and_the_last_one_says_hup(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(disabled=True))
    signalling(rig, fd)
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_REFRESH, 3)
    getppid(5)
    assert head(mapping) == 48
    assert [sent.code for sent in rig.kernel.take_signals()] == [POLL_IN, POLL_IN, POLL_HUP]


def test_k40_a_disabled_event_emits_no_side_band(rig: Rig) -> None:
    fd, mapping = rig.ring(renames(disabled=True))
    rename()
    assert head(mapping) == 0
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_ENABLE)
    rename()
    assert types(drain(mapping)) == [abi.PERF_RECORD_COMM]


FORK, EXIT = abi.PERF_RECORD_FORK, abi.PERF_RECORD_EXIT


@pytest.mark.parametrize(("inherit", "expected"), [(False, [FORK, EXIT]), (True, [FORK, EXIT, EXIT])])
def test_k40_without_inherit_a_childs_exit_is_not_recorded(rig: Rig, inherit: bool, expected: list[int]) -> None:
    def fork_and_wait() -> None:
        os.sched_setaffinity(0, {0})
        if os.fork() == 0:
            os._exit(0)
        os.wait()

    child = rig.child(fork_and_wait)
    _, mapping = rig.ring(dummy(task=True, inherit=inherit), pid=child.pid, cpu=0)
    child.step()
    child.finish()
    assert types(drain(mapping)) == expected


@pytest.mark.parametrize("read_format", range(32))
def test_k41_a_buffer_one_byte_short_is_enospc(rig: Rig, read_format: int) -> None:
    fd = rig.open(getppid_samples(read_format=read_format))
    needed = abi.read_format_size(read_format)
    assert len(rig.kernel.read(fd, needed)) == needed
    with refused(errno.ENOSPC):
        rig.kernel.read(fd, needed - 1)
