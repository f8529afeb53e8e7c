"""Columns of several rings, in several pieces: the same as the records, in the order that `TimeOrder` gives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring import engine
from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, ColumnTaker
from perfring.columns.image import Image
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.ordering import TimeOrder
from tests.property._layouts import assert_columns_say_the_same
from tests.unit.encoder import PLAIN, Form, record, sample, trailer, u32, u64

RICH = Form(sample_type=PLAIN.sample_type | 1 << 5)
EVENTS = {7: PLAIN, 8: RICH}
# Few times, so that equal ones and inversions (K36) are frequent; each image is of one ring.
TIMES = st.lists(st.integers(0, 12), min_size=1, max_size=8)
IMAGES = st.lists(st.tuples(st.integers(0, 2), TIMES, st.integers(0, 15)), min_size=1, max_size=4)
ROUNDS = st.lists(st.tuples(IMAGES, st.integers(0, 14) | st.none()), min_size=1, max_size=4)


@pytest.fixture(params=engine.ENGINES, autouse=True, scope="module")
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


def refuse(error: BadRecord) -> None:
    raise error


def image_of(times: list[int], seed: int) -> bytes:
    """Samples of both events and side-band, the kinds chosen by the bits of the seed."""
    pieces = []
    for place, time in enumerate(times):
        who = {"pid": 1, "tid": 2, "time": time, "id": 7 + (seed >> place & 1), "callchain": (time,) * (place % 3)}
        kinds = [
            sample(EVENTS[who["id"]], who),  # type: ignore[index]
            record(3, u32(1) + u32(2) + u64(0x61) + trailer(PLAIN, who)),
        ]
        pieces.append(kinds[(seed >> (place + 1)) % 3 == 0])
    return b"".join(pieces)


@given(ROUNDS)
def test_releases_are_those_of_records(
    rounds: list[tuple[list[tuple[int, list[int], int]], int | None]],
) -> None:
    decoder = Decoder({key: form.layout(str(key)) for key, form in EVENTS.items()}, default=PLAIN.layout())
    taker, columns, records = ColumnTaker(decoder), ColumnOrder(), TimeOrder()
    position = 0
    for images, until in rounds:
        for cpu, times, seed in images:
            image = image_of(times, seed)
            block, _ = taker.take(Image.of(image), cpu=cpu, position=position, on_bad=refuse, final=True)
            made, _ = decoder.decode_run(image, cpu=cpu, position=position, on_bad=refuse, final=True)
            columns.pending += [] if block is None else [block]
            records.pending += made
            position += len(image)
        batch = columns.batch(columns.release(until), Reason.WAKEUP)
        released = records.release(until)
        assert isinstance(batch, ColumnBatch)
        assert list(batch) == released
        assert_columns_say_the_same(batch)
        if until is None or until % 2:  # the others stay in the outbox, and come again with the next
            columns.outbox, records.outbox = [], []
        assert (len(columns), columns.late) == (len(records), records.late)


@given(IMAGES, st.integers(0, 20))
def test_what_is_given_back_comes_again(images: list[tuple[int, list[int], int]], read: int) -> None:
    decoder = Decoder({key: form.layout(str(key)) for key, form in EVENTS.items()}, default=PLAIN.layout())
    order = ColumnOrder()
    for cpu, times, seed in images:
        block, _ = ColumnTaker(decoder).take(
            Image.of(image_of(times, seed)), cpu=cpu, position=0, on_bad=refuse, final=True
        )
        order.pending += [] if block is None else [block]
    whole = list(order.batch(order.release(), Reason.WAKEUP))
    rest = order.records(order.outbox)
    order.outbox = []
    seen = [found for _, found in zip(range(read), rest, strict=False)]
    order.give_back(rest)
    again = order.batch(order.release(), Reason.WAKEUP)
    assert isinstance(again, ColumnBatch)
    assert seen + list(again) == whole
    assert_columns_say_the_same(again)
