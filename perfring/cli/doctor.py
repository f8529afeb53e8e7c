"""``perfring doctor``: can this machine open what a session needs?"""

from __future__ import annotations

__all__ = ["doctor"]


def doctor() -> None:
    """Say whether this machine can open what a session needs, and what mends it where it cannot."""
