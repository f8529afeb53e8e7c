"""The builder over all orders of calls and all watermarks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, reduce
from typing import TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perfring import abi
from perfring.builder import SessionBuilder
from perfring.errors import WatermarkError, WatermarkStallWarning
from perfring.events import (
    BpfOutputEvents,
    KernelEvents,
    ProfilingEvents,
    SoftPageFaultEvents,
    TracepointEvents,
)
from perfring.geometry import Outcome, ring_data_bytes, watermark_verdict
from perfring.plan import SessionPlan
from tests.unit._planning import GETPPID, fixed_tracepoint, planning_kernel

Step: TypeAlias = Callable[[SessionBuilder], SessionBuilder]

CLOCK = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_CPU_CLOCK, sample_period=100_000)
STEPS: tuple[Step, ...] = (
    lambda builder: builder.with_page_count(1024),
    lambda builder: builder.with_target_pid(7),
    lambda builder: builder.with_target_pid(9),
    lambda builder: builder.with_target_cpu(1),
    lambda builder: builder.with_target_cpu(0),
    lambda builder: builder.with_wakeup_watermark(65536),
    lambda builder: builder.with_max_latency(0.5),
    lambda builder: builder.with_inherit(False),
    lambda builder: builder.with_enable_on_exec(),
    lambda builder: builder.with_overwrite(),
    lambda builder: builder.with_drain_budget(4096),
    lambda builder: builder.user_only(),
    lambda builder: builder.with_kernel_events(KernelEvents()),
    lambda builder: builder.with_tracepoint_events(TracepointEvents(GETPPID)),
    lambda builder: builder.with_tracepoint_events(TracepointEvents("uprobes:malloc", filter="common_pid > 1")),
    lambda builder: builder.with_profiling_events(ProfilingEvents(99)),
    lambda builder: builder.with_soft_page_fault_events(SoftPageFaultEvents()),
    lambda builder: builder.with_bpf_output_events(BpfOutputEvents()),
    lambda builder: builder.with_event(CLOCK, name="slow"),
    lambda builder: builder.with_event(CLOCK.copy(sample_period=1_000_000), name="slower"),
)


def planned(steps: Sequence[Step]) -> SessionPlan:
    return reduce(lambda builder, step: step(builder), steps, SessionBuilder()).plan(planning_kernel())


def said(plan: SessionPlan) -> list[object]:
    """Everything in a plan that can be compared: a tracepoint's format is another object each time."""
    shown = {name: getattr(plan, name) for name in plan.__slots__ if name not in ("events", "leader")}
    return [shown, *((spec.name, spec.kind, spec.attr, spec.filter) for spec in plan.all_specs)]


@cache
def in_order() -> list[object]:
    return said(planned(STEPS))


@given(st.permutations(STEPS))
def test_order_of_the_calls_makes_no_difference(steps: list[Step]) -> None:
    assert said(planned(steps)) == in_order()


@pytest.mark.parametrize("left_out", range(len(STEPS)))
def test_each_call_makes_a_difference(left_out: int) -> None:
    assert said(planned(STEPS[:left_out] + STEPS[left_out + 1 :])) != in_order()


@given(st.permutations(STEPS), st.sampled_from(STEPS))
def test_no_call_changes_the_builder_it_is_called_on(steps: list[Step], step: Step) -> None:
    before = reduce(lambda builder, step: step(builder), steps[: len(steps) // 2], SessionBuilder())
    kept = repr(before)
    with suppress(ValueError):  # a second group of a kind
        step(before)
    assert repr(before) == kept


@given(pages=st.integers(1, 1 << 12), above=st.integers(0, 1 << 33), watermark_first=st.booleans())
@example(pages=1, above=0, watermark_first=True)
def test_watermark_of_the_ring_or_more_is_always_refused(pages: int, above: int, watermark_first: bool) -> None:
    watermark = ring_data_bytes(pages, 4096) + above
    if watermark_first:
        builder = fixed_tracepoint().with_wakeup_watermark(watermark).with_page_count(pages)
    else:
        builder = fixed_tracepoint().with_page_count(pages).with_wakeup_watermark(watermark)
    with pytest.raises(WatermarkError, match=f"{watermark} bytes"):
        builder.plan(planning_kernel())


@given(pages=st.integers(1, 1 << 12), watermark_first=st.booleans())
def test_watermark_one_below_the_ring_always_builds_and_warns(pages: int, watermark_first: bool) -> None:
    watermark = ring_data_bytes(pages, 4096) - 1
    builder = fixed_tracepoint()
    for first in (watermark_first, not watermark_first):
        builder = builder.with_wakeup_watermark(watermark) if first else builder.with_page_count(pages)
    with pytest.warns(WatermarkStallWarning):
        assert builder.plan(planning_kernel()).wakeup_watermark == watermark


@given(pages=st.integers(1, 64), data=st.data())
def test_warning_comes_exactly_where_the_rule_is_not_live(pages: int, data: st.DataObject) -> None:
    watermark = data.draw(st.integers(1, ring_data_bytes(pages, 4096) - 1))
    verdict = watermark_verdict(pages, watermark, record_bytes=(48, 56), lost_bytes=48, page_size=4096)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fixed_tracepoint().with_page_count(pages).with_wakeup_watermark(watermark).plan(planning_kernel())
    assert bool(caught) == (verdict.outcome is not Outcome.LIVE)


@given(pages=st.integers(1, 1 << 12))
def test_default_watermark_never_stalls_where_any_is_safe(pages: int) -> None:
    plan = fixed_tracepoint().with_page_count(pages).plan(planning_kernel())
    assert plan.wakeup_watermark is not None
    verdict = watermark_verdict(pages, plan.wakeup_watermark, record_bytes=(48, 56), lost_bytes=48, page_size=4096)
    assert verdict.outcome is Outcome.LIVE
