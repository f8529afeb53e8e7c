from __future__ import annotations

import re

import pytest

from perfring.builder import SessionBuilder
from perfring.errors import WatermarkError, WatermarkStallWarning
from perfring.events import BpfOutputEvents, KernelEvents, TracepointEvents
from perfring.plan import SessionPlan
from tests.unit._planning import GETPPID, OPENED, fixed_tracepoint, planning_kernel

# GETPPID in one page of 4096 bytes: 56 for the largest record and 48 for a LOST must fit beside the watermark.
LARGEST_SAFE = 4096 - 1 - 56 - 48


def planned(builder: SessionBuilder) -> SessionPlan:
    return builder.plan(planning_kernel())


def warned(builder: SessionBuilder) -> str:
    with pytest.warns(WatermarkStallWarning) as caught:
        planned(builder)
    return str(caught[0].message)


@pytest.mark.parametrize("above", [0, 1, 1 << 40])
def test_watermark_of_the_ring_or_more_is_refused(above: int) -> None:
    with pytest.raises(WatermarkError) as refused:
        planned(fixed_tracepoint().with_wakeup_watermark(4096 + above))
    assert (refused.value.watermark, refused.value.ring_bytes, refused.value.page_count) == (4096 + above, 4096, 1)


def test_refusal_names_watermark_ring_and_pages() -> None:
    builder = fixed_tracepoint().with_page_count(3).with_wakeup_watermark(20000)
    with pytest.raises(WatermarkError, match=r"20000 bytes.* 16384 data bytes of a ring of 4 pages"):
        planned(builder)


def test_ring_of_the_refusal_has_the_pages_of_the_machine() -> None:
    with pytest.raises(WatermarkError, match="65536 data bytes of a ring of 1 page:"):
        fixed_tracepoint().with_wakeup_watermark(65536).plan(planning_kernel(page_size=65536))


def test_watermark_one_below_the_ring_builds_and_warns() -> None:
    with pytest.warns(WatermarkStallWarning):
        plan = planned(fixed_tracepoint().with_wakeup_watermark(4095))
    assert plan.wakeup_watermark == 4095


def test_watermark_is_refused_before_a_tracepoint_is_looked_up() -> None:
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents("no:such")).with_page_count(1)
    with pytest.raises(WatermarkError):
        planned(builder.with_wakeup_watermark(4096))


def test_watermark_that_a_hook_sets_is_checked() -> None:
    builder = fixed_tracepoint().with_hooks(builder=lambda builder: builder.with_wakeup_watermark(4096))
    with pytest.raises(WatermarkError):
        planned(builder)


def test_pages_that_a_hook_adds_are_checked_against() -> None:
    builder = fixed_tracepoint().with_wakeup_watermark(4096)
    assert planned(builder.with_hooks(builder=lambda builder: builder.with_page_count(2))).wakeup_watermark == 4096


def test_watermark_of_an_overwrite_ring_is_refused_alike() -> None:
    with pytest.raises(WatermarkError):
        planned(fixed_tracepoint().with_overwrite().with_wakeup_watermark(4096))


@pytest.mark.filterwarnings("error")
def test_largest_safe_watermark_builds_in_silence() -> None:
    assert planned(fixed_tracepoint().with_wakeup_watermark(LARGEST_SAFE)).wakeup_watermark == LARGEST_SAFE


def test_one_above_the_largest_safe_watermark_warns() -> None:
    text = warned(fixed_tracepoint().with_wakeup_watermark(LARGEST_SAFE + 1))
    assert "may leave a reader that waits asleep" in text


def test_warning_names_event_record_and_the_largest_safe_watermark() -> None:
    text = warned(fixed_tracepoint().with_wakeup_watermark(4095))
    assert f"{GETPPID!r}, up to 56 bytes" in text
    assert f"largest safe watermark is {LARGEST_SAFE}" in text


def test_warning_tells_a_watermark_that_never_wakes() -> None:
    assert "never wakes" in warned(fixed_tracepoint().with_wakeup_watermark(4095))


def test_warning_names_the_event_with_the_largest_record() -> None:
    builder = fixed_tracepoint().with_page_count(8).with_wakeup_watermark(30000)
    assert "'side-band'" in warned(builder.with_kernel_events(KernelEvents()))


def test_warning_says_when_only_more_pages_help() -> None:
    builder = fixed_tracepoint().with_bpf_output_events(BpfOutputEvents())
    assert re.search("65528 bytes.*only more pages help", warned(builder))


def test_warning_points_at_the_caller_of_plan() -> None:
    with pytest.warns(WatermarkStallWarning) as caught:
        fixed_tracepoint().with_wakeup_watermark(4095).plan(planning_kernel())
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_bounded_wait_is_not_warned_of() -> None:
    planned(fixed_tracepoint().with_wakeup_watermark(4095).with_max_latency(0.1))


@pytest.mark.filterwarnings("error")
def test_overwrite_ring_is_not_warned_of() -> None:
    planned(fixed_tracepoint().with_wakeup_watermark(4095).with_overwrite())


def test_padding_at_the_end_of_a_tracepoint_is_reckoned_with() -> None:
    builder = SessionBuilder().with_page_count(1).with_tracepoint_events(TracepointEvents(GETPPID, ip=True))
    assert f"{GETPPID!r}, up to 64 bytes" in warned(builder.with_wakeup_watermark(4095))


def test_tracepoint_with_a_string_may_fill_8_kib() -> None:
    builder = SessionBuilder().with_page_count(1).with_tracepoint_events(TracepointEvents(OPENED))
    assert f"{OPENED!r}, up to 8232 bytes" in warned(builder.with_wakeup_watermark(16))


def test_tracepoints_to_come_are_reckoned_with() -> None:
    builder = SessionBuilder().with_page_count(1).with_tracepoint_events(TracepointEvents())
    assert "tracepoints added while the session runs" in warned(builder)


def test_default_watermark_is_a_quarter_of_the_ring() -> None:
    assert planned(fixed_tracepoint().with_page_count(16)).wakeup_watermark == 16384


def test_default_watermark_is_lower_where_a_quarter_could_stall() -> None:
    builder = SessionBuilder().with_page_count(4).with_tracepoint_events(TracepointEvents(OPENED, user_stack=4096))
    assert planned(builder).wakeup_watermark == 16384 - 1 - (8232 + 16 + 4096) - 48


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_ring_has_512_kib_by_default_whatever_the_page_size(page_size: int) -> None:
    plan = SessionBuilder().with_kernel_events(KernelEvents()).plan(planning_kernel(page_size=page_size))
    assert plan.page_count * page_size == 512 << 10


def test_page_count_is_rounded_up_to_a_power_of_two() -> None:
    assert planned(fixed_tracepoint().with_page_count(5)).page_count == 8


def test_watermark_beyond_the_attr_is_refused() -> None:
    builder = fixed_tracepoint().with_page_count(1 << 22).with_wakeup_watermark(1 << 32)
    with pytest.raises(ValueError, match="4294967296: perf_event_attr holds 4294967295"):
        planned(builder)


def test_leader_carries_the_watermark() -> None:
    leader = planned(fixed_tracepoint().with_wakeup_watermark(1000)).leader.attr
    assert (leader.watermark, leader.wakeup_watermark) == (True, 1000)


def test_every_redirected_event_carries_the_flag() -> None:
    plan = planned(fixed_tracepoint().with_kernel_events(KernelEvents()).with_page_count(16))
    assert all(event.attr.watermark for event in plan.events)


def test_wakeup_events_take_the_place_of_the_watermark() -> None:
    plan = planned(fixed_tracepoint().with_wakeup_events(7))
    assert (plan.wakeup_watermark, plan.wakeup_events) == (None, 7)
    assert [(spec.attr.watermark, spec.attr.wakeup_events) for spec in plan.all_specs] == [(False, 7)] * 2


def test_wakeup_events_are_judged_by_the_half_ring_of_the_kernel() -> None:
    builder = SessionBuilder().with_page_count(1).with_tracepoint_events(TracepointEvents(OPENED))
    assert "watermark of 2048 bytes" in warned(builder.with_wakeup_events(1))
