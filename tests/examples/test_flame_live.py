"""The CPU profiler on programs whose hot function is known."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from examples.flame import main

pytestmark = pytest.mark.perf_linux

# Unoptimised, every function has a frame pointer: the kernel's call chains are made of those.
PROGRAM = """
volatile unsigned long sink;
void hot(void) { for (long i = 0; i < 300000; i++) sink ^= i * 31; }
void cold(void) { for (long i = 0; i < 30000; i++) sink += i; }
void work(void) { hot(); cold(); sink++; }
int main(void) { for (int i = 0; i < 400; i++) work(); return 0; }
"""
# Machine code in memory without a file, as a JIT makes it: it counts %rdi down to nothing.
JITTED = """
import ctypes, mmap, os, sys
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("554889e548ffcf75fb5dc3"))
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
with open(f"{sys.argv[1]}{os.getpid()}.map", "w") as file:
    print(f"{address:x} b countdown", file=file)
ctypes.CFUNCTYPE(None, ctypes.c_long)(address)(600_000_000)
"""


def _profile(command: list[str], capsys: pytest.CaptureFixture[str], *options: str) -> dict[tuple[str, ...], int]:
    assert main(["--frequency", "999", *options, "--", *command]) == 0
    lines = capsys.readouterr().out.splitlines()
    stacks = [line.rpartition(" ") for line in lines if line.rpartition(" ")[2].isdigit()]
    return {tuple(stack.split(";")): int(count) for stack, _, count in stacks}


def _share(stacks: dict[tuple[str, ...], int], *frames: str) -> float:
    """Of the samples, those whose innermost frames are these."""
    return sum(count for stack, count in stacks.items() if stack[-len(frames) :] == frames) / sum(stacks.values())


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_time_goes_where_the_program_spends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "known"
    subprocess.run(["cc", "-O0", "-no-pie", "-x", "c", "-", "-o", str(program)], input=PROGRAM, text=True, check=True)
    stacks = _profile([str(program)], capsys)  # not position-independent: its addresses are no offsets in the file
    assert _share(stacks, "main", "work", "hot") > 0.5
    assert _share(stacks, "main", "work", "cold") < 0.3


@pytest.mark.skipif("x86_64" not in sys.implementation._multiarch, reason="the machine code is that of x86-64")
def test_code_of_a_jit_is_named_by_its_perf_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("examples.symbols.PERF_MAP", f"{tmp_path}/perf-")
    stacks = _profile([sys.executable, "-c", JITTED, f"{tmp_path}/perf-"], capsys)
    assert _share(stacks, "countdown") > 0.5


def test_a_command_that_exits_at_once_is_told_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--frequency", "1", "--", "true"]) == 0
    assert "0 samples of 0 threads, 0 LOST: " in capsys.readouterr().err


def test_a_command_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--", "/no/such/command"]) == 1
    assert capsys.readouterr().err == "flame: /no/such/command: No such file or directory\n"
