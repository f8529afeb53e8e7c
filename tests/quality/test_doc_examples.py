"""The programs of docs/examples on the simulated kernel; tests/linux/test_examples.py starts them on the real one."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections import Counter
from types import FunctionType
from typing import Any

import pytest

from simkernel import SimKernel
from simkernel.workload import Emit, constant
from tests.quality.snippets import EXAMPLES

TESTED_ELSEWHERE = {"check_my_consumer", "explore_my_reader", "switches"}
WITH_A_TEST_BESIDE = {"bpf_map", "collector", "two_tasks"}
TESTED_HERE = {"choose_watermark", "columns", "from_bcc", "from_libbpf", "looks_stalled", "polling", "record_myself"}


def _example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_every_example_is_tested_somewhere() -> None:
    programs = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("test_")}
    assert programs == TESTED_ELSEWHERE | WITH_A_TEST_BESIDE | TESTED_HERE
    assert all((EXAMPLES / f"test_{name}.py").is_file() for name in WITH_A_TEST_BESIDE)


def test_their_tests_run_where_they_lie_in_the_checkout() -> None:
    run = subprocess.run(
        # -P: as the command pytest, which does not look into the directory that it is called in.
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=EXAMPLES,
        env=os.environ | {"PERFRING_LINUX": "0"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def test_the_builder_chooses_a_quarter_of_the_ring(sim_kernel: SimKernel) -> None:
    example = _example("choose_watermark")
    assert example["chosen_by_the_builder"](sim_kernel) == 8192
    assert example["chosen_by_the_rule"]() == 32768 - 1 - 120 - 72


def test_the_reader_of_a_map_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bpf_map.py"])
    with pytest.raises(SystemExit, match=r"python bpf_map\.py MAP_ID"):
        runpy.run_path(str(EXAMPLES / "bpf_map.py"), run_name="__main__")


def test_columns_count_what_the_records_count(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(constant(100, count=40), cpu=0)
    chosen, longest = _example("columns")["count_switches"](0.5, sim_kernel)
    assert chosen.total() >= 80
    assert 9_000_000 < longest <= 500_000_000


def test_the_half_of_bcc_calls_back_with_each_payload(sim_kernel: SimKernel) -> None:
    heard: list[Any] = []
    sim_kernel.spawn(constant(1000, act=Emit(64), count=50), cpu=1)
    map_fd = sim_kernel.bpf_map_fd(1)
    assert _example("from_bcc")["follow"](map_fd, heard.append, 1.0, sim_kernel) == 0
    sim_kernel.close(map_fd)
    assert [int.from_bytes(record.raw[:8], "little") for record in heard] == list(range(50))


def test_the_half_of_libbpf_yields_cpu_and_payload(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(constant(1000, act=Emit(64), count=50), cpu=1)
    seen = list(_example("from_libbpf")["follow_pinned"](sim_kernel.bpf_map_path, 1.0, sim_kernel))
    assert [(cpu, int.from_bytes(payload[:8], "little")) for cpu, payload in seen] == [(1, n) for n in range(50)]


@pytest.mark.sim_kernel(capabilities=(), paranoid=2)
def test_who_has_no_rights_records_himself(sim_kernel: SimKernel) -> None:
    record_self: FunctionType = _example("record_myself")["record_self"]
    record_self.__globals__["work"] = lambda: sim_kernel.me.fork().exit()
    assert record_self(sim_kernel, sim_kernel.me.pid) == Counter(fork=1, exit=1)


def test_both_ways_of_reading_see_all_of_it(sim_kernel: SimKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    example = _example("polling")
    monkeypatch.setattr("time.monotonic", lambda: sim_kernel.clock_ns(1) / 1e9)
    monkeypatch.setattr("time.sleep", lambda seconds: sim_kernel.poll([], seconds))
    for read in (example["by_the_clock"], example["by_the_watermark"]):
        sim_kernel.spawn(constant(100, count=40), cpu=0)
        with example["BUILDER"].build(sim_kernel) as session:
            session.enable()
            assert read(session, 0.5) == session.statistics().records > 80


def test_a_ring_that_loses_and_wakes_nobody_is_named(sim_kernel: SimKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    example = _example("polling")
    with example["BUILDER"].with_page_count(1).with_target_cpu(0).build(sim_kernel) as session:
        session.enable()
        session.pause()  # what is dropped wakes nobody (K12), as in a ring that is full
        monkeypatch.setattr("time.sleep", lambda _: sim_kernel.actor(cpu=0).switch())
        assert _example("looks_stalled")["looks_stalled"](session) == [0]
