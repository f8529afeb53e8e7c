"""Hostile use for a long time: nothing leaks, nothing sticks, every record is delivered or counted.

``PERFRING_SOAK_SECONDS`` is how long the slow one takes, 30 minutes unless set; ``PERFRING_SOAK_SEED`` makes both do
again what a failure printed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.quality.project import ROOT

SHORT, LONG = 12, 1800
GRACE = 110
"""Seconds that a run may take beyond its time; it prints all stacks before that when it is stuck."""


def soak(seconds: float, seed: int) -> str:
    """A run, stopped and continued at random meanwhile; what it printed."""
    luck, command = random.Random(seed), [sys.executable, "-m", "tests.soak._run", str(seconds), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + seconds + GRACE
        try:
            while process.poll() is None and time.monotonic() < deadline:
                _stop_and_continue(process, luck)
        finally:
            process.kill()
        out, err = process.communicate()
    assert process.returncode == 0, f"seed {seed}: exit status {process.returncode}\n{out}{err}"
    return out


def _stop_and_continue(process: subprocess.Popen[str], luck: random.Random) -> None:
    """The waits are the load: how long the reader runs, and how long its rings fill meanwhile."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(luck.uniform(0.05, 1.0))
        return
    process.send_signal(signal.SIGSTOP)
    with suppress(subprocess.TimeoutExpired):
        process.wait(luck.uniform(0.001, 0.3))
    process.send_signal(signal.SIGCONT)


@pytest.mark.timeout(SHORT + GRACE + 20)
def test_nothing_leaks_or_sticks_and_every_record_is_accounted_for() -> None:
    print(soak(SHORT, int(os.environ.get("PERFRING_SOAK_SEED", "1"))))  # noqa: T201 - shown by -rP, and on failure


@pytest.mark.slow
@pytest.mark.timeout(24 * 3600)
def test_nothing_leaks_or_sticks_for_half_an_hour() -> None:
    seconds = float(os.environ.get("PERFRING_SOAK_SECONDS", str(LONG)))
    seed = int(os.environ.get("PERFRING_SOAK_SEED", str(random.randrange(1 << 32))))
    print(soak(seconds, seed))  # noqa: T201
