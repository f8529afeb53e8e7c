"""The state machine's model against the kernel underneath: it is the truth, and not a copy of the simulator."""

from __future__ import annotations

import fcntl
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from simkernel.contract.arm import Arm, LinuxArm
from tests.hypothesis_profiles import examples
from tests.property._machine_aimed import AimedMachine

_NOBODY_ELSE = 500
_FEW = 12
_MOST = 300
"""Also under ``thorough``: a run forks a process for each task, so 200 times as many would be half an hour on end."""


class LiveMachine(AimedMachine):
    """The same steps, with real tasks."""

    outcomes: ClassVar[Counter[str]] = Counter()
    slowness = 10

    def make_arm(self) -> Arm:
        return LinuxArm()

    def place(self, fd: int) -> int:
        """Among numbers that nobody else gets: what is closed and then used must not be the pipe of an actor."""
        high = self.kernel.fcntl(fd, fcntl.F_DUPFD, _NOBODY_ELSE)
        self.kernel.close(fd)
        return high


@pytest.mark.timeout(900)
def test_the_model_of_many_rings_is_what_the_kernel_does() -> None:
    few = settings(
        examples(_FEW, most=_MOST),
        stateful_step_count=30,
        derandomize=True,
        phases=[Phase.generate],
        database=None,
    )
    run_state_machine_as_test(LiveMachine, settings=few)
    missing = {"woken", "lost", "drained", "epoll HUP", "exited", "redirected"} - set(LiveMachine.outcomes)
    assert not missing, f"never met: {sorted(missing)}"
