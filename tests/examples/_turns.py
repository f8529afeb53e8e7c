"""Several things done one after the other, while an example waits."""

from __future__ import annotations

from collections.abc import Callable


def in_turn(*actions: Callable[[], object]) -> Callable[[], None]:
    """What `Arm.soon` takes."""

    def act() -> None:
        for action in actions:
            action()

    return act
