"""Faults, damage and hotplug on their own: what strikes when, and which arguments have no meaning."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from perfring.abi import PERF_RECORD_COMM, PERF_RECORD_SAMPLE, PERF_SAMPLE_IDENTIFIER, PERF_TYPE_SOFTWARE, PerfEventAttr
from simkernel import SimKernel, SimulatorError, Spend
from simkernel.damage import flipped, scrambled, size_past_head, size_zero, torn, unknown_id, unknown_type
from simkernel.faults import (
    SYSTEM_CALLS,
    Fault,
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
from simkernel.hotplug import later, offline, plug, unplug
from simkernel.rules import PASS, Errno, Happening
from simkernel.workload import constant, poisson
from tests.unit._simulated import machine, samples, watching

ATTR = PerfEventAttr(type=PERF_TYPE_SOFTWARE, sample_type=PERF_SAMPLE_IDENTIFIER)


def struck(fault: Fault, calls: int) -> list[int]:
    """Which of so many calls a fault of mmap strikes, counted from 1."""
    happening = Happening("syscall", "mmap", {"length": 4096})
    return [number for number in range(1, calls + 1) if fault(happening) != PASS]


@pytest.mark.parametrize(
    ("nth", "times", "expected"),
    [(1, 1, [1]), (3, 1, [3]), (2, 2, [2, 3]), (4, None, [4, 5, 6])],
)
def test_a_fault_strikes_the_nth_and_so_many_from_then_on(nth: int, times: int | None, expected: list[int]) -> None:
    fault = refuse("mmap", errno.ENOMEM, nth=nth, times=times)
    assert struck(fault, 6) == expected
    assert (fault.seen, fault.struck) == (6, len(expected))


def test_a_fault_strikes_only_its_own_call() -> None:
    fault = refuse("mmap", errno.ENOMEM)
    assert fault(Happening("syscall", "read", {})) is PASS
    assert fault(Happening("record", "mmap", {})) is PASS
    assert repr(fault) == "<Fault struck 0 of 0>"


def test_a_fault_may_look_at_the_arguments() -> None:
    fault = refuse("mmap", errno.ENOMEM, where=lambda call: call["length"] > 4096)
    assert struck(fault, 3) == []
    assert fault(Happening("syscall", "mmap", {"length": 8192})) == Errno(errno.ENOMEM)


def test_the_first_rule_that_answers_wins() -> None:
    kernel = machine()
    first, second = refuse("read", errno.EIO), refuse("read", errno.EPERM)
    with kernel.rules.installed(first), kernel.rules.installed(second), pytest.raises(OSError) as caught:
        kernel.read(1 << 30, 8)
    assert (caught.value.errno, first.struck, second.seen) == (errno.EIO, 1, 0)


@pytest.mark.parametrize("call", sorted(SYSTEM_CALLS))
def test_every_system_call_that_can_be_named_asks_the_rules(call: str) -> None:
    kernel = machine()
    waker, epoll = kernel.waker(), kernel.epoll()
    fd = waker.fileno()
    calls: dict[str, Callable[[], object]] = {
        "bpf": lambda: kernel.bpf_map_fd(1),
        "close": lambda: kernel.close(fd),
        "epoll_create1": kernel.epoll,
        "epoll_ctl": lambda: epoll.register(fd, 1),
        "epoll_wait": lambda: epoll.poll(0),
        "eventfd": kernel.waker,
        "fcntl": lambda: kernel.fcntl(fd, 1),
        "ioctl": lambda: kernel.ioctl(fd, 0),
        "mmap": lambda: kernel.mmap(fd, 4096),
        "perf_event_open": lambda: kernel.perf_event_open(ATTR, 0, -1),
        "poll": lambda: kernel.poll([(fd, 1)], 0),
        "read": lambda: kernel.read(fd, 8),
        "write": lambda: kernel.write(fd, b""),
    }
    with kernel.rules.installed(refuse(call, errno.EIO)), pytest.raises(OSError) as caught:
        calls[call]()
    assert caught.value.errno == errno.EIO


def test_memory_is_counted_over_mappings_and_events() -> None:
    fault = exhaust_memory(3 * 4096, event_bytes=8192)
    opened = Happening("syscall", "perf_event_open", {})
    assert fault(opened) is PASS
    assert struck(fault, 3) == [2, 3]
    assert fault(opened) == Errno(errno.ENOMEM)


def test_a_slow_call_takes_virtual_time() -> None:
    kernel = machine()
    before = kernel.machine.clock.now
    with kernel.rules.installed(slow("eventfd", 5_000)):
        kernel.waker()
    assert kernel.machine.clock.now == before + 5_000


def test_what_only_asks_is_not_interrupted() -> None:
    kernel, handled = machine(), []
    with kernel.rules.installed(interrupt_waits(lambda: handled.append(1), times=None)):
        kernel.epoll().poll(0)
        kernel.epoll().poll(0.001)
    assert handled == [1]


def test_a_fault_of_one_cpu_leaves_the_others_alone() -> None:
    kernel = machine()
    actors = [kernel.actor(cpu) for cpu in (0, 1)]
    with watching().build(kernel) as session, kernel.rules.installed(drop_records(times=None, cpu=1)):
        session.enable()
        for actor in actors:
            actor.getppid(3)
        session.parse_all()
        assert [ring.records for ring in session.statistics().rings] == [3, 0]


def test_a_wrong_answer_to_an_access_is_named() -> None:
    kernel = machine()
    wrong = Fault(lambda seen: seen.kind == "access", lambda _: Errno(errno.EIO), times=None)
    session = watching(kernel.actor()).build(kernel)
    with kernel.rules.installed(wrong), pytest.raises(SimulatorError, match="to a load of the metadata page"):
        session.parse_all()
    session.close()


def trace(seed: int) -> list[str]:
    """What a session delivers under several faults at once."""
    kernel = machine(seed=seed)
    actors = [kernel.spawn(poisson(2000, duration=0.5), cpu=cpu) for cpu in (0, 1)]
    seen: list[str] = []
    with watching(*actors).build(kernel) as session:
        session.on_error(lambda error, record: seen.append(str(error)))
        session.enable()
        with (
            kernel.rules.installed(corrupt_records(scrambled(kernel.machine.rng), nth=10, times=50)),
            kernel.rules.installed(delay_wakeups(100_000)),
            kernel.rules.installed(drop_records(nth=100, times=5)),
        ):
            seen += [repr(record) for record in session.records(duration=1)]
    return seen


def test_the_same_seed_gives_the_same_faults_and_another_does_not() -> None:
    first, again, other = trace(1), trace(1), trace(2)
    assert first == again != other
    assert len(first) > 500


# Damage.


def record(record_type: int = PERF_RECORD_SAMPLE) -> bytes:
    """40 bytes: a header, and four numbers."""
    return struct.pack("=IHHQQQQ", record_type, 2, 40, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("damage", "header"),
    [
        (size_zero, (PERF_RECORD_SAMPLE, 2, 0)),
        (size_past_head, (PERF_RECORD_SAMPLE, 2, 65528)),
        (unknown_type, (0x7FFFFFFF, 2, 40)),
    ],
)
def test_a_damaged_header_leaves_the_body(damage: Any, header: tuple[int, int, int]) -> None:
    found = damage(record(), ATTR)
    assert (struct.unpack_from("=IHH", found), found[8:]) == (header, record()[8:])


@pytest.mark.parametrize(("kind", "place"), [(PERF_RECORD_SAMPLE, 0), (PERF_RECORD_COMM, 3)])
def test_an_unknown_id_is_where_identifier_has_it(kind: int, place: int) -> None:
    words = list(struct.unpack_from("=4Q", unknown_id(record(kind), ATTR), 8))
    assert words.pop(place) == 0xDEAD_DEAD_DEAD_DEAD
    assert set(words) < {1, 2, 3, 4}


def test_an_unknown_id_needs_an_identifier() -> None:
    with pytest.raises(SimulatorError, match="PERF_SAMPLE_IDENTIFIER"):
        unknown_id(record(), PerfEventAttr(type=PERF_TYPE_SOFTWARE))


def test_a_torn_record_has_its_first_half() -> None:
    assert torn(record(), ATTR) == record()[:16] + b"\xdb" * 24


def test_flipped_bits_are_counted_from_the_first_byte() -> None:
    assert flipped(0, 9)(b"\0\0\0", ATTR) == b"\x01\x02\x00"
    assert flipped(24)(b"\0\0\0", ATTR) == b"\0\0\0"


def test_scrambled_bits_follow_the_random_stream() -> None:
    one, same, other = (scrambled(Random(seed), bits=5)(record(), ATTR) for seed in (1, 1, 2))
    assert one == same != other
    changed = int.from_bytes(one, "little") ^ int.from_bytes(record(), "little")
    assert changed.bit_count() == 5


# Hotplug.


def test_a_cpu_goes_and_comes_back() -> None:
    kernel = machine()
    with offline(kernel, 0):
        assert kernel.online_cpus() == (1,)
        assert kernel.read_text("/sys/devices/system/cpu/online") == "1\n"
    assert kernel.online_cpus() == (0, 1)


def test_to_unplug_twice_and_to_plug_twice_does_nothing() -> None:
    kernel = machine()
    unplug(kernel, 0)
    unplug(kernel, 0)
    plug(kernel, 0)
    plug(kernel, 0)
    assert kernel.online_cpus() == (0, 1)


def test_the_last_cpu_stays() -> None:
    kernel = machine()
    with offline(kernel, 0), pytest.raises(OSError) as caught:
        unplug(kernel, 1)
    assert caught.value.errno == errno.EBUSY


def test_the_program_under_test_moves_on_while_it_waits() -> None:
    kernel = machine()
    assert kernel.machine.me.cpu.id == 1
    later(kernel, 0.5, lambda: unplug(kernel, 1))
    kernel.sleep(1)
    assert (kernel.machine.me.cpu.id, kernel.machine.me.on_cpu) == (0, True)


def test_tasks_that_wanted_to_run_run_somewhere_else() -> None:
    kernel = machine(cpus=4)
    seen: set[int] = set()
    actor = kernel.spawn(constant(1000, act=lambda _: seen.add(kernel.machine.tasks[actor.pid].cpu.id)), cpu=2)
    kernel.sleep(0.01)
    unplug(kernel, 2)
    kernel.sleep(0.01)
    assert 2 in seen
    assert len(seen) == 2


@pytest.mark.parametrize("seed", range(5))
def test_a_task_that_stood_in_the_queue_of_the_cpu_runs_somewhere_else(seed: int) -> None:
    kernel = machine(cpus=4, seed=seed)
    seen: list[int] = []
    kernel.spawn(constant(1, between=Spend), cpu=2)
    kernel.spawn(constant(1000, act=lambda actor: seen.append(actor.pid), count=1), cpu=2)
    kernel.sleep(0.002)
    assert seen == []
    unplug(kernel, 2)
    kernel.sleep(0.02)
    assert len(seen) == 1


def test_an_event_of_a_cpu_that_was_offline_counts_no_more() -> None:
    kernel = machine()
    with watching().with_target_cpu(0).build(kernel) as session:
        session.enable()
        kernel.actor(0).getppid(2)
        with offline(kernel, 0):
            session.disable()
            session.enable()
        kernel.actor(0).getppid(2)
        assert sum(1 for _ in session.records(duration=0)) == 2


def test_later_happens_then() -> None:
    kernel = machine()
    seen: list[int] = []
    later(kernel, 0.25, lambda: seen.append(kernel.machine.clock.now))
    before = kernel.machine.clock.now
    kernel.sleep(1)
    assert seen == [before + 250_000_000]


def test_an_action_may_come_with_a_call_and_in_a_drain() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(1000, count=30))
    seen: list[str] = []
    with watching(actor).build(kernel) as session:
        session.enable()
        with (
            kernel.rules.installed(on_call("epoll_wait", lambda: seen.append("wait"))),
            kernel.rules.installed(during_drain(lambda: seen.append("drain"), nth=2)),
        ):
            assert samples(session) == 30
    assert seen == ["wait", "drain"]


# Arguments.


def wrong(value: object) -> Any:
    """What a type checker would not let pass."""
    return value


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: refuse("open", errno.EIO), "call is 'open': it must be one of bpf, close, "),
        (lambda: refuse("mmap", 0), "errno is 0: it must be one of the errno module"),
        (lambda: refuse("epoll_wait", errno.EINTR), "Python repeats epoll_wait by itself"),
        (lambda: refuse("mmap", errno.EIO, nth=0), "nth is 0: it must be 1 or more"),
        (lambda: refuse("mmap", errno.EIO, times=0), "times is 0: it must be 1 or more"),
        (lambda: refuse("mmap", errno.EIO, where=wrong(1)), "where is 1: it must be callable"),
        (lambda: slow("mmap", -1), "ns is -1"),
        (lambda: on_call("mmap", wrong(1)), "action is 1"),
        (lambda: during_drain(wrong(1)), "action is 1"),
        (lambda: interrupt_waits(wrong(1)), "handler is 1"),
        (lambda: exhaust_memory(-1), "after is -1"),
        (lambda: exhaust_memory(1, event_bytes=-1), "event_bytes is -1"),
        (lambda: corrupt_records(wrong(1)), "damage is 1"),
        (lambda: delay_wakeups(-1), "ns is -1"),
        (lambda: drop_wakeups(cpu=-1), "cpu is -1"),
        (flipped, r"flipped\(\) has no bits"),
        (lambda: flipped(-1), "bit is -1"),
        (lambda: scrambled(Random(), bits=0), "bits is 0"),
        (lambda: unplug(SimKernel(), 7), r"cpu is 7: the machine has \[0, 1\]"),
        (lambda: plug(SimKernel(), 7), "cpu is 7"),
        (lambda: later(SimKernel(), -1, print), "seconds is -1"),
        (lambda: later(SimKernel(), 1, wrong(1)), "action is 1"),
    ],
)
def test_an_argument_without_meaning_is_named_with_its_value(make: Callable[[], Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        make()
