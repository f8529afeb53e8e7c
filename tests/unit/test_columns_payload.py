"""The payload of tracepoints as columns, on both engines, and raw data that does not keep to its format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from perfring import abi, engine
from perfring.abi import PerfEventAttr
from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, Columns, ColumnTaker
from perfring.columns.image import Image
from perfring.columns.payload import payload_dtype
from perfring.decoding import Decoder
from perfring.errors import BadRecord, RawDataError
from perfring.layout import EventLayout
from perfring.records import Sample
from perfring.tracepoint import TracepointFormat, parse_format
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same, taken
from tests.unit.encoder import PLAIN, Form, record, sample, trailer, u16, u32, u64

RAW = PLAIN.sample_type | abi.PERF_SAMPLE_RAW
FORMS = {
    "raw": Form(RAW),
    "chain and raw": Form(RAW | abi.PERF_SAMPLE_CALLCHAIN),
    "raw and stack": Form(RAW | abi.PERF_SAMPLE_STACK_USER),
    "chain, raw and address": Form(RAW | abi.PERF_SAMPLE_CALLCHAIN | abi.PERF_SAMPLE_PHYS_ADDR),
}
REST = {"pid": 1, "tid": 2, "callchain": [9], "user_stack": (bytes(8), 3), "phys_addr": 77}


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


def made(*lines: str) -> TracepointFormat:
    """A format of these fields: "type name; offset; size; signed"."""
    common = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
    fields = ""
    for line in lines:
        declared, offset, size, signed = (part.strip() for part in line.split(";"))
        fields += f"\tfield:{declared};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"
    return parse_format(f"name: one\nID: 5\nformat:\n{common}\n{fields}", system="some")


def layout(known: TracepointFormat | None, form: Form = FORMS["raw"], *, name: str = "some:one") -> EventLayout:
    attr = PerfEventAttr(type=2, sample_type=form.sample_type, sample_id_all=True, sample_stack_user=8)
    return EventLayout(attr, name=name, kind="tracepoint", format=known)


def padded_raw(raw: bytes) -> bytes:
    """As the kernel fills it up: with its size in front it takes whole words."""
    return raw + bytes(-(len(raw) + 4) % 8)


def batch_of(known: TracepointFormat, *raws: bytes, form: Form = FORMS["raw"], all_sound: bool = True) -> ColumnBatch:
    decoder = Decoder({7: layout(known, form)}, default=PLAIN.layout())
    images = [sample(form, REST | {"id": 7, "time": 10 + n, "raw": padded_raw(raw)}) for n, raw in enumerate(raws)]
    batch, consumed, bad = taken(decoder, b"".join(images))
    assert (consumed, bad) == (sum(map(len, images)), [])
    if all_sound:  # of a sample with one field outside, the record has no fields at all
        assert_columns_say_the_same(batch)
    return batch


def columns_of(known: TracepointFormat, *raws: bytes, form: Form = FORMS["raw"]) -> Columns:
    return batch_of(known, *raws, form=form).columns["some:one"]


NUMBERS = made(
    "u8 a; 2; 1; 0", "s16 b; 4; 2; 1", "u32 c; 8; 4; 0", "s64 d; 16; 8; 1", "u64 e; 24; 8; 0", "bool f; 32; 1; 0"
)
NUMBERS_RAW = struct.pack("=HBxhxxIxxxxqQ?xxx", 5, 200, -2, 3_000_000_000, -(2**63), 2**64 - 1, True)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_numbers_have_their_width_and_sign(form: Form, count: int) -> None:
    columns = columns_of(NUMBERS, *[NUMBERS_RAW] * count, form=form)
    assert columns.fields.dtype == payload_dtype(NUMBERS)
    assert columns.fields.tolist() == [(200, -2, 3_000_000_000, -(2**63), 2**64 - 1, True)] * count
    assert columns.array("fields.d").dtype == np.int64


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_chars_end_at_their_nul_whatever_lies_behind(form: Form) -> None:
    known = made("char comm[8]; 2; 8; 0")
    raws = [b"\5\0" + name for name in (b"ab\0\xffold\0", b"eight888", b"\0nothing", b"\xff\xfe\0\0\0\0\0\0")]
    columns = columns_of(known, *raws, form=form)
    assert columns.is_text("fields.comm")
    assert columns.text("fields.comm") == ["ab", "eight888", "", "\udcff\udcfe"]


def test_arrays_of_fixed_length_are_sub_arrays() -> None:
    known = made("int n[3]; 4; 12; 1", "u8 mac[6]; 16; 6; 0", "long args[2]; 24; 16; 0", "struct pair p; 40; 12; 0")
    raw = struct.pack("=HxxiiixxxxQQ12s".replace("xxxxQQ", "6sxxQQ"), 5, 1, -2, 3, b"abcdef", 4, 5, b"twelve bytes")
    columns = columns_of(known, raw, raw)
    assert columns.array("fields.n").tolist() == [[1, -2, 3]] * 2
    assert columns.array("fields.mac").shape == (2, 6)
    assert columns.array("fields.args").tolist() == [[4, 5]] * 2
    assert columns.array("fields.p").tolist() == [b"twelve bytes"] * 2


DYNAMIC = made(
    *("__data_loc char[] path; 4; 4; 0", "__data_loc u64[] words; 8; 4; 0", "__rel_loc char[] name; 12; 4; 0"),
    *("__rel_loc u8[] blob; 16; 4; 0", "__data_loc cpumask_t mask; 20; 4; 0"),
)


def dynamic_raw(path: bytes = b"/bin/a\0x", words: tuple[int, ...] = (1, 2**64 - 1), name: bytes = b"n\0") -> bytes:
    behind, at = b"", 24
    places = []
    for data, base in (
        (path, 0),
        (struct.pack(f"={len(words)}Q", *words), 0),
        (name, 16),
        (b"\xff", 20),
        (bytes(8), 0),
    ):
        places.append(u16(at + len(behind) - base) + u16(len(data)))
        behind += data
    return u32(5) + b"".join(places) + behind


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_fields_of_no_fixed_length_are_found(form: Form) -> None:
    raws = dynamic_raw(), dynamic_raw(path=b"", words=(), name=b"longer"), dynamic_raw(words=(3,))
    columns = columns_of(DYNAMIC, *raws, form=form)
    assert columns.text("fields.path") == ["/bin/a", "", "/bin/a"]
    assert [value.tolist() for value in columns.ragged("fields.words")] == [[1, 2**64 - 1], [], [3]]
    assert columns.text("fields.name") == ["n", "longer", "n"]
    assert columns.ragged("fields.blob").tobytes() == [b"\xff"] * 3
    assert [value.tolist() for value in columns.ragged("fields.mask")] == [[0]] * 3
    assert columns.fields.dtype["path"] == np.uint32


def test_the_odd_bytes_behind_the_last_element_are_left_out() -> None:
    known = made("__data_loc u64[] words; 4; 4; 0")
    raw = u32(5) + u16(8) + u16(12) + u64(6) + b"over"
    assert [value.tolist() for value in columns_of(known, raw).ragged("fields.words")] == [[6]]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "place", [u16(8) + u16(200), u16(0xFFFF) + u16(1), u16(0xFFFF) + u16(0xFFFF), u16(29) + u16(0)], ids=bytes.hex
)
def test_a_field_outside_of_its_raw_data_is_empty_and_told(place: bytes, form: Form) -> None:
    known = made("__data_loc char[] path; 4; 4; 0", "u64 n; 8; 8; 0")
    good = u32(5) + u16(16) + u16(3) + u64(1) + b"ab\0" + bytes(9)
    batch = batch_of(known, good, u32(5) + place + u64(2) + bytes(12), good, form=form, all_sound=False)
    columns = batch.columns["some:one"]
    assert columns.text("fields.path") == ["ab", "", "ab"]
    assert columns.ragged("fields.path").outside.tolist() == [1]
    assert columns.array("fields.n").tolist() == [1, 2, 1]
    bad = batch[1]
    assert isinstance(bad, Sample)
    with pytest.raises(RawDataError):
        _ = bad.fields


def test_what_lies_outside_stays_told_when_columns_are_merged() -> None:
    known = made("__data_loc char[] path; 4; 4; 0")
    bad, good = u32(5) + u16(9) + u16(99), u32(5) + u16(8) + u16(3) + b"ab\0\0"
    decoder = Decoder({7: layout(known)}, default=PLAIN.layout())
    order, taker, refused = ColumnOrder(), ColumnTaker(decoder), list[BadRecord]()
    for cpu, (first, second) in enumerate(((bad, good), (good, bad))):
        raws = [padded_raw(first), padded_raw(second)]
        image = b"".join(
            sample(FORMS["raw"], REST | {"id": 7, "time": 10 * n + cpu, "raw": raw}) for n, raw in enumerate(raws)
        )
        block, _ = taker.take(Image.of(image), cpu=cpu, position=0, on_bad=refused.append)
        assert block is not None
        order.pending.append(block)
    batch = order.batch(order.release(), Reason.START)
    paths = batch.columns["some:one"].ragged("fields.path")
    assert (paths.text(), paths.outside.tolist()) == (["", "ab", "ab", ""], [0, 3])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_flexible_array_reaches_to_the_end(form: Form) -> None:
    known = made("int n; 4; 4; 1", "u32 rest[]; 8; 0; 0")
    columns = columns_of(known, u32(5) + u32(1) + u32(2), u32(5) + u32(1) + u32(3) + u64(4), form=form)
    assert [value.tolist() for value in columns.ragged("fields.rest")] == [[2], [3, 4, 0]]


def test_a_flexible_array_behind_its_raw_data_is_empty_and_told() -> None:
    known = made("u64 rest[]; 16; 0; 0")
    batch = batch_of(known, u32(5) + u64(1), all_sound=False)
    rest = batch.columns["some:one"].ragged("fields.rest")
    assert ([value.tolist() for value in rest], rest.outside.tolist()) == ([[]], [0])
    (record,) = batch
    assert isinstance(record, Sample)
    with pytest.raises(RawDataError, match="the field 'rest' is bytes 16 to 16 of the raw data, which has 12"):
        _ = record.fields


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_raw_data_too_short_for_its_format_is_a_table_of_its_own(form: Form) -> None:
    known = made("u64 n; 4; 8; 0", "u64 m; 12; 8; 0")
    good, short = u32(5) + u64(1) + u64(2), u32(5) + u64(1)
    batch = batch_of(known, good, short, good, form=form)
    assert {name: columns.index.tolist() for name, columns in batch.columns.items()} == {
        "some:one": [0, 2],
        "some:one:raw": [1],
    }
    assert "fields" not in batch.columns["some:one:raw"].names
    assert batch.columns["some:one:raw"].ragged("raw").tobytes() == [padded_raw(short)]
    assert batch.columns["some:one:raw"].kind == "sample"


def test_raw_data_too_short_in_all_samples_is_still_taken() -> None:
    known = made("u64 n; 4; 8; 0", "u64 m; 12; 8; 0")
    assert list(batch_of(known, *[u32(5)] * 8).columns) == ["some:one:raw"]


def test_a_format_without_raw_data_in_the_samples_is_not_asked() -> None:
    decoder = Decoder({7: layout(NUMBERS, PLAIN)}, default=PLAIN.layout())
    batch, _, _ = taken(decoder, sample(PLAIN, REST | {"id": 7, "time": 1}))
    assert batch.columns["some:one"].names == ("cpu", "position", "misc", "size", "id", "pid", "tid", "time")
    with pytest.raises(KeyError, match="'some:one' has no column 'fields'"):
        _ = batch.columns["some:one"].fields


def test_a_format_without_fields_of_its_own_has_an_empty_payload() -> None:
    columns = columns_of(made(), u32(5), u32(5))
    assert (columns.fields.dtype.names, len(columns.fields)) == ((), 2)


# Names.


def two_events(first: EventLayout, second: EventLayout, forms: tuple[Form, Form]) -> ColumnBatch:
    decoder = Decoder({7: first, 9: second}, default=PLAIN.layout())
    images = [
        sample(form, REST | {"id": number, "time": number, "raw": bytes(36)})
        for number, form in zip((7, 9), forms, strict=True)
    ]
    batch, _, bad = taken(decoder, b"".join(images))
    assert not bad
    assert_columns_say_the_same(batch)
    return batch


def test_events_that_share_a_name_and_differ_are_told_apart_by_a_number() -> None:
    forms = Form(PLAIN.sample_type | abi.PERF_SAMPLE_IP), PLAIN
    values = REST | {"ip": 3}
    decoder = Decoder({n: form.layout("cycles") for n, form in zip((7, 9), forms, strict=True)}, default=PLAIN.layout())
    image = b"".join(sample(form, values | {"id": n, "time": n}) for n, form in zip((7, 9), forms, strict=True))
    batch, _, _ = taken(decoder, image)
    assert {name: columns.array("id").tolist() for name, columns in batch.columns.items()} == {
        "cycles": [7],
        "cycles#2": [9],
    }


def test_events_that_share_a_name_and_look_alike_share_columns() -> None:
    batch = two_events(layout(NUMBERS), layout(NUMBERS), (FORMS["raw"], FORMS["raw"]))
    assert {name: columns.array("id").tolist() for name, columns in batch.columns.items()} == {"some:one": [7, 9]}


def test_a_sample_that_is_called_as_a_kind_of_side_band_keeps_apart() -> None:
    decoder = Decoder({7: PLAIN.layout("lost")}, default=PLAIN.layout())
    values = REST | {"id": 7, "time": 1}
    batch, _, _ = taken(decoder, sample(PLAIN, values) + record(2, u64(7) + u64(3) + trailer(PLAIN, values)))
    assert {name: columns.kind for name, columns in batch.columns.items()} == {"lost": "sample", "lost#2": "lost"}


def test_side_band_with_another_trailer_is_told_apart() -> None:
    rich = Form(PLAIN.sample_type | abi.PERF_SAMPLE_CPU)
    decoder = Decoder({7: PLAIN.layout("a"), 9: rich.layout("b")}, default=PLAIN.layout())
    values: dict[str, Any] = REST | {"time": 1, "sample_cpu": 3}
    image = b"".join(
        record(2, u64(n) + u64(n) + trailer(form, values | {"id": n})) for n, form in ((7, PLAIN), (9, rich))
    )
    batch, _, _ = taken(decoder, image)
    assert_columns_say_the_same(batch)
    assert {name: columns.array("lost").tolist() for name, columns in batch.columns.items()} == {
        "lost": [7],
        "lost#2": [9],
    }
    assert batch.columns["lost#2"].array("sample_cpu").tolist() == [3]
