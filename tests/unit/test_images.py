"""What a ring's drain gives to who asks for the bytes, and what the recorder makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perfring.perfdata.recorder import _whole
from perfring.records import Record
from tests.unit.rings import BytesRing, comm
from tests.unit.test_draining import BUDGET, EDGES, drain_of, drained

Image = tuple[int, int, bytes, list[Record]]


def watched(ring: BytesRing) -> tuple[list[Image], list[Record]]:
    """The images of one drain of everything, and its records."""
    images: list[Image] = []
    drain, _ = drain_of(ring)

    def keep(cpu: int, position: int, image: bytes, records: Sequence[Record]) -> None:
        images.append((cpu, position, image, list(records)))

    drain.on_image = keep
    return images, drained(drain, drain.head(), BUDGET)


@pytest.mark.parametrize("start", EDGES)
def test_an_image_has_the_bytes_and_the_records_in_them(start: int) -> None:
    ring = BytesRing(256, start=start)
    written = comm("a", time=1) + comm("bb", time=2)
    ring.write(written)
    images, records = watched(ring)
    assert images == [(5, start, written, records)]


def test_what_is_bad_is_cut_out_of_an_image() -> None:
    ring = BytesRing(256)
    good, bad = comm("a", time=1), comm("b", time=2)[:8] + bytes(40)
    bad = bad[:6] + (16).to_bytes(2, "little") + bytes(8)
    ring.write(good + bad + good)
    ((_, position, image, records),), _ = watched(ring)
    assert _whole(image, position, records) == good + good


def test_who_raises_leaves_the_bytes_in_the_ring() -> None:
    ring = BytesRing(256)
    ring.write(comm("a", time=1))
    drain, _ = drain_of(ring)
    drain.on_image = lambda *_: (_ for _ in ()).throw(OSError("no"))
    with pytest.raises(OSError, match="no"):
        drained(drain, drain.head(), BUDGET)
    drain.on_image = None
    assert (len(drained(drain, drain.head(), BUDGET)), drain.statistics.records) == (1, 1)
