"""State machines: the simulated kernel in lock-step with a model that shares nothing with it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.hypothesis_profiles import examples
from tests.property._machine_aimed import AimedMachine
from tests.property._machine_session import SessionMachine

AT_LEAST = 1
"""How often each of the outcomes below must be met. Most are met fifty times and more; but what Hypothesis tries
depends on the constants of all modules that are loaded, so that the rarest come now 20 times, now 3."""
_READINESS = {"polled IN", "polled HUP", "epoll IN level", "epoll IN edge", "epoll IN oneshot", "woken and disarmed"}
_READINESS |= {"HUP by exit", "HUP by munmap", "drained after HUP", "followers lost their ring"}
_LOSS = {"lost", "lost and woken", "lost and nobody woken", "told of a loss", "refused for the LOST alone"}
_LOSS |= {"never woken", "silent with room"}
_REFUSALS = {"open ESRCH", "open EINVAL", "mmap EBUSY", "mmap EINVAL", "redirect EINVAL", "pause EINVAL"}
_REFUSALS |= {"add EEXIST", "mod ENOENT", "del ENOENT", "emit ENOENT", "emit ENOTSUP", "read ENOSPC"}
_REFUSALS |= {f"{call} EBADF" for call in ("close", "enable", "mmap", "redirect", "pause", "add", "mod", "del", "read")}
_REST = {"woken", "drained", "forked", "exited", "redirected", "closed while mapped"}
_SESSION = {f"data: {why}" for why in ("start", "wakeup", "latency", "timeout", "flush", "hangup", "end")}
_SESSION |= {"word: timeout", "word: flush", "word: end", "asleep", "given back", "a second reader was refused"}
_SESSION |= {"delivered", "delivered from two cpus", "lost", "told of a loss", "closed", "forked"}


def test_system_calls_on_many_rings_agree_with_the_model() -> None:
    AimedMachine.outcomes.clear()
    chosen = settings(examples(200), stateful_step_count=40)
    run_state_machine_as_test(AimedMachine, settings=chosen)
    met = AimedMachine.outcomes
    rare = {name: met[name] for name in _READINESS | _LOSS | _REFUSALS | _REST if met[name] < AT_LEAST}
    assert not rare, f"met less than {AT_LEAST} times: {rare}"


def test_a_session_agrees_with_what_is_said_of_it() -> None:
    SessionMachine.outcomes.clear()
    chosen = settings(examples(300), stateful_step_count=40)
    run_state_machine_as_test(SessionMachine, settings=chosen)
    met = SessionMachine.outcomes
    rare = {name: met[name] for name in _SESSION if met[name] < AT_LEAST}
    assert not rare, f"met less than {AT_LEAST} times: {rare}"
