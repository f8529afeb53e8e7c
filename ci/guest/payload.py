"""What a guest gets and has to do: the jobs, and the initramfs that is made of the user land, the sources and them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ci.guest.cpio import Archive

__all__ = ["CHECKS", "ROOT", "TRACES", "Plan", "initramfs", "jobs"]

ROOT: Final = Path(__file__).resolve().parents[2]
"""The checkout."""
CHECKS: Final = "checks.json"
"""The file that the job ``checks`` writes."""
TRACES: Final = {"corpus": "corpus.jsonl.gz", "random": "random.jsonl.gz"}
"""The jobs that write traces, and their files."""

_CORPUS: Final = "tests/conformance/corpus"
_SOURCES: Final = ("perfring", "simkernel", "ci/guest")


@dataclass(frozen=True, slots=True)
class Plan:
    """What each kernel does.

    Attributes:
        seed: of the random programs.
        steps: how many random steps; 0 for none.
        corpus: run the corpus.
        seconds: after so long a kernel is given up.
    """

    seed: int
    steps: int
    corpus: bool
    seconds: float


def jobs(plan: Plan, python: str, folder: str) -> list[dict[str, Any]]:
    """The jobs of a plan, as `ci.guest.agent` takes them.

    Args:
        plan: what to do.
        python: the interpreter there.
        folder: where files are written there.
    """
    run = [python, "-m", "simkernel.contract", "run", "--kernel", "linux"]
    made = [_job("checks", [python, "-m", "ci.guest.checks", f"{folder}/{CHECKS}"], CHECKS, plan)]
    if plan.corpus:
        made.append(_traces("corpus", [*run, "--corpus", _CORPUS], folder, plan))
    if plan.steps:
        made.append(_traces("random", [*run, "--random", str(plan.seed), "--steps", str(plan.steps)], folder, plan))
    return made


def _traces(name: str, argv: list[str], folder: str, plan: Plan) -> dict[str, Any]:
    return _job(name, [*argv, "--out", f"{folder}/{TRACES[name]}"], TRACES[name], plan)


def _job(name: str, argv: list[str], output: str, plan: Plan) -> dict[str, Any]:
    return {"name": name, "argv": argv, "outputs": [output], "timeout": plan.seconds}


def initramfs(userland: Path, plan: Plan) -> bytes:
    """The user land and behind it what this run adds; the kernel unpacks one after the other."""
    own = Archive()
    own.file("init", (ROOT / "ci/guest/init").read_bytes(), executable=True)
    for source in _SOURCES:
        own.tree(ROOT / source, below=f"work/{source}", suffix=".py")
    own.tree(ROOT / _CORPUS, below=f"work/{_CORPUS}", suffix=".programs")
    own.file("work/jobs.json", json.dumps(jobs(plan, "/usr/bin/python3.11", "/tmp")).encode())
    return userland.read_bytes() + own.finish()
