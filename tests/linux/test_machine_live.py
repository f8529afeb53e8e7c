"""The state machine's model against the kernel underneath: it is the truth, and not a copy of the simulator."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from simkernel.contract.arm import Arm, LinuxArm
from tests.hypothesis_profiles import examples
from tests.property._machine_raw import RawMachine


class LiveMachine(RawMachine):
    """The same steps, with real tasks."""

    outcomes: ClassVar[Counter[str]] = Counter()
    slowness = 10

    def make_arm(self) -> Arm:
        return LinuxArm()


def test_the_model_of_many_rings_is_what_the_kernel_does() -> None:
    few = settings(examples(12), stateful_step_count=30, derandomize=True, phases=[Phase.generate], database=None)
    run_state_machine_as_test(LiveMachine, settings=few)
    missing = {"woken", "lost", "drained", "epoll HUP", "exited", "redirected"} - set(LiveMachine.outcomes)
    assert not missing, f"never met: {sorted(missing)}"
