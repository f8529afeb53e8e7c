"""How much Hypothesis tries, and with whose luck: the profile named by HYPOTHESIS_PROFILE.

=========  ==========================  =============================================================================
default    100 examples for each test  the same ones on every run of the same tests: red means changed code, not luck
fresh      100                         new ones on every run: for whoever works on the code
thorough   20000                       new ones on every run, to be left alone with it for an hour or more
=========  ==========================  =============================================================================

A test that is too dear for 100 examples says ``@examples(20)``, and is multiplied like all others.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

__all__ = ["FACTOR", "PLAIN", "PROFILES", "VARIABLE", "examples", "factor", "use_profile"]

VARIABLE: Final = "HYPOTHESIS_PROFILE"
PLAIN: Final = 100
"""Examples for a test that says nothing, in the profiles of every day."""
FACTOR: Final = 200
"""How many times as many ``thorough`` tries."""
PROFILES: Final = {"default": PLAIN, "fresh": PLAIN, "thorough": FACTOR * PLAIN}
"""The examples for such a test in each profile."""


def use_profile() -> None:
    """Registers the profiles, and loads the one that the environment asks for.

    Raises:
        ValueError: a profile that is none of `PROFILES`, with its name.
    """
    failures = DirectoryBasedExampleDatabase(".hypothesis/examples")
    for name, count in PROFILES.items():
        settings.register_profile(
            name,
            max_examples=count,
            derandomize=name == "default",
            database=None if name == "default" else failures,
            print_blob=True,
            # No time is asserted in tests: neither what an example takes, nor what it takes to think one up.
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
    asked = os.environ.get(VARIABLE, "default")
    if asked not in PROFILES:
        raise ValueError(f"{VARIABLE} is {asked!r}: the profiles are {', '.join(PROFILES)}")
    settings.load_profile(asked)


def factor() -> int:
    """How many times as many examples as by default the profile in use tries."""
    return settings().max_examples // PLAIN


def examples(count: int, *, most: int | None = None) -> settings:
    """``@examples(20)``: 20 examples by default, and as many more under ``thorough`` as of every test.

    With ``most``, never more than that: for what costs a process for each step.

    It is a `hypothesis.settings`, so it is also what a state machine's ``TestCase.settings`` may be, or its parent.

    Raises:
        ValueError: a count below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}: a test needs at least one example")
    wanted = count * factor()
    return settings(max_examples=wanted if most is None else min(wanted, most))
