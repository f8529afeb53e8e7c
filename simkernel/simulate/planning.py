"""From a scenario to what is opened: the session's plan, the tasks that write, and what the rule says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from perfring.abi import PERF_RECORD_SAMPLE
from perfring.abi.sizes import record_bytes
from perfring.builder import SessionBuilder
from perfring.errors import WatermarkError
from perfring.events import BpfOutputEvents, SoftPageFaultEvents, TracepointEvents
from perfring.geometry import Verdict, watermark_verdict
from perfring.record_sizes import RecordSizes
from simkernel.simulate.readers import READERS
from simkernel.simulate.recorded import between_events, recorded_payloads, recorded_programs
from simkernel.simulate.scenario import AUTO, BURST_SPEED, Scenario, ScenarioError
from simkernel.workload import Emit, bursty, constant, getppid, poisson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.events import EventGroup
    from perfring.plan import EventSpec, SessionPlan
    from simkernel.actor import Actor
    from simkernel.kernel import SimKernel
    from simkernel.workload import Act, RandomAct, Workload

__all__ = ["Prepared", "prepare", "spawn_writers"]

_ANY_BOUND: Final = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario, settled.

    Attributes:
        plan: what is opened; its watermark is the scenario's, also where `SessionBuilder.build` would refuse it.
        verdict: what the rule says of the scenario's records and watermark.
        record_bytes: the smallest and the largest record.
        lost_bytes: a PERF_RECORD_LOST (K44).
    """

    plan: SessionPlan
    verdict: Verdict
    record_bytes: tuple[int, int]
    lost_bytes: int


def spawn_writers(scenario: Scenario, kernel: SimKernel) -> list[Actor]:
    """A task on each CPU of the scenario, which begins as soon as anybody waits."""
    alike = scenario.recording is None
    programs = [_program(scenario)] * scenario.cpus if alike else recorded_programs(scenario)
    return [kernel.spawn(program, cpu=cpu, comm=scenario.event) for cpu, program in enumerate(programs)]


def _program(scenario: Scenario) -> Workload:
    act, rate, duration = _act(scenario), scenario.rate, scenario.lifetime
    between = between_events(rate)
    if scenario.pattern == "bursty":
        burst, spacing = scenario.burst or 1, 1 / (BURST_SPEED * rate)
        pause = burst / rate - (burst - 1) * spacing
        return bursty(burst, pause, spacing=spacing, act=act, duration=duration, between=between)
    make = constant if scenario.pattern == "steady" else poisson
    return make(rate, act=act, duration=duration, between=between)


def _act(scenario: Scenario) -> Act | RandomAct:
    if scenario.payload is not None:
        return Emit(scenario.payload)
    return getppid if scenario.event == "getppid" else _touch_a_page


def _touch_a_page(actor: Actor) -> None:
    actor.touch_pages(1)


def prepare(scenario: Scenario, kernel: SimKernel, *, pids: Sequence[int] = ()) -> Prepared:
    """Settles it as `SessionBuilder.build` does, and asks the same questions.

    Args:
        scenario: what to do.
        kernel: its machine.
        pids: whose events; none for those of the CPUs.

    Raises:
        ScenarioError: a watermark that `build` refuses, for a reader that asks `build`.
    """
    builder = SessionBuilder().with_page_count(scenario.pages).with_events(_events(scenario))
    builder = builder.with_target_cpu(*range(scenario.cpus)).with_target_pid(*pids)
    # Any latency bound keeps the builder from warning; the verdict of the scenario, below, is about its very records.
    plan = builder.with_max_latency(_ANY_BOUND).plan(kernel)
    sizes, lost = _sizes(scenario, plan, kernel)
    verdict = watermark_verdict(scenario.pages, 1, record_bytes=sizes, lost_bytes=lost, page_size=scenario.page_size)
    watermark = _watermark(scenario, verdict)
    if READERS[scenario.reader].asks_build:
        try:
            builder.with_wakeup_watermark(watermark).with_max_latency(_ANY_BOUND).plan(kernel)
        except WatermarkError as error:
            raise ScenarioError(str(error), key="watermark", value=scenario.watermark) from error
    verdict = watermark_verdict(
        scenario.pages, watermark, record_bytes=sizes, lost_bytes=lost, page_size=scenario.page_size
    )
    return Prepared(_with_watermark(plan, watermark, scenario.latency), verdict, sizes, lost)


def _events(scenario: Scenario) -> EventGroup:
    if scenario.event == "getppid":
        return TracepointEvents("syscalls:sys_enter_getppid")
    return BpfOutputEvents() if scenario.event == "bpf" else SoftPageFaultEvents()


def _watermark(scenario: Scenario, verdict: Verdict) -> int:
    if isinstance(scenario.watermark, int):
        return scenario.watermark
    if not verdict.largest_safe:
        problem = f"no watermark of a ring of {verdict.ring_bytes} bytes is safe for these records: give it more pages"
        raise ScenarioError(problem, key="watermark", value=AUTO)
    return verdict.largest_safe


def _with_watermark(plan: SessionPlan, watermark: int, latency: float | None) -> SessionPlan:
    def changed(spec: EventSpec) -> EventSpec:
        return replace(spec, attr=spec.attr.copy(wakeup_watermark=watermark))

    return replace(
        plan,
        leader=changed(plan.leader),
        events=tuple(map(changed, plan.events)),
        wakeup_watermark=watermark,
        max_latency=latency,
    )


def _sizes(scenario: Scenario, plan: SessionPlan, kernel: SimKernel) -> tuple[tuple[int, int], int]:
    """Of this very stream; a session must reckon with whatever a BPF program might put out."""
    sizes = RecordSizes.of(plan.events, kernel)
    payloads = _payloads(scenario)
    if not payloads:
        return (sizes.smallest, sizes.largest), sizes.lost
    empty = record_bytes(plan.events[0].attr)[PERF_RECORD_SAMPLE][0]
    # PERF_SAMPLE_RAW is a u32 with the size, the payload, and zeros up to a multiple of 8 (K35).
    largest, smallest = (empty - 8 + (4 + wanted(payloads) + 7) // 8 * 8 for wanted in (max, min))
    return (smallest, largest), sizes.lost


def _payloads(scenario: Scenario) -> list[int]:
    """What the program puts out, if there is one."""
    if scenario.recording is not None:
        return recorded_payloads(scenario)
    if scenario.payload is None:
        return []
    return [scenario.payload] if isinstance(scenario.payload, int) else list(scenario.payload)
