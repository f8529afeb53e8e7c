"""Statements about decoding over all sample types, and over all damage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.fields import Branch, Registers
from perfring.records import Record, Sample
from tests.unit.encoder import PLAIN, Form, padded, record, sample, trailer, u32, u64

U16, U32, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
WEIGHTS = 1 << 14 | 1 << 24
SIMPLE = {
    "ip": 1 << 0,
    "pid": 1 << 1,
    "tid": 1 << 1,
    "time": 1 << 2,
    "addr": 1 << 3,
    "callchain": 1 << 5,
    "id": 1 << 6 | 1 << 16,
    "sample_cpu": 1 << 7,
    "period": 1 << 8,
    "stream_id": 1 << 9,
    "raw": 1 << 10,
    "user_stack": 1 << 13,
    "weight": WEIGHTS,
    "data_src": 1 << 15,
    "transaction": 1 << 17,
    "phys_addr": 1 << 19,
    "aux": 1 << 20,
    "cgroup": 1 << 21,
    "data_page_size": 1 << 22,
    "code_page_size": 1 << 23,
}
"""The fields that a sample has just as the encoder was given them, and the bits that ask for each."""


@st.composite
def forms(draw: st.DrawFn) -> Form:
    asked = draw(st.integers(0, 2**25 - 1))
    if asked & WEIGHTS == WEIGHTS:  # the kernel refuses both
        asked &= ~(1 << 14)
    return Form(
        sample_type=asked,
        read_format=draw(st.integers(0, 31)),
        regs_user=draw(st.integers(0, 0xFFF)),
        regs_intr=draw(st.integers(0, 0xFFF)),
        branch_type=draw(st.sampled_from([0, 1 << 17, 1 << 19, 1 << 17 | 1 << 19])),
        sample_id_all=draw(st.booleans()),
    )


def registers(mask: int) -> st.SearchStrategy[tuple[int, list[int]]]:
    count = mask.bit_count()
    numbers = st.lists(U64, min_size=count, max_size=count)
    return st.one_of(st.just((0, [])), st.tuples(st.sampled_from([1, 2]), numbers))


@st.composite
def user_stacks(draw: st.DrawFn) -> tuple[bytes, int]:
    data = draw(st.integers(0, 4).flatmap(lambda words: st.binary(min_size=8 * words, max_size=8 * words)))
    return data, draw(st.integers(0, len(data)))


@st.composite
def values_of(draw: st.DrawFn, form: Form) -> dict[str, Any]:
    most = 3 if form.read_format & 8 else 1
    counts = draw(st.lists(st.tuples(U64, U64, U64), min_size=1, max_size=most))
    entries = draw(st.lists(st.tuples(U64, U64, U64, U64), max_size=3))
    raw = draw(st.integers(0, 4).flatmap(lambda words: st.binary(min_size=8 * words + 4, max_size=8 * words + 4)))
    wide = {name: draw(U64) for name in SIMPLE if name not in ("pid", "tid", "sample_cpu")}
    narrow = {name: draw(U32) for name in ("pid", "tid", "sample_cpu")}
    others = {
        "read": {"enabled": draw(U64), "running": draw(U64), "counts": counts},
        "callchain": tuple(draw(st.lists(U64, max_size=5))),
        "raw": raw,
        "branch_stack": {"index": draw(U64), "entries": entries},
        "user_regs": draw(registers(form.regs_user)),
        "user_stack": draw(user_stacks()),
        "intr_regs": draw(registers(form.regs_intr)),
        "aux": draw(st.binary(max_size=20)),
    }
    return wide | narrow | others


@given(st.data(), forms(), U16)
def test_whatever_was_asked_for_comes_back_as_it_was_written(data: st.DataObject, form: Form, misc: int) -> None:
    values = data.draw(values_of(form))
    made = Decoder(default=form.layout()).decode(sample(form, values, misc=misc), 0, cpu=0, position=0)
    assert isinstance(made, Sample)
    assert made.misc == misc
    for name, bits in SIMPLE.items():
        assert getattr(made, name) == (values[name] if form.sample_type & bits else None), name


@given(st.data(), forms())
def test_counts_branches_and_registers_come_back_too(data: st.DataObject, form: Form) -> None:
    form = replace(form, sample_type=form.sample_type | 1 << 4 | 1 << 11 | 1 << 12 | 1 << 18)
    values = data.draw(values_of(form))
    made = Decoder(default=form.layout()).decode(sample(form, values), 0, cpu=0, position=0)
    assert isinstance(made, Sample)
    assert made.read is not None
    assert made.read.counts == tuple(
        (value, event_id if form.read_format & 4 else None, lost if form.read_format & 16 else None)
        for value, event_id, lost in values["read"]["counts"]
    )
    assert made.branch_stack is not None
    assert made.branch_stack.entries == tuple(
        Branch(begin, end, flags, counters if form.branch_type & 1 << 19 else None)
        for begin, end, flags, counters in values["branch_stack"]["entries"]
    )
    abi, numbers = values["user_regs"]
    assert made.user_regs == Registers(abi, form.regs_user, tuple(numbers))
    abi, numbers = values["intr_regs"]
    assert made.intr_regs == Registers(abi, form.regs_intr, tuple(numbers))


RICH = Form(
    sample_type=PLAIN.sample_type | 1 << 4 | 1 << 5 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13, read_format=12, regs_user=7
)
EVENTS = {7: PLAIN, 8: RICH}
WHO = {"pid": 1, "tid": 2, "time": 3}


@st.composite
def records_of_all_kinds(draw: st.DrawFn) -> bytes:
    event_id = draw(st.sampled_from(sorted(EVENTS)))
    form = EVENTS[event_id]
    behind = trailer(form, WHO | {"id": event_id})
    kind = draw(st.sampled_from(["sample", "lost", "comm", "namespaces", "unknown"]))
    if kind == "sample":
        return sample(form, draw(values_of(form)) | {"id": event_id})
    if kind == "lost":
        return record(2, u64(event_id) + u64(draw(U64)) + behind)
    if kind == "comm":
        return record(3, u32(1) + u32(2) + padded(draw(st.binary(max_size=15))) + behind)
    if kind == "namespaces":
        return record(16, u32(1) + u32(2) + u64(1) + u64(5) + u64(6) + behind)
    return record(draw(st.integers(22, 2**32 - 1)), bytes(8 * draw(st.integers(0, 3))) + behind)


IMAGES = st.lists(records_of_all_kinds(), max_size=6).map(b"".join)


def decode(image: bytes, *, final: bool, position: int = 0) -> tuple[list[Record], int, list[BadRecord]]:
    layouts = {event_id: form.layout(str(event_id)) for event_id, form in EVENTS.items()}
    bad: list[BadRecord] = []
    decoder = Decoder(layouts, default=PLAIN.layout())
    records, consumed = decoder.decode_run(image, cpu=0, position=position, on_bad=bad.append, final=final)
    return records, consumed, bad


def spans(records: list[Record], bad: list[BadRecord]) -> list[tuple[int, int]]:
    """Where each record and each bad one begins and ends, in the order of the image."""
    good = [(made.position, made.position + made.size) for made in records]
    return sorted([*good, *((error.position, error.position + error.skipped) for error in bad)])


def assert_each_byte_is_accounted_for(image: bytes, *, final: bool) -> None:
    records, consumed, bad = decode(image, final=final)
    edge = 0
    for begin, end in spans(records, bad):
        assert begin == edge
        assert end > begin
        edge = end
    assert edge == consumed
    assert not final or consumed == len(image)
    for made in records:
        assert made.to_dict()["kind"] == made.kind
        assert repr(made)


@given(IMAGES, st.booleans())
def test_a_sound_image_has_no_bad_record(image: bytes, final: bool) -> None:
    records, consumed, bad = decode(image, final=final)
    assert (consumed, bad) == (len(image), [])
    assert sum(made.size for made in records) == len(image)


@given(IMAGES, st.data(), st.booleans())
def test_no_damage_makes_it_raise_loop_or_lose_count(image: bytes, data: st.DataObject, final: bool) -> None:
    damaged = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.sampled_from([0, 1, 8, 0x7F, 0xFF]))
    assert_each_byte_is_accounted_for(bytes(damaged), final=final)


@given(st.binary(max_size=400), st.booleans())
def test_bytes_that_were_never_records_are_accounted_for(image: bytes, final: bool) -> None:
    assert_each_byte_is_accounted_for(image, final=final)


@given(st.lists(st.tuples(U32, st.integers(1, 8), st.binary(min_size=64, max_size=64)), max_size=5), st.booleans())
def test_sound_headers_over_any_bodies_are_accounted_for(parts: list[tuple[int, int, bytes]], final: bool) -> None:
    image = b"".join(record(kind % 23, body[: 8 * words]) for kind, words, body in parts)
    assert_each_byte_is_accounted_for(image, final=final)


@given(IMAGES, st.data())
def test_an_image_in_two_pieces_gives_the_same_records(image: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(image)))
    first, consumed, _ = decode(image[:cut], final=False)
    second, rest, bad = decode(image[consumed:], final=True, position=consumed)
    assert (first + second, bad) == (decode(image, final=True)[0], [])
    assert consumed + rest == len(image)
