"""Batches of columns and what they are made of: blocks, runs, catalogues, and how each is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest

from perfring import engine
from perfring.batch import Reason
from perfring.columns import ColumnBatch, ColumnOrder, ColumnTaker, Ragged
from perfring.columns.batch import Records
from perfring.columns.block import Block, Run
from perfring.columns.catalogue import Catalogue
from perfring.columns.image import Image
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same
from tests.unit.encoder import PLAIN, Form, padded, record, sample, trailer, u32, u64

CHAINED = Form(PLAIN.sample_type | 1 << 5)
DECODER = Decoder({7: PLAIN.layout("plain"), 9: CHAINED.layout("chained")}, default=PLAIN.layout("leader"))
WHO = {"pid": 1, "tid": 2, "callchain": [3, 4]}


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


def plain(time: int) -> bytes:
    return sample(PLAIN, WHO | {"id": 7, "time": time})


def chained(time: int, *chain: int) -> bytes:
    return sample(CHAINED, WHO | {"id": 9, "time": time, "callchain": chain})


def comm(time: int, name: bytes) -> bytes:
    return record(3, u32(1) + u32(2) + padded(name) + trailer(PLAIN, WHO | {"id": 7, "time": time}))


READ = record(8, u32(1) + u32(2) + u64(3) + trailer(PLAIN, WHO | {"id": 7, "time": 9}))


def block_of(image: bytes, *, cpu: int = 0, position: int = 0, decoder: Decoder = DECODER) -> Block:
    bad: list[BadRecord] = []
    block, consumed = ColumnTaker(decoder).take(Image.of(image), cpu=cpu, position=position, on_bad=bad.append)
    assert (consumed, bad) == (len(image), [])
    assert block is not None
    return block


def batch_of(*groups: Sequence[Block]) -> ColumnBatch:
    """Blocks that were released together are a group."""
    return ColumnBatch([tuple(Run(block, 0, len(block)) for block in group) for group in groups], Reason.START)


def times(batch: ColumnBatch) -> list[int | None]:
    return [record.time for record in batch]


# Blocks: times that are turned around by nested writers (K36).

INVERTED = (plain(5), chained(3, 8), plain(4), chained(9, 1, 2), plain(4), comm(1, b"x"))


def test_the_records_of_a_block_come_in_time_order() -> None:
    block = block_of(b"".join(INVERTED))
    assert (block.keys.tolist(), block.last_time) == ([1, 3, 4, 4, 5, 9], 1)
    assert [found.time for found in block.records(1, 5)] == [3, 4, 4, 5]


def test_equal_times_stay_in_the_order_of_the_ring() -> None:
    batch = batch_of([block_of(b"".join(INVERTED))])
    assert [found.position for found in batch if found.time == 4] == [80, 168]


@pytest.mark.parametrize("low", range(6))
@pytest.mark.parametrize("high", range(7))
@pytest.mark.parametrize("image", [b"".join(INVERTED), b"".join(sorted(INVERTED)), plain(4) * 6])
def test_any_part_of_a_block_has_the_columns_of_its_records(image: bytes, low: int, high: int) -> None:
    block = block_of(image)
    if low < high:
        batch = ColumnBatch([(Run(block, low, high),)], Reason.START)
        assert len(batch) == high - low
        assert_columns_say_the_same(batch)


@pytest.mark.parametrize(("until", "first"), [(0, 0), (1, 1), (3, 2), (4, 4), (8, 5), (9, 6), (2**63 - 1, 6), (-1, 0)])
def test_a_run_is_cut_behind_the_last_record_that_is_not_younger(until: int, first: int) -> None:
    run = Run(block_of(b"".join(INVERTED)), 0, 6)
    one, two = run.split(until)
    assert (one.size, two.size, one.high, two.low) == (first, 6 - first, first, first)


@pytest.mark.parametrize(("than", "late"), [(-1, 0), (0, 0), (1, 0), (2, 1), (4, 2), (5, 4), (10, 6)])
def test_late_is_what_is_older(than: int, late: int) -> None:
    assert Run(block_of(b"".join(INVERTED)), 0, 6).late(than) == late


def test_what_has_no_time_is_never_late_and_always_released() -> None:
    run = Run(block_of(record(33, b"") + plain(5) + record(33, b"")), 0, 3)
    assert (run.keys.tolist(), run.late(6), run.split(0)[0].size) == ([-1, -1, 5], 1, 2)


def test_times_beyond_63_bits_come_last_and_are_kept() -> None:
    batch = batch_of([block_of(plain(2**64 - 1) + plain(2**63) + plain(3))])
    assert times(batch) == [3, 2**64 - 1, 2**63]
    assert batch.columns["plain"].array("time").tolist() == [3, 2**64 - 1, 2**63]


def test_positions_wrap_at_2_to_the_64() -> None:
    batch = batch_of([block_of(plain(1) + plain(2) + comm(3, b"x"), position=2**64 - 32)])
    assert [found.position for found in batch] == [2**64 - 32, 0, 32]
    assert_columns_say_the_same(batch)


def test_losses_are_added_up_beyond_64_bits() -> None:
    lost = [record(2, u64(7) + u64(2**64 - 1) + trailer(PLAIN, WHO | {"id": 7, "time": t})) for t in (1, 2)]
    assert block_of(b"".join(lost) + plain(3)).lost == 2 * (2**64 - 1)


@pytest.mark.parametrize("image", [b"", bytes(7)])
def test_an_image_without_a_record_is_no_block(image: bytes) -> None:
    bad: list[BadRecord] = []
    assert ColumnTaker(DECODER).take(Image.of(image), cpu=0, position=0, on_bad=bad.append) == (None, 0)
    assert not bad


# Batches.


def two_rings() -> ColumnBatch:
    one = block_of(plain(1) + chained(4, 1) + plain(5) + comm(7, b"one"))
    two = block_of(plain(2) + plain(4) + chained(6, 2, 3) + comm(6, b"two"), cpu=1)
    return batch_of([one, two], [block_of(plain(3) + comm(8, b"late"))])


def test_records_of_several_rings_are_merged_within_a_group_and_not_beyond() -> None:
    assert [(found.time, found.cpu) for found in two_rings()] == [
        *((1, 0), (2, 1), (4, 0), (4, 1), (5, 0), (6, 1), (6, 1), (7, 0)),
        *((3, 0), (8, 0)),
    ]


def test_columns_of_several_rings_and_groups_are_in_the_order_of_the_batch() -> None:
    batch = two_rings()
    assert_columns_say_the_same(batch)
    assert {name: columns.index.tolist() for name, columns in batch.columns.items()} == {
        "plain": [0, 1, 3, 4, 8],
        "chained": [2, 5],
        "comm": [6, 7, 9],
    }
    assert batch.columns["comm"].text("comm") == ["two", "one", "late"]
    assert batch.columns["chained"].ragged("callchain").lengths.tolist() == [1, 2]


def test_a_batch_is_a_sequence() -> None:
    batch = two_rings()
    assert len(batch) == 10
    assert (batch[0], batch[-1]) == (next(iter(batch)), list(batch)[9])
    assert list(batch[2:4]) == list(batch)[2:4]
    assert batch[3] in batch
    assert batch[5:5] == []
    with pytest.raises(IndexError):
        batch[10]


def test_records_without_columns_are_among_the_others() -> None:
    batch = batch_of([block_of(plain(1) + record(77, bytes(8)) + plain(2) + READ)])
    assert sorted(found.kind for found in batch.others) == ["read", "unknown"]
    assert batch.columns["plain"].index.tolist() == [
        place for place, found in enumerate(batch) if found.kind == "sample"
    ]


def test_a_batch_of_others_alone_has_no_columns() -> None:
    batch = batch_of([block_of(record(77, bytes(8)))])
    assert (batch.columns, [found.kind for found in batch.others]) == ({}, ["unknown"])


@pytest.mark.parametrize("taken", range(11))
def test_what_an_iteration_leaves_are_the_records_that_it_did_not_give(taken: int) -> None:
    rest = iter(two_rings())
    seen = list(islice(rest, taken))
    left = rest.left()
    assert seen + list(Records(left)) == list(two_rings())
    assert_columns_say_the_same(ColumnBatch(left, Reason.START))
    assert list(rest) == list(two_rings())[taken:]


def test_nothing_is_left_of_an_iteration_that_came_to_its_end() -> None:
    rest = iter(two_rings())
    assert len(list(rest)) == 10
    assert (rest.left(), list(rest)) == ([], [])


@pytest.mark.parametrize("taken", range(1, 11))
def test_the_last_one_that_was_taken_can_be_put_back(taken: int) -> None:
    rest = iter(two_rings())
    list(islice(rest, taken))
    rest.put_back = True
    assert list(Records(rest.left())) == list(two_rings())[taken - 1 :]


# Order.


def test_what_is_younger_is_held_back_and_what_comes_late_is_counted() -> None:
    order = ColumnOrder()
    order.pending += [block_of(plain(1) + plain(5)), block_of(plain(2) + plain(6), cpu=1)]
    assert [found.time for found in order.hand_out(order.release(4)).turns] == [1, 2]
    assert (len(order), order.late) == (2, 0)
    order.pending.append(block_of(plain(1) + plain(2) + plain(7), cpu=2))
    assert [found.time for found in Records(order.release(6))] == [1, 2, 5, 6]
    assert (len(order), order.late) == (5, 1)


def test_what_is_taken_back_comes_before_what_was_released_later() -> None:
    order = ColumnOrder()
    order.pending.append(block_of(plain(5) + plain(6)))
    next(order.hand_out(order.release()).turns)
    order.pending.append(block_of(plain(1)))
    order.release()
    assert len(order) == 2
    order.settle()
    assert [found.time for found in Records(order.outbox)] == [6, 1]


def test_one_ring_can_be_taken_alone() -> None:
    order = ColumnOrder()
    order.pending += [block_of(plain(3)), block_of(plain(1), cpu=1)]
    assert [found.cpu for found in order.hand_out(order.take(1)).turns] == [1]
    assert [found.cpu for found in Records(order.release())] == [0]


def test_one_ring_that_was_taken_and_not_handed_over_comes_again() -> None:
    order = ColumnOrder()
    order.pending += [block_of(plain(3)), block_of(plain(1), cpu=1)]
    order.take(0)
    assert (len(order), [found.cpu for found in Records(order.release())]) == (2, [0, 1])


# Columns, one by one.


@pytest.mark.parametrize("key", [0, ("plain", "pid")])
def test_columns_are_by_name_and_not_by_place(key: Any) -> None:
    with pytest.raises(TypeError, match="by name; this one has 'plain', 'chained', 'comm'"):
        two_rings().columns[key]


def test_columns_that_did_not_come_are_told_with_those_that_did() -> None:
    told = r"no columns 'plian'; it has 'plain', 'chained', 'comm'\. .* columns\.get\('plian'\)"
    with pytest.raises(KeyError, match=told):
        two_rings().columns["plian"]
    assert two_rings().columns.get("plian") is None


def test_columns_tell_their_names_length_and_kind() -> None:
    columns = two_rings().columns["plain"]
    assert (columns.name, columns.kind, len(columns)) == ("plain", "sample", 5)
    assert list(columns) == list(columns.names) == ["cpu", "position", "misc", "size", "id", "pid", "tid", "time"]
    assert "pid" in columns
    assert "ip" not in columns
    assert repr(columns) == f"<Columns 'plain': 5 records, {', '.join(columns.names)}>"


def test_a_column_that_there_is_not_is_told_with_those_that_there_are() -> None:
    for name in ("nothing", "fields", "fields.x", "callchain"):
        with pytest.raises(KeyError, match=f"'plain' has no column '{name}'; it has cpu, position, misc"):
            two_rings().columns["plain"][name]


@pytest.mark.parametrize("name", [0, slice(2), ["pid", "time"], np.array([True])])
def test_rows_are_not_found_where_columns_are(name: object) -> None:
    with pytest.raises(TypeError, match=r"a column of 'plain' is found by its name, not by .* columns.rows has the ro"):
        two_rings().columns["plain"][name]  # type: ignore[index]


def test_a_table_is_not_taken_for_an_array_of_its_names() -> None:
    with pytest.raises(TypeError, match="'plain' is a table of columns and no array"):
        np.asarray(two_rings().columns["plain"])


def test_arrays_and_raggeds_are_not_taken_for_each_other() -> None:
    columns = two_rings().columns["chained"]
    with pytest.raises(TypeError, match="the values of 'callchain' have lengths of their own"):
        columns.array("callchain")
    with pytest.raises(TypeError, match="'pid' is an array with one value a record, and no Ragged"):
        columns.ragged("pid")
    for name in ("pid", "callchain"):
        with pytest.raises(TypeError, match=f"the column '{name}' holds no names"):
            columns.text(name)
        assert not columns.is_text(name)


def test_a_column_is_made_once() -> None:
    columns = two_rings().columns["chained"]
    assert all(columns[name] is columns[name] for name in columns)


def test_numbers_of_a_ring_with_one_kind_are_not_copied() -> None:
    block = block_of(plain(1) * 5)
    assert np.shares_memory(batch_of([block]).columns["plain"].array("pid"), block.image.data)


# Raggeds.


def ragged() -> Ragged:
    return Ragged(np.array([0, 2, 2, 3]), np.array([5, 6, 7], np.uint64), np.array([1]))


def test_a_ragged_is_a_sequence_of_arrays() -> None:
    made = ragged()
    assert (len(made), made.lengths.tolist()) == (3, [2, 0, 1])
    assert [value.tolist() for value in made] == [made[place].tolist() for place in range(3)] == [[5, 6], [], [7]]
    assert [made[place].tolist() for place in (-3, -1)] == [[5, 6], [7]]
    assert repr(made) == "<Ragged of 3 records, 3 uint64>"


@pytest.mark.parametrize("place", [3, -4, 10**30])
def test_a_record_that_a_ragged_has_not_is_told(place: int) -> None:
    with pytest.raises(IndexError, match=f"record {place} of a column of 3"):
        ragged()[place]


def test_the_bytes_of_a_ragged_are_those_of_its_items() -> None:
    assert ragged().tobytes() == [u64(5) + u64(6), b"", u64(7)]


def test_a_ragged_is_joined_and_put_in_order_with_what_lies_outside() -> None:
    joined = Ragged.joined([ragged(), ragged()])
    assert (joined.offsets.tolist(), joined.outside.tolist()) == ([0, 2, 2, 3, 5, 5, 6], [1, 4])
    order = joined.taken(np.array([5, 4, 0]))
    assert ([value.tolist() for value in order], order.outside.tolist()) == ([[7], [], [5, 6]], [1])
    assert Ragged.joined([ragged()]).outside.tolist() == [1]


# Catalogues.

APART = (3, 2**40, 2**63, 2**64 - 1)
TOGETHER = (2**64 - 4, 2**64 - 3, 2**64 - 1)


@pytest.mark.parametrize("ids", [APART, TOGETHER, (2**63,), (0,), (0, 2**64 - 1), (5, 6, 5 + (1 << 20) - 1)])
def test_ids_are_found_wherever_they_lie(ids: tuple[int, ...]) -> None:
    forms = {event_id: CHAINED if place % 2 else PLAIN for place, event_id in enumerate(ids)}
    decoder = Decoder(
        {event_id: form.layout(str(event_id)) for event_id, form in forms.items()}, default=PLAIN.layout()
    )
    image = b"".join(sample(forms[event_id], WHO | {"id": event_id, "time": 1}) for event_id in ids * 2)
    batch = batch_of([block_of(image, decoder=decoder)])
    assert [found.event for found in batch] == [*map(str, ids)] * 2
    assert_columns_say_the_same(batch)


@pytest.mark.parametrize("ids", [APART, TOGETHER, (2**63,), (0,), (1, 2), (5, 6, 5 + (1 << 20) - 1), ()])
def test_ids_beside_those_that_are_known_are_unknown(ids: tuple[int, ...]) -> None:
    catalogue = Catalogue({event_id: PLAIN.layout(str(event_id)) for event_id in ids}, PLAIN.layout())
    beside = {(event_id + step) % 2**64 for event_id in (*ids, 0) for step in (-2, -1, 0, 1, 2, 2**32)} - set(ids)
    assert set(catalogue.slots(np.array(sorted(beside), np.uint64)).tolist()) == {len(ids)}
    assert catalogue.slots(np.array(ids, np.uint64)).tolist() == list(range(len(ids)))


@pytest.mark.parametrize("ids", [(), (3,), APART])
def test_a_sample_of_an_unknown_id_is_bad_with_any_ids(ids: tuple[int, ...]) -> None:
    decoder = Decoder({event_id: PLAIN.layout(str(event_id)) for event_id in ids}, default=PLAIN.layout())
    bad: list[BadRecord] = []
    image = sample(PLAIN, WHO | {"id": 4, "time": 1}) * 5
    block, consumed = ColumnTaker(decoder).take(Image.of(image), cpu=2, position=8, on_bad=bad.append)
    assert (block, consumed, len(bad)) == (None, len(image), 5)
    assert str(bad[0]).startswith("cpu 2, byte 8: type 9")


@pytest.mark.parametrize("form", [Form(0), Form(1 << 2), Form(1 << 1), Form(1 << 5)])
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_the_only_event_there_is_needs_no_id(form: Form, count: int) -> None:
    decoder = Decoder(default=form.layout("only"))
    image = b"".join(sample(form, WHO | {"time": 9 - number}) for number in range(count))
    batch = batch_of([block_of(image, decoder=decoder)])
    assert (len(batch), list(batch.columns)) == (count, ["only"])
    assert_columns_say_the_same(batch)


def test_events_that_come_later_are_known_from_then_on() -> None:
    decoder = Decoder({7: PLAIN.layout("plain")}, default=PLAIN.layout("leader"))
    taker, bad = ColumnTaker(decoder), list[BadRecord]()
    image = plain(1) + chained(2, 5)
    for expected in (["plain"], ["chained", "plain"]):
        block, _ = taker.take(Image.of(image), cpu=0, position=0, on_bad=bad.append)
        assert block is not None
        assert sorted(batch_of([block]).columns) == expected
        decoder.add(9, CHAINED.layout("chained"))
    assert len(bad) == 1
