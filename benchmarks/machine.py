"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TypedDict

from perfring.engine import engine_name


class Machine(TypedDict):
    """The machine, in words; None for what it has not.

    Attributes:
        cpu: the processor's model.
        cores: CPUs that this process may run on, and that are online.
        kernel: name, release and architecture.
        python: implementation and version.
        compiler: what ``cc`` calls itself.
        perf: what ``perf`` calls itself.
        engine: which engine of perfring decodes.
        load: the load average of the last minute before: the others on the machine.
    """

    cpu: str
    cores: int
    kernel: str
    python: str
    compiler: str | None
    perf: str | None
    engine: str
    load: float


def describe() -> Machine:
    """This machine, now."""
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        compiler=_first_line("cc", "--version"),
        perf=_first_line("perf", "--version"),
        engine=engine_name(),
        load=round(os.getloadavg()[0], 2),
    )


def _cpu_model() -> str:
    """From /proc/cpuinfo; arm64 kernels name none there."""
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "uarch", "cpu\t")))
    return next(named, platform.processor() or platform.machine())


def _first_line(command: str, *arguments: str) -> str | None:
    found = shutil.which(command)
    if found is None:
        return None
    said = subprocess.run([found, *arguments], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0] or None
