"""What a kernel delivered, held against the simulated kernel of its release: the verdict on one kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ci.guest.checks import Result, expected, load
from ci.guest.payload import CHECKS, TRACES
from simkernel.contract.replaying import replayed
from simkernel.contract.trace import TraceError, read_traces

__all__ = ["Verdict", "judge"]

_TAIL: Final = 600


@dataclass(slots=True)
class Verdict:
    """What came of one kernel.

    Attributes:
        label: what the kernel is called: ``"6.1"``.
        version: the package's version, or the release of this machine.
        release: ``uname -r``; empty when it never ran.
        boot_seconds: until the first sign of life.
        seconds: altogether.
        checks: how many checks of the contract ended as on the simulated kernel.
        unavailable: checks for which the machine lacks something.
        programs: how many programs were compared.
        steps: how many steps they have.
        known: programs that differ as `simkernel.contract.known` says; no difference for the verdict.
        differences: what the simulated kernel does otherwise; the first words name the check or the program.
        failures: what was to be run and was not, and why.
        not_run: why the kernel could not be had; empty when it was.
    """

    label: str
    version: str = ""
    release: str = ""
    boot_seconds: float = 0.0
    seconds: float = 0.0
    checks: int = 0
    unavailable: int = 0
    programs: int = 0
    steps: int = 0
    known: int = 0
    differences: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    not_run: str = ""

    @property
    def word(self) -> str:
        """One word: ``agrees``, ``DIFFERS``, ``FAILED`` or ``not run``."""
        if self.not_run:
            return "not run"
        if self.failures:
            return "FAILED"
        return "DIFFERS" if self.differences else "agrees"


def judge(verdict: Verdict, frames: Mapping[str, bytes], wanted: list[str], folder: Path) -> None:
    """Completes a verdict with what the jobs delivered.

    Args:
        verdict: is added to.
        frames: what arrived, by name.
        wanted: the names of the jobs.
        folder: where it was unpacked: ``JOB/FILE``.
    """
    if "hello" in frames:
        verdict.release = json.loads(frames["hello"])["release"]
    for job in wanted:
        failure = _failure(job, frames)
        if failure:
            verdict.failures.append(failure)
        elif job == "checks":
            _judge_checks(verdict, load(frames[f"{job}/{CHECKS}"]))
        else:
            _judge_traces(verdict, folder / job / TRACES[job])


def _failure(job: str, frames: Mapping[str, bytes]) -> str:
    if f"{job}/status" not in frames:
        return f"{job}: not done"
    status = json.loads(frames[f"{job}/status"])
    tail = frames[f"{job}/log"].decode(errors="backslashreplace")[-_TAIL:]
    if status["status"] is None:
        return f"{job}: not done after {status['seconds']:.0f} s; it said at last:\n{tail}"
    output = CHECKS if job == "checks" else TRACES[job]
    if status["status"] or f"{job}/{output}" not in frames:
        return f"{job}: ended with status {status['status']}:\n{tail}"
    return ""


def _judge_checks(verdict: Verdict, results: list[Result]) -> None:
    simulated = {each.name: each for each in expected(verdict.release)}
    for real in results:
        other = simulated[real.name]
        if "unavailable" in (real.verdict, other.verdict):
            verdict.unavailable += 1
        elif real.verdict == other.verdict:
            verdict.checks += 1
        else:
            said = real.text or other.text
            text = f"{real.name}: {real.verdict} on linux, {other.verdict} on the simulated kernel: {said}"
            verdict.differences.append(text)


def _judge_traces(verdict: Verdict, path: Path) -> None:
    try:
        replay = replayed(*read_traces(path))
        verdict.programs += replay.programs
        verdict.steps += replay.steps
        verdict.known += replay.known.total()
        verdict.differences += [f"{name}: {difference}" for name, difference in replay.unexplained]
    except TraceError as broken:
        verdict.failures.append(str(broken))
