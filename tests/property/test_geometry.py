"""The watermark rule against a model that knows only what the kernel does, never the rule.

The model is the ring of K6, K7, K12, K21 and K23 as integers, and a reader of K14 that takes the latch,
loads head, and stores tail in three steps, with the kernel free to write or to drop between any two.
`_explore` visits every state that some stream can reach, so that "never" and "always" in the rule's
two claims are meant: STALLS is exact, LIVE is sound.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.geometry import Outcome, first_wake_bytes, ring_data_bytes, watermark_verdict
from tests.hypothesis_profiles import examples

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reader(Enum):
    """Where the reader stands. It waits, and goes on when it finds the latch set."""

    WAITS = auto()
    TOOK_THE_LATCH = auto()
    LOADED_HEAD = auto()


class State(NamedTuple):
    """A ring and its reader; positions are relative, so that equal futures are equal states."""

    used: int = 0
    """Unread bytes, head - tail."""
    gap: int = 0
    """head - wakeup."""
    latch: bool = False
    lost: bool = False
    """A loss that no LOST record has told of yet."""
    reader: Reader = Reader.WAITS
    seen: int = 0
    """What the reader will free: used at its load of head."""


class Model(NamedTuple):
    """One ring, one range of record sizes."""

    size: int
    watermark: int
    records: range
    lost_bytes: int

    def fits(self, state: State, record: int) -> bool:
        return state.used + record + self.lost_bytes * state.lost <= self.size - 1

    def write(self, state: State, record: int) -> State:
        if not self.fits(state, record):
            return state._replace(lost=True)
        grown = record + self.lost_bytes * state.lost
        gap = state.gap + grown
        crossed = gap > self.watermark
        return state._replace(
            used=state.used + grown,
            gap=gap - self.watermark * crossed,
            latch=state.latch or crossed,
            lost=False,
        )

    def read(self, state: State) -> State:
        """The reader's next step; the same state while it sleeps."""
        if state.reader is Reader.TOOK_THE_LATCH:
            return state._replace(reader=Reader.LOADED_HEAD, seen=state.used)
        if state.reader is Reader.LOADED_HEAD:
            return state._replace(used=state.used - state.seen, seen=0, reader=Reader.WAITS)
        if state.latch:
            return state._replace(latch=False, reader=Reader.TOOK_THE_LATCH)
        return state

    def next_states(self, state: State, *, pause: bool) -> Iterator[State]:
        yield self.read(state)
        if pause:
            yield state._replace(lost=True)
        for record in self.records:
            yield self.write(state, record)

    def is_stuck(self, state: State) -> bool:
        """Asleep, and some record of the range can be refused for ever: nothing changes any more."""
        asleep = state.reader is Reader.WAITS and not state.latch
        return asleep and not all(self.fits(state, record) for record in self.records)


def _explore(model: Model, *, pause: bool = True) -> Iterator[State]:
    """Every state that some stream reaches. A cursor more than four rings behind is not followed."""
    start = State()
    seen, todo = {start}, deque([start])
    while todo:
        state = todo.popleft()
        yield state
        for after in model.next_states(state, pause=pause):
            if after not in seen and after.gap <= 4 * model.size:
                seen.add(after)
                todo.append(after)


def _can_get_stuck(model: Model) -> bool:
    return any(model.is_stuck(state) for state in _explore(model))


def _can_wake(model: Model) -> bool:
    return any(state.latch for state in _explore(model, pause=False))


def _verdict(model: Model) -> Outcome:
    return watermark_verdict(
        1,
        model.watermark,
        record_bytes=(model.records[0], model.records[-1]),
        lost_bytes=model.lost_bytes,
        page_size=model.size,
    ).outcome


def _ranges(largest: int) -> Iterator[range]:
    sizes = range(8, largest + 8, 8)
    return (range(low, high + 8, 8) for low in sizes for high in sizes if low <= high)


def _models(size: int, watermarks: range, lost_bytes: int) -> Iterator[Model]:
    """All ranges of sizes, beyond the ring too, at every one of these watermarks."""
    return (Model(size, watermark, records, lost_bytes) for records in _ranges(size + 8) for watermark in watermarks)


@pytest.mark.parametrize("lost_bytes", [24, 48])
@pytest.mark.parametrize("size", [64, 128])
def test_stalls_is_said_exactly_when_no_stream_wakes_the_reader(size: int, lost_bytes: int) -> None:
    for model in _models(size, range(1, size + 2), lost_bytes):
        assert _can_wake(model) is (_verdict(model) is not Outcome.STALLS), model


@pytest.mark.parametrize("lost_bytes", [24, 32, 40])
def test_no_stream_gets_stuck_at_the_largest_live_watermark(lost_bytes: int) -> None:
    for records in _ranges(56):
        safe = 63 - records[-1] - lost_bytes
        if safe > 0:
            model = Model(64, safe, records, lost_bytes)
            assert _verdict(model) is Outcome.LIVE, model
            assert not _can_get_stuck(model), model


@pytest.mark.parametrize("lost_bytes", [24, 32, 40])
def test_one_byte_above_the_largest_live_watermark_some_stream_gets_stuck(lost_bytes: int) -> None:
    for largest in range(8, 56 - lost_bytes, 8):
        model = Model(64, 64 - largest - lost_bytes, range(8, largest + 8, 8), lost_bytes)
        assert _verdict(model) is Outcome.DEPENDS, model
        assert _can_get_stuck(model), model


@st.composite
def _models_of_rings(draw: st.DrawFn) -> Model:
    size = draw(st.sampled_from([64, 128, 256]))
    low = 8 * draw(st.integers(1, size // 8 + 1))
    high = low + 8 * draw(st.integers(0, 3))
    lost_bytes = 8 * draw(st.integers(3, 9))
    return Model(size, draw(st.integers(1, size + 1)), range(low, high + 8, 8), lost_bytes)


@given(_models_of_rings())
@examples(60)
def test_what_the_verdict_says_holds_for_any_ring(model: Model) -> None:
    outcome = _verdict(model)
    assert _can_wake(model) is (outcome is not Outcome.STALLS)
    if outcome is Outcome.LIVE:  # the nearest states only: large rings have very many
        near = islice(_explore(model), 10_000)
        assert not any(model.is_stuck(state) for state in near)


@pytest.mark.parametrize("watermark", [1, 7, 8, 20, 31, 40, 62])
def test_unread_bytes_pass_no_watermark_unsignalled(watermark: int) -> None:
    for state in _explore(Model(64, watermark, range(8, 32, 8), 16)):
        if state.reader is Reader.WAITS and not state.latch:
            assert state.used <= watermark, state


def _first_wake(model: Model) -> int | None:
    """Head at the first wake: one record after the other, nobody drains."""
    state = State()
    for _ in range(model.size // model.records[0] + 2):
        state = model.write(state, model.records[0])
        if state.latch:
            return state.used
    return None


@pytest.mark.parametrize("size", [64, 128, 256])
def test_first_wake_of_equal_records_is_where_the_model_wakes(size: int) -> None:
    for record in range(8, size + 16, 8):
        for watermark in range(1, size + 2):
            expected = _first_wake(Model(size, watermark, range(record, record + 8, 8), 24))
            assert first_wake_bytes(watermark, size, record) == expected, (watermark, record)


@given(st.integers(1, 1 << 20), st.sampled_from([8, 4096, 16384, 65536]))
def test_ring_is_the_smallest_power_of_two_that_holds_the_pages(pages: int, page_size: int) -> None:
    size = ring_data_bytes(pages, page_size)
    assert size & (size - 1) == 0
    assert size // 2 < pages * page_size <= size
