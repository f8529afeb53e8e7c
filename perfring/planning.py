"""From the builder's settings to a `SessionPlan`: all checks that need the whole picture, before anything is opened."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfring import abi
from perfring.common_attr import CommonAttr
from perfring.errors import WatermarkError, WatermarkStallWarning
from perfring.events import TracepointEvents
from perfring.geometry import Outcome, Verdict, ring_data_bytes, watermark_verdict
from perfring.plan import COLUMN_DRAIN_BUDGET, DEFAULT_DRAIN_BUDGET, EventKind, EventSpec, SessionPlan
from perfring.record_sizes import RecordSizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.events import EventGroup
    from perfring.kernel import Kernel
    from perfring.plan import SessionHook

__all__ = ["DEFAULT_RING_BYTES", "Settings", "make_plan", "warn_of_late_event"]

DEFAULT_RING_BYTES = 512 << 10
"""Data bytes of a ring for which no page count was given: with its metadata page what ``kernel.perf_event_mlock_kb``
grants an unprivileged user for each CPU (K32). In bytes, for 128 pages would be 8 MiB where a page has 64 KiB."""

_MOST_WATERMARK = (1 << 32) - 1
_SAMPLE_RATE = "/proc/sys/kernel/perf_event_max_sample_rate"
_KIND_ORDER = tuple(EventKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the ``with_`` methods of the builder gathered; the words are theirs. None means not asked for."""

    page_count: int | None = None
    pids: frozenset[int] = frozenset()
    cpus: frozenset[int] = frozenset()
    wakeup_watermark: int | None = None
    wakeup_events: int | None = None
    max_latency: float | None = None
    user_only: bool = False
    overwrite: bool = False
    inherit: bool | None = None
    enable_on_exec: bool = False
    budget_bytes: int | None = None
    columns: bool = False
    groups: tuple[EventGroup, ...] = ()


def make_plan(
    settings: Settings, kernel: Kernel, *, session_hooks: tuple[SessionHook, ...] = (), stacklevel: int = 2
) -> SessionPlan:
    """Checks the settings against each other and the machine, and settles every attr.

    Args:
        settings: from the builder, its hooks already run.
        kernel: asked for page size, tracefs and limits; nothing is opened on it.
        session_hooks: taken over into the plan.
        stacklevel: whose line a WatermarkStallWarning shows, as `warnings.warn` would count it from here.

    Raises:
        WatermarkError: the watermark is not below the ring.
        ValueError: settings that contradict each other, or nothing to record.
        TracepointNotFound, PermissionDenied: a tracepoint that cannot be looked up.
    """
    page_count = _page_count(settings.page_count, kernel.page_size)
    ring_bytes = ring_data_bytes(page_count, kernel.page_size)
    _check_watermark(settings.wakeup_watermark, ring_bytes, page_count)
    pids = _target_pids(settings)
    common = _common_attr(settings, ring_bytes, has_targets=pids is not None)
    bare = _bare_specs(settings.groups, kernel)
    sizes = RecordSizes.of(_writers(bare, settings.groups, common), kernel)
    if settings.wakeup_watermark is None and settings.wakeup_events is None:
        common = replace(common, wakeup_watermark=_default_watermark(page_count, sizes, kernel.page_size))
    events = tuple(common.onto(spec) for spec in bare)
    _check_frequencies(events, kernel)
    if settings.max_latency is None and not settings.overwrite:
        _warn_of_stall(common.wakeup_watermark, page_count, sizes, kernel.page_size, stacklevel + 1)
    return SessionPlan(
        page_count=page_count,
        leader=common.leader(),
        events=events,
        wakeup_watermark=common.wakeup_watermark,
        wakeup_events=common.wakeup_events,
        max_latency=settings.max_latency,
        cpus=tuple(sorted(settings.cpus)) or None,
        pids=pids,
        user_only=common.user_only,
        overwrite=common.overwrite,
        inherit=common.inherit,
        enable_on_exec=common.enable_on_exec,
        clock_id=common.clock_id,
        budget_bytes=settings.budget_bytes or (COLUMN_DRAIN_BUDGET if settings.columns else DEFAULT_DRAIN_BUDGET),
        columns=settings.columns,
        session_hooks=session_hooks,
    )


def warn_of_late_event(plan: SessionPlan, spec: EventSpec, kernel: Kernel, *, stacklevel: int) -> None:
    """Warns where an event that joins an open session makes a watermark unsafe that was safe until then.

    Args:
        plan: what is open.
        spec: the event, its attr final.
        kernel: asked for the limits of call chains.
        stacklevel: as of `make_plan`.
    """
    if plan.max_latency is not None or plan.overwrite:
        return
    before, after = (RecordSizes.of(specs, kernel) for specs in (plan.events, (*plan.events, spec)))
    if _verdict(plan.wakeup_watermark, plan.page_count, before, kernel.page_size).outcome is Outcome.LIVE:
        _warn_of_stall(plan.wakeup_watermark, plan.page_count, after, kernel.page_size, stacklevel + 1)


def _page_count(asked: int | None, page_size: int) -> int:
    """Rounded up to the power of two that the kernel demands (K1)."""
    if asked is None:
        return max(DEFAULT_RING_BYTES // page_size, 1)
    return ring_data_bytes(asked, page_size) // page_size


def _check_watermark(watermark: int | None, ring_bytes: int, page_count: int) -> None:
    if watermark is None:
        return
    if watermark >= ring_bytes:
        pages = f"{page_count} page" if page_count == 1 else f"{page_count} pages"
        raise WatermarkError(
            f"a wakeup watermark of {watermark} bytes is not below the {ring_bytes} data bytes of a ring of {pages}: "
            "the kernel would never wake a reader that waits, and lose everything behind the full ring (K11, K12). "
            "Lower the watermark or raise the page count; `perfring watermark` tells which values are safe",
            watermark=watermark,
            ring_bytes=ring_bytes,
            page_count=page_count,
        )
    if watermark > _MOST_WATERMARK:
        raise ValueError(f"wakeup_watermark is {watermark}: perf_event_attr holds {_MOST_WATERMARK} at most")


def _target_pids(settings: Settings) -> tuple[int, ...] | None:
    """Ascending; None for the whole machine, which user_only() cannot mean."""
    pids = tuple(sorted(settings.pids)) or ((os.getpid(),) if settings.user_only else None)
    if pids is None and settings.inherit:
        raise ValueError("with_inherit(True) needs a target: add with_target_pid(); the whole machine has no children")
    if pids is None and settings.enable_on_exec:
        raise ValueError("with_enable_on_exec() needs a target that calls execve(2): add with_target_pid()")
    return pids


def _common_attr(settings: Settings, ring_bytes: int, *, has_targets: bool) -> CommonAttr:
    """A watermark that was not asked for is a placeholder: only the events' sizes will tell the right one."""
    placeholder = None if settings.wakeup_events else min(ring_bytes // 4, _MOST_WATERMARK)
    return CommonAttr(
        wakeup_watermark=settings.wakeup_watermark or placeholder,
        wakeup_events=settings.wakeup_events,
        clock_id=abi.CLOCK_MONOTONIC_RAW,
        inherit=has_targets if settings.inherit is None else settings.inherit,
        enable_on_exec=settings.enable_on_exec,
        user_only=settings.user_only,
        overwrite=settings.overwrite,
    )


def _bare_specs(groups: Sequence[EventGroup], kernel: Kernel) -> list[EventSpec]:
    """In an order that does not depend on the order in which the groups were given."""
    if not groups:
        raise ValueError("nothing to record: add with_kernel_events(), with_tracepoint_events() or the like")
    specs = [spec for group in groups for spec in group.specs(kernel)]
    return sorted(specs, key=lambda spec: (_KIND_ORDER.index(spec.kind), spec.name))


def _writers(bare: Sequence[EventSpec], groups: Sequence[EventGroup], common: CommonAttr) -> list[EventSpec]:
    """Every event that will write into a ring, with its final sample_type."""
    live = any(isinstance(group, TracepointEvents) and not group.tracepoints for group in groups)
    return [common.onto(spec) for spec in bare] + ([common.onto(_ANY_TRACEPOINT)] if live else [])


def _default_watermark(page_count: int, sizes: RecordSizes, page_size: int) -> int:
    """A quarter of the ring, which leaves a late reader three; less where a quarter could stall."""
    verdict = _verdict(0, page_count, sizes, page_size)
    quarter = min(verdict.ring_bytes // 4, _MOST_WATERMARK)
    return min(quarter, verdict.largest_safe or quarter)


def _verdict(watermark: int | None, page_count: int, sizes: RecordSizes, page_size: int) -> Verdict:
    """With wakeup_events there is no watermark, and the kernel takes half a ring for what is no sample (K8, K9)."""
    return watermark_verdict(
        page_count,
        watermark or 0,
        record_bytes=(sizes.smallest, sizes.largest),
        lost_bytes=sizes.lost,
        page_size=page_size,
    )


def _warn_of_stall(watermark: int | None, page_count: int, sizes: RecordSizes, page_size: int, stacklevel: int) -> None:
    verdict = _verdict(watermark, page_count, sizes, page_size)
    if verdict.outcome is Outcome.LIVE:
        return
    safe = f"the largest safe watermark is {verdict.largest_safe}" if verdict.largest_safe else "only more pages help"
    text = (
        f"a wakeup watermark of {verdict.kernel_watermark} bytes in a ring of {verdict.ring_bytes} "
        f"{_STALL[verdict.outcome]}: the largest record is one of {sizes.largest_name!r}, up to {sizes.largest} bytes, "
        f"and a LOST record of {sizes.lost} may have to go with it (K11, K42, K43). For these events {safe}; or bound "
        "the wait by with_max_latency()"
    )
    warnings.warn(text, WatermarkStallWarning, stacklevel=stacklevel)


def _check_frequencies(specs: Sequence[EventSpec], kernel: Kernel) -> None:
    """The kernel only says EINVAL (K30)."""
    sampled = [spec for spec in specs if spec.attr.freq]
    if not sampled:
        return
    try:
        most = int(kernel.read_text(_SAMPLE_RATE))
    except (OSError, ValueError):
        return  # then the kernel will have to say it
    for spec in sampled:
        if spec.attr.sample_freq > most:
            raise ValueError(
                f"event {spec.name!r}: a frequency of {spec.attr.sample_freq} is above this machine's limit of {most}; "
                f"raise it with: sudo sysctl kernel.perf_event_max_sample_rate={spec.attr.sample_freq}"
            )


_STALL = {
    Outcome.STALLS: "never wakes a reader that waits",
    Outcome.DEPENDS: "may leave a reader that waits asleep for ever",
}
_ANY_TRACEPOINT = EventSpec(
    name="tracepoints added while the session runs",
    kind=EventKind.TRACEPOINT,
    attr=abi.PerfEventAttr(type=abi.PERF_TYPE_TRACEPOINT, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW),
)
