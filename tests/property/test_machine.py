"""State machines: the simulated kernel in lock-step with a model that shares nothing with it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.hypothesis_profiles import examples
from tests.property._machine_aimed import AimedMachine

AT_LEAST = 20
"""How often the default profile has to meet what is named below: a step that is rare finds nothing."""
_READINESS = {"polled IN", "polled HUP", "epoll IN level", "epoll IN edge", "epoll IN oneshot", "woken and disarmed"}
_READINESS |= {"HUP by exit", "HUP by munmap", "drained after HUP", "followers lost their ring"}
_LOSS = {"lost", "lost and woken", "lost and nobody woken", "told of a loss", "refused for the LOST alone"}
_LOSS |= {"worn out", "never woken", "silent with room"}
_REFUSALS = {"open ESRCH", "open EINVAL", "mmap EBUSY", "mmap EINVAL", "redirect EINVAL", "pause EINVAL"}
_REFUSALS |= {"add EEXIST", "mod ENOENT", "del ENOENT", "emit ENOENT", "emit ENOTSUP", "read ENOSPC"}
_REFUSALS |= {f"{call} EBADF" for call in ("close", "enable", "mmap", "redirect", "pause", "add", "mod", "del", "read")}
_REST = {"woken", "drained", "forked", "exited", "redirected", "closed while mapped"}


def test_system_calls_on_many_rings_agree_with_the_model() -> None:
    AimedMachine.outcomes.clear()
    chosen = settings(examples(200), stateful_step_count=40)
    run_state_machine_as_test(AimedMachine, settings=chosen)
    met = AimedMachine.outcomes
    rare = {name: met[name] for name in _READINESS | _LOSS | _REFUSALS | _REST if met[name] < AT_LEAST}
    assert not rare, f"met less than {AT_LEAST} times: {rare}"
