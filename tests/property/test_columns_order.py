"""`ColumnOrder` in step with `TimeOrder`: over any runs of any rings, both release, hold back, and count the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring import engine
from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, ColumnTaker
from perfring.columns.image import Image
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.ordering import Order, TimeOrder
from perfring.records import Record
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same
from tests.unit.encoder import PLAIN, record, sample

DECODER = Decoder({7: PLAIN.layout("event")}, default=PLAIN.layout("leader"))
TIMES = st.none() | st.integers(0, 12)
RUNS = st.tuples(st.integers(0, 2), st.lists(TIMES, min_size=1, max_size=5), st.booleans())
RELEASES = st.tuples(st.none() | st.integers(0, 12), st.integers(0, 8))
STEPS = st.lists(RUNS | RELEASES | st.integers(0, 2), max_size=12)
"""A run of a ring; a release up to a time, of which so many are read; all of one ring taken."""


@pytest.fixture(params=EACH_ENGINE, autouse=True, scope="module")
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


class Both:
    """The two orders, given the same."""

    def __init__(self) -> None:
        self.orders: tuple[Order, Order] = (TimeOrder(), ColumnOrder())
        self._taker = ColumnTaker(DECODER)
        self._position = 0

    def add(self, cpu: int, times: list[int | None], sort: bool) -> None:
        """A record without a time is of a type that nobody knows, and too short for a trailer."""
        if sort:
            times = sorted(times, key=lambda time: -1 if time is None else time)
        values = {"id": 7, "pid": 1, "tid": 2}
        image = b"".join(record(33, b"") if time is None else sample(PLAIN, values | {"time": time}) for time in times)
        bad: list[BadRecord] = []
        records, _ = DECODER.decode_run(image, cpu=cpu, position=self._position, on_bad=bad.append)
        block, _ = self._taker.take(Image.of(image), cpu=cpu, position=self._position, on_bad=bad.append)
        assert not bad
        assert block is not None
        self.orders[0].pending += records
        self.orders[1].pending.append(block)
        self._position += len(image)

    def release(self, until: int | None, read: int) -> None:
        """Reads so many of what is released, and gives the rest back."""
        seen = []
        for order in self.orders:
            handout = order.hand_out(order.release(until))
            seen.append(list(islice(handout.turns, read)))
            order.settle()
        assert seen[0] == seen[1]

    def take(self, cpu: int) -> None:
        seen: list[list[Record]] = []
        for order in self.orders:
            seen.append(list(order.hand_out(order.take(cpu)).turns))
            order.settle()
        assert seen[0] == seen[1]

    def assert_alike(self) -> None:
        one, other = self.orders
        assert (one.late, len(one)) == (other.late, len(other))


@given(STEPS)
def test_columns_are_released_in_step_with_records(
    steps: list[tuple[int, list[int | None], bool] | tuple[int | None, int] | int],
) -> None:
    both = Both()
    for step in [*steps, (None, 99)]:
        if isinstance(step, int):
            both.take(step)
        elif len(step) == 3:
            both.add(*step)
        else:
            both.release(*step)
        both.assert_alike()
    assert len(both.orders[0]) == 0


@given(st.lists(RUNS, max_size=6), st.lists(st.integers(0, 12), max_size=3), st.integers(0, 6))
def test_the_columns_of_what_was_held_back_and_given_back_say_the_same(
    runs: list[tuple[int, list[int | None], bool]], moments: list[int], read: int
) -> None:
    both = Both()
    order = both.orders[1]
    for until, run in zip([*moments, *[None] * len(runs)], runs, strict=False):
        both.add(*run)
        both.release(until, read)
    batch = order.batch(order.release(), Reason.START)
    assert isinstance(batch, ColumnBatch)
    assert_columns_say_the_same(batch)
