"""The format files of the kernel underneath, and the payloads it writes."""

from __future__ import annotations

import errno
import os
import platform
import resource
import struct
from collections.abc import Iterator

import pytest

from perfring import SessionBuilder, TracepointEvents, abi, tracefs
from perfring.errors import EventRefused, PermissionDenied, TracepointNotFound
from perfring.linux import LinuxKernel
from tests.linux._rig import HEAD, HEADER
from tests.linux._rings import mapped, opened

RAW_SIZE = struct.Struct("=I")


def payloads(kernel: LinuxKernel, name: str, *, pages: int = 8) -> Iterator[bytes]:
    """Records this thread's part of a tracepoint until the generator is resumed, then yields what was written."""
    attr = abi.PerfEventAttr(
        type=abi.PERF_TYPE_TRACEPOINT,
        config=tracefs.read_format(kernel, name).id,
        sample_period=1,
        sample_type=abi.PERF_SAMPLE_RAW,
        watermark=True,
        wakeup_watermark=1,
    )
    with opened(kernel, attr) as fd, mapped(kernel, fd, data_pages=pages) as ring_mapping:
        yield b""
        kernel.ioctl(fd, abi.PERF_EVENT_IOC_DISABLE)
        written = bytes(ring_mapping.data[: ring_mapping.load_u64(HEAD)])
    yield from _raw_data(written)


def _raw_data(written: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(written):
        kind, _, size = HEADER.unpack_from(written, position)
        if kind == abi.PERF_RECORD_SAMPLE:
            (length,) = RAW_SIZE.unpack_from(written, position + HEADER.size)
            start = position + HEADER.size + RAW_SIZE.size
            yield written[start : start + length]
        position += size


def test_every_tracepoint_of_this_kernel_can_be_parsed_and_decodes_zeros(kernel: LinuxKernel) -> None:
    names = tracefs.tracepoint_names(kernel)
    assert len(names) > 100
    for name in names:
        found = tracefs.read_format(kernel, name)
        assert found.name == name
        assert list(found.decode(bytes(8192))) == [field.name for field in found.fields]


def test_every_tracepoint_has_the_id_that_its_file_says(kernel: LinuxKernel) -> None:
    root = tracefs.find_tracefs(kernel)
    for name in ("sched:sched_switch", "syscalls:sys_enter_openat"):
        text = kernel.read_text(f"{root}/events/{name.replace(':', '/')}/id")
        assert tracefs.read_format(kernel, name).id == int(text)


def test_arguments_of_a_system_call_are_decoded(kernel: LinuxKernel) -> None:
    found = tracefs.read_format(kernel, "syscalls:sys_enter_lseek")
    recorded = payloads(kernel, "syscalls:sys_enter_lseek")
    next(recorded)
    with pytest.raises(OSError):
        os.lseek(-1, 4711, os.SEEK_END)
    calls = [found.decode(raw) for raw in recorded]  # pytest seeks too
    assert [call["whence"] for call in calls if call["offset"] == 4711] == [os.SEEK_END]


def test_common_pid_is_the_thread_that_caused_the_event(kernel: LinuxKernel) -> None:
    recorded = payloads(kernel, "syscalls:sys_enter_getppid")
    next(recorded)
    os.getppid()
    found = tracefs.read_format(kernel, "syscalls:sys_enter_getppid")
    raw = next(recorded)
    assert found.value(raw, "common_pid") == os.getpid()
    assert found.value(raw, "common_type") == found.id


def test_a_context_switch_names_both_tasks(kernel: LinuxKernel) -> None:
    recorded = payloads(kernel, "sched:sched_switch")
    next(recorded)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(os.read(reading, 1) != b"x")
    os.write(writing, b"x")
    os.waitpid(child, 0)  # waits, so this thread is switched away from
    os.close(reading)
    os.close(writing)
    found = tracefs.read_format(kernel, "sched:sched_switch")
    own = [switch for switch in map(found.decode, recorded) if switch["prev_pid"] == os.getpid()]
    assert own
    assert own[0]["prev_comm"] == kernel.read_text("/proc/self/comm").rstrip("\n")


def test_the_names_in_a_fork_are_decoded_wherever_the_kernel_puts_them(kernel: LinuxKernel) -> None:
    recorded = payloads(kernel, "sched:sched_process_fork")
    next(recorded)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    values = tracefs.read_format(kernel, "sched:sched_process_fork").decode(next(recorded))
    own = kernel.read_text("/proc/self/comm").rstrip("\n")
    assert values == {"parent_comm": own, "parent_pid": os.getpid(), "child_comm": own, "child_pid": child}


def test_an_unknown_tracepoint_is_named_with_a_suggestion(kernel: LinuxKernel) -> None:
    with pytest.raises(TracepointNotFound, match="did you mean sched:sched_switch"):
        tracefs.read_format(kernel, "sched:sched_swich")


def test_k53_what_no_glob_matches_is_what_perf_does_not_sample(kernel: LinuxKernel) -> None:
    with pytest.raises(EventRefused, match="below ftrace are the tracer's own entries") as entry:
        SessionBuilder().with_tracepoint_events(TracepointEvents("ftrace:user_stack")).build(kernel)
    assert entry.value.errno == errno.EINVAL


@pytest.mark.skipif(platform.machine() != "x86_64", reason="irq_vectors are those of x86")
def test_k53_the_tracepoint_that_perf_works_through_is_sampled_by_nobody(kernel: LinuxKernel) -> None:
    with pytest.raises(PermissionDenied, match="nobody may sample it"):
        SessionBuilder().with_tracepoint_events(TracepointEvents("irq_vectors:irq_work_exit")).build(kernel)


def test_every_tracepoint_of_a_glob_over_systems_can_be_opened(kernel: LinuxKernel) -> None:
    names = tracefs.matching_names(kernel, "*:*_exit")  # not more: each takes the kernel 36 ms to close
    for name in names:
        attr = abi.PerfEventAttr(
            type=abi.PERF_TYPE_TRACEPOINT,
            config=tracefs.read_format(kernel, name).id,
            sample_period=1,
            sample_type=abi.PERF_SAMPLE_RAW,
        )
        with opened(kernel, attr):
            pass
    assert len({name.partition(":")[0] for name in names}) > 3


def test_a_glob_that_needs_too_many_descriptors_is_refused_before_any_is_opened(kernel: LinuxKernel) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with pytest.raises(EventRefused, match=r"^a session of \d+ events on \d+ CPUs needs .* allows 256: "):
            SessionBuilder().with_tracepoint_events(TracepointEvents("syscalls:*")).build(kernel)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
