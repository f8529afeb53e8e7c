from __future__ import annotations

import pytest

from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.records import Record, Sample
from tests.unit.encoder import PLAIN, Form, record, sample, trailer, u16, u32, u64

WITH_IP = Form(sample_type=PLAIN.sample_type | 1)
WHO = {"id": 7, "pid": 10, "tid": 11, "time": 1_000, "ip": 5}
GOOD = sample(WITH_IP, WHO)
LOST = record(2, u64(7) + u64(3) + trailer(PLAIN, WHO))


def header(size: int, *, record_type: int = 9) -> bytes:
    return u32(record_type) + u16(0) + u16(size)


def decoder() -> Decoder:
    return Decoder({7: WITH_IP.layout("seven")}, default=PLAIN.layout("leader"))


def run(image: bytes, *, position: int = 640, final: bool = False) -> tuple[list[Record], int, list[BadRecord]]:
    bad: list[BadRecord] = []
    records, consumed = decoder().decode_run(image, cpu=1, position=position, on_bad=bad.append, final=final)
    return records, consumed, bad


def test_an_empty_image_has_no_records() -> None:
    assert run(b"") == ([], 0, [])


def test_records_come_in_order_each_at_its_position() -> None:
    records, consumed, bad = run(GOOD + LOST + GOOD)
    assert [made.kind for made in records] == ["sample", "lost", "sample"]
    assert [made.position for made in records] == [640, 640 + len(GOOD), 640 + len(GOOD) + len(LOST)]
    assert (consumed, bad) == (len(GOOD + LOST + GOOD), [])


def test_positions_wrap_at_2_to_the_64() -> None:
    records, _, _ = run(GOOD + GOOD, position=2**64 - len(GOOD))
    assert [made.position for made in records] == [2**64 - len(GOOD), 0]


@pytest.mark.parametrize("cut", [1, 7, 8, 20, len(GOOD) - 1])
def test_a_record_that_goes_on_behind_the_image_is_left(cut: int) -> None:
    records, consumed, bad = run(GOOD + GOOD[:cut])
    assert (len(records), consumed, bad) == (1, len(GOOD), [])


@pytest.mark.parametrize("cut", [1, 7, 8, 20, len(GOOD) - 1])
def test_a_record_that_ends_beyond_the_head_is_reported_and_skipped(cut: int) -> None:
    records, consumed, bad = run(GOOD + GOOD[:cut], final=True)
    assert (len(records), consumed) == (1, len(GOOD) + cut)
    assert [(error.cpu, error.position, error.skipped) for error in bad] == [(1, 640 + len(GOOD), cut)]


@pytest.mark.parametrize("size", [0, 1, 7, 9, 12, 65535])
def test_a_size_that_cannot_be_ends_the_image(size: int) -> None:
    records, consumed, bad = run(GOOD + header(size) + bytes(32) + GOOD)
    left = 8 + 32 + len(GOOD)
    assert (len(records), consumed) == (1, len(GOOD) + left)
    assert [(error.cpu, error.position, error.skipped) for error in bad] == [(1, 640 + len(GOOD), left)]
    assert f"a size of {size} cannot be" in str(bad[0])


def test_an_unknown_id_costs_that_sample_alone() -> None:
    records, consumed, bad = run(GOOD + sample(WITH_IP, WHO | {"id": 8}) + GOOD)
    assert (len(records), consumed) == (2, 3 * len(GOOD))
    assert [(error.position, error.skipped) for error in bad] == [(640 + len(GOOD), len(GOOD))]
    assert "event id 8, which is not known" in str(bad[0])


@pytest.mark.parametrize(("size", "record_type"), [(8, 9), (16, 9), (48, 9), (8, 2), (24, 2), (8, 14)])
def test_a_bad_body_costs_that_record_alone(size: int, record_type: int) -> None:
    damaged = header(size, record_type=record_type) + (u64(7) + bytes(40))[: size - 8]
    records, consumed, bad = run(damaged + GOOD)
    assert (len(records), consumed) == (1, size + len(GOOD))
    assert [(error.position, error.skipped) for error in bad] == [(640, size)]


def test_an_unknown_type_costs_nothing() -> None:
    records, _, bad = run(record(77, bytes(24)) + GOOD)
    assert ([made.kind for made in records], bad) == (["unknown", "sample"], [])


def test_decode_takes_the_record_at_an_offset() -> None:
    made = decoder().decode(LOST + GOOD, len(LOST), cpu=1, position=9)
    assert (made.kind, made.position) == ("sample", 9)


@pytest.mark.parametrize("image", [b"", bytes(8), bytes(4), header(12) + bytes(8), header(24) + bytes(8)])
def test_decode_refuses_a_header_that_cannot_be(image: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        decoder().decode(image, 0, cpu=1, position=64)
    assert (caught.value.cpu, caught.value.position, caught.value.skipped) == (1, 64, len(image))


def test_decode_skips_only_a_record_with_a_bad_body() -> None:
    with pytest.raises(BadRecord, match="event id 8") as caught:
        decoder().decode(sample(WITH_IP, WHO | {"id": 8}) + GOOD, 0, cpu=1, position=64)
    assert caught.value.skipped == len(GOOD)


@pytest.mark.parametrize("offset", [-8, len(GOOD) + 1])
def test_an_offset_outside_the_buffer_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match=f"offset {offset} lies outside the buffer of {len(GOOD)} bytes"):
        decoder().decode(GOOD, offset, cpu=0, position=0)


def test_an_event_can_be_added_while_records_are_read() -> None:
    known = decoder()
    known.add(8, PLAIN.layout("eight"))
    made = known.decode(sample(PLAIN, WHO | {"id": 8}), 0, cpu=0, position=0)
    assert (made.event, made.id) == ("eight", 8)


def test_the_only_event_needs_no_id() -> None:
    form = Form(sample_type=1 | 4)
    made = Decoder(default=form.layout("only")).decode(sample(form, WHO), 0, cpu=0, position=0)
    assert isinstance(made, Sample)
    assert (made.event, made.id, made.ip, made.time) == ("only", None, 5, 1_000)


def test_with_no_known_event_every_sample_is_bad() -> None:
    with pytest.raises(BadRecord, match="event id 7"):
        Decoder({}, default=PLAIN.layout()).decode(sample(PLAIN, WHO), 0, cpu=0, position=0)


@pytest.mark.parametrize(("shared", "default"), [(Form(sample_type=2), PLAIN), (PLAIN, Form(sample_type=2))])
def test_several_events_need_identifiers(shared: Form, default: Form) -> None:
    with pytest.raises(ValueError, match="needs PERF_SAMPLE_IDENTIFIER"):
        Decoder({7: shared.layout()}, default=default.layout())


def test_several_events_agree_on_sample_id_all() -> None:
    with pytest.raises(ValueError, match="differ in sample_id_all"):
        Decoder({7: Form(sample_type=1 << 16, sample_id_all=False).layout()}, default=PLAIN.layout())


def test_the_layouts_given_stay_the_callers() -> None:
    layouts = {7: PLAIN.layout()}
    Decoder(layouts, default=PLAIN.layout()).add(8, PLAIN.layout())
    assert list(layouts) == [7]


def test_a_layout_names_itself() -> None:
    assert repr(PLAIN.layout("mine")) == "<EventLayout 'mine' (custom), sample_type 0x10006>"
