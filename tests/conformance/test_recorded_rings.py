"""Rings that a real kernel filled, served again: every record once, as an independent walk finds them."""

from __future__ import annotations

import struct
from collections import Counter
from typing import cast

import pytest

from perfring.kernel import Kernel
from simkernel.contract.raw import RawRing
from tests.conformance._image_kernel import ServedRing
from tests.conformance._ring_images import RingImage, load, names
from tests.conformance._ring_rig import WAYS, RingRig, Tile, snapshot_of, tiles

U64 = (1 << 64) - 1
CORRUPT = "output-corrupt"
SOUND = [name for name in names(overwrite=False) if name != CORRUPT]
STARTS = {"where it was": None, "zero": 0, "before the end of the ring": 4096 - 24, "before 2**64": U64 - 1031}


def walked(ring: RingImage, size: int) -> list[tuple[int, int, bytes]]:
    """What simkernel's own walk finds."""
    served = ServedRing(size, start=ring.position)
    served.write(ring.stream)
    return list(RawRing(cast("Kernel", None), -1, served).walk(ring.position, served.head))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SOUND)
def test_every_record_of_a_real_ring_is_delivered_once(name: str, way: str) -> None:
    image = load(name)
    with RingRig(image, {ring.cpu: ring.position for ring in image.rings}) as rig:
        rig.write({ring.cpu: ring.stream for ring in image.rings})
        rig.read(way)
        assert rig.account.bad == []
        for ring in image.rings:
            kinds = Counter(kind for kind, _, _ in walked(ring, image.ring_bytes))
            assert Counter(record.type for record in rig.account.records if record.cpu == ring.cpu) == kinds


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
@pytest.mark.parametrize("name", SOUND)
def test_positions_change_nothing(name: str, start: int | None) -> None:
    image = load(name)
    starts = {ring.cpu: ring.position if start is None else start & -8 for ring in image.rings}
    with RingRig(image, starts) as rig:
        rig.write({ring.cpu: ring.stream for ring in image.rings})
        rig.read("parse_all")
        for ring in image.rings:
            rig.account.check(ring.cpu, [ring.stream], starts[ring.cpu], {})
            assert rig.rings[ring.cpu].tail == rig.rings[ring.cpu].head
        assert rig.account.bad == []


@pytest.mark.parametrize("name", SOUND)
def test_the_statistics_agree_with_the_walk(name: str) -> None:
    image = load(name)
    with RingRig(image, {ring.cpu: ring.position for ring in image.rings}) as rig:
        rig.write({ring.cpu: ring.stream for ring in image.rings})
        rig.read("next_batch")
        for ring, counts in zip(image.rings, rig.session.statistics().rings, strict=True):
            found = walked(ring, image.ring_bytes)
            lost = sum(struct.unpack_from("=QQ", body)[1] for kind, _, body in found if kind == 2)
            assert (counts.cpu, counts.records, counts.bytes) == (ring.cpu, len(found), len(ring.stream))
            assert (counts.lost_reported, counts.bad_records, counts.skipped_bytes) == (lost, 0, 0)
            assert (counts.highest_fill, counts.unread_bytes) == (len(ring.stream), 0)


@pytest.mark.parametrize("name", [name for name in SOUND if name != "large"])
def test_the_session_delivers_in_the_order_of_time(name: str) -> None:
    image = load(name)
    with RingRig(image, {ring.cpu: 0 for ring in image.rings}) as rig:
        rig.write({ring.cpu: ring.stream for ring in image.rings})
        rig.read("parse_all")
        times = [record.time or 0 for record in rig.account.records]
        assert times == sorted(times)


def test_the_recordings_hold_the_kinds_of_records_that_they_are_for() -> None:
    kinds = {kind for name in SOUND for ring in load(name).rings for kind, _, _ in walked(ring, 1 << 17)}
    assert {2, 3, 4, 7, 9, 10, 14, 16, 17, 18, 19} <= kinds


def test_samples_with_everything_come_out_whole() -> None:
    image = load("mixed")
    with RingRig(image, {0: 0}) as rig:
        rig.write({0: image.rings[0].stream})
        rig.read("parse_all")
        samples = [record for record in rig.account.records if record.kind == "sample"]
        told = [{name for name, value in record.to_dict().items() if value} for record in samples]
        assert {"callchain", "user_regs", "user_stack", "intr_regs", "read", "fields"} <= set().union(*told)


def test_a_ring_that_the_kernel_itself_made_corrupt_is_skipped_and_told() -> None:
    image = load(CORRUPT)
    (ring,) = image.rings
    with RingRig(image, {0: 0}) as rig:
        rig.write({0: ring.stream})
        rig.read("parse_all")
        rig.account.check(0, [ring.stream], 0, {})
        (bad,) = rig.account.bad
        assert (bad.cpu, bad.position, bad.skipped) == (0, 0, len(ring.stream))


@pytest.mark.parametrize("name", names(overwrite=True))
def test_a_recorder_shows_what_the_walk_finds(name: str) -> None:
    image = load(name)
    (ring,) = image.rings
    served = ServedRing(image.ring_bytes, start=(ring.position + len(ring.stream)) & U64)
    served.write_backward(ring.stream)
    account = snapshot_of(image, {0: served})
    whole = [tile for tile in tiles(ring.stream, ring.position) if is_whole(ring, tile)]
    assert (account.of(0), account.bad) == (sorted(whole), [])
    times = [record.time or 0 for record in account.records]
    assert times == sorted(times, reverse=True)


def is_whole(ring: RingImage, tile: Tile) -> bool:
    """Whether it is a record, and not what is left of the oldest one."""
    size: int = struct.unpack_from("=H", ring.stream, (tile.position - ring.position & U64) + 6)[0]
    return size == tile.size
