"""The CPU profiler."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from examples.flame import Profile, main
from examples.symbols import Symbols
from perfring import Comm, Fork, Kernel, Mmap2, ProfilingEvents, Record, Sample, SessionBuilder, abi
from perfring.layout import EventLayout
from simkernel import SimKernel
from simkernel.contract.arm import Arm
from simkernel.tasks import Spend
from tests.examples._turns import in_turn

PERIOD = 1_000_000_000 // 99


def _folded(text: str) -> dict[str, int]:
    stacks = [line.rpartition(" ") for line in text.splitlines()]
    return {stack: int(count) for stack, _, count in stacks}


def test_a_process_is_profiled_until_it_exits(perf_arm: Arm, capsys: pytest.CaptureFixture[str]) -> None:
    actor = perf_arm.actor()
    actor.rename("worker")
    perf_arm.soon(in_turn(partial(actor.spend, 100_000_000), actor.exit))
    assert main(["--pid", str(actor.pid)], kernel=perf_arm.kernel) == 0
    out, err = capsys.readouterr()
    stacks = _folded(out)
    assert err == f"flame: {sum(stacks.values())} samples of 1 threads, 0 LOST\n"
    assert stacks
    assert all(stack.startswith("worker;") for stack in stacks)


def test_ctrl_c_ends_with_all_that_was_recorded(
    perf_arm: Arm, ctrl_c: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    actor = perf_arm.actor()
    perf_arm.soon(in_turn(partial(actor.spend, 100_000_000), ctrl_c))
    assert main(["--pid", str(actor.pid)], kernel=perf_arm.kernel) == 0
    assert _folded(capsys.readouterr().out)


def test_a_process_that_does_nothing_is_told_what_to_try(perf_arm: Arm, capsys: pytest.CaptureFixture[str]) -> None:
    actor = perf_arm.actor()
    perf_arm.soon(actor.exit)
    assert main(["--pid", str(actor.pid), "--frequency", "1"], kernel=perf_arm.kernel) == 0
    assert "0 samples" in (told := capsys.readouterr().err)
    assert "raise --frequency" in told


def test_the_duration_ends_it(perf_kernel: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--duration", "0.05"], kernel=perf_kernel) == 0
    assert capsys.readouterr().err.startswith("flame: ")


@pytest.mark.sim_kernel(capabilities=())
def test_somebody_without_privileges_profiles_his_own_process(
    sim_kernel: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = sim_kernel.spawn(lambda _: iter([Spend(100_000_000)]))
    assert main(["--user", "--pid", str(worker.pid)], kernel=sim_kernel) == 0
    assert _folded(capsys.readouterr().out) == {"program;" + ";".join(["[program]"] * 4): 9}


def _speedscope(sim_kernel: SimKernel, tmp_path: Path) -> dict[str, Any]:
    for comm in ("one", "two"):
        sim_kernel.spawn(lambda _: iter([Spend(150_000_000)]), comm=comm)
    written = tmp_path / "profile.json"
    assert main(["--duration", "0.4", "--speedscope", str(written)], kernel=sim_kernel) == 0
    loaded: dict[str, Any] = json.loads(written.read_text())
    return loaded


def test_a_speedscope_file_has_the_published_structure(sim_kernel: SimKernel, tmp_path: Path) -> None:
    file = _speedscope(sim_kernel, tmp_path)
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert [frame.keys() for frame in file["shared"]["frames"]] == [{"name"}] * len(file["shared"]["frames"])
    keys = {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
    assert [profile.keys() for profile in file["profiles"]] == [keys] * 2
    assert {(profile["type"], profile["unit"]) for profile in file["profiles"]} == {("sampled", "nanoseconds")}


def test_frames_samples_and_weights_of_a_speedscope_file_agree(sim_kernel: SimKernel, tmp_path: Path) -> None:
    file = _speedscope(sim_kernel, tmp_path)
    frames = range(len(file["shared"]["frames"]))
    for profile in file["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])
        assert all(at in frames for stack in profile["samples"] for at in stack)
    used = {at for profile in file["profiles"] for stack in profile["samples"] for at in stack}
    assert used == set(frames)


def test_a_speedscope_file_and_the_folded_stacks_tell_the_same(
    sim_kernel: SimKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _speedscope(sim_kernel, tmp_path)
    names = [frame["name"] for frame in file["shared"]["frames"]]
    weights: dict[str, int] = {}
    for profile in file["profiles"]:
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            folded = ";".join(names[at] for at in stack)
            weights[folded] = weights.get(folded, 0) + weight
    samples = int(capsys.readouterr().err.split()[1])
    assert sum(weights.values()) == samples * PERIOD
    assert {stack.split(";")[0] for stack in weights} == {"one", "two"}


def test_a_file_that_cannot_be_written_is_told_before_anything_is_recorded(
    sim_kernel: SimKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--speedscope", str(tmp_path / "no" / "file")], kernel=sim_kernel) == 1
    assert "No such file or directory" in capsys.readouterr().err


# What a profile makes of records.


def _sample(*chain: int, pid: int = 7) -> Sample:
    sample_type = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_CALLCHAIN
    layout = EventLayout(abi.PerfEventAttr(sample_type=sample_type), name="cpu-clock", kind="profile")
    given = {"id": 1, "pid": pid, "tid": pid, "callchain": chain}
    values = [given[name] for name in sorted(layout.places, key=lambda name: layout.places[name])]
    return Sample(layout, 0, 0, 0, 64, tuple(values))


def _stacks(*records: Record) -> list[list[tuple[str, int]]]:
    """Source and address of each frame."""
    kernel: Any = None
    profile = Profile(Symbols(kernel))
    for record in records:
        profile.take(record)
    return [[place[:2] for place in stack] for stacks in profile.threads.values() for stack in stacks]


MAPPED = Mmap2(pid=7, tid=7, addr=0, length=1 << 20, filename="/bin/x", ino=5)


def test_behind_the_innermost_frame_there_are_return_addresses() -> None:
    stacks = _stacks(MAPPED, _sample(abi.PERF_CONTEXT_USER, 0x100, 0x200, 0x300))
    assert stacks == [[("/bin/x", 0x2FF), ("/bin/x", 0x1FF), ("/bin/x", 0x100)]]


def test_the_kernel_is_inside_of_the_user_space_that_called_it() -> None:
    stacks = _stacks(MAPPED, _sample(abi.PERF_CONTEXT_KERNEL, 0x10, 0x20, abi.PERF_CONTEXT_USER, 0x100))
    assert stacks == [[("/bin/x", 0x100), ("[kernel]", 0x1F), ("[kernel]", 0x10)]]


@pytest.mark.parametrize(("misc", "source"), [(abi.PERF_RECORD_MISC_COMM_EXEC, "[unknown]"), (0, "/bin/x")])
def test_a_name_by_execve_takes_the_mappings_away_and_another_does_not(misc: int, source: str) -> None:
    renamed = Comm(pid=7, tid=7, comm="new", misc=misc)
    assert _stacks(MAPPED, renamed, _sample(abi.PERF_CONTEXT_USER, 0x100)) == [[(source, 0x100)]]


def test_a_child_process_has_its_parents_mappings() -> None:
    forked = Fork(pid=8, tid=8, ppid=7, ptid=7)
    assert _stacks(MAPPED, forked, _sample(abi.PERF_CONTEXT_USER, 0x100, pid=8)) == [[("/bin/x", 0x100)]]


def test_a_new_thread_leaves_the_mappings_of_its_process_alone() -> None:
    forked = Fork(pid=7, tid=9, ppid=7, ptid=7)
    assert _stacks(MAPPED, forked, _sample(abi.PERF_CONTEXT_USER, 0x100)) == [[("/bin/x", 0x100)]]


def test_a_stack_is_kept_once(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(lambda _: iter([Spend(100_000_000)]))
    profile = Profile(Symbols(sim_kernel))
    events = ProfilingEvents(99, callchain=True)
    with SessionBuilder().with_profiling_events(events).build(sim_kernel) as session:
        session.enable()
        for record in session.records(duration=0.1):
            profile.take(record)
    (stacks,) = profile.threads.values()
    assert len(stacks) > 1
    assert all(stack is stacks[0] for stack in stacks)
