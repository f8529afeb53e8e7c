"""What a setting will do, seen on a simulated kernel: run a scenario, or sweep over many settings of it::

    ran = run(Scenario(pages=8, watermark=16384, rate=20_000))
    print(ran.result.wakes_per_second, ran.result.p99, *ran.advice)

A scenario is run by perfring's real session, or by a reader with one of the usual mistakes (`READERS`), on a
`simkernel.SimKernel` in virtual time. docs/simulate.md tells more; ``perfring simulate`` is the command.
"""

from __future__ import annotations

from simkernel.simulate.builtin import BUILT_IN
from simkernel.simulate.durations import format_ns, parse_seconds
from simkernel.simulate.files import parse_setting, read_scenario, with_settings
from simkernel.simulate.readers import READERS
from simkernel.simulate.recorded import recorded
from simkernel.simulate.result import Result, Wait
from simkernel.simulate.run import Run, check, run
from simkernel.simulate.scenario import AUTO, EVENTS, PATTERNS, Scenario, ScenarioError
from simkernel.simulate.sweep import best, grid, sweep

__all__ = [
    "AUTO",
    "BUILT_IN",
    "EVENTS",
    "PATTERNS",
    "READERS",
    "Result",
    "Run",
    "Scenario",
    "ScenarioError",
    "Wait",
    "best",
    "check",
    "format_ns",
    "grid",
    "parse_seconds",
    "parse_setting",
    "read_scenario",
    "recorded",
    "run",
    "sweep",
    "with_settings",
]
