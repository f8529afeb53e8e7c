"""The size of a ring and the watermark rule, at the numbers that were measured."""

from __future__ import annotations

import mmap

import pytest

from perfring.geometry import (
    Outcome,
    Verdict,
    first_wake_bytes,
    kernel_watermark,
    ring_data_bytes,
    watermark_verdict,
)


def _verdict(watermark: int, record_bytes: int | tuple[int, int] = 56, *, lost_bytes: int = 24) -> Verdict:
    return watermark_verdict(1, watermark, record_bytes=record_bytes, lost_bytes=lost_bytes, page_size=4096)


@pytest.mark.parametrize(("pages", "rounded"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1000, 1024)])
def test_pages_are_rounded_up_to_a_power_of_two(pages: int, rounded: int) -> None:
    assert ring_data_bytes(pages, 16384) == rounded * 16384


def test_page_size_is_that_of_the_machine_unless_given() -> None:
    assert ring_data_bytes(1) == mmap.PAGESIZE


@pytest.mark.parametrize("pages", [0, -1])
def test_a_ring_without_pages_is_refused(pages: int) -> None:
    with pytest.raises(ValueError, match=f"page_count is {pages}"):
        ring_data_bytes(pages, 4096)


@pytest.mark.parametrize("page_size", [0, 4095, 4097, 3])
def test_page_size_that_is_no_power_of_two_is_refused(page_size: int) -> None:
    with pytest.raises(ValueError, match=f"page_size is {page_size}"):
        ring_data_bytes(1, page_size)


def test_a_ring_beyond_the_address_space_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be mapped"):
        ring_data_bytes(1 << 51, 4096)


@pytest.mark.parametrize("pages", [1.0, "1", True, None])
def test_page_count_that_is_no_int_is_refused(pages: object) -> None:
    with pytest.raises(TypeError, match="page_count"):
        ring_data_bytes(pages, 4096)  # type: ignore[arg-type]


@pytest.mark.parametrize(("asked", "taken"), [(0, 2048), (1, 1), (4095, 4095), (4096, 4096), (9999, 4096)])
def test_kernel_watermark_is_cut_to_the_ring_and_zero_is_half(asked: int, taken: int) -> None:
    assert kernel_watermark(asked, 4096) == taken


@pytest.mark.parametrize(
    ("record", "watermark", "woke_at"),
    [(56, 4087, 4088), (56, 4088, None), (24, 4079, 4080), (24, 4080, None), (32, 4063, 4064), (32, 4064, None)],
)
def test_first_wake_of_a_page_is_where_the_kernel_wakes(record: int, watermark: int, woke_at: int | None) -> None:
    assert first_wake_bytes(watermark, 4096, record) == woke_at


@pytest.mark.parametrize("record", [24, 32, 56, 64, 4088])
def test_ring_size_itself_always_stalls(record: int) -> None:
    assert _verdict(4096, record).outcome is Outcome.STALLS


@pytest.mark.parametrize(
    ("record", "boundary"), [(56, 4088), (24, 4080), (32, 4064), ((24, 56), 4088), ((2048, 2056), 2056)]
)
def test_stalls_from_the_fullest_level_on(record: int | tuple[int, int], boundary: int) -> None:
    assert _verdict(boundary, record).outcome is Outcome.STALLS
    assert _verdict(boundary - 1, record).outcome is Outcome.DEPENDS
    assert _verdict(1, record).fullest == boundary


@pytest.mark.parametrize(("lost", "safe"), [(24, 4015), (48, 3991), (72, 3967)])
def test_largest_safe_leaves_room_for_a_record_and_a_lost(lost: int, safe: int) -> None:
    assert _verdict(safe, lost_bytes=lost).outcome is Outcome.LIVE
    assert _verdict(safe + 1, lost_bytes=lost).outcome is Outcome.DEPENDS
    assert _verdict(1, lost_bytes=lost).largest_safe == safe


def test_the_largest_record_decides_what_is_safe() -> None:
    assert _verdict(1, (8, 1024)).largest_safe == 4095 - 1024 - 24


def test_no_watermark_is_safe_when_two_records_do_not_fit() -> None:
    verdict = _verdict(1, 4080)
    assert (verdict.outcome, verdict.largest_safe) == (Outcome.DEPENDS, 0)


def test_a_record_larger_than_the_ring_stalls_at_every_watermark() -> None:
    verdict = _verdict(1, 4096)
    assert (verdict.outcome, verdict.fullest) == (Outcome.STALLS, 0)


def test_without_record_sizes_a_small_ring_is_never_safe() -> None:
    assert watermark_verdict(1, 1, page_size=4096).largest_safe == 0


@pytest.mark.parametrize("watermark", [1, 4096, 10_000])
def test_an_overwrite_ring_is_live_at_every_watermark(watermark: int) -> None:
    verdict = watermark_verdict(1, watermark, record_bytes=56, overwrite=True, page_size=4096)
    assert (verdict.outcome, verdict.largest_safe) == (Outcome.LIVE, 4096)


@pytest.mark.parametrize(("watermark", "named"), [(4088, "4088"), (4087, "4015"), (4015, "4015 + 56")])
def test_reason_names_the_numbers(watermark: int, named: str) -> None:
    assert named in _verdict(watermark).reason


@pytest.mark.parametrize("size", [0, 7, 57, -8, 65536])
def test_record_size_that_no_record_has_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"record_bytes is {size}"):
        _verdict(64, size)


def test_record_sizes_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(56, 24\)"):
        _verdict(64, (56, 24))


@pytest.mark.parametrize(("name", "value"), [("watermark", -1), ("lost_bytes", -8)])
def test_negative_bytes_are_refused(name: str, value: int) -> None:
    words = {"watermark": 64, "lost_bytes": 24, name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        _verdict(words["watermark"], lost_bytes=words["lost_bytes"])
