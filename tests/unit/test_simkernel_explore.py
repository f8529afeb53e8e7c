from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Hashable
from typing import Any, NoReturn

import pytest

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_OFFSET, MMAP_PAGE_DATA_SIZE, MMAP_PAGE_DATA_TAIL
from perfring.geometry import Outcome
from perfring.kernel import Mapping
from simkernel import RingBuffer, SimulatorError
from simkernel.explore import Scenario, Trace, View, explore, record_bytes, waiting_reader
from simkernel.explore.world import World

ONE = Scenario(ring_bytes=64, watermark=64, records=(16,))
SILENT = Scenario(ring_bytes=64, watermark=64, records=(16,), interrupts=(16,))
BUSY = Scenario(ring_bytes=64, watermark=23, records=(16,) * 3, interrupts=(16,), pauses=1)


def sleeper(view: View, kept: Hashable) -> Hashable:
    """Waits, and would not look if it were woken."""
    return view.wait()


def registered(view: View, kept: Hashable) -> Hashable:
    """The waiting reader, registered before anything is written."""
    return waiting_reader(view, "registered")


def turn_of(action: Callable[[View], object]) -> Callable[[View, Hashable], Hashable]:
    """A reader that registers, does one thing, and sleeps."""

    def reader(view: View, kept: Hashable) -> Hashable:
        if kept is None:
            view.register()
            action(view)
        else:
            view.wait()
        return True

    return reader


def found(reader: Callable[[View, Hashable], Hashable], scenario: Scenario = ONE) -> Trace:
    counterexample = explore(reader, scenario).counterexample
    assert counterexample is not None
    return counterexample


# What is visited.


def test_a_record_alone_goes_through_four_states() -> None:
    explored = explore(sleeper, ONE)
    assert (explored.states, explored.transitions, explored.depth, explored.complete) == (4, 3, 3, True)


def test_an_interrupt_strikes_between_any_two_steps() -> None:
    # (steps done by the task, by the interrupt), the latter runs to its end at once: 4 x 3 while it is not done; then 4
    # if it came first, and 3 behind the task's reserve, for between which of the next steps it came makes no difference
    assert explore(sleeper, SILENT).states == 12 + 4 + 3


def test_a_pause_may_come_anywhere_and_end_anywhere() -> None:
    # 4 states each: before it, during it if nothing is lost, after it; and lost, and lost with the pause over
    scenario = Scenario(ring_bytes=64, watermark=64, records=(16,), pauses=1)
    assert explore(sleeper, scenario).states == 3 * 4 + 2


def test_a_task_that_migrates_writes_into_either_ring() -> None:
    scenario = Scenario(ring_bytes=64, watermark=64, records=(16,), migrations=1)
    assert explore(sleeper, scenario).states == 4 + 4


def test_a_depth_bounds_the_search() -> None:
    explored = explore(waiting_reader, BUSY, depth=7)
    assert (explored.depth, explored.complete, explored.ok) == (7, False, True)


def test_a_depth_that_is_enough_bounds_nothing() -> None:
    assert explore(sleeper, ONE, depth=3).complete


def test_a_number_of_states_bounds_the_search() -> None:
    explored = explore(waiting_reader, BUSY, max_states=100)
    assert (explored.states, explored.complete) == (100, False)


def test_the_same_exploration_finds_the_same() -> None:
    assert explore(waiting_reader, BUSY) == explore(waiting_reader, BUSY)


@pytest.mark.parametrize("start", [2**32 - 24, 2**64 - 24])
def test_where_the_ring_begins_makes_no_difference(start: int) -> None:
    there = Scenario(ring_bytes=64, watermark=23, records=(16,) * 3, interrupts=(16,), pauses=1, start=start)
    assert explore(waiting_reader, there) == explore(waiting_reader, BUSY)


@pytest.mark.parametrize("reader", [registered, waiting_reader, sleeper])
def test_a_turn_that_never_ends_is_explored_as_well(reader: Callable[[View, Hashable], Hashable]) -> None:
    def endless(view: View, kept: Hashable) -> NoReturn:
        while True:
            kept = reader(view, kept)

    assert explore(endless, BUSY).counterexample == explore(reader, BUSY).counterexample


# The rule.


@pytest.mark.parametrize("watermark", range(1, 65))
@pytest.mark.parametrize("size", [8, 16, 24])
def test_only_a_watermark_that_stalls_never_wakes_a_waiting_reader(size: int, watermark: int) -> None:
    scenario = Scenario(ring_bytes=64, watermark=watermark, records=(size,) * (56 // size + 2))
    explored = explore(registered, scenario)
    assert (explored.ok, explored.complete) == (True, True)
    assert bool(explored.wakeups) == (scenario.verdict.outcome is not Outcome.STALLS)


@pytest.mark.parametrize("watermark", range(1, 64 - 16 - 24))
def test_a_live_watermark_sticks_in_no_interleaving(watermark: int) -> None:
    scenario = Scenario(ring_bytes=64, watermark=watermark, records=(16,) * 4, interrupts=(8,), pauses=1)
    explored = explore(registered, scenario)
    assert (scenario.must_live, explored.ok, explored.complete, explored.stuck) == (True, True, True, None)


def test_a_loss_in_a_pause_can_fill_a_ring_further_than_its_records_do() -> None:
    # records of 16: 48 at most, or 24 + 16 + 16 with a LOST among them, which only a pause brings into a ring with room
    stream, paused = (Scenario(watermark=48, records=(16,) * 4, pauses=pauses) for pauses in (0, 1))
    assert (explore(registered, stream).wakeups, explore(registered, paused).wakeups > 0) == (0, True)


def test_k43_a_loss_can_silence_a_ring_that_was_never_full() -> None:
    scenario = Scenario(ring_bytes=64, watermark=39, records=(16,) * 4, pauses=1)
    stuck = explore(registered, scenario).stuck
    assert scenario.verdict.outcome is Outcome.DEPENDS
    assert stuck is not None
    assert "pauses the ring" in str(stuck)


def test_k44_the_trailer_of_a_lost_record_counts() -> None:
    outcomes = [Scenario(watermark=23, trailer=trailer).verdict.outcome for trailer in (False, True)]
    assert outcomes == [Outcome.LIVE, Outcome.DEPENDS]


# What it tells.


def test_a_counterexample_is_as_short_as_can_be() -> None:
    steps = len(found(sleeper, BUSY).steps)
    assert explore(sleeper, BUSY, depth=steps - 1).ok


def test_a_trace_tells_who_did_what_and_how_the_ring_is() -> None:
    text = str(found(sleeper, Scenario(watermark=8, records=(16,))))
    assert text.splitlines()[0] == "   1  task on cpu 0       reserves 16 bytes for record 1"
    assert "|##......| tail 0 published 16 head 16 wakeup 8 latch set" in text
    assert text.splitlines()[-1].startswith("after 5 steps: the reader waits, the latch is clear, and 16 bytes")


def test_a_result_says_how_much_was_visited() -> None:
    assert str(explore(sleeper, ONE)) == "4 states, 3 transitions, 3 steps deep, all there are"
    assert "1 steps deep, not all: bounded" in str(explore(sleeper, ONE, depth=1))


def test_a_finding_ends_the_exploration() -> None:
    explored = explore(sleeper, BUSY)
    assert (explored.ok, explored.complete) == (False, False)
    assert "stopped at the finding" in str(explored)


# What a reader sees.


def test_a_view_has_a_mapping_of_the_seam() -> None:
    seen: list[object] = []
    explore(turn_of(lambda view: seen.extend(view.rings)), ONE)
    assert isinstance(seen[0], Mapping)


def test_the_page_tells_where_the_data_is() -> None:
    def look(view: View) -> None:
        view.register()
        ring = view.rings[0]
        assert (ring.load_u64(MMAP_PAGE_DATA_SIZE), len(ring.data)) == (64, 64)
        assert ring.load_u64(MMAP_PAGE_DATA_OFFSET) == 2048

    assert explore(turn_of(look), ONE).ok


def test_what_lies_beyond_the_loaded_head_is_poison() -> None:
    looks: set[bytes] = set()

    def look(view: View) -> None:
        view.ask()
        looks.add(bytes(view.rings[0].data))

    explore(turn_of(look), ONE)
    assert looks == {b"\xdb" * 64}


def test_data_below_the_loaded_head_is_there_in_the_next_turn_too() -> None:
    def reader(view: View, kept: Hashable) -> Hashable:
        ring = view.rings[0]
        if not isinstance(kept, int):
            return ring.load_u64(MMAP_PAGE_DATA_HEAD) or kept
        if kept:
            view.deliver(0, ring.data[:16])
            ring.store_u64(MMAP_PAGE_DATA_TAIL, kept)
        view.ask()
        return 0

    assert explore(reader, ONE).ok


def test_a_reader_that_is_suspended_may_clean_up() -> None:
    def tidy(view: View, kept: Hashable) -> Hashable:
        try:
            return waiting_reader(view, kept)
        except BaseException:
            view.ask()
            raise

    assert explore(tidy, BUSY) == explore(waiting_reader, BUSY)


def test_a_reader_that_swallows_everything_does_not_get_further() -> None:
    def greedy(view: View, kept: Hashable) -> Hashable:
        try:
            return waiting_reader(view, kept)
        except BaseException:
            return "swallowed"

    assert explore(greedy, BUSY) == explore(waiting_reader, BUSY)


def test_an_exception_of_the_reader_is_a_finding() -> None:
    def fails(view: View, kept: Hashable) -> Hashable:
        view.register()
        raise LookupError("no such event")

    finding = found(fails).finding
    assert finding.startswith("the reader raises LookupError in test_simkernel_explore.py, line ")
    assert finding.endswith("no such event")


@pytest.mark.parametrize(
    ("delivered", "said"),
    [
        (b"", "nothing at all"),
        (b"\xdb" * 16, "never written"),
        (record_bytes(1, 16, 0x10)[:12], "12 bytes whose header says 16"),
        (record_bytes(7, 16, 0x10), "record 7, which is no record that it owes"),
        (struct.pack("=IHHQQ", 2, 0, 24, 0x10, 5), "LOST of 5, which is no record"),
        (b"abc", "3 bytes, which"),
    ],
)
def test_what_is_delivered_and_should_not_be_is_named(delivered: bytes, said: str) -> None:
    assert said in found(turn_of(lambda view: view.deliver(0, delivered))).finding


def test_a_record_that_is_delivered_before_it_is_published_is_named() -> None:
    early = turn_of(lambda view: view.deliver(0, record_bytes(1, 16, 0x10)))
    finding = explore(early, Scenario(records=(16,)), depth=1).counterexample
    assert finding is not None
    assert "no record that it owes" in finding.finding


# What is no reader.


def test_a_reader_that_remembers_what_it_did_not_return_is_refused() -> None:
    rounds = itertools.count()

    def moody(view: View, kept: Hashable) -> Hashable:
        if next(rounds) < 5:
            view.ask()
        view.wait()
        return None

    with pytest.raises(SimulatorError, match="remembers something beside what its turns return"):
        explore(moody, BUSY)


def test_a_reader_that_does_something_else_where_it_was_before_is_refused() -> None:
    changed: list[bool] = []

    def fickle(view: View, kept: Hashable) -> Hashable:
        if changed:
            view.rings[0].load_u64(MMAP_PAGE_DATA_HEAD)
        else:
            view.ask()
        return view.wait()

    view = View(World(ONE, RingBuffer), fickle)
    asked = view.advance(view.start())
    changed.append(True)
    with pytest.raises(SimulatorError, match="loads head of cpu 0 where it asks ring of cpu 0"):
        view.advance(asked)


def test_a_turn_without_an_access_is_refused() -> None:
    with pytest.raises(SimulatorError, match="neither looked into a ring nor waited"):
        explore(lambda view, kept: kept)


def test_what_a_turn_returns_must_be_hashable() -> None:
    with pytest.raises(TypeError, match=r"returned \[\(\)\]: it must be hashable"):
        explore(lambda view, kept: [view.ask()])  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "access",
    [
        lambda view: view.rings[0].load_u64(8),
        lambda view: view.rings[0].store_u64(MMAP_PAGE_DATA_HEAD, 0),
        lambda view: view.rings[0].store_u64(MMAP_PAGE_DATA_TAIL, -1),
    ],
)
def test_an_access_that_means_nothing_is_refused(access: Callable[[View], object]) -> None:
    with pytest.raises(SimulatorError, match="offset"):
        explore(turn_of(access), ONE)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ring_bytes": 96}, "ring_bytes is 96"),
        ({"ring_bytes": 8}, "ring_bytes is 8"),
        ({"ring_bytes": 8192}, "ring_bytes is 8192"),
        ({"watermark": -1}, "watermark is -1"),
        ({"records": (12,)}, "records has 12"),
        ({"records": ()}, "somebody must write"),
        ({"records": (65536,)}, "records has 65536"),
        ({"records": (8,) * 1001}, "records has 1001 sizes"),
        ({"interrupts": (0,)}, "interrupts is 0"),
        ({"pauses": -1}, "pauses is -1"),
        ({"migrations": -2}, "migrations is -2"),
        ({"start": 4}, "start is 4"),
        ({"start": 2**64}, "start is 18446744073709551616"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Scenario(**wrong)


@pytest.mark.parametrize("wrong", [{"records": [16]}, {"ring_bytes": 64.0}, {"trailer": 1}])
def test_a_scenario_of_the_wrong_types_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(wrong))} is "):
        Scenario(**wrong)


@pytest.mark.parametrize("wrong", [{"scenario": 64}, {"ring": object}, {"reader": None}, {"depth": "3"}])
def test_an_argument_of_the_wrong_kind_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(wrong))} is "):
        explore(**{"reader": sleeper} | wrong)


@pytest.mark.parametrize("name", ["depth", "max_states"])
def test_a_bound_of_nothing_is_refused(name: str) -> None:
    bounds: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0"):
        explore(sleeper, ONE, **bounds)
