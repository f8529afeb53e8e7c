"""How long threads wait for a CPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from examples.schedlat import RunQueue, main
from perfring import Kernel
from simkernel import SimKernel
from simkernel.contract.arm import Arm
from simkernel.tasks import Sleep, Spend
from simkernel.workload import constant
from tests.examples._turns import in_turn

SLEEPS, PREEMPTED, PREEMPTED_MARKED = 1, 0, 0x100


def test_a_new_thread_has_waited_until_it_first_ran(
    perf_arm: Arm, ctrl_c: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    actor = perf_arm.actor()
    children: list[int] = []

    def work() -> None:
        child = actor.fork()
        child.switch()
        children.append(child.pid)

    perf_arm.soon(in_turn(work, ctrl_c))
    assert main(["--json"], kernel=perf_arm.kernel) == 0
    told = json.loads(capsys.readouterr().out)
    (row,) = [row for row in told["threads"] if row["tid"] == children[0]]
    assert row["count"] >= 1
    assert told["lost"] == 0


def test_the_histogram_counts_what_the_threads_waited(perf_kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    if isinstance(perf_kernel, SimKernel):
        perf_kernel.spawn(constant(1000))
    assert main(["--json", "--duration", "0.2"], kernel=perf_kernel) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(bar["count"] for bar in told["histogram"]) == sum(row["count"] for row in told["threads"]) > 0


def test_a_thread_behind_a_busy_one_waits_as_long_as_that_has_the_cpu(
    sim_kernel: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    late = sim_kernel.spawn(lambda _: iter([Sleep(1_000)]), cpu=1, comm="late")
    sim_kernel.spawn(lambda _: iter([Spend(3_001_000), Sleep(1)]), cpu=1, comm="busy")
    assert main(["--json", "--duration", "0.1"], kernel=sim_kernel) == 0
    worst = json.loads(capsys.readouterr().out)["threads"][0]
    assert (worst["tid"], worst["comm"], worst["max_ns"], worst["cpu"]) == (late.pid, "late", 3_000_000, 1)


def test_a_process_is_told_alone(sim_kernel: SimKernel, capsys: pytest.CaptureFixture[str]) -> None:
    one, _ = sim_kernel.spawn(constant(1000)), sim_kernel.spawn(constant(1000))
    assert main(["--json", "--duration", "0.1", "--pid", str(one.pid)], kernel=sim_kernel) == 0
    assert [row["tid"] for row in json.loads(capsys.readouterr().out)["threads"]] == [one.pid]


def test_people_see_bars_offenders_and_losses(sim_kernel: SimKernel, capsys: pytest.CaptureFixture[str]) -> None:
    sim_kernel.spawn(constant(1000), comm="ticker")
    assert main(["--duration", "0.1"], kernel=sim_kernel) == 0
    text = capsys.readouterr().out
    assert "#" in text
    assert " ticker " in text
    assert text.endswith(" 0 LOST\n")


# What begins a wait, and what ends it.


class _Story:
    """Feeds the callbacks, and tells what they measured."""

    def __init__(self) -> None:
        self.queue = RunQueue()

    def woken(self, time: int, tid: int) -> None:
        self.queue.woken(SimpleNamespace(time=time, field=lambda _: tid))

    def switched(self, time: int, before: int, state: int, after: int) -> None:
        fields = {"prev_pid": before, "prev_comm": str(before), "prev_state": state}
        fields |= {"next_pid": after, "next_comm": str(after)}
        self.queue.switched(SimpleNamespace(time=time, cpu=0, fields=fields))

    def measured(self) -> list[tuple[int, int]]:
        return [(row["tid"], row["max_ns"]) for row in self.queue.offenders()]


def test_a_wait_is_from_the_wakeup_to_the_switch() -> None:
    story = _Story()
    story.woken(100, 7)
    story.switched(130, 8, SLEEPS, 7)
    assert story.measured() == [(7, 30)]


@pytest.mark.parametrize("state", [PREEMPTED, PREEMPTED_MARKED])
def test_who_is_preempted_waits(state: int) -> None:
    story = _Story()
    story.switched(100, 7, state, 8)
    story.switched(140, 8, SLEEPS, 7)
    assert story.measured() == [(7, 40)]


def test_who_goes_to_sleep_does_not_wait() -> None:
    story = _Story()
    story.woken(90, 7)  # while it still runs
    story.switched(100, 7, SLEEPS, 8)
    story.switched(140, 8, SLEEPS, 7)
    assert story.measured() == []


def test_the_idle_thread_waits_for_nothing() -> None:
    story = _Story()
    story.switched(100, 0, PREEMPTED, 8)
    story.switched(140, 8, SLEEPS, 0)
    assert story.measured() == []


def test_nothing_is_measured_over_a_loss() -> None:
    story = _Story()
    story.woken(100, 7)
    story.queue.lost(None)  # type: ignore[arg-type]
    story.switched(130, 8, SLEEPS, 7)
    assert story.measured() == []


def test_the_worst_wait_tells_its_place_and_who_ran_meanwhile() -> None:
    story = _Story()
    for begun, wait, runner in ((100, 10, 3), (200, 50, 4), (300, 20, 5)):
        story.woken(begun, 7)
        story.switched(begun + wait, runner, SLEEPS, 7)
    (row,) = story.queue.offenders()
    assert (row["count"], row["max_ns"], row["behind"], row["time_ns"]) == (3, 50, "4", 200)
