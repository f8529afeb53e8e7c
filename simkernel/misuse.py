"""What the simulator itself says, as opposed to what Linux would: errors that no program on Linux could see."""

from __future__ import annotations

__all__ = ["ActorExited", "Deadlock", "SimulatorError"]


class SimulatorError(RuntimeError):
    """The simulator was used in a way that has no meaning: time turned back, a foreign descriptor, a nested wait."""


class ActorExited(SimulatorError):
    """An order to an actor that has exited."""


class Deadlock(SimulatorError):
    """Somebody waits, and nothing that is going to happen can wake him. The text holds the state of every ring."""
