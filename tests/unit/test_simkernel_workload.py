"""Workloads: when things happen on simulated tasks, and what."""

from __future__ import annotations

import errno
import itertools
import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from perfring.builder import SessionBuilder
from perfring.events import BpfOutputEvents
from perfring.records import Sample
from simkernel import Actor, SimKernel, Sleep, Spend
from simkernel.workload import Emit, Mixed, Workload, bursty, constant, crowd, getppid, poisson, replay
from tests.unit._simulated import machine, samples, watching


def moments(workload: Callable[[Callable[[Actor], object]], Workload], *, seed: int = 0) -> list[int]:
    """Nanoseconds from the spawning to each event, until the workload ends."""
    kernel = machine(seed=seed)
    begun = kernel.machine.clock.now
    found: list[int] = []
    actor = kernel.spawn(workload(lambda actor: found.append(actor.machine.clock.now - begun)))
    with watching(actor).build(kernel) as session:
        samples(session)
    return found


def test_constant_events_come_at_equal_distances() -> None:
    assert moments(lambda act: constant(1000, act=act, count=4)) == [1_000_000, 2_000_000, 3_000_000, 4_000_000]


def test_what_an_act_costs_moves_no_later_event() -> None:
    begun: list[int] = []

    def act(actor: Actor) -> None:
        begun.append(actor.machine.clock.now)
        actor.getppid(100)

    kernel = machine()
    kernel.spawn(constant(10_000, act=act, count=3))
    kernel.sleep(1)
    assert [later - earlier for earlier, later in itertools.pairwise(begun)] == [100_000, 100_000]


def test_a_task_that_cannot_keep_up_lets_the_world_go_on_all_the_same() -> None:
    kernel = machine()
    kernel.spawn(constant(1e9))
    before = kernel.machine.clock.now
    kernel.sleep(0.0001)
    assert kernel.machine.clock.now - before in range(100_000, 110_000)


def test_a_duration_ends_the_task_then_and_not_before() -> None:
    kernel = machine()
    actor = kernel.spawn(constant(10, duration=0.25))
    kernel.sleep(0.24)
    assert actor.pid in kernel.machine.tasks
    kernel.sleep(0.02)
    assert actor.pid not in kernel.machine.tasks


def test_a_duration_leaves_out_what_would_come_at_its_end() -> None:
    assert len(moments(lambda act: constant(10, act=act, duration=0.3))) == 2


def test_poisson_events_come_at_their_rate_and_irregularly() -> None:
    times = moments(lambda act: poisson(1000, act=act, count=4000))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert 0.9e6 < mean < 1.1e6
    assert 0.9 * mean < deviation < 1.1 * mean  # as of an exponential distribution


def test_bursts_come_at_once_with_pauses_between_them() -> None:
    times = moments(lambda act: bursty(3, 0.001, act=act, count=7))
    assert times == [1_000_000] * 3 + [2_000_000] * 3 + [3_000_000]


def test_a_burst_may_be_spread() -> None:
    times = moments(lambda act: bursty(2, 0.001, spacing=0.0001, act=act, count=4))
    assert times == [1_000_000, 1_100_000, 2_100_000, 2_200_000]


def test_a_replay_keeps_the_distances_and_the_payloads() -> None:
    seen: list[tuple[int, bytes]] = []
    kernel = machine()
    begun = kernel.machine.clock.now
    recording: list[tuple[int, int | bytes]] = [(5_000, b"first"), (5_000, 3), (9_000, b"last")]
    kernel.spawn(replay(recording, act=lambda actor, data: seen.append((actor.machine.clock.now - begun, data))))
    kernel.sleep(1)
    assert seen == [(0, b"first"), (0, b"\0\0\0"), (4_000, b"last")]


def test_a_replay_can_begin_before_its_first_event() -> None:
    times = moments(lambda act: replay([(5_000, 1), (7_000, 1)], act=lambda actor, _: act(actor), start=2_000))
    assert times == [3_000, 5_000]


def test_a_replay_can_be_twice_as_fast() -> None:
    times = moments(lambda act: replay([(0, 1), (2_000, 1), (4_000, 1)], act=lambda actor, _: act(actor), speed=2))
    assert times == [0, 1_000, 2_000]


def switches(between: type[Sleep | Spend]) -> int:
    kernel = machine()
    seen = 0

    def count(*_: object, **__: object) -> None:
        nonlocal seen
        seen += 1

    kernel.perf.activity.switched_out = count  # type: ignore[method-assign]
    kernel.spawn(constant(1000, count=10, between=between))
    kernel.sleep(1)
    return seen


def test_a_task_that_spends_its_time_keeps_its_cpu_and_one_that_sleeps_does_not() -> None:
    assert switches(Sleep) - switches(Spend) == 20


# Acts.


def emitting(workload: Callable[[Emit], Workload], sizes: int | dict[int, float]) -> tuple[Emit, list[bytes]]:
    """Runs a workload of BPF output against a session that listens."""
    kernel, emit = machine(), Emit(sizes)
    builder = SessionBuilder().with_page_count(64).with_max_latency(1.0).with_target_cpu(0)
    with builder.with_bpf_output_events(BpfOutputEvents()).build(kernel) as session:
        session.attach_to_bpf_map(path=kernel.bpf_map_path)
        session.enable()
        kernel.spawn(workload(emit))
        got = [record.raw or b"" for record in session.records(duration=1) if isinstance(record, Sample)]
    return emit, got


def test_emit_counts_in_the_first_bytes_of_its_payloads() -> None:
    emit, got = emitting(lambda emit: constant(1000, act=emit, count=3), 12)
    assert [int.from_bytes(raw[:8], "little") for raw in got] == [0, 1, 2]
    assert (emit.emitted, emit.unheard) == (3, {})


def test_emit_mixes_sizes_by_weight() -> None:
    _, got = emitting(lambda emit: constant(10_000, act=emit, count=1000), {12: 9, 100: 1})
    sizes = Counter(len(raw) for raw in got)
    assert set(sizes) == {12, 100}
    assert 50 < sizes[100] < 150


def test_the_largest_payload_of_a_mix_is_named_when_it_is_too_large() -> None:
    with pytest.raises(ValueError, match="sizes is 65521: a payload of BPF output has 65520 bytes at most"):
        Emit({8: 1, 65521: 1})


def test_emit_counts_what_nobody_heard() -> None:
    kernel, emit = machine(), Emit(8)
    kernel.spawn(constant(10, act=emit, count=3))
    kernel.sleep(1)
    assert (emit.emitted, emit.unheard) == (0, {errno.ENOENT: 3})


def test_a_mix_chooses_by_weight() -> None:
    seen: Counter[str] = Counter()
    mix = Mixed((3, lambda _: seen.update("a")), (1, lambda _: seen.update("b")))
    kernel = machine()
    kernel.spawn(constant(1000, act=mix, count=1000))
    kernel.sleep(2)
    assert seen["a"] + seen["b"] == 1000
    assert 680 < seen["a"] < 820


def test_a_mix_may_hold_a_mix() -> None:
    emit = Emit(8)
    kernel = machine()
    kernel.spawn(constant(1000, act=Mixed((1, emit), (1, getppid)), count=100))
    kernel.sleep(2)
    assert 0 < emit.unheard.total() < 100


# The seed.


def test_one_seed_gives_the_same_events_and_another_does_not() -> None:
    first, again, other = (moments(lambda act: poisson(1000, act=act, count=50), seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_each_workload_has_a_random_stream_of_its_own() -> None:
    def times(disturb: bool) -> list[int]:
        kernel, found = machine(), []
        begun = kernel.machine.clock.now
        kernel.spawn(poisson(1000, act=lambda actor: found.append(actor.machine.clock.now - begun), count=20))
        for _ in range(5 if disturb else 0):
            kernel.spawn(constant(3000, count=100), cpu=1)
        kernel.sleep(1)
        return found

    assert times(disturb=True) == times(disturb=False)


def test_a_workload_can_be_spawned_twice_and_differs() -> None:
    kernel = machine()
    seen: dict[int, list[int]] = {}
    workload = poisson(1000, act=lambda actor: seen.setdefault(actor.pid, []).append(kernel.machine.clock.now), count=5)
    actors = [kernel.spawn(workload, cpu=cpu) for cpu in (0, 1)]
    kernel.sleep(1)
    first, second = (seen[actor.pid] for actor in actors)
    assert (len(first), len(second), first == second) == (5, 5, False)


# The crowd.


@pytest.mark.parametrize("events", [0, 5, 10_000])
def test_a_crowd_makes_its_events_exactly(events: int) -> None:
    kernel = machine()
    actors = crowd(kernel, events=events)
    with watching(*actors, pages=16, watermark=8192).build(kernel) as session:
        session.enable()
        delivered = samples(session)
        assert (delivered + session.statistics().lost, len(actors)) == (events, 6)


@pytest.mark.timeout(600)
def test_of_a_million_events_every_one_is_delivered_or_counted_as_lost() -> None:
    kernel = machine(cpus=4)
    actors = crowd(kernel, events=1_000_000, rate=50_000)
    with watching(*actors, pages=64, watermark=65536).build(kernel) as session:
        session.enable()
        delivered = samples(session)
        counts = session.statistics()
    assert delivered + counts.lost == 1_000_000
    assert counts.wakeups > 100


# Arguments.


def wrong(value: object) -> Any:
    """What a type checker would not let pass."""
    return value


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: constant(0), "rate is 0: it must be a number of events per second above 0"),
        (lambda: poisson(-1.5), "rate is -1.5"),
        (lambda: poisson(math.inf), "rate is inf"),
        (lambda: constant(wrong("9")), "rate is '9'"),
        (lambda: constant(1, count=-1), "count is -1: it must be 0 or more"),
        (lambda: constant(1, count=wrong(1.5)), "count is 1.5: it must be a whole number"),
        (lambda: constant(1, duration=-1), "duration is -1: it must be a number of seconds, 0 or more"),
        (lambda: constant(1, act=wrong(7)), "act is 7: it must be callable"),
        (lambda: constant(1, between=wrong(int)), "between is <class 'int'>: it must be Sleep or Spend"),
        (lambda: bursty(0, 1), "burst is 0: it must be 1 or more"),
        (lambda: bursty(1, 0), "pause is 0: it must be a number of seconds above 0"),
        (lambda: bursty(1, 1, spacing=-1), "spacing is -1"),
        (lambda: replay([(0, 1)], speed=0), "speed is 0"),
        (lambda: replay([(2, 1), (1, 1)]), "the time of entry 1 is 1, before 2: sort the recording by time"),
        (lambda: replay([(2, 1)], start=3), "start is 3, and entry 0 was at 2"),
        (lambda: replay([(2, 1)], start=-1), "start is -1"),
        (lambda: replay([(wrong(None), 1)]), "the time of entry 0 is None"),
        (lambda: replay([(0, -1)]), "the payload of entry 0 is -1"),
        (lambda: replay([(0, b"x" * 65521)]), "the length of entry 0 is 65521"),
        (lambda: replay([], act=wrong(3)), "act is 3"),
        (lambda: Emit({}), "sizes is empty"),
        (lambda: Emit({8: 0}), "the weight of 8 bytes is 0: it must be a number above 0"),
        (Mixed, r"Mixed\(\) has nothing to choose from"),
        (lambda: Mixed((0, getppid)), "is 0: it must be a number above 0"),
        (lambda: crowd(SimKernel(), events=-1), "events is -1"),
    ],
)
def test_an_argument_without_meaning_is_named_with_its_value(make: Callable[[], Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        make()


def test_a_plan_of_ones_own_makes_a_workload() -> None:
    def plan(random: Random) -> Any:
        return iter([(random.randrange(1, 5), getppid), (10, getppid)])

    kernel = machine()
    actor = kernel.spawn(Workload(plan))
    with watching(actor).build(kernel) as session:
        session.enable()
        assert samples(session) == 2
