"""Right readers pass every interleaving; each wrong one, and each wrong ring, is found on a shortest way."""

from __future__ import annotations

import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Hashable
from typing import NamedTuple

import pytest

from simkernel import RingBuffer
from simkernel.explore import Exploration, Scenario, View, explore, waiting_reader
from tests.quality import races
from tests.quality.explored_session import session_reader
from tests.quality.project import ROOT

EXAMPLES = ROOT / "docs" / "examples"

STREAM = Scenario(ring_bytes=64, watermark=15, records=(16,) * 3)
MIXED = Scenario(ring_bytes=64, watermark=20, records=(16, 24, 16))
WRAP = Scenario(ring_bytes=64, watermark=15, records=(16,) * 3, start=2**64 - 24)
NESTED = Scenario(ring_bytes=64, watermark=23, records=(16,) * 2, interrupts=(16,) * 2)
PAUSED = Scenario(ring_bytes=128, watermark=15, records=(16,) * 4, pauses=1)
LIVE = Scenario(ring_bytes=64, watermark=15, records=(16,) * 4, pauses=1)
TWO_CPUS = Scenario(ring_bytes=64, watermark=15, records=(16,) * 4, migrations=1)
FULL = Scenario(ring_bytes=64, watermark=39, records=(16,) * 6)
ALL_AT_ONCE = Scenario(ring_bytes=128, watermark=15, records=(16,), interrupts=(8,), pauses=1, migrations=1)
LARGE = Scenario(ring_bytes=256, watermark=127, records=(64, 56, 48, 64), interrupts=(24,), pauses=1)
SCENARIOS = (STREAM, MIXED, WRAP, NESTED, PAUSED, TWO_CPUS, FULL)

DELIVERED_TOO_LITTLE = "the reader waits, has freed up to"
LOST_WAKEUP = "above the watermark of"


class Found(NamedTuple):
    """Where a mistake shows first, after how many steps, and in what words."""

    scenario: Scenario
    steps: int
    words: str


READERS: dict[type[races.Right], Found] = {
    races.FreesBeforeItCopies: Found(STREAM, 6, DELIVERED_TOO_LITTLE),
    races.HandsOutTheRingItself: Found(STREAM, 6, "freed before"),
    races.FreesUpToASecondHead: Found(MIXED, 10, DELIVERED_TOO_LITTLE),
    races.FreesWhatItDidNotTake: Found(MIXED, 9, DELIVERED_TOO_LITTLE),
    races.FreesTwice: Found(STREAM, 7, "stores 32 as its tail: that is not between its tail 16 and head 16"),
    races.FreesAllButTheLast: Found(NESTED, 11, "had been delivered"),
    races.StoresAPlace: Found(FULL, 19, "stores 0 as its tail: that is not between its tail 48 and head 64"),
    races.NeverFrees: Found(STREAM, 6, LOST_WAKEUP),
    races.FreesAfterTheNextWait: Found(STREAM, 6, LOST_WAKEUP),
    races.ReadsBeforeItLoadsHead: Found(STREAM, 6, DELIVERED_TOO_LITTLE),
    races.ReadsOneRecordTooFar: Found(STREAM, 2, "beyond the head that it loaded"),
    races.StopsAtTheEndOfTheRing: Found(WRAP, 10, DELIVERED_TOO_LITTLE),
    races.ComparesWithoutModulo: Found(WRAP, 10, LOST_WAKEUP),
    races.LeavesLostAside: Found(PAUSED, 8, "delivers record 2 before LOST of 1"),
    races.AsksAfterItDrained: Found(STREAM, 7, LOST_WAKEUP),
    races.RegistersAfterItsFirstLook: Found(STREAM, 6, LOST_WAKEUP),
    races.WaitsAtOnce: Found(STREAM, 5, LOST_WAKEUP),
    races.KeepsTheHeadFromBeforeTheWait: Found(STREAM, 9, LOST_WAKEUP),
    races.TakesOneRecordForEachWakeup: Found(MIXED, 10, LOST_WAKEUP),
    races.TakesAnEmptyWakeupForTheEnd: Found(STREAM, 14, LOST_WAKEUP),
    races.RegistersAnewAfterALoss: Found(PAUSED, 15, LOST_WAKEUP),
    races.LooksAtOneRing: Found(TWO_CPUS, 8, LOST_WAKEUP),
    races.LooksAtTheFirstReadyRing: Found(TWO_CPUS, 16, LOST_WAKEUP),
    races.FollowsTheTask: Found(TWO_CPUS, 18, LOST_WAKEUP),
}
RINGS: dict[type[RingBuffer], Found] = {
    races.PublishesForNestedWriters: Found(NESTED, 6, "is shown head 32, and only what lies below 0 is published"),
    races.PublishesBeforeItWrites: Found(STREAM, 3, "is shown head 16, and only what lies below 0 is published"),
    races.SignalsBeforeItPublishes: Found(STREAM, 6, LOST_WAKEUP),
    races.SignalsWhenItReserves: Found(STREAM, 5, LOST_WAKEUP),
    races.ForgetsTheSignalOfNestedWriters: Found(NESTED, 15, LOST_WAKEUP),
    races.KeepsQuietWhileALossIsUntold: Found(NESTED, 12, LOST_WAKEUP),
    races.MovesTheCursorToHead: Found(MIXED, 4, "cursor is 40: it had to be 20"),
    races.MovesTheCursorTooFar: Found(MIXED, 4, "cursor is 40: it had to be 20"),
    races.MovesTheCursorOnceMore: Found(STREAM, 3, "cursor 30 is past head 16"),
    races.TakesNoWatermark: Found(LIVE, 11, "the setting is LIVE"),
    races.ForgetsToTellLosses: Found(FULL, 15, "cursor is 39: it had to be 78"),
    races.DropsUncountedWhilePaused: Found(PAUSED, 8, "delivers record 2 before LOST of 1"),
    races.FillsTheLastByte: Found(FULL, 11, "was accepted, and the ring has no room"),
}


def reader_of(kind: type[races.Right]) -> Callable[[View, Hashable], Hashable]:
    return lambda view, kept: kind(view, kept).turn()


def assert_found(explored: Exploration, found: Found) -> None:
    assert explored.counterexample is not None, f"not found in {explored.states} states"
    sys.stdout.write(f"{explored}\n")
    assert found.words in explored.counterexample.finding
    assert len(explored.counterexample.steps) == found.steps


RIGHT = (races.Right, races.FreesEachRecord, races.DrainsUntilEmpty, races.LooksWhereItIsTold, races.AsksBeforeItDrains)


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_right_reader_passes_every_interleaving(kind: type[races.Right], scenario: Scenario) -> None:
    explored = explore(reader_of(kind), scenario)
    assert explored.ok, explored
    assert explored.complete


@pytest.mark.parametrize("scenario", [ALL_AT_ONCE, LARGE])
def test_a_right_reader_passes_everything_at_once(scenario: Scenario) -> None:
    explored = explore(waiting_reader, scenario)
    sys.stdout.write(f"{explored}\n")
    assert explored.ok, explored
    assert (explored.complete, explored.states > 4_000) == (True, True)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(ring_bytes=128, watermark=23, records=(24,) * 2, interrupts=(24,)),
        Scenario(ring_bytes=128, watermark=47, records=(24,) * 4, pauses=1, trailer=True),
        Scenario(ring_bytes=128, watermark=23, records=(24,) * 2, migrations=1),
        Scenario(ring_bytes=64, watermark=23, records=(24,) * 6, start=2**64 - 24, trailer=True),
    ],
    ids=["nested", "paused", "two_cpus", "wrap"],
)
def test_the_session_passes_every_interleaving(scenario: Scenario) -> None:
    explored = explore(session_reader, scenario)
    sys.stdout.write(f"{explored}\n")
    assert explored.ok, explored
    assert (explored.complete, explored.states > 1_000) == (True, True)


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.__name__)
def test_a_wrong_reader_is_found(kind: type[races.Right]) -> None:
    assert_found(explore(reader_of(kind), READERS[kind].scenario, max_states=5_000), READERS[kind])


@pytest.mark.parametrize("kind", RINGS, ids=lambda kind: kind.__name__)
def test_a_wrong_ring_is_found(kind: type[RingBuffer]) -> None:
    assert_found(explore(waiting_reader, RINGS[kind].scenario, max_states=5_000, ring=kind), RINGS[kind])


def test_the_example_of_the_documentation_finds_what_the_page_shows() -> None:
    example = runpy.run_path(str(EXAMPLES / "explore_my_reader.py"))
    for reader in ("my_reader", "hasty_reader"):
        assert indented(explore(example[reader], example["SCENARIO"])) in page()


def test_the_page_shows_the_example_as_it_is() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", page(), re.DOTALL)
    assert shown in (EXAMPLES / "explore_my_reader.py").read_text()


def page() -> str:
    return (ROOT / "docs" / "explore.md").read_text()


def indented(explored: Exploration) -> str:
    return textwrap.indent(str(explored), "    ")


def test_every_planted_mistake_is_in_a_table() -> None:
    classes = {kind for kind in vars(races).values() if isinstance(kind, type) and kind.__module__ == races.__name__}
    assert classes == {*RIGHT, *READERS, *RINGS}
