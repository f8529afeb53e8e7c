"""The model against the ring it is a model of, and what it finds: which watermarks can fall silent, and how."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.geometry import Outcome, watermark_verdict
from tests.hypothesis_profiles import factor
from tests.property._rig import Rig
from tests.property._small_rings import LOSS, READER, START, Losses, Ring, State, Step, told, witness

PAGE = Path(__file__).parents[2] / "docs" / "properties.md"
WAYS = ("sizes alone", "a full ring", "a loss at any time", "none found")


class Replay:
    """A ring of the simulator, driven by the steps of the model."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.rig = Rig(ring.size, watermark=ring.watermark, lost_bytes=ring.lost_bytes)
        self.reader = self.seen = 0

    def step(self, step: Step, *, slowly: bool = False) -> None:
        if step == LOSS:
            self.rig.lose(8)
        elif step != READER:
            self.rig.write(step, step_by_step=slowly)
        elif self.reader == 0:
            self.reader = int(self.rig.is_woken())
        elif self.reader == 1:
            self.reader, self.seen = 2, self.rig.reader.unread(self.rig.reader.head())
        else:
            self.rig.reader.free(self.seen)
            self.reader = self.seen = 0

    @property
    def state(self) -> State:
        buffer = self.rig.buffer
        return (
            buffer.used,
            buffer.head - buffer.wakeup,
            int(buffer.latch > 0),
            int(buffer.lost > 0),
            self.reader,
            self.seen,
        )


def depends(size: int, lost_bytes: int, *, equal: bool = False) -> list[Ring]:
    """Every setting of such a ring for which the rule promises nothing."""
    found = []
    for low in range(8, size, 8):
        for high in [low] if equal else range(low, size, 8):
            found += [Ring(size, watermark, range(low, high + 8, 8), lost_bytes) for watermark in range(1, size)]
    return [ring for ring in found if verdict(ring) is Outcome.DEPENDS]


def verdict(ring: Ring) -> Outcome:
    sizes = ring.records[0], ring.records[-1]
    return watermark_verdict(
        1, ring.watermark, record_bytes=sizes, lost_bytes=ring.lost_bytes, page_size=ring.size
    ).outcome


def shortest(ring: Ring) -> tuple[int, list[Step]]:
    """With how few losses it can fall silent, as an index into `WAYS`, and how."""
    for losses in Losses:
        steps = witness(ring, losses)
        if steps is not None:
            return losses, steps
    return len(Losses), []


def falls_silent(ring: Ring, steps: list[Step]) -> bool:
    """Whether the simulator's ring does so on these steps: whatever is sent afterwards, nobody is woken."""
    replay = Replay(ring)
    for step in steps:
        replay.step(step)
    before = replay.rig.wakes
    for _ in range(3):
        replay.rig.write(ring.records[-1])
        replay.step(READER)
    return replay.reader == 0 and replay.rig.wakes == before and replay.rig.buffer.refused >= 3


def claimed() -> list[tuple[int, int, str, tuple[int, ...]]]:
    """The table of docs/properties.md: ring, LOST, which records, and the counts of settings."""
    row = re.compile(r"^\| (\d+) \| (\d+) \| (mixed|equal) \|((?: \d+ \|){5})( thorough)? \|$", re.MULTILINE)
    rows = row.findall(PAGE.read_text())
    return [
        (int(size), int(lost), records, tuple(map(int, counts.strip(" |").split("|"))))
        for size, lost, records, counts, dear in rows
        if not dear or factor() > 1
    ]


@given(
    watermark=st.integers(1, 64),
    lost_bytes=st.integers(3, 9).map(lambda words: words * 8),
    steps=st.lists(st.tuples(st.sampled_from([LOSS, READER, READER, *range(8, 72, 8)]), st.booleans()), max_size=60),
)
def test_the_model_does_what_the_ring_does(watermark: int, lost_bytes: int, steps: list[tuple[Step, bool]]) -> None:
    ring = Ring(64, watermark, range(8, 72, 8), lost_bytes)
    state, replay = START, Replay(ring)
    for step, slowly in steps:
        state = ring.after(state, step)
        replay.step(step, slowly=slowly)
        assert replay.state == state


@pytest.mark.parametrize(("size", "lost_bytes", "records", "counts"), claimed())
def test_so_many_settings_that_depend_can_fall_silent(
    size: int, lost_bytes: int, records: str, counts: tuple[int, ...]
) -> None:
    found = Counter[int]()
    for ring in depends(size, lost_bytes, equal=records == "equal"):
        way, steps = shortest(ring)
        found[way] += 1
        assert way == len(Losses) or falls_silent(ring, steps), (ring, told(steps))
    assert (found.total(), *(found[way] for way in range(len(WAYS)))) == counts


def test_the_table_has_rows() -> None:
    assert {records for _, _, records, _ in claimed()} == {"mixed", "equal"}


def streams() -> list[tuple[Ring, str]]:
    """The other table: rings, and how they fall silent."""
    row = re.compile(r"^\| (\d+) \| (\d+) \| (\d+)(?: to (\d+))? \| (\d+) \| `(.*)`.* \|$", re.MULTILINE)
    return [
        (Ring(int(size), int(watermark), range(int(low), int(high or low) + 8, 8), int(lost)), stream)
        for size, watermark, low, high, lost, stream in row.findall(PAGE.read_text())
    ]


@pytest.mark.parametrize(("ring", "stream"), streams())
def test_the_streams_of_the_page_are_shortest_ones(ring: Ring, stream: str) -> None:
    losses = Losses.PAUSE if "loss" in stream else Losses.FULL
    assert told(witness(ring, losses) or []) == stream


@pytest.mark.parametrize("watermark", [4087, 4072])
def test_k42_needs_no_pause(watermark: int) -> None:
    ring = Ring(4096, watermark, range(56, 64, 8), 24)
    assert falls_silent(ring, witness(ring, Losses.FULL) or [])


@pytest.mark.parametrize("watermark", [4087, 4072, 4039])
def test_k43_is_one_loss_at_the_wrong_moment(watermark: int) -> None:
    ring = Ring(4096, watermark, range(56, 64, 8), 24)
    steps = witness(ring, Losses.PAUSE) or []
    assert steps.count(LOSS) == 1
    assert falls_silent(ring, steps)
