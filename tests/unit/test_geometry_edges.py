"""The last number that is taken and the first that is refused, and every word that the rule says."""

from __future__ import annotations

import re

import pytest

from perfring.geometry import Outcome, Verdict, ring_data_bytes, watermark_verdict

PAGE = 4096


def verdict(watermark: int, *, pages: int = 1, overwrite: bool = False) -> Verdict:
    return watermark_verdict(pages, watermark, record_bytes=56, lost_bytes=24, overwrite=overwrite, page_size=PAGE)


def test_the_smallest_page_is_8_bytes() -> None:
    assert ring_data_bytes(1, 8) == 8


def test_the_largest_ring_is_2_to_the_62() -> None:
    assert ring_data_bytes(1 << 50, PAGE) == 1 << 62


def test_a_verdict_is_about_pages_of_the_given_size() -> None:
    assert watermark_verdict(2, 1, page_size=65536).ring_bytes == 131072


def test_a_watermark_of_0_is_judged_as_half_the_ring() -> None:
    assert verdict(0).kernel_watermark == 2048


def test_a_live_verdict_says_why() -> None:
    why = (
        "4000 + 56 (largest record) + 24 (LOST) <= 4096 - 1: below the watermark the next record always fits, so the "
        "fill grows until it wakes the reader, also after losses."
    )
    assert verdict(4000) == Verdict(Outcome.LIVE, 4000, 4015, 4088, 4096, why)


def test_a_verdict_of_depends_says_why_and_what_to_do() -> None:
    why = (
        "4016 + 56 (largest record) + 24 (LOST) > 4096 - 1: a waiting reader can be left with a ring into which the "
        "next record does not fit, for instance after a loss (K42, K43). 4015 is the largest that cannot stall."
    )
    assert verdict(4016) == Verdict(Outcome.DEPENDS, 4016, 4015, 4088, 4096, why)


def test_where_no_watermark_is_safe_it_says_that_only_pages_help() -> None:
    told = watermark_verdict(1, 64, record_bytes=(8, 4000), page_size=PAGE, lost_bytes=72)
    assert (told.largest_safe, told.outcome) == (23, Outcome.DEPENDS)
    told = watermark_verdict(1, 64, record_bytes=(8, 4072), page_size=PAGE, lost_bytes=72)
    assert told.largest_safe == 0
    assert told.reason.endswith("(K42, K43). Only more pages help.")


def test_a_verdict_of_stalls_says_why() -> None:
    why = (
        "The fullest level that such records reach in a ring of 4096 bytes is 4088, which is not above the watermark "
        "of 4096: the kernel never wakes the reader, and all that follows is lost (K11, K12)."
    )
    assert verdict(9999) == Verdict(Outcome.STALLS, 4096, 4015, 4088, 4096, why)


def test_an_overwrite_ring_says_why_it_is_live() -> None:
    why = "An overwrite ring refuses no record, so head passes every watermark and the reader is woken (K4)."
    assert verdict(5000, overwrite=True) == Verdict(Outcome.LIVE, 4096, 4096, 4096, 4096, why)


@pytest.mark.parametrize("size", [20, 25, 73, 80])
def test_a_lost_of_another_size_is_refused_and_told_the_sizes_there_are(size: int) -> None:
    text = f"lost_bytes is {size}: "
    with pytest.raises(ValueError, match=text + ("it must be at least 24" if size < 24 else r".* from 24 to 72 \(K44")):
        watermark_verdict(1, 64, lost_bytes=size, page_size=PAGE)


@pytest.mark.parametrize("size", [12, 65536])
def test_a_record_of_another_size_is_told_the_sizes_there_are(size: int) -> None:
    text = f"record_bytes is {size}: records are multiples of 8, from 8 to 65528 (K5)"
    with pytest.raises(ValueError, match=re.escape(text)):
        watermark_verdict(1, 64, record_bytes=size, page_size=PAGE)
