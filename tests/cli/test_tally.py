"""What `perfring record` advises when records were lost."""

from __future__ import annotations

import mmap

import pytest

from perfring.cli._tally import _advice

PAGE = mmap.PAGESIZE


def figures(**changed: int | None) -> dict[str, int | None]:
    """One page, 100 samples of 64 bytes delivered, and a hundred lost."""
    known = {"ring_bytes": PAGE, "watermark": PAGE // 4, "lost": 100, "bytes": 6400, "samples": 96, "sideband": 4}
    return known | changed


@pytest.mark.parametrize("lost", [1, 100, 10_000])
def test_the_advised_ring_would_have_held_what_was_lost(lost: int) -> None:
    pages = int(_advice(figures(lost=lost)).removeprefix("the rings ran full; try --pages "))
    assert pages * PAGE >= PAGE + lost * 64
    assert pages & -pages == pages  # a power of two (K1)


def test_more_than_any_ring_holds_is_not_a_matter_of_pages() -> None:
    text = _advice(figures(lost=1_000_000))
    assert "larger ones only lose later; record less" in text
    assert f"--pages {2 ** ((PAGE + 64_000_000 - 1) // PAGE).bit_length()}" in text


def test_a_loss_before_anything_was_delivered_is_advised_on_as_well() -> None:
    assert _advice(figures(lost=5, bytes=0, samples=0, sideband=0)) == "the rings ran full; try --pages 2"


def test_a_late_watermark_is_said_to_be_one() -> None:
    assert "or a lower --watermark" in _advice(figures(watermark=PAGE - 8))
    assert "or a lower --watermark" not in _advice(figures(watermark=None))
