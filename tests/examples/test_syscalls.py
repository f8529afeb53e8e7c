"""The table of system calls."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import pytest

import simkernel.aio
from examples.syscalls import Calls, call_name, main
from perfring import Comm, Fork, Lost, Record, Sample, SessionBuilder, TracepointEvents
from simkernel import SimKernel
from simkernel.contract.arm import Arm, SimArm
from tests.examples._turns import in_turn

GETPPID = 110


def test_every_call_of_a_process_is_counted_until_it_exits(
    perf_arm: Arm, loop_of: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    actor = perf_arm.actor()
    perf_arm.soon(in_turn(partial(actor.getppid, 300), actor.exit))
    assert main(["--pid", str(actor.pid), "--json"], **loop_of) == 0
    told = json.loads(capsys.readouterr().out)
    (row,) = [row for row in told["calls"] if row["call"] == "getppid"]
    assert (row["pid"], row["count"], told["lost"]) == (actor.pid, 300, 0)
    assert 0 < row["p50_ns"] <= row["p99_ns"] <= row["max_ns"]


def test_ctrl_c_ends_with_the_table_of_all_that_was_recorded(
    perf_arm: Arm, loop_of: dict[str, Any], ctrl_c: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    actor = perf_arm.actor()
    perf_arm.soon(in_turn(partial(actor.getppid, 7), ctrl_c))
    assert main(["--pid", str(actor.pid)], **loop_of) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[3] for row in rows if "getppid" in row] == ["7"]
    assert rows[-1][-2:] == ["0", "LOST"]


def test_the_duration_ends_it(perf_arm: Arm, loop_of: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    actor = perf_arm.actor()
    assert main(["--pid", str(actor.pid), "--duration", "0.05", "--json"], **loop_of) == 0
    assert json.loads(capsys.readouterr().out)["calls"] == []


def test_a_process_that_ends_before_the_duration_leaves_no_timer(sim_kernel: SimKernel) -> None:
    actor = sim_kernel.actor()
    SimArm(sim_kernel).soon(actor.exit)
    troubles: list[object] = []

    def run(watching: Coroutine[Any, Any, None]) -> None:
        async def outlive() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
            await watching
            await asyncio.sleep(2.0)

        simkernel.aio.run(sim_kernel, outlive())

    assert main(["--pid", str(actor.pid), "--duration", "1"], kernel=sim_kernel, run=run) == 0
    assert not troubles


def test_what_was_lost_stands_in_the_table(
    sim_kernel: SimKernel, ctrl_c: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    actor = sim_kernel.actor()
    SimArm(sim_kernel).soon(in_turn(partial(actor.getppid, 30_000), ctrl_c))  # 5 MB at once, for a ring of 4 MiB
    assert main([], kernel=sim_kernel, run=partial(simkernel.aio.run, sim_kernel)) == 0
    *_, lost, word = capsys.readouterr().out.splitlines()[-1].split()
    assert (int(lost) > 0, word) == (True, "LOST")


# The pairing of calls and returns.


@pytest.fixture
def three_calls(sim_kernel: SimKernel) -> list[Record]:
    """What is recorded of getppid(2), three times: call, return, call, return, call, return."""
    actor = sim_kernel.actor()
    events = TracepointEvents("raw_syscalls:sys_enter", "raw_syscalls:sys_exit")
    builder = SessionBuilder().with_target_pid(actor.pid).with_tracepoint_events(events)
    with builder.build(sim_kernel) as session:
        session.enable()
        actor.getppid(3)
        return list(session.records(duration=0))


def _count(records: Iterable[Record]) -> int:
    calls = Calls()
    for record in records:
        calls.take(record)
    return sum(times.count for times in calls.table.values())


def test_a_return_belongs_to_the_call_before_it(three_calls: list[Record]) -> None:
    assert _count(three_calls) == 3


def test_a_return_whose_call_nobody_saw_is_left_out(three_calls: list[Record]) -> None:
    assert _count(three_calls[1:]) == 2


def test_a_call_that_has_not_returned_is_left_out(three_calls: list[Record]) -> None:
    assert _count(three_calls[:-1]) == 2


def test_nothing_is_paired_over_a_loss(three_calls: list[Record]) -> None:
    assert _count([*three_calls[:3], Lost(lost=5), *three_calls[3:]]) == 2


def test_a_return_of_another_call_is_left_out(three_calls: list[Record]) -> None:
    calls = Calls()
    calls.take(three_calls[0])
    calls.take(_with_number(three_calls[1], GETPPID + 1))
    assert not calls.table


def _with_number(record: Record, number: int) -> Sample:
    assert isinstance(record, Sample)
    at = record.layout.places["raw"]
    raw = bytearray(record.values[at])
    raw[8:16] = number.to_bytes(8, sys.byteorder)
    values = (*record.values[:at], bytes(raw), *record.values[at + 1 :])
    return Sample(record.layout, record.cpu, record.position, record.misc, record.size, values)


def test_a_child_has_its_parents_name_until_it_gets_its_own(three_calls: list[Record]) -> None:
    calls = Calls()
    for record in (
        Comm(pid=1, tid=1, comm="sh"),
        Fork(pid=2, tid=2, ppid=1, ptid=1),
        Fork(pid=3, tid=3, ppid=2, ptid=2),
    ):
        calls.take(record)
    calls.take(Comm(pid=3, tid=3, comm="ls"))
    assert calls.comms == {1: "sh", 2: "sh", 3: "ls"}


def test_the_name_of_a_thread_is_not_that_of_the_process(three_calls: list[Record]) -> None:
    calls, pid = Calls(), three_calls[0].pid
    for record in (Comm(pid=pid, tid=pid, comm="main"), *three_calls, Comm(pid=pid, tid=5, comm="worker")):
        calls.take(record)
    assert [row["comm"] for row in calls.rows(1.0)] == ["main"]


def test_a_number_without_a_name_is_told_as_a_number() -> None:
    assert [call_name(GETPPID), call_name(99_999)] == ["getppid", "call 99999"]
