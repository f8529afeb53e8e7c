"""Columns against records: on both engines, over all layouts, mixes and damage, they are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring import engine
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.records import Record
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same, taken
from tests.property.test_records import (
    EVENTS,
    IMAGES,
    U16,
    U32,
    forms,
    records_of_all_kinds,
    values_of,
)
from tests.unit.encoder import PLAIN, Form, padded, record, sample, trailer, u16, u32, u64


@pytest.fixture(params=EACH_ENGINE, autouse=True, scope="module")
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


def decoder_of(events: dict[int, Form]) -> Decoder:
    return Decoder({event_id: form.layout(str(event_id)) for event_id, form in events.items()}, default=PLAIN.layout())


def decoded(decoder: Decoder, image: bytes, *, final: bool = True) -> tuple[list[Record], int, list[BadRecord]]:
    bad: list[BadRecord] = []
    records, consumed = decoder.decode_run(image, cpu=3, position=1 << 40, on_bad=bad.append, final=final)
    return records, consumed, bad


def assert_alike(decoder: Decoder, image: bytes, *, final: bool = True) -> None:
    """The same records, bad records and bytes, in the order of time; and the columns say what the records say."""
    batch, consumed, bad = taken(decoder, image, cpu=3, position=1 << 40, final=final)
    records, expected, reported = decoded(decoder, image, final=final)
    records.sort(key=lambda made: -1 if made.time is None else min(made.time, 2**63 - 1))
    assert list(batch) == records
    assert (consumed, sorted(map(str, bad))) == (expected, sorted(map(str, reported)))
    assert_columns_say_the_same(batch)


@given(st.data(), forms(), U16)
def test_one_layout(data: st.DataObject, form: Form, misc: int) -> None:
    count = data.draw(st.integers(1, 6))
    image = b"".join(sample(form, data.draw(values_of(form)), misc=misc) for _ in range(count))
    assert_alike(Decoder(default=form.layout()), image)


@given(st.data(), forms(), st.integers(4, 12))
def test_one_record_many_times(data: st.DataObject, form: Form, count: int) -> None:
    assert_alike(Decoder(default=form.layout()), sample(form, data.draw(values_of(form))) * count)


@given(IMAGES, st.booleans())
def test_a_mix_of_layouts_and_kinds(image: bytes, final: bool) -> None:
    assert_alike(decoder_of(EVENTS), image, final=final)


@st.composite
def any_events(draw: st.DrawFn) -> tuple[dict[int, Form], bytes]:
    """A few events of any form, with ids that lie close together or far apart, and samples and side-band of them."""
    ids = draw(st.lists(st.integers(1, 50) | st.integers(0, 2**64 - 1), min_size=1, max_size=4, unique=True))
    drawn = [draw(forms()) for _ in ids]
    events = {
        event_id: Form(form.sample_type | 1 << 16, form.read_format, form.regs_user, form.regs_intr, form.branch_type)
        for event_id, form in zip(ids, drawn, strict=True)
    }
    pieces = []
    for _ in range(draw(st.integers(0, 8))):
        event_id = draw(st.sampled_from(ids))
        values = draw(values_of(events[event_id])) | {"id": event_id}
        make: Callable[[Form, dict[str, Any]], bytes] = draw(st.sampled_from([sample, side_band]))
        pieces.append(make(events[event_id], values))
    return events, b"".join(pieces)


def side_band(form: Form, values: dict[str, Any]) -> bytes:
    """One of the kinds, chosen by what the values happen to be."""
    behind = trailer(form, values)
    name = padded(values["aux"][:15])
    mapped = u32(1) + u32(2) + u64(3) + u64(4) + u64(5)
    kinds = [
        record(1, mapped + name + behind),
        record(2, u64(values["id"]) + u64(values["ip"]) + behind),
        record(3, u32(1) + u32(2) + name + behind),
        record(4, u32(1) + u32(2) + u32(3) + u32(4) + u64(values["time"]) + behind),
        record(5, u64(values["time"]) + u64(1) + u64(2) + behind),
        record(10, mapped + u32(6) + u32(7) + u64(8) + u64(9) + u32(10) + u32(11) + name + behind),
        record(10, mapped + bytes([20, 0, 0, 0]) + bytes(range(20)) + u32(10) + u32(11) + name + behind, misc=1 << 14),
        record(14, behind, misc=1 << 13),
        record(15, u32(1) + u32(2) + behind),
        record(16, u32(1) + u32(2) + u64(2) + u64(5) + u64(6) + u64(7) + u64(8) + behind),
        record(17, u64(1) + u32(2) + u16(3) + u16(4) + name + behind),
        record(18, u16(1) + u16(0) + u32(2) + bytes(range(8)) + behind),
        record(20, u64(1) + u16(3) + u16(4) + b"oldnew!" + bytes(5) + behind),
        record(21, u64(1) + behind),
        record(22, bytes(16) + behind),
        record(8, u32(1) + u32(2) + u64(3) * 5 + behind),
    ]
    chosen: int = values["period"] % len(kinds)
    return kinds[chosen]


@pytest.mark.parametrize("size", [0, 1, 19, 20, 21, 255])
def test_a_build_id_of_any_length_with_bytes_behind_it(size: int) -> None:
    mapped = u32(2) + u32(3) + u64(4) + u64(5) + u64(0) + bytes([size, 0, 0, 0]) + bytes(range(1, 21))
    behind = padded(b"/bin/true") + trailer(PLAIN, {"id": 1, "pid": 2, "tid": 3, "time": 4})
    image = record(10, mapped + u32(10) + u32(11) + behind, misc=1 << 14)
    assert_alike(decoder_of({1: PLAIN}), image)


@given(any_events())
def test_any_events_and_any_side_band(made: tuple[dict[int, Form], bytes]) -> None:
    events, image = made
    assert_alike(decoder_of(events), image)


@given(any_events(), st.data(), st.booleans())
def test_damage(made: tuple[dict[int, Form], bytes], data: st.DataObject, final: bool) -> None:
    events, image = made
    damaged = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.sampled_from([0, 1, 8, 9, 0x7F, 0xFF]))
    assert_alike(decoder_of(events), bytes(damaged), final=final)


@given(st.binary(max_size=400), st.booleans())
def test_bytes_that_were_never_records(image: bytes, final: bool) -> None:
    assert_alike(decoder_of(EVENTS), image, final=final)


@given(st.lists(st.tuples(U32, st.integers(1, 8), st.binary(min_size=64, max_size=64)), max_size=8), st.booleans())
def test_sound_headers_over_any_bodies(parts: list[tuple[int, int, bytes]], final: bool) -> None:
    image = b"".join(record(kind % 33, body[: 8 * words]) for kind, words, body in parts)
    assert_alike(decoder_of(EVENTS), image, final=final)


@given(st.lists(records_of_all_kinds(), max_size=6).map(b"".join), st.data())
def test_an_image_that_ends_in_the_middle_of_a_record(image: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(image)))
    assert_alike(decoder_of(EVENTS), image[:cut], final=False)
