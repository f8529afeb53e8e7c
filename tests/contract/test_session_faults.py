"""perfring's session on a simulated machine that has a bad day: what it survives, and what it says."""

from __future__ import annotations

import errno
from random import Random

import pytest

from perfring.abi import PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_FILTER, PERF_EVENT_IOC_SET_OUTPUT
from perfring.batch import Reason
from perfring.errors import (
    CpuNotOnline,
    EventRefused,
    FilterRefused,
    PermissionDenied,
    TargetNotFound,
)
from perfring.events import TracepointEvents
from perfring.records import Record, Sample
from perfring.statistics import SessionStatistics
from simkernel import Deadlock, SimKernel
from simkernel.damage import Damage, flipped, scrambled, size_past_head, size_zero, torn, unknown_id, unknown_type
from simkernel.faults import (
    corrupt_records,
    delay_wakeups,
    drop_records,
    drop_wakeups,
    during_drain,
    exhaust_memory,
    interrupt_waits,
    on_call,
    refuse,
    slow,
)
from simkernel.hotplug import later, offline, unplug
from simkernel.workload import constant
from tests.unit._simulated import GETPPID, SAMPLE_BYTES, machine, samples, watching

WAKING = 1024 // SAMPLE_BYTES + 1
"""As many samples as it takes to pass the watermark."""


def descriptors(kernel: SimKernel) -> list[str]:
    """The lines of the machine's state that tell of descriptors."""
    return [line for line in str(kernel).splitlines() if line.startswith("  fd ")]


# Opening: refused with a word, and nothing left open.


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_refused_event_is_named_and_nothing_is_left_open(nth: int) -> None:
    kernel = machine()
    actor = kernel.actor()
    with (
        kernel.rules.installed(refuse("perf_event_open", errno.EMFILE, nth=nth)) as fault,
        pytest.raises(EventRefused, match="EMFILE") as caught,
    ):
        watching(actor).build(kernel)
    assert caught.value.event in (GETPPID, "leader")
    assert (fault.struck, descriptors(kernel)) == (1, [])


@pytest.mark.parametrize("nth", [1, 2])
def test_a_refused_mapping_is_explained_and_nothing_is_left_open(nth: int) -> None:
    kernel = machine()
    with (
        kernel.rules.installed(refuse("mmap", errno.EPERM, nth=nth)),
        pytest.raises(PermissionDenied, match="hold the memory that he may lock"),
    ):
        watching(kernel.actor()).build(kernel)
    assert (descriptors(kernel), kernel.perf.rings) == ([], [])


def test_memory_that_runs_out_at_the_second_ring_leaves_nothing_open() -> None:
    kernel = machine()
    with (
        kernel.rules.installed(exhaust_memory(64 << 10)),
        pytest.raises(EventRefused, match="ENOMEM"),
    ):
        watching(kernel.actor(), pages=8, watermark=8192).build(kernel)
    assert (descriptors(kernel), kernel.perf.rings) == ([], [])


def test_a_refused_redirection_is_named() -> None:
    kernel = machine()
    redirect = refuse("ioctl", errno.EINVAL, where=lambda call: call["request"] == PERF_EVENT_IOC_SET_OUTPUT)
    with (
        kernel.rules.installed(redirect),
        pytest.raises(EventRefused, match=f"{GETPPID} could not be redirected into the ring of cpu 0: EINVAL"),
    ):
        watching(kernel.actor()).build(kernel)
    assert descriptors(kernel) == []


def test_a_refused_filter_is_named() -> None:
    kernel = machine()
    tracepoint = TracepointEvents().add(GETPPID, filter="common_pid == 1")
    builder = watching(kernel.actor()).replace_tracepoint_events(tracepoint)
    refusal = refuse("ioctl", errno.ENOMEM, where=lambda call: call["request"] == PERF_EVENT_IOC_SET_FILTER)
    with kernel.rules.installed(refusal), pytest.raises(FilterRefused, match=r"common_pid == 1.*ENOMEM"):
        builder.build(kernel)
    assert descriptors(kernel) == []


def test_a_target_that_exits_while_the_session_is_opened_is_named() -> None:
    kernel = machine()
    actor = kernel.actor()
    with (
        kernel.rules.installed(refuse("perf_event_open", errno.ESRCH, nth=2, times=None)),
        pytest.raises(TargetNotFound, match=f"target process {actor.pid} exited while the session was opened"),
    ):
        watching(actor).build(kernel)
    assert descriptors(kernel) == []


def test_a_refused_enable_is_told_and_the_session_can_be_closed() -> None:
    kernel = machine()
    with watching(kernel.actor()).build(kernel) as session:
        refusal = refuse("ioctl", errno.EIO, where=lambda call: call["request"] == PERF_EVENT_IOC_ENABLE)
        with kernel.rules.installed(refusal), pytest.raises(OSError) as caught:
            session.enable()
    assert (caught.value.errno, descriptors(kernel)) == (errno.EIO, [])


def test_a_rule_is_gone_behind_its_block() -> None:
    kernel = machine()
    actor = kernel.actor()
    with kernel.rules.installed(refuse("mmap", errno.ENOMEM, times=None)), pytest.raises(EventRefused):
        watching(actor).build(kernel)
    watching(actor).build(kernel).close()


# Waiting.


def test_an_interrupted_wait_goes_on() -> None:
    kernel = machine()
    handled: list[int] = []
    actor = kernel.spawn(constant(1000, count=100))
    signal = interrupt_waits(lambda: handled.append(1), times=3)
    with watching(actor).build(kernel) as session, kernel.rules.installed(signal):
        session.enable()
        assert (samples(session), len(handled)) == (100, 3)


def test_a_signal_handler_that_raises_in_the_middle_of_a_wait_loses_nothing() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    kernel = machine()
    actor = kernel.spawn(constant(1000, count=100))
    with watching(actor).build(kernel) as session:
        session.enable()
        later(kernel, 0.0105, interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.next_batch()
        assert (samples(session), session.statistics().lost) == (100, 0)


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_signal_handler_ends_the_session(end: str) -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000))
    with watching(actor).build(kernel) as session:
        session.enable()
        session.next_batch()
        with kernel.rules.installed(interrupt_waits(getattr(session, end), nth=2)) as fault:
            delivered = samples(session)
        assert fault.struck == 1
    assert delivered in range(1, 3 * WAKING)
    assert descriptors(kernel) == []


def test_a_delayed_wakeup_delivers_everything_that_came_meanwhile() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000, count=60))
    with watching(actor).build(kernel) as session:
        session.enable()
        with kernel.rules.installed(delay_wakeups(5_000_000, times=1)) as fault:
            first = session.next_batch()
        assert (first.reason, fault.struck) == (Reason.WAKEUP, 1)
        assert len(first) in range(WAKING + 4, WAKING + 7)


def test_a_dropped_wakeup_costs_time_and_no_data() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000, count=60))
    with watching(actor).build(kernel) as session, kernel.rules.installed(drop_wakeups()) as fault:
        session.enable()
        assert len(session.next_batch()) == 2 * 1024 // SAMPLE_BYTES + 1
        assert (samples(session), session.statistics().lost, fault.struck) == (60 - 37, 0, 1)


def test_without_any_wakeup_the_stall_is_told_with_the_state_of_the_ring() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000))
    with watching(actor).with_target_cpu(0).build(kernel) as session, kernel.rules.installed(drop_wakeups(times=None)):
        session.enable()
        with pytest.raises(Deadlock, match=r"ring of 4096 bytes: .* used 4088|ring of 4096 bytes: .* used 40"):
            samples(session)


def test_a_latency_bound_survives_that_no_wakeup_ever_comes() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000, count=200))
    builder = watching(actor).with_max_latency(0.02)
    with builder.build(kernel) as session, kernel.rules.installed(drop_wakeups(times=None)):
        session.enable()
        assert (samples(session), session.statistics().lost) == (200, 0)


def test_slow_reads_lose_nothing_that_is_not_counted() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(20_000, count=2000))
    with watching(actor).build(kernel) as session, kernel.rules.installed(slow("epoll_wait", 10_000_000)):
        session.enable()
        delivered = samples(session)
        assert session.statistics().lost > 0
        assert delivered + session.statistics().lost == 2000


# Records.


def damaged(damage: Damage) -> tuple[list[Sample], list[Exception], SessionStatistics]:
    """Five samples, the third of them damaged, and two more: what is delivered, told and counted."""
    kernel = machine()
    actor = kernel.actor()
    errors: list[Exception] = []
    got: list[Record] = []
    with watching(actor).with_target_cpu(0).build(kernel) as session:
        session.on_error(lambda error, record: errors.append(error))
        session.on("*", got.append)
        session.enable()
        with kernel.rules.installed(corrupt_records(damage, nth=3)):
            actor.getppid(5)
        session.parse_all()
        actor.getppid(2)
        session.parse_all()
    return [record for record in got if isinstance(record, Sample)], errors, session.statistics()


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (size_zero, "cpu 0, byte 112: type 9: a size of 0 cannot be (168 bytes skipped)"),
        (size_past_head, "cpu 0, byte 112: type 9: a size of 65528 ends beyond the 168 bytes that are left"),
    ],
)
def test_behind_a_size_that_makes_no_sense_the_ring_is_skipped_up_to_head(damage: Damage, text: str) -> None:
    good, (error,), counts = damaged(damage)
    assert text in str(error)
    assert (len(good), counts.bad_records, counts.rings[0].skipped_bytes) == (2 + 2, 1, 3 * SAMPLE_BYTES)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (unknown_id, "a sample of event id 16045725885737590445, which is not known"),
        (torn, "raw data of 3688618971 bytes where 20 are left"),
        (flipped(70, 130), "a sample of event id 66, which is not known"),
    ],
)
def test_a_corrupt_body_costs_that_record_alone(damage: Damage, text: str) -> None:
    good, (error,), counts = damaged(damage)
    assert f"cpu 0, byte 112: type 9, size 56: {text}" in str(error)
    assert (len(good), counts.bad_records, counts.rings[0].skipped_bytes) == (4 + 2, 1, SAMPLE_BYTES)


def test_a_type_that_no_kernel_has_is_delivered_as_unknown() -> None:
    good, errors, counts = damaged(unknown_type)
    assert (len(good), errors, counts.records) == (4 + 2, [], 7)


@pytest.mark.parametrize("seed", range(50))
def test_whatever_bits_are_flipped_the_records_before_and_the_next_drain_are_delivered(seed: int) -> None:
    good, errors, counts = damaged(scrambled(Random(seed), bits=4))
    assert len(good) >= 2 + 2
    assert len(errors) == counts.bad_records


def test_records_that_vanish_uncounted_leave_the_others() -> None:
    kernel = machine()
    actor = kernel.actor()
    with watching(actor).build(kernel) as session, kernel.rules.installed(drop_records(nth=2, times=3)):
        session.enable()
        actor.getppid(10)
        assert (session.parse_all(), session.statistics().lost) == (7, 0)


# Tasks and CPUs.


def test_a_target_that_exits_in_the_middle_of_a_drain_ends_the_session_with_all_its_data() -> None:
    kernel = machine()
    actor = kernel.actor()
    with watching(actor).build(kernel) as session:
        session.enable()
        actor.getppid(30)

        def last_words() -> None:
            actor.getppid(5)
            actor.exit()

        with kernel.rules.installed(during_drain(last_words)) as fault:
            assert (samples(session), fault.struck) == (35, 1)
        assert session.next_batch().reason is Reason.END


def test_a_cpu_that_goes_offline_falls_silent_and_the_others_go_on() -> None:
    kernel = machine()
    actors = [kernel.spawn(constant(1000), cpu=cpu) for cpu in (0, 1)]
    with watching().build(kernel) as session:
        session.enable()
        later(kernel, 0.1, lambda: unplug(kernel, 1))
        got = list(session.records(duration=0.3))
    last = {cpu: max(record.time or 0 for record in got if record.cpu == cpu) for cpu in (0, 1)}
    assert last[0] - last[1] in range(190_000_000, 210_000_000)
    assert {record.pid for record in got if (record.time or 0) > last[1]} == {actor.pid for actor in actors}


def test_a_task_that_must_leave_its_cpu_goes_on_being_recorded() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000, count=100), cpu=1)
    with watching(actor).build(kernel) as session:
        session.enable()
        later(kernel, 0.05, lambda: unplug(kernel, 1))
        assert samples(session) == 100
        assert [ring.records > 20 for ring in session.statistics().rings] == [True, True]


def test_a_cpu_that_comes_back_stays_silent_in_the_session_that_had_it() -> None:
    kernel = machine()
    with watching().build(kernel) as session:
        session.enable()
        with offline(kernel, 1):
            session.parse_all()
        kernel.actor(1).getppid(5)
        assert session.parse_all() == 0


def test_a_cpu_that_is_offline_is_named() -> None:
    kernel = machine()
    with offline(kernel, 1), pytest.raises(CpuNotOnline, match="target cpu 1 is not online; online are 0"):
        watching().with_target_cpu(1).build(kernel)
    watching().with_target_cpu(1).build(kernel).close()


def test_a_cpu_that_goes_offline_while_the_session_is_opened_is_named() -> None:
    kernel = machine()
    gone = on_call("mmap", lambda: unplug(kernel, 1))
    with kernel.rules.installed(gone), pytest.raises(EventRefused, match="ENODEV"):
        watching().build(kernel)
    assert descriptors(kernel) == []
