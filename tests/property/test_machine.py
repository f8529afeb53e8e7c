"""State machines: the simulated kernel in lock-step with a model that shares nothing with it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.hypothesis_profiles import examples
from tests.property._machine_raw import RawMachine

_MUST_BE_MET = {"woken", "lost", "lost and nobody woken", "told of a loss", "drained", "drained after HUP"}
_MUST_BE_MET |= {"polled IN", "polled HUP", "epoll IN", "epoll HUP", "forked", "exited", "redirected"}
_MUST_BE_MET |= {"followers lost their ring", "closed while mapped", "mmap EBUSY", "redirect EINVAL", "pause EINVAL"}


def test_system_calls_on_many_rings_agree_with_the_model() -> None:
    RawMachine.outcomes.clear()
    chosen = settings(examples(200), stateful_step_count=40)
    run_state_machine_as_test(RawMachine, settings=chosen)
    missing = _MUST_BE_MET - set(RawMachine.outcomes)
    assert not missing, f"never met: {sorted(missing)}"
