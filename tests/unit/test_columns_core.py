"""The compiled functions are given nonsense: they raise ValueError, and touch nothing outside of the buffers."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from perfring import engine
from perfring.columns.catalogue import Catalogue
from perfring.columns.image import Image
from tests.unit.encoder import PLAIN, Form, sample

if not engine.is_built():
    pytest.skip("the compiled engine is not built", allow_module_level=True)

with engine.using("compiled"):
    CORE: Any = engine.core()

LARGEST = sys.maxsize
DATA = bytes(range(64))
CHAINED = Form(PLAIN.sample_type | 1 << 5)
RECORD = sample(CHAINED, {"id": 7, "pid": 1, "tid": 2, "time": 3, "callchain": [4, 5]})
FACTS = ("least", "most", "time_at", "part_at", "items_at", "item", "fixed", "misfit")


def numbers(*values: int) -> Any:
    return np.array(values, np.int64)


def room(count: int) -> Any:
    return np.zeros(count, np.uint8)


# load_acquire, store_release: a memoryview with an order.


@pytest.mark.parametrize("number", [0, 1, 0x0102030405060708, 2**63, 2**64 - 1])
def test_what_is_stored_is_what_a_memoryview_sees(number: int) -> None:
    memory = bytearray(32)
    CORE.store_release(memory, 16, number)
    assert memoryview(memory).cast("Q").tolist() == [0, 0, number, 0]
    assert [CORE.load_acquire(memory, offset) for offset in (0, 8, 16, 24)] == [0, 0, number, 0]


@pytest.mark.parametrize("offset", [-8, -1, 1, 4, 25, 32, LARGEST, -LARGEST - 1, LARGEST - 7])
def test_an_offset_that_is_no_word_of_the_memory_is_refused(offset: int) -> None:
    memory = bytearray(32)
    with pytest.raises(ValueError, match=f"offset {offset} is no u64 in 32 bytes"):
        CORE.load_acquire(memory, offset)
    with pytest.raises(ValueError, match=f"offset {offset} is no u64 in 32 bytes"):
        CORE.store_release(memory, offset, 1)
    assert memory == bytes(32)


@pytest.mark.parametrize("memory", [b"", bytearray(7)])
def test_memory_without_a_word_is_refused(memory: Any) -> None:
    with pytest.raises(ValueError, match="offset 0 is no u64"):
        CORE.load_acquire(memory, 0)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_that_is_no_u64_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="the value is no u64"):
        CORE.store_release(bytearray(8), 0, number)


def test_read_only_memory_is_not_written() -> None:
    memory = bytes(8)
    with pytest.raises((TypeError, BufferError)):
        CORE.store_release(memory, 0, 1)
    with pytest.raises((TypeError, BufferError)):
        CORE.take_rows(DATA, numbers(0), 8, memory)
    assert memory == bytes(8)


def test_memory_that_has_gaps_is_refused() -> None:
    gaps = memoryview(bytearray(64))[::2]
    with pytest.raises((TypeError, BufferError)):
        CORE.load_acquire(gaps, 0)


def test_a_released_view_is_refused() -> None:
    view = memoryview(bytearray(8))
    view.release()
    with pytest.raises(ValueError, match="released"):
        CORE.load_acquire(view, 0)


# take_rows.


def test_rows_are_copied() -> None:
    into = room(6)
    CORE.take_rows(DATA, numbers(60, 0, 61), 2, into)
    assert into.tolist() == [60, 61, 0, 1, 61, 62]


def test_the_last_row_ends_with_the_data() -> None:
    into = room(16)
    CORE.take_rows(DATA, numbers(48), 16, into)
    assert into.tolist() == list(range(48, 64))


def test_no_rows_are_taken_from_nothing() -> None:
    CORE.take_rows(b"", numbers(), 8, room(0))
    CORE.take_rows(b"", numbers(), 0, room(0))


@pytest.mark.parametrize(
    ("starts", "size", "length"),
    [
        ((57,), 8, 8),  # beyond the end
        ((-1,), 8, 8),
        ((LARGEST,), 8, 8),
        ((-LARGEST - 1,), 8, 8),
        ((0,), 65, 65),
        ((0,), LARGEST, 8),
        ((0, 8), 8, 15),  # no room
        ((0,), 8, 0),
        ((0,), -1, 8),
        ((0,), -LARGEST - 1, 8),
    ],
)
def test_rows_outside_are_refused(starts: tuple[int, ...], size: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"rows of {size} bytes lie outside of 64 bytes, or into has no room"):
        CORE.take_rows(DATA, numbers(*starts), size, room(length))


# take_spans.


def test_spans_are_laid_end_to_end() -> None:
    into = room(8)
    CORE.take_spans(DATA, numbers(0, 10, 62), 1, numbers(0, 1, 1, 2), 1, into[:2])
    CORE.take_spans(DATA, numbers(56), 4, numbers(0, 2), 2, into[2:6])
    assert into.tolist() == [1, 63, 60, 61, 62, 63, 0, 0]


@pytest.mark.parametrize(
    ("starts", "shift", "edges", "item", "length"),
    [
        ((60,), 0, (0, 5), 1, 5),  # beyond the end
        ((0,), 60, (0, 5), 1, 5),
        ((0,), -1, (0, 1), 1, 1),
        ((65,), 0, (0, 0), 1, 0),
        ((LARGEST,), LARGEST, (0, 1), 1, 1),
        ((-LARGEST - 1,), -LARGEST - 1, (0, 65), 1, 65),
        ((0,), 0, (5, 0), 1, 0),  # edges that do not ascend
        ((0, 0), 0, (0, LARGEST, 1), 1, 1),
        ((0,), 0, (0, LARGEST), 64, 64),
        ((0,), 0, (-LARGEST - 1, LARGEST), 1, 8),
        ((0,), 0, (0, 2), 1, 1),  # no room, and too much
        ((0,), 0, (0, 2), 1, 3),
        ((0,), 0, (0,), 1, 0),  # edges that are too few, and too many
        ((0,), 0, (0, 1, 2), 1, 2),
        ((0,), 0, (0, 1), 0, 0),  # items that cannot be
        ((0,), 0, (0, 1), -1, 1),
        ((0,), 0, (0, 1), 65, 65),
    ],
)
def test_spans_outside_are_refused(
    starts: tuple[int, ...], shift: int, edges: tuple[int, ...], item: int, length: int
) -> None:
    with pytest.raises(ValueError, match="spans lie outside of 64 bytes, or are not"):
        CORE.take_spans(DATA, numbers(*starts), shift, numbers(*edges), item, room(length))


# take_items, take_text.


def taken(call: Callable[..., Any], data: bytes, starts: Any, at: int, by: int) -> tuple[list[int], bytes]:
    edges, values, items = call(data, starts, at, by, [])
    size = items * (1 if call is CORE.take_text else by)
    return np.frombuffer(edges, np.int64, len(starts) + 1).tolist(), bytes(values[:size])


def test_items_are_taken_with_their_edges() -> None:
    data = numbers(2, 70, 71, 1, 72).tobytes()
    assert taken(CORE.take_items, data, numbers(0, 24), 0, 8) == ([0, 2, 3], numbers(70, 71, 72).tobytes())


def test_single_bytes_have_a_short_count() -> None:
    data = (3).to_bytes(4, sys.byteorder) + b"rawdata....."
    assert taken(CORE.take_items, data, numbers(0), 0, 1) == ([0, 3], b"raw")


def test_of_no_records_there_are_no_items() -> None:
    assert taken(CORE.take_items, DATA, numbers(), 0, 8) == ([0], b"")
    assert taken(CORE.take_text, DATA, numbers(), 8, 0) == ([0], b"")


def test_what_is_large_comes_out_of_the_pool() -> None:
    data, pool = numbers(1000, *range(1000)).tobytes(), [bytearray(20_000), bytearray(9_000)]
    _, values, items = CORE.take_items(data, numbers(0), 0, 8, pool)
    assert (items, values is pool[1], bytes(values[:8000])) == (1000, True, data[8:])


@pytest.mark.parametrize(
    ("start", "at", "item"),
    [
        (57, 0, 8),
        (0, 57, 8),
        (-1, 0, 8),
        (0, -1, 8),
        (LARGEST, 0, 8),
        (0, LARGEST, 8),
        (0, LARGEST - 7, 8),
        (1, LARGEST, 8),
        (0, 0, 0),
        (0, 0, -1),
        (0, 0, 65),
        (8, 0, 8),  # the count is larger than any record
        (48, 8, 8),  # as large as it can be, and no room for the items
    ],
)
def test_items_outside_are_refused(start: int, at: int, item: int) -> None:
    data = DATA[:56] + numbers(65535).tobytes()
    with pytest.raises(ValueError, match=f"a counted part at {at} lies outside of records in 64 bytes"):
        CORE.take_items(data, numbers(start), at, item, [])


@pytest.mark.parametrize("length", [0, 7])
def test_data_without_a_word_has_no_counts(length: int) -> None:
    with pytest.raises(ValueError, match="a counted part at 0 lies outside"):
        CORE.take_items(bytes(length), numbers(0), 0, 8, [])


def named(size: int) -> bytes:
    return b"\0\0\0\0\0\0" + size.to_bytes(2, sys.byteorder) + b"name\0old" + bytes(8)


def test_names_end_at_a_nul() -> None:
    data = named(24) + named(24)[:14] + b"\0\0"
    assert taken(CORE.take_text, data, numbers(0, 0), 8, 8) == ([0, 4, 8], b"namename")


def test_a_name_without_a_nul_ends_at_the_trailer() -> None:
    assert taken(CORE.take_text, named(24), numbers(0), 9, 13) == ([0, 2], b"am")


@pytest.mark.parametrize(
    ("start", "at", "trailer", "size"),
    [
        (17, 8, 8, 24),
        (-1, 8, 8, 24),
        (LARGEST, 8, 8, 24),
        (0, 7, 8, 24),
        (0, -8, 8, 24),
        (0, 8, -1, 24),
        (0, 8, 17, 24),  # no room for both
        (0, 25, 0, 24),
        (0, 8, 0, 32),  # a size beyond the data
        (0, 8, 0, 65535),
        (0, LARGEST, LARGEST, 24),
        (0, LARGEST - 7, 8, 24),
        (0, 8, LARGEST, 24),
    ],
)
def test_names_outside_are_refused(start: int, at: int, trailer: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"text at {at} lies outside of records in 24 bytes"):
        CORE.take_text(named(size), numbers(start), at, trailer, [])


@pytest.mark.parametrize("pool", [None, (), {}])
def test_parts_want_a_list_as_the_pool(pool: Any) -> None:
    for call in (CORE.take_items, CORE.take_text):
        with pytest.raises(TypeError, match="must be list"):
            call(DATA, numbers(0), 8, 8, pool)


# walk.


def catalogue() -> Catalogue:
    return Catalogue({7: CHAINED.layout()}, PLAIN.layout())


def walked(data: bytes = RECORD * 4, length: int | None = None, **tables: Any) -> Any:
    """The walk of an image, with other tables than those that belong to it."""
    known, side, facts, nobody, told = catalogue().tables()
    chosen = {"known": known, "side": side, "facts": facts, "nobody": nobody, "told": told} | tables
    made = CORE.catalogue(*chosen.values())
    return CORE.walk(Image.of(data).data, len(data) if length is None else length, made, [])


def test_the_tables_of_a_catalogue_are_taken() -> None:
    assert walked()[:2] == (4 * len(RECORD), len(RECORD))
    assert walked(b"")[:2] == (0, 0)
    assert walked(RECORD[:-8])[:2] == (0, 0)


@pytest.mark.parametrize("other", [None, 0, "catalogue", dt.datetime_CAPI])
def test_what_is_no_catalogue_is_refused(other: object) -> None:
    with pytest.raises((ValueError, TypeError), match=r"PyCapsule|capsule"):
        CORE.walk(RECORD, len(RECORD), other, [])


@pytest.mark.parametrize("pool", [None, (), {}])
def test_a_pool_is_a_list(pool: Any) -> None:
    with pytest.raises(TypeError, match="must be list"):
        CORE.walk(RECORD, len(RECORD), CORE.catalogue(*catalogue().tables()), pool)


def test_what_is_no_buffer_in_a_pool_is_left_alone() -> None:
    pool: list[Any] = [None, b"x" * 8192, memoryview(b"x" * 8192), [bytearray(8192)]]
    assert CORE.take_buffer(pool, 8192) is pool[4]
    assert len(pool) == 5


def test_tables_that_change_afterwards_change_nothing() -> None:
    known, side, facts, nobody, told = catalogue().tables()
    made = CORE.catalogue(known, side, facts, nobody, told)
    facts[:] = LARGEST
    assert CORE.walk(Image.of(RECORD * 4).data, 4 * len(RECORD), made, [])[:2] == (4 * len(RECORD), len(RECORD))


@pytest.mark.parametrize("length", [-1, len(RECORD) + 9, LARGEST, -LARGEST - 1])
def test_a_length_beyond_the_data_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"length is {length}, of {len(RECORD) + 8} bytes"):
        walked(RECORD, length)


@pytest.mark.parametrize("name", ["known", "side", "facts"])
def test_a_table_that_ends_within_a_row_or_is_empty_is_refused(name: str) -> None:
    table = dict(zip(("known", "side", "facts"), catalogue().tables()[:3], strict=True))[name].tobytes()
    for cut in (b"", table[:-1], table[:1]):
        spoilt: dict[str, Any] = {name: cut}
        with pytest.raises(ValueError, match=f"{name} has {len(cut)} bytes, which is no multiple"):
            walked(**spoilt)


@pytest.mark.parametrize("value", [-1, 8, 1 << 20, (1 << 20) + 1, LARGEST, LARGEST - 7, -LARGEST - 1, -LARGEST])
@pytest.mark.parametrize("number", range(8), ids=FACTS)
@pytest.mark.parametrize("code", [0, 1], ids=["odd", "sample"])
def test_facts_that_do_not_fit_are_refused_or_harmless(code: int, number: int, value: int) -> None:
    facts = catalogue().tables()[2].copy()
    facts[code, number] = value
    images = (RECORD * 4, RECORD * 2 + RECORD[:-8], RECORD[:24], RECORD[:6] + b"\x30\0" + RECORD[8:])
    for image in images:
        try:
            walked(image, facts=facts)
        except ValueError as error:
            assert "the tables of the catalogue do not fit each other" in str(error)  # noqa: PT017 - or none


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (2, LARGEST),
        (2, -LARGEST - 1),
        (3, LARGEST),
        (3, -8),
        (4, LARGEST),
        (5, -1),
        (6, LARGEST),
        (7, 1),
        (7, 2),
        (7, -1),
    ],
)
def test_facts_that_would_lead_outside_are_refused(number: int, value: int) -> None:
    facts = catalogue().tables()[2].copy()
    facts[1, number] = value
    with pytest.raises(ValueError, match="the tables of the catalogue do not fit each other"):
        walked(facts=facts)


def full(known: Any) -> Any:
    known["sample"], known["row"] = 1, 0
    return known


def three_slots(known: Any) -> Any:
    return known[:3]


def wrong_code(known: Any) -> Any:
    known["sample"][known["id"] == 7] = 1000
    return known


def wrong_row(known: Any) -> Any:
    known["row"][known["id"] == 7] = 2
    return known


@pytest.mark.parametrize("spoil", [full, three_slots, wrong_code, wrong_row])
def test_ids_that_lead_nowhere_are_refused(spoil: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="the tables of the catalogue do not fit each other"):
        walked(known=spoil(catalogue().tables()[0].copy()))


@pytest.mark.parametrize("nobody", [(1000, 0), (0, 2), (2**32 - 1, 0)])
def test_an_unknown_id_that_leads_nowhere_is_refused(nobody: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="the tables of the catalogue do not fit each other"):
        walked(nobody=nobody)


def test_side_band_that_leads_nowhere_is_refused() -> None:
    side = catalogue().tables()[1].copy()
    side[1, 31] = 1000
    with pytest.raises(ValueError, match="the tables of the catalogue do not fit each other"):
        walked(side=side)


def test_what_has_no_buffer_or_the_wrong_count_of_arguments_is_a_type_error() -> None:
    for call in (CORE.walk, lambda: CORE.walk(1, 2, 3, 4, 5, 6, 7), lambda: CORE.take_rows(DATA, 0, 8, None)):
        with pytest.raises(TypeError):
            call()
