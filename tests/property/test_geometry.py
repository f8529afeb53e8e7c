"""The watermark rule against a model that knows only what the kernel does, never the rule.

The search of `_small_rings` visits every state that some stream can reach, so that "never" and "always" in the rule's
two claims are meant: STALLS is exact, LIVE is sound.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring.geometry import Outcome, first_wake_bytes, ring_data_bytes, watermark_verdict
from tests.hypothesis_profiles import examples
from tests.property._small_rings import START, Losses, Ring, reachable, witness

if TYPE_CHECKING:
    from collections.abc import Iterator


def _can_get_stuck(ring: Ring) -> bool:
    return witness(ring, Losses.PAUSE) is not None


def _can_wake(ring: Ring) -> bool:
    return any(latch for _, _, latch, *_ in reachable(ring, Losses.FULL))


def _verdict(ring: Ring) -> Outcome:
    return watermark_verdict(
        1,
        ring.watermark,
        record_bytes=(ring.records[0], ring.records[-1]),
        lost_bytes=ring.lost_bytes,
        page_size=ring.size,
    ).outcome


def _ranges(largest: int) -> Iterator[range]:
    sizes = range(8, largest + 8, 8)
    return (range(low, high + 8, 8) for low in sizes for high in sizes if low <= high)


def _rings(size: int, watermarks: range, lost_bytes: int) -> Iterator[Ring]:
    """All ranges of sizes, beyond the ring too, at every one of these watermarks."""
    return (Ring(size, watermark, records, lost_bytes) for records in _ranges(size + 8) for watermark in watermarks)


@pytest.mark.parametrize("lost_bytes", [24, 48])
@pytest.mark.parametrize("size", [64, 128])
def test_stalls_is_said_exactly_when_no_stream_wakes_the_reader(size: int, lost_bytes: int) -> None:
    for ring in _rings(size, range(1, size + 2), lost_bytes):
        assert _can_wake(ring) is (_verdict(ring) is not Outcome.STALLS), ring


@pytest.mark.parametrize("lost_bytes", [24, 32, 40])
def test_no_stream_gets_stuck_at_the_largest_live_watermark(lost_bytes: int) -> None:
    for records in _ranges(56):
        safe = 63 - records[-1] - lost_bytes
        if safe > 0:
            ring = Ring(64, safe, records, lost_bytes)
            assert _verdict(ring) is Outcome.LIVE, ring
            assert not _can_get_stuck(ring), ring


@pytest.mark.parametrize("lost_bytes", [24, 32, 40])
def test_one_byte_above_the_largest_live_watermark_some_stream_gets_stuck(lost_bytes: int) -> None:
    for largest in range(8, 56 - lost_bytes, 8):
        ring = Ring(64, 64 - largest - lost_bytes, range(8, largest + 8, 8), lost_bytes)
        assert _verdict(ring) is Outcome.DEPENDS, ring
        assert _can_get_stuck(ring), ring


@st.composite
def _any_rings(draw: st.DrawFn) -> Ring:
    size = draw(st.sampled_from([64, 128, 256]))
    low = 8 * draw(st.integers(1, size // 8 + 1))
    high = low + 8 * draw(st.integers(0, 3))
    lost_bytes = 8 * draw(st.integers(3, 9))
    return Ring(size, draw(st.integers(1, size + 1)), range(low, high + 8, 8), lost_bytes)


@given(_any_rings())
@examples(60)
def test_what_the_verdict_says_holds_for_any_ring(ring: Ring) -> None:
    outcome = _verdict(ring)
    assert _can_wake(ring) is (outcome is not Outcome.STALLS)
    if outcome is Outcome.LIVE:  # the nearest states only: large rings have very many
        near = islice(reachable(ring, Losses.PAUSE), 10_000)
        assert not any(ring.is_stuck(state) for state in near)


@pytest.mark.parametrize("watermark", [1, 7, 8, 20, 31, 40, 62])
def test_unread_bytes_pass_no_watermark_unsignalled(watermark: int) -> None:
    for used, _, latch, _, reader, _ in reachable(Ring(64, watermark, range(8, 32, 8), 16), Losses.PAUSE):
        assert reader or latch or used <= watermark


def _first_wake(ring: Ring) -> int | None:
    """Head at the first wake: one record after the other, nobody drains."""
    state = START
    while ring.fits(state, ring.records[0]) and not state[2]:
        state = ring.after(state, ring.records[0])
    return state[0] if state[2] else None


@pytest.mark.parametrize("size", [64, 128, 256])
def test_first_wake_of_equal_records_is_where_the_model_wakes(size: int) -> None:
    for record in range(8, size + 16, 8):
        for watermark in range(1, size + 2):
            expected = _first_wake(Ring(size, watermark, range(record, record + 8, 8), 24))
            assert first_wake_bytes(watermark, size, record) == expected, (watermark, record)


@given(st.integers(1, 1 << 20), st.sampled_from([8, 4096, 16384, 65536]))
def test_ring_is_the_smallest_power_of_two_that_holds_the_pages(pages: int, page_size: int) -> None:
    size = ring_data_bytes(pages, page_size)
    assert size & (size - 1) == 0
    assert size // 2 < pages * page_size <= size
