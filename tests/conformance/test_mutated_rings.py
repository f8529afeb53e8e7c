"""Rings of a real kernel with damage done to them: nothing hangs, nothing raises, and every byte is accounted for.

What has to come of a stream is told by its headers alone (K5): each sound header is one record, delivered or reported;
behind the first one that cannot be, everything up to head is given up, and reported once.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import lru_cache

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from perfring.decoding import Decoder
from perfring.draining import RingDrain
from perfring.errors import BadRecord
from perfring.layout import EventLayout
from perfring.opening import OpenRing
from perfring.records import Record
from perfring.ring import RingReader
from tests.conformance._image_kernel import ServedRing
from tests.conformance._memory_ring import MemoryRing
from tests.conformance._mutations import MUTATIONS, Kind, Mutation, mutated, split
from tests.conformance._ring_images import load, names
from tests.conformance._ring_rig import (
    WAYS,
    RingRig,
    bounded,
    bytes_between,
    lost_in,
    snapshot_of,
    sound_reading,
    tiles,
)
from tests.hypothesis_profiles import examples, factor

pytestmark = pytest.mark.timeout(120 * factor() + 360)
"""As for `tests/property`: by the number of examples, and what Hypothesis takes to make a failure small."""
U64 = (1 << 64) - 1
SOUND = [name for name in names(overwrite=False) if name != "output-corrupt"]
BACKWARD = names(overwrite=True)
STARTS = st.sampled_from((0, 4096 - 8, (1 << 32) - 64, (1 << 63) - 8, U64 - 7, U64 - 511)) | st.integers(
    0, U64 >> 3
).map(lambda words: 8 * words)
SIZES = st.sampled_from((0, 1, 8, 4088, 4096, 4104, 8192, 1 << 20, 1 << 32, (1 << 63) - 1, 1 << 63, U64)) | st.integers(
    0, U64
)
"""For data_offset and data_size: a ring of one page says 4096 to both."""
LAYOUT = EventLayout(load("samples").plan().leader.attr, name="leader", kind="leader")
MOST = 40
"""Records of one ring in one example."""


@pytest.fixture
def memory_ring() -> Iterator[MemoryRing]:
    with MemoryRing() as ring:
        yield ring


@lru_cache
def records_of(name: str, number: int) -> tuple[bytes, ...]:
    return tuple(split(load(name).rings[number].stream))


@st.composite
def pieces(draw: st.DrawFn, name: str, number: int) -> tuple[bytes, ...]:
    """Some records of a ring, as they followed each other."""
    records = records_of(name, number)
    first = draw(st.integers(0, max(0, len(records) - MOST)))
    return records[first : first + draw(st.integers(1, MOST))]


@st.composite
def damaged(draw: st.DrawFn, name: str, number: int) -> bytes:
    damage = draw(MUTATIONS)
    for mutation in damage:
        event(mutation.kind)
    return mutated(draw(pieces(name, number)), damage)[: load(name).ring_bytes - 8]


def check_counts(rig: RingRig) -> None:
    """The statistics say what was delivered and reported; the tail is at the head."""
    account = rig.account
    for counts in rig.session.statistics().rings:
        ring = rig.rings[counts.cpu]
        mine = [record for record in account.records if record.cpu == counts.cpu]
        bad = [error for error in account.bad if error.cpu == counts.cpu]
        assert (counts.records, counts.bad_records) == (len(mine), len(bad))
        assert counts.skipped_bytes == sum(error.skipped for error in bad)
        assert counts.bytes == sum(record.size for record in mine) + counts.skipped_bytes
        assert counts.lost_reported == lost_in(mine)
        assert ring.tail == ring.head


@examples(150)
@given(st.data(), st.sampled_from(SOUND), st.sampled_from(WAYS), st.sampled_from(WAYS))
def test_damage_costs_no_more_than_it_must_and_what_follows_is_read_right(
    data: st.DataObject, name: str, way: str, next_way: str
) -> None:
    image, known = load(name), sound_reading(name)
    numbers = {ring.cpu: number for number, ring in enumerate(image.rings)}
    starts = {cpu: data.draw(STARTS) for cpu in numbers}
    streams = {cpu: data.draw(damaged(name, number)) for cpu, number in numbers.items()}
    after = {cpu: b"".join(data.draw(pieces(name, number))) for cpu, number in numbers.items()}
    with RingRig(image, starts) as rig:
        rig.write(streams)
        rig.read(way)
        seen = {cpu: len([bad for bad in rig.account.bad if bad.cpu == cpu]) for cpu in starts}
        rig.write(after)
        rig.read(next_way)
        rig.finish()
        check_counts(rig)
        assert seen == {cpu: len([bad for bad in rig.account.bad if bad.cpu == cpu]) for cpu in starts}
    for cpu, start in starts.items():
        rig.account.check(cpu, [streams[cpu], after[cpu]], start, known)


@examples(12)
@given(st.data(), st.sampled_from(WAYS), STARTS)
def test_a_ring_that_takes_several_rounds_is_given_up_to_its_head_and_no_further(
    data: st.DataObject, way: str, start: int
) -> None:
    records, known = records_of("large", 0), sound_reading("large")
    stream = mutated(records, data.draw(MUTATIONS))
    after = b"".join(records[:9])
    with RingRig(load("large"), {0: start}) as rig:
        rig.write({0: stream})
        rig.read(way)
        rig.write({0: after})
        rig.read(way)
        rig.finish()
        check_counts(rig)
        rig.account.check(0, [stream, after], start, known)


@st.composite
def astray(draw: st.DrawFn, size: int) -> list[int]:
    """How far off the next loads of head are."""
    near = st.sampled_from((-8, 8, -size, size, -size - 8, size + 8, -4, 4))
    return draw(st.lists(near | st.sampled_from((1 << 32, 1 << 63)) | st.integers(-U64, U64), min_size=1, max_size=4))


@st.composite
def far_astray(draw: st.DrawFn, size: int) -> int:
    """One way to be off by more than all that this test writes."""
    return draw(st.integers(4 * size, U64 - 4 * size) | st.sampled_from((1 << 32, 1 << 63, U64 - (1 << 32))))


@examples(60)
@given(st.data(), st.sampled_from(SOUND), st.sampled_from(WAYS), STARTS)
def test_whatever_head_says_the_reader_ends_at_head_and_goes_on(
    data: st.DataObject, name: str, way: str, start: int
) -> None:
    image = load(name)
    numbers = {ring.cpu: number for number, ring in enumerate(image.rings)}
    first, second, third = (
        {cpu: b"".join(data.draw(pieces(name, number))) for cpu, number in numbers.items()} for _ in range(3)
    )
    with RingRig(image, dict.fromkeys(numbers, start)) as rig:
        rig.write(first)
        rig.read("parse_all")
        rig.write(second)
        for ring in rig.rings.values():
            ring.heads.extend((ring.head + off) & U64 for off in data.draw(astray(image.ring_bytes)))
        while any(ring.heads for ring in rig.rings.values()):
            rig.read(way)
        rig.read(way)
        behind = {cpu: ring.head for cpu, ring in rig.rings.items()}
        reported = len(rig.account.bad)
        rig.write(third)
        rig.read(way)
        rig.finish()
        assert len(rig.account.bad) == reported
        check_counts_modulo(rig, start)
        for cpu, position in behind.items():
            expected = tiles(third[cpu], position)
            assert [tile for tile in rig.account.of(cpu) if tile in expected] == sorted(expected)


@examples(60)
@given(st.data(), st.sampled_from(SOUND), st.sampled_from(WAYS), STARTS)
def test_a_head_that_was_far_astray_costs_no_record(data: st.DataObject, name: str, way: str, start: int) -> None:
    image, known = load(name), sound_reading(name)
    numbers = {ring.cpu: number for number, ring in enumerate(image.rings)}
    batches = [{cpu: b"".join(data.draw(pieces(name, number))) for cpu, number in numbers.items()} for _ in range(2)]
    with RingRig(image, dict.fromkeys(numbers, start)) as rig:
        rig.write(batches[0])
        for ring in rig.rings.values():
            ring.heads.extend([(ring.head + data.draw(far_astray(image.ring_bytes))) & U64] * 4)
        while any(ring.heads for ring in rig.rings.values()):
            rig.read(way)
        rig.read(way)
        rig.write(batches[1])
        rig.read(way)
        rig.finish()
        check_counts_modulo(rig, start)
        assert sum(error.skipped for error in rig.account.bad) & U64 == 0
        rig.account.bad.clear()
        for cpu in numbers:
            rig.account.check(cpu, [batch[cpu] for batch in batches], start, known)


def check_counts_modulo(rig: RingRig, start: int) -> None:
    """As `check_counts`, where bytes were skipped in circles."""
    for counts in rig.session.statistics().rings:
        mine = [record for record in rig.account.records if record.cpu == counts.cpu]
        ring = rig.rings[counts.cpu]
        assert counts.records == len(mine)
        assert (sum(record.size for record in mine) + counts.skipped_bytes - ring.head + start) & U64 == 0
        assert ring.tail == ring.head


@examples(100)
@given(st.data(), st.sampled_from(BACKWARD), st.sampled_from((0, 0, 0, 4, -4, 8, -8, 1 << 63)))
def test_a_damaged_recorder_shows_what_its_headers_tell(data: st.DataObject, name: str, off: int) -> None:
    image, known = load(name), sound_reading(name)
    served = ServedRing(image.ring_bytes, start=data.draw(STARTS))
    served.write_backward(mutated(data.draw(pieces(name, 0)), data.draw(MUTATIONS))[: image.ring_bytes])
    head = served.head = (served.head + off) & U64
    seen = bytes_between(served, head, head + min(-head & U64, image.ring_bytes))
    account = snapshot_of(image, {0: served})
    expected = tiles(seen, head)
    if expected and not account.of(0)[len(expected) - 1 :]:  # cut off, as the oldest record of a full ring is
        assert could_go_on(seen[expected.pop().position - head & U64 :])
    account.check_tiles(0, expected, seen, head, known)
    assert served.tails == []


def could_go_on(rest: bytes) -> bool:
    """Whether these bytes may be the beginning of a record."""
    return len(rest) < 8 or not tiles(rest + bytes(1 << 16), 0)[0].size > 1 << 16


@examples(30)
@given(st.data(), st.sampled_from(BACKWARD))
def test_a_snapshot_takes_nothing_out(data: st.DataObject, name: str) -> None:
    image = load(name)
    served = ServedRing(image.ring_bytes)
    served.write_backward(mutated(data.draw(pieces(name, 0)), data.draw(MUTATIONS))[: image.ring_bytes])
    first, second = (snapshot_of(image, {0: served}) for _ in range(2))
    assert (first.records, first.of(0)) == (second.records, second.of(0))
    assert served.tails == []


def test_a_head_that_moves_under_a_snapshot_is_loaded_once() -> None:
    """A writer that was under way when the ring was paused publishes its record while the snapshot is taken."""
    image = load("overwrite-new")
    stream = image.rings[0].stream
    served = ServedRing(image.ring_bytes)
    served.write_backward(stream)
    served.heads.append((served.head + len(split(stream)[0])) & U64)
    account = snapshot_of(image, {0: served})
    assert account.of(0) == sorted(tiles(stream, served.head))[1:]


PEAK = 64
"""Bytes of memory for each byte of a ring: records are objects. A corrupt count asks for millions."""


@examples(60)
@given(st.data(), st.sampled_from(("mixed", "sideband", "output")))
def test_a_corrupt_count_costs_no_memory(data: st.DataObject, name: str) -> None:
    counts = st.sampled_from((1 << 20, 1 << 26, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, U64 >> 3, U64))
    where = st.integers(0, 1 << 16)
    kinds = st.sampled_from((Kind.WORD, Kind.HALF))
    damage = data.draw(st.lists(st.builds(Mutation, kinds, where, where, counts), min_size=1, max_size=8))
    stream = mutated(data.draw(pieces(name, 0)), damage)
    with RingRig(load(name), {0: 0}) as rig:
        rig.write({0: stream})
        tracemalloc.start()
        try:
            rig.session.parse_all()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < (1 << 18) + PEAK * len(stream)


def test_a_real_mapping_serves_an_image_too(memory_ring: MemoryRing) -> None:
    """The same through mmap(2) and `LinuxMapping`: the double stands for nothing that is not there."""
    stream = load("samples").rings[0].stream
    memory_ring.write(stream, tail=4096 - 24)
    reader = RingReader(memory_ring.map())
    assert reader.copy(reader.unread(reader.head())) == stream


@examples(60)
@given(offset=SIZES, size=SIZES, head=STARTS, tail=STARTS)
def test_a_metadata_page_that_makes_no_sense_is_refused_or_read_within_bounds(
    offset: int, size: int, head: int, tail: int
) -> None:
    with MemoryRing() as ring:
        ring.write(load("samples").rings[0].stream, tail=tail, head=head, offset=offset, size=size)
        mapping = ring.map()
        assert len(mapping.data) <= MemoryRing.LENGTH
        if len(mapping.data).bit_count() != 1:
            with pytest.raises(ValueError, match="power of two"):
                RingReader(mapping)
            return
        bad: list[BadRecord] = []
        drain = RingDrain(OpenRing(0, mapping=mapping), Decoder(default=LAYOUT), bad.append)
        records: list[Record] = []
        with bounded(MemoryRing.LENGTH):
            drain.drain(drain.head(), 1, records)
        taken = sum(record.size for record in records) + sum(error.skipped for error in bad)
        assert (taken - head + tail) & U64 == 0
        assert mapping.load_u64(1032) == head


def test_losses_of_any_size_are_added_up() -> None:
    records = list(records_of("lost", 0))
    places = [at for at, record in enumerate(records) if record[0] == 2]
    for at in places:
        records[at] = records[at][:16] + U64.to_bytes(8, "little") + records[at][24:]
    with RingRig(load("lost"), {0: 0}) as rig:
        rig.write({0: b"".join(records)})
        rig.read("parse_all")
        assert rig.session.statistics().rings[0].lost_reported == len(places) * U64 > 0
