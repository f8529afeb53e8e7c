"""Where the records of an image begin: images that look like something else, on both engines, against the decoder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from perfring import engine
from perfring.columns import ColumnTaker
from perfring.columns.catalogue import Catalogue
from perfring.columns.image import Image
from perfring.columns.walk import walk
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.records import Record
from tests.engines import EACH_ENGINE
from tests.property._layouts import assert_columns_say_the_same, taken
from tests.unit.encoder import PLAIN, Form, padded, record, sample, trailer, u16, u32, u64

CHAINED = Form(PLAIN.sample_type | 1 << 5)
LAYOUTS = {7: PLAIN.layout("seven"), 8: PLAIN.layout("eight"), 9: CHAINED.layout("nine")}
DECODER = Decoder(LAYOUTS, default=PLAIN.layout("leader"))


@pytest.fixture(params=EACH_ENGINE, autouse=True)
def each_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with engine.using(request.param):
        yield


def plain(time: int, event_id: int = 7, misc: int = 0) -> bytes:
    return sample(PLAIN, {"id": event_id, "pid": 1, "tid": 2, "time": time}, misc=misc)


def chained(time: int, *chain: int) -> bytes:
    return sample(CHAINED, {"id": 9, "pid": 1, "tid": 2, "time": time, "callchain": chain})


def comm(name: bytes) -> bytes:
    behind = trailer(PLAIN, {"id": 7, "pid": 1, "tid": 2, "time": 50})
    return record(3, u32(1) + u32(2) + padded(name) + behind)


HEADER = int.from_bytes(u32(9) + u16(0) + u16(32), "little")
"""A word that looks like the header of a plain sample."""
STRANGERS = {
    "another event": plain(50, 8),
    "another misc": plain(50, misc=2),
    "an unknown id": plain(50, 6),
    "another size": chained(50, 1),
    "its own id and another size": record(9, u64(7) + bytes(8)),
    "its own id and a larger size": record(9, u64(7) + bytes(32)),
    "as large as two, and in its middle like another": record(9, plain(50)[8:] + plain(51)),
    "a type of side-band, of the same size": record(3, bytes(24)),
    "a time beyond 63 bits": plain(2**63 + 5),
    "an older time": plain(0),
    "side-band": comm(b"name"),
    "a sample too short": record(9, u64(7) + u64(1)),
    "a header alone": record(9, b""),
    "a type that nobody knows": record(40, bytes(24)),
    "a large type": record(2**32 - 1, bytes(24)),
    "headers in a chain": chained(50, HEADER, HEADER, 1),
    "a chain of headers that lead out of it": chained(50, *[HEADER + (8 << 48)] * 3),
    "a chain that is longer than its record": chained(50, 1, 2)[:32] + u64(3) + u64(0) * 2,
    "a size of 0": u32(9) + u16(0) + u16(0) + bytes(24),
    "a size that is no multiple of 8": u32(9) + u16(0) + u16(36) + bytes(24),
    "a size of 65528": u32(9) + u16(0) + u16(65528) + bytes(24),
}


def assert_alike(image: bytes, *, final: bool) -> None:
    """The same records as the decoder's, the same bad ones, the same length."""
    reported: list[BadRecord] = []
    records, expected = DECODER.decode_run(image, cpu=3, position=80, on_bad=reported.append, final=final)
    batch, consumed, bad = taken(DECODER, image, cpu=3, position=80, final=final)
    assert list(batch) == sorted(records, key=moment)
    assert (consumed, sorted(map(str, bad))) == (expected, sorted(map(str, reported)))
    assert_columns_say_the_same(batch)


def moment(record: Record) -> int:
    return -1 if record.time is None else min(record.time, 2**63 - 1)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("place", [0, 1, 4, 7])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_one_record_that_differs_among_many_that_are_alike(stranger: bytes, place: int, final: bool) -> None:
    alike = [plain(time) for time in range(10, 17)]
    assert_alike(b"".join([*alike[:place], stranger, *alike[place:]]), final=final)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_what_is_cut_off_behind_many_that_are_alike(stranger: bytes, final: bool) -> None:
    for length in {1, 7, 8, 9, 16, 24, 31, len(stranger) - 1} & set(range(1, len(stranger))):
        assert_alike(plain(10) * 5 + stranger[:length], final=final)


MIXTURES = {
    "many of each": b"".join(plain(time) + chained(time, 1, 2) for time in range(1500)),
    "few": plain(1) + chained(2, 3) + comm(b"name"),
    "many of one that come late": plain(1, 8) * 40 + chained(2, *range(9)) * 900,
    "another one first": comm(b"name") + plain(1) * 300,
    "nothing": b"",
}


@pytest.mark.parametrize(("before", "after"), [*itertools.product(MIXTURES, MIXTURES)])
def test_what_the_image_before_held_makes_no_difference(before: str, after: str) -> None:
    taker = ColumnTaker(DECODER)
    for name in (before, after, before):
        bad: list[BadRecord] = []
        records, _ = DECODER.decode_run(MIXTURES[name], cpu=3, position=80, on_bad=bad.append, final=True)
        batch, _, _ = taken(DECODER, MIXTURES[name], cpu=3, position=80, taker=taker)
        assert (list(batch), bad) == (sorted(records, key=moment), [])
        assert_columns_say_the_same(batch)


@pytest.mark.parametrize("count", range(7))
def test_few_and_many_that_are_alike(count: int) -> None:
    for each in (plain(5), chained(5), chained(5, HEADER, HEADER)):
        assert_alike(each * count, final=True)


@pytest.mark.parametrize("cut", range(1, 32))
def test_an_image_that_ends_within_its_last_record(cut: int) -> None:
    for last in (plain(9), chained(9, 1), comm(b"x")):
        assert_alike(plain(1) + comm(b"name") + chained(2, 3, 4) + last[:-cut], final=False)


def test_alike_records_are_found_by_their_stride_and_are_not_copied() -> None:
    image = Image.of(plain(5) * 6 + plain(5)[:16])
    found = walk(image, Catalogue(LAYOUTS, PLAIN.layout()))
    assert (found.alike, found.end, found.ascending) == (True, 6 * 32, True)
    (kind,) = found.kinds.values()
    assert kind.table.base is not None
    assert (kind.starts.tolist(), kind.rows.tolist()) == ([0, 32, 64, 96, 128, 160], [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("stranger", "alike"), [("another misc", True), ("another event", False), ("an older time", True)]
)
def test_misc_and_time_may_differ_within_a_stride(stranger: str, alike: bool) -> None:
    image = Image.of(plain(5) * 4 + STRANGERS[stranger])
    assert walk(image, Catalogue(LAYOUTS, PLAIN.layout())).alike is alike
