"""A session on both kernels: what is delivered, when, and what is said about it."""

from __future__ import annotations

import itertools
import logging
import struct
from contextlib import closing

import pytest

from perfring.batch import Batch, Reason
from perfring.errors import (
    CpuNotOnline,
    FilterRefused,
    SessionBusy,
    SessionClosed,
    TargetNotFound,
    TracepointNotFound,
    WatermarkStallWarning,
)
from perfring.events import KernelEvents, TracepointEvents
from perfring.kernel import Kernel
from perfring.records import Record, Sample
from perfring.session import Session
from simkernel.contract.arm import Actor, Arm
from simkernel.pytest_plugin import ActorFactory
from tests.session_rig import GETPPID, PATIENCE, SAMPLE_BYTES, kinds, watching


def lowest_free_fd(kernel: Kernel) -> int:
    """The same before and after, when nothing was left open."""
    with closing(kernel.waker()) as waker:
        return waker.fileno()


def next_batch(session: Session) -> Batch:
    """The next batch that is not the first look, within patience."""
    return session.next_batch(timeout=PATIENCE)


def test_the_kernel_wakes_the_reader_above_the_watermark_and_not_below(session: Session, actor: Actor) -> None:
    actor.getppid(18)  # 1008 bytes of 1024
    assert len(session.next_batch(timeout=0)) == 18  # the first look
    session.next_batch(timeout=0)
    actor.getppid(1)
    batch = next_batch(session)
    assert (batch.reason, len(batch), session.statistics().wakeups) == (Reason.WAKEUP, 1, 1)


def test_a_wakeup_from_before_the_registration_is_not_waited_for(session: Session, actor: Actor) -> None:
    actor.getppid(30)  # k15
    batch = next_batch(session)
    assert (batch.reason, len(batch)) == (Reason.START, 30)


def test_a_timeout_delivers_the_data_first_and_then_says_so_once(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(3)
    first, second, third = (session.next_batch(timeout=0) for _ in range(3))
    assert (len(first), first.reason) == (3, Reason.TIMEOUT)
    assert (len(second), second.reason) == (0, Reason.TIMEOUT)
    assert (len(third), third.reason) == (0, Reason.TIMEOUT)


def test_flush_delivers_the_data_first_and_then_says_so_once(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(3)
    session.flush()
    first = next_batch(session)
    actor.getppid(30)
    second, third = next_batch(session), next_batch(session)
    assert (len(first), first.reason) == (3, Reason.FLUSH)
    assert (len(second), second.reason) == (0, Reason.FLUSH)
    assert (len(third), third.reason) == (30, Reason.WAKEUP)


def test_a_latency_bound_delivers_what_lies_below_the_watermark(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(2)
    batch = session.next_batch(timeout=PATIENCE, max_latency=0.01)
    assert (len(batch), batch.reason) == (2, Reason.LATENCY)


def test_stop_delivers_the_rest_and_ends(session: Session, actor: Actor) -> None:
    actor.getppid(5)
    session.stop()
    assert [len(batch) for batch in session.batches()] == [5]
    assert session.next_batch().reason is Reason.END


def test_what_a_stopped_session_records_later_is_nothing(session: Session, actor: Actor) -> None:
    session.stop()
    list(session.batches())
    actor.getppid(5)
    assert session.statistics().unread_bytes == 0


def test_parse_all_calls_the_callbacks_and_never_waits(session: Session, actor: Actor) -> None:
    seen: list[Record] = []
    session.on(GETPPID, seen.append)
    actor.getppid(4)
    assert (session.parse_all(), session.parse_all()) == (4, 0)
    assert kinds(seen) == {"sample": 4}


def test_parse_for_cpu_drains_that_ring(session: Session, actor: Actor) -> None:
    actor.getppid(4)
    assert session.parse_for_cpu(0) == 4


def test_parse_for_cpu_names_a_cpu_without_a_ring(session: Session) -> None:
    with pytest.raises(ValueError, match=r"cpu is 17: the session has rings of cpus \[0\]"):
        session.parse_for_cpu(17)


def test_parse_until_ends_when_the_condition_holds(session: Session, actor: Actor) -> None:
    seen: list[Record] = []
    session.on("sample", seen.append)
    actor.getppid(30)
    assert session.parse_until(lambda: len(seen) >= 30) == 30


def test_parse_until_looks_at_the_condition_while_nothing_comes(session: Session) -> None:
    looks = itertools.chain([False] * 3, itertools.repeat(True))
    assert session.parse_until(lambda: next(looks), tick=0.001) == 0
    assert session.statistics().timeouts == 0


def test_parse_for_duration_drains_below_the_watermark_at_its_end(session: Session, actor: Actor) -> None:
    session.parse_all()
    actor.getppid(2)
    assert session.parse_for_duration(0.01) == 2


def test_parse_for_no_duration_ends_with_the_session(perf_arm: Arm, session: Session, actor: Actor) -> None:
    seen: list[Record] = []
    session.on("sample", seen.append)

    def end() -> None:
        actor.getppid(10)
        session.stop()

    perf_arm.soon(end)
    assert (session.parse_for_duration(None), len(seen)) == (10, 10)


def test_records_left_by_an_iteration_come_first_the_next_time(session: Session, actor: Actor) -> None:
    actor.getppid(5)
    for _ in session.records():
        break
    assert sum(1 for _ in session.records(duration=0)) == 4
    assert session.statistics().late == 0


def test_samples_tell_their_fields(session: Session, actor: Actor) -> None:
    actor.getppid(1)
    (record,) = session.records(duration=0)
    told = record.to_dict()
    assert (told["pid"], told["tid"], told["cpu"], told["event"]) == (actor.pid, actor.pid, 0, GETPPID)
    assert told["fields"] in ({"__syscall_nr": 110}, {"__syscall_nr": 173})  # x86-64, and nearly all others


def test_the_frames_of_a_sample_lie_in_the_kernel_or_in_user_space(perf_kernel: Kernel, actor: Actor) -> None:
    chained = TracepointEvents(GETPPID, callchain=True)
    with watching(actor).replace_tracepoint_events(chained).build(perf_kernel) as session:
        session.enable()
        actor.getppid(1)
        (sample,) = session.records(duration=0)
    assert isinstance(sample, Sample)
    assert sample.frames
    assert {frame.mode for frame in sample.frames} <= {"kernel", "user"}
    user = [frame.is_return for frame in sample.frames if frame.mode == "user"]
    assert user == [False] + [True] * (len(user) - 1)


def test_losses_are_counted_whether_or_not_a_record_tells_of_them(session: Session, actor: Actor) -> None:
    actor.getppid(100)  # 4096 bytes hold 73
    session.parse_all()
    counts = session.statistics()
    assert (counts.records, counts.lost, counts.rings[0].lost_reported) == (73, 27, 0)
    actor.getppid(1)
    session.parse_all()
    counts = session.statistics()
    assert (counts.records, counts.lost, counts.rings[0].lost_reported) == (75, 27, 27)


def test_pause_drops_and_counts(session: Session, actor: Actor) -> None:
    session.pause()
    actor.getppid(3)
    session.resume()
    session.resume()
    actor.getppid(1)
    assert kinds(session.records(duration=0)) == {"lost": 1, "sample": 1}
    assert session.statistics().lost == 3


def test_highest_fill_and_bytes_are_counted(session: Session, actor: Actor) -> None:
    actor.getppid(10)
    session.parse_all()
    actor.getppid(2)
    session.parse_all()
    (ring,) = session.statistics().rings
    assert (ring.highest_fill, ring.bytes, ring.records) == (10 * SAMPLE_BYTES, 12 * SAMPLE_BYTES, 12)


def test_what_lies_in_the_ring_now_is_told_and_left_there(session: Session, actor: Actor) -> None:
    fills = []
    for calls in (0, 10, 2):
        actor.getppid(calls)
        fills.append(session.statistics().rings[0].fill)
    assert fills == [0, 10 * SAMPLE_BYTES, 12 * SAMPLE_BYTES]
    assert session.parse_all() == 12
    assert session.statistics().rings[0].fill == 0


def test_to_ask_for_the_fill_takes_no_wakeup(session: Session, actor: Actor) -> None:
    session.next_batch(timeout=0)
    actor.getppid(30)
    assert session.statistics().rings[0].fill == 30 * SAMPLE_BYTES
    assert next_batch(session).reason is Reason.WAKEUP


def test_the_fill_of_a_closed_ring_is_what_nobody_read(session: Session, actor: Actor) -> None:
    actor.getppid(3)
    session.close()
    assert session.statistics().rings[0].fill == 3 * SAMPLE_BYTES


def test_a_head_that_makes_no_sense_is_no_fill(session: Session) -> None:
    (ring,) = session.rings
    assert ring.mapping is not None
    ring.mapping.store_u64(1024, 1 << 40)  # k3: the kernel keeps its own head
    assert session.statistics().rings[0].fill == 0


def test_bytes_that_nobody_read_are_counted_at_close(perf_kernel: Kernel, actor: Actor) -> None:
    session = watching(actor).build(perf_kernel)
    session.enable()
    actor.getppid(3)
    session.close()
    assert session.statistics().unread_bytes == 3 * SAMPLE_BYTES


def test_a_failing_callback_goes_to_the_error_callback(session: Session, actor: Actor) -> None:
    errors: list[Exception] = []
    session.on_error(lambda error, record: errors.append(error))
    session.on("sample", lambda record: 1 // 0)
    actor.getppid(2)
    assert session.parse_all() == 2
    assert [type(error) for error in errors] == [ZeroDivisionError] * 2
    assert session.statistics().callback_errors == 2


def test_a_disabled_session_records_nothing(session: Session, actor: Actor) -> None:
    session.disable()
    actor.getppid(3)
    assert session.parse_all() == 0


def test_side_band_of_the_target_is_recorded(perf_kernel: Kernel, actor: Actor) -> None:
    with watching(actor, pages=4).with_kernel_events(KernelEvents()).build(perf_kernel) as session:
        session.enable()
        actor.rename("renamed")
        assert [record.to_dict()["comm"] for record in session.records(duration=0)] == ["renamed"]


def test_a_tracepoint_can_be_added_while_the_session_runs(perf_kernel: Kernel, actor: Actor) -> None:
    with watching(actor).build(perf_kernel) as session:
        session.enable()
        session.add_tracepoint("syscalls:sys_exit_getppid")
        actor.getppid(2)
        names = [record.event for record in session.records(duration=0)]
    assert names == [GETPPID, "syscalls:sys_exit_getppid"] * 2


def test_a_tracepoint_added_with_a_refused_filter_leaves_nothing_open(perf_kernel: Kernel, session: Session) -> None:
    before = lowest_free_fd(perf_kernel)
    with pytest.raises(FilterRefused, match=r"no_such_field.*its fields are "):
        session.add_tracepoint("syscalls:sys_exit_getppid", filter="no_such_field == 1")
    assert lowest_free_fd(perf_kernel) == before


def test_a_tracepoint_that_makes_a_safe_watermark_unsafe_is_warned_of(session: Session) -> None:
    with pytest.warns(WatermarkStallWarning, match="sched:sched_process_exec"):
        session.add_tracepoint("sched:sched_process_exec")


def test_an_exec_passes_its_tracepoint_with_the_path_that_was_asked_for(perf_arm: Arm, actor: Actor) -> None:
    folder, name = perf_arm.executable.rsplit("/", 1)
    path = f"{folder}/./{name}"
    builder = watching(actor, pages=4).replace_tracepoint_events(TracepointEvents("sched:sched_process_exec"))
    with builder.build(perf_arm.kernel) as session:
        session.enable()
        actor.exec(path)
        (record,) = session.records(duration=0)
    assert record.to_dict()["fields"] == {"filename": path, "pid": actor.pid, "old_pid": actor.pid}


def test_the_raw_data_of_an_exec_ends_in_its_path(perf_arm: Arm, actor: Actor) -> None:
    path = perf_arm.executable
    builder = watching(actor, pages=4).replace_tracepoint_events(TracepointEvents("sched:sched_process_exec"))
    with builder.build(perf_arm.kernel) as session:
        session.enable()
        actor.exec(path)
        (raw,) = [record.raw for record in session.records(duration=0) if isinstance(record, Sample)]
    assert raw is not None
    assert struct.unpack_from("=HH", raw, 8) == (20, len(path) + 1)
    assert (raw[20:].rstrip(b"\0").decode(), len(raw)) == (path, -(-(20 + len(path) + 1 + 4) // 8) * 8 - 4)


def test_an_exec_passes_its_tracepoint_behind_the_name_and_the_maps(perf_arm: Arm, actor: Actor) -> None:
    builder = watching(actor, pages=16).replace_tracepoint_events(TracepointEvents("sched:sched_process_exec"))
    with builder.with_kernel_events(KernelEvents()).build(perf_arm.kernel) as session:
        session.enable()
        actor.exec(perf_arm.executable)
        kinds_in_order = [record.kind for record in session.records(duration=0)]
    before = kinds_in_order[: kinds_in_order.index("sample")]
    assert (before[0], set(before[1:])) == ("comm", {"mmap2"})


def test_a_fork_passes_its_tracepoint_with_both_names(perf_kernel: Kernel, actor: Actor) -> None:
    builder = watching(actor, pages=4).replace_tracepoint_events(TracepointEvents("sched:sched_process_fork"))
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.rename("parent")
        child = actor.fork()
        (record,) = session.records(duration=0)
    told = {"parent_comm": "parent", "parent_pid": actor.pid, "child_comm": "parent", "child_pid": child.pid}
    assert record.to_dict()["fields"] == told


def test_the_raw_data_of_a_fork_ends_in_both_names(perf_kernel: Kernel, actor: Actor) -> None:
    builder = watching(actor, pages=4).replace_tracepoint_events(TracepointEvents("sched:sched_process_fork"))
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.rename("parent")
        actor.fork()
        (raw,) = [record.raw for record in session.records(duration=0) if isinstance(record, Sample)]
    assert raw is not None
    assert struct.unpack_from("=HH4xHH", raw, 8) == (24, 7, 31, 7)
    assert raw[24:38] == b"parent\0parent\0"


def test_a_filter_is_applied_by_the_kernel(perf_kernel: Kernel, actor: Actor) -> None:
    filtered = TracepointEvents().add(GETPPID, filter="common_pid == 1")
    filtered = filtered.add("syscalls:sys_exit_getppid", filter="ret > 0")
    with watching(actor).replace_tracepoint_events(filtered).build(perf_kernel) as session:
        session.enable()
        actor.getppid(3)
        assert [record.event for record in session.records(duration=0)] == ["syscalls:sys_exit_getppid"] * 3


def test_the_environment_holds_the_target(session: Session, actor: Actor) -> None:
    found = list(session.environment())
    assert {record.pid for record in found} == {actor.pid}
    assert {"comm", "mmap2"} == {record.kind for record in found}


def test_the_environment_without_mappings_is_names(session: Session) -> None:
    assert {record.kind for record in session.environment(mappings=False)} == {"comm"}


def test_callbacks_can_have_the_names_alone(session: Session, actor: Actor) -> None:
    named: list[Record] = []
    session.on("*", named.append)
    assert session.capture_environment(mappings=False) == len(named) > 0
    assert kinds(named) == {"comm": len(named)}


# Ends: of targets, of the session, of the process.


def test_the_exit_of_the_only_target_ends_the_session_with_all_its_data(session: Session, actor: Actor) -> None:
    actor.getppid(3)  # k19: below the watermark, and then HUP instead of POLLIN
    actor.exit()
    assert sum(len(batch) for batch in session.batches()) == 3
    assert session.next_batch().reason is Reason.END


def test_the_exit_of_one_target_leaves_the_others(perf_kernel: Kernel, actor: Actor, perf_actor: ActorFactory) -> None:
    other = perf_actor(0)
    with watching(actor).with_target_pid(other.pid).build(perf_kernel) as session:
        session.enable()
        session.next_batch(timeout=0)
        min((actor, other), key=lambda target: target.pid).exit()
        left = max((actor, other), key=lambda target: target.pid)
        left.getppid(2)
        first = next_batch(session)
        left.getppid(30)
        second = next_batch(session)
        assert (first.reason, len(first)) == (Reason.HANGUP, 2)
        assert (second.reason, len(second)) == (Reason.WAKEUP, 30)


def test_children_are_recorded_and_keep_the_session_alive(perf_kernel: Kernel, actor: Actor) -> None:
    with watching(actor).build(perf_kernel) as session:
        session.enable()
        child = actor.fork()
        actor.exit()
        child.getppid(2)
        assert {record.pid for record in session.records(duration=0)} == {child.pid}
        child.exit()
        assert [batch.reason for batch in session.batches()] == []
        assert session.next_batch().reason is Reason.END


def test_close_is_idempotent_and_reading_says_closed(session: Session) -> None:
    session.close()
    session.close()
    for read in (session.next_batch, session.parse_all, session.batches, session.records, session.perf_fds):
        with pytest.raises(SessionClosed):
            read()


def test_a_closed_session_can_be_stopped_but_not_flushed(session: Session) -> None:
    session.close()
    session.stop()
    with pytest.raises(SessionClosed):
        session.flush()


def test_a_second_reader_is_refused(session: Session, actor: Actor) -> None:
    refused: list[BaseException] = []
    session.on_error(lambda error, record: refused.append(error))
    session.on("sample", lambda record: session.parse_all())
    actor.getppid(1)
    session.parse_all()
    assert [type(error) for error in refused] == [SessionBusy]


# Refusals: named, and nothing left open (tests/conftest.py counts).


def test_a_dead_target_is_named(perf_kernel: Kernel, actor: Actor) -> None:
    actor.exit()
    with pytest.raises(TargetNotFound, match=str(actor.pid)):
        watching(actor).build(perf_kernel)


def test_a_cpu_that_is_not_there_is_named(perf_kernel: Kernel, actor: Actor) -> None:
    with pytest.raises(CpuNotOnline, match="target cpu 4000 is not online; online are 0"):
        watching(actor, cpu=4000).build(perf_kernel)


def test_an_unknown_tracepoint_is_named_with_what_looks_alike(perf_kernel: Kernel, actor: Actor) -> None:
    with pytest.raises(TracepointNotFound, match="sys_enter_getppid"):
        watching(actor).with_tracepoint_events(TracepointEvents("syscalls:sys_enter_getpid2")).build(perf_kernel)


def test_a_refused_filter_is_named(perf_kernel: Kernel, actor: Actor) -> None:
    refused = TracepointEvents().add(GETPPID, filter="bogus == 1")
    with pytest.raises(FilterRefused, match="'bogus == 1'"):
        watching(actor).replace_tracepoint_events(refused).build(perf_kernel)


def test_a_corrupt_head_is_reported_with_its_cpu(
    session: Session, actor: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    (ring,) = session._opened
    assert ring.mapping is not None
    ring.mapping.store_u64(1024, 1 << 40)  # k3: the kernel keeps its own head
    with caplog.at_level(logging.ERROR, "perfring"):
        assert session.parse_all() == 0
    assert "cpu 0, byte 0: head is 1099511627776 bytes past tail in a ring of 4096" in caplog.text
