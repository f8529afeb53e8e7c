"""Columns for Arrow, pandas and Polars: types, values, and that both are the same whatever a batch holds."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

import pyarrow as pa
import pytest

from perfring import abi
from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, Columns, ColumnTaker
from perfring.columns.empty import empty_columns
from perfring.columns.export import to_arrow
from perfring.columns.image import Image
from perfring.columns.shape import sample_shape, side_band_shape
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.layout import EventLayout
from perfring.tracepoint import parse_format
from tests.unit.encoder import PLAIN, Form, padded, record, trailer, u32, u64

FORMAT = """name: all
ID: 5
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:char comm[8];\toffset:8;\tsize:8;\tsigned:0;
\tfield:u8 address[4];\toffset:16;\tsize:4;\tsigned:0;
\tfield:int numbers[3];\toffset:20;\tsize:12;\tsigned:1;
\tfield:struct pair both;\toffset:32;\tsize:12;\tsigned:0;
\tfield:bool flag;\toffset:44;\tsize:1;\tsigned:0;
\tfield:__data_loc char[] path;\toffset:48;\tsize:4;\tsigned:0;
\tfield:__data_loc u8[] blob;\toffset:52;\tsize:4;\tsigned:0;
\tfield:__data_loc u32[] words;\toffset:56;\tsize:4;\tsigned:0;
\tfield:long ret;\toffset:64;\tsize:8;\tsigned:1;
"""
RAW = Form(PLAIN.sample_type | abi.PERF_SAMPLE_RAW)
CHAINED = Form(PLAIN.sample_type | abi.PERF_SAMPLE_CALLCHAIN)
BRANCHED = Form(PLAIN.sample_type | abi.PERF_SAMPLE_BRANCH_STACK)
WHO = {"id": 7, "pid": 1, "tid": 2, "time": 100}
PAYLOAD = pa.struct(
    [
        pa.field("comm", pa.string()),
        pa.field("address", pa.binary(4)),
        pa.field("numbers", pa.list_(pa.int32(), 3)),
        pa.field("both", pa.binary(12)),
        pa.field("flag", pa.bool_()),
        pa.field("path", pa.string()),
        pa.field("blob", pa.large_binary()),
        pa.field("words", pa.large_list(pa.uint32())),
        pa.field("ret", pa.int64()),
    ]
)


def layout_of(form: Form, *, format: str | None = None) -> EventLayout:
    attr = abi.PerfEventAttr(sample_type=form.sample_type, sample_id_all=True)
    return EventLayout(attr, name="event", kind="custom", format=parse_format(format, system="s") if format else None)


def payload(
    *, comm: bytes = b"me", path: bytes = b"/a\0", blob: bytes = b"\1\2", words: tuple[int, ...] = (3, 4)
) -> bytes:
    """The raw data of FORMAT, as the kernel pads it."""
    behind, at, places = b"", 72, []
    for piece in (path, blob, pack(f"={len(words)}I", *words)):
        places.append(len(piece) << 16 | at + len(behind))
        behind += piece
    fixed = pack("=8x8s4s3i12s?3x3I4xq", comm, b"addr", -1, 0, 1, b"twelve bytes", True, *places, -5)
    raw = fixed + behind
    return raw + bytes(-(len(raw) + 4) % 8)


def sample(body: bytes, *, time: int = 100) -> bytes:
    """IDENTIFIER, TID, TIME, and what comes behind."""
    return record(9, u64(7) + u32(1) + u32(2) + u64(time) + body)


def raw_sample(raw: bytes, *, time: int = 100) -> bytes:
    return sample(u32(len(raw)) + raw, time=time)


def chained(*chain: int, time: int = 100) -> bytes:
    return sample(u64(len(chain)) + b"".join(map(u64, chain)), time=time)


def comm(name: bytes, *, time: int = 100) -> bytes:
    return record(3, u32(1) + u32(2) + padded(name) + trailer(PLAIN, {**WHO, "time": time}))


def batch_of(layout: EventLayout, *images: bytes) -> ColumnBatch:
    """The records of as many rings, in one batch."""
    taker, order = ColumnTaker(Decoder(default=layout)), ColumnOrder()
    bad: list[BadRecord] = []
    for cpu, image in enumerate(images):
        block, _ = taker.take(Image.of(image), cpu=cpu, position=0, on_bad=bad.append)
        order.pending += [] if block is None else [block]
    batch = order.batch(order.release(), Reason.START)
    assert isinstance(batch, ColumnBatch)
    assert not bad
    return batch


def columns_of(layout: EventLayout, *images: bytes, name: str = "event") -> Columns:
    return batch_of(layout, *images).columns[name]


TRACEPOINT = layout_of(RAW, format=FORMAT)


# Types.


def test_a_table_is_taken_by_whatever_knows_arrows_capsules() -> None:
    columns = columns_of(layout_of(PLAIN), sample(b""))
    assert pa.record_batch(columns).equals(columns.to_arrow())


def test_a_payload_is_a_struct_of_typed_fields() -> None:
    assert columns_of(TRACEPOINT, raw_sample(payload())).to_arrow().schema.field("fields").type == PAYLOAD


def test_numbers_keep_their_width_and_sign() -> None:
    schema = columns_of(layout_of(PLAIN), sample(b"")).to_arrow().schema
    assert [(field.name, str(field.type)) for field in schema] == [
        ("cpu", "int32"),
        ("position", "uint64"),
        ("misc", "uint16"),
        ("size", "uint16"),
        ("id", "uint64"),
        ("pid", "uint32"),
        ("tid", "uint32"),
        ("time", "uint64"),
    ]


@pytest.mark.parametrize(
    ("layout", "image"),
    [
        (TRACEPOINT, raw_sample(payload())),
        (TRACEPOINT, raw_sample(payload(path=b"", blob=b"", words=()))),
        (layout_of(CHAINED), chained(1, 2)),
        (layout_of(CHAINED), chained()),
        (layout_of(BRANCHED), sample(u64(1) + u64(1) + u64(2) + u64(3))),
        (layout_of(BRANCHED), sample(u64(0))),
    ],
)
def test_a_table_without_records_has_the_schema_of_any_other(layout: EventLayout, image: bytes) -> None:
    empty = empty_columns(sample_shape(layout)).to_arrow()
    assert (empty.num_rows, empty.schema) == (0, columns_of(layout, image).to_arrow().schema)


def test_so_has_side_band() -> None:
    shape = side_band_shape(abi.PERF_RECORD_COMM, layout_of(PLAIN))
    assert shape is not None
    assert (
        empty_columns(shape).to_arrow().schema
        == columns_of(layout_of(PLAIN), comm(b"a"), name="comm").to_arrow().schema
    )


@pytest.mark.parametrize("record_type", range(1, 22))
def test_every_kind_of_side_band_has_a_table_without_records(record_type: int) -> None:
    shape = side_band_shape(record_type, layout_of(PLAIN))
    assert shape is None or empty_columns(shape).to_arrow().schema.names == list(shape.names)


# Values.


def test_a_payloads_values_are_those_of_the_record() -> None:
    batch = batch_of(TRACEPOINT, raw_sample(payload()))
    assert batch.columns["event"].to_arrow()["fields"].to_pylist() == [
        {
            "comm": "me",
            "address": b"addr",
            "numbers": [-1, 0, 1],
            "both": b"twelve bytes",
            "flag": True,
            "path": "/a",
            "blob": b"\1\2",
            "words": [3, 4],
            "ret": -5,
        }
    ]


NAMES = [
    (b"plain\0\0\0", "plain"),
    (b"\0\0\0\0\0\0\0\0", ""),
    (b"no end..", "no end.."),
    (b"old\0rest", "old"),
    ("é✓".encode() + b"\0\0\0", "é✓"),
    (b"a\xffb\0\0\0\0\0", "a�b"),
    (b"cut \xe2\x9c\0\0", "cut �"),
]


@pytest.mark.parametrize(("data", "name"), NAMES)
@pytest.mark.parametrize("others", [1, 0])
def test_names_end_at_their_nul_and_are_utf_8(data: bytes, name: str, others: int) -> None:
    other = raw_sample(payload(comm=b"other", path=b"other"))
    image = other * others + raw_sample(payload(comm=data, path=data), time=101)
    fields = columns_of(TRACEPOINT, image).to_arrow()["fields"].to_pylist()
    assert [(row["comm"], row["path"]) for row in fields] == [("other", "other")] * others + [(name, name)]


def test_names_of_side_band_are_text() -> None:
    columns = columns_of(layout_of(PLAIN), comm(b"bash") + comm(b"x\xff", time=101) + comm(b"", time=102), name="comm")
    assert columns.to_arrow()["comm"].to_pylist() == ["bash", "x�", ""]


def test_call_chains_are_lists() -> None:
    columns = columns_of(layout_of(CHAINED), chained(1, 2) + chained(time=101) + chained(2**64 - 1, time=102))
    assert columns.to_arrow()["callchain"].to_pylist() == [[1, 2], [], [2**64 - 1]]


def test_branches_are_lists_of_structs() -> None:
    columns = columns_of(layout_of(BRANCHED), sample(u64(1) + u64(1) + u64(2) + u64(3)))
    assert columns.to_arrow()["branch_stack"].to_pylist() == [[{"from_ip": 1, "to_ip": 2, "flags": 3}]]


def test_raw_data_is_binary() -> None:
    raw = payload()
    assert columns_of(layout_of(RAW), raw_sample(raw)).to_arrow()["raw"].to_pylist() == [raw]


def test_rings_of_several_cpus_are_one_table_in_time_order() -> None:
    rings = [chained(time, time=time) + chained(time + 2, time=time + 2) for time in (1, 2)]
    table = columns_of(layout_of(CHAINED), *rings).to_arrow()
    assert table["time"].to_pylist() == [1, 2, 3, 4]
    assert table["cpu"].to_pylist() == [0, 1, 0, 1]
    assert table["callchain"].to_pylist() == [[1], [2], [3], [4]]


def test_a_column_can_be_left_out() -> None:
    columns = columns_of(TRACEPOINT, raw_sample(payload()))
    assert set(columns.to_arrow().schema.names) - set(to_arrow(columns, without=("raw",)).schema.names) == {"raw"}


# Memory.


@pytest.mark.parametrize("of", [lambda c: c.to_arrow(), lambda c: to_arrow(c, without=("raw",))])
def test_one_record_does_not_keep_the_whole_copy_alive(of: Callable[[Columns], Any]) -> None:
    image = raw_sample(payload()) + comm(b"a") * 1000
    batch = batch_of(TRACEPOINT, image)
    columns = batch.columns["event"]
    table, rows = of(columns), columns.rows
    low = rows.__array_interface__["data"][0]
    for column in table.columns:
        for buffer in column.buffers():
            assert buffer is None or not low <= buffer.address < low + rows.dtype.itemsize


def test_the_offsets_and_values_of_lists_are_handed_over_as_they_are() -> None:
    columns = columns_of(layout_of(RAW), raw_sample(payload()) * 2)
    offsets, values = columns.to_arrow()["raw"].buffers()[1:]
    assert offsets.address == columns.ragged("raw").offsets.__array_interface__["data"][0]
    assert values.address == columns.ragged("raw").values.__array_interface__["data"][0]


# pandas and Polars.


@pytest.fixture(scope="module")
def polars() -> Any:
    """Polars starts threads with descriptors of their own once, when a struct is taken apart for the first time."""
    started = pytest.importorskip("polars")
    started.DataFrame({"a": [{"b": 1}]})["a"].struct.field("b").to_list()
    return started


def test_pandas_has_a_column_for_each_field() -> None:
    frame = columns_of(TRACEPOINT, raw_sample(payload(comm=b"\xff"))).to_pandas()
    row = {name: frame[f"fields.{name}"][0] for name in ("comm", "address", "both", "path", "blob", "ret")}
    assert row == {"comm": "�", "address": b"addr", "both": b"twelve bytes", "path": "/a", "blob": b"\1\2", "ret": -5}
    assert frame["fields.numbers"][0].tolist() == [-1, 0, 1]
    assert str(frame["fields.flag"].dtype) == "bool"


def test_pandas_rows_are_found_by_their_place_in_the_batch() -> None:
    batch = batch_of(
        layout_of(PLAIN), comm(b"a") + sample(b"", time=101) + comm(b"b", time=102) + sample(b"", time=103)
    )
    assert batch.to_pandas()["event"].index.tolist() == [1, 3]


def test_pandas_takes_an_empty_table() -> None:
    frame = empty_columns(sample_shape(TRACEPOINT)).to_pandas()
    assert (len(frame), str(frame["time"].dtype)) == (0, "uint64")


def test_polars_has_the_types_of_arrow(polars: Any) -> None:
    frame = columns_of(TRACEPOINT, raw_sample(payload())).to_polars()
    assert frame["fields"].struct.field("numbers").to_list() == [[-1, 0, 1]]
    assert frame["fields"].struct.field("comm").to_list() == ["me"]
    assert frame["fields"].struct.field("both").to_list() == [b"twelve bytes"]


def test_polars_takes_tables_of_any_batches_as_one(polars: Any) -> None:
    none = empty_columns(sample_shape(TRACEPOINT)).to_polars()
    assert len(polars.concat([none, columns_of(TRACEPOINT, raw_sample(payload())).to_polars()])) == 1
