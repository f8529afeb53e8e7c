"""Checks of the arguments that whoever drives the simulator gives: what is wrong, with its value."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SECOND", "check_callable", "check_count", "check_errno", "check_seconds", "check_weight"]

SECOND: Final = 1_000_000_000
"""Nanoseconds in one."""


def _check_number(name: str, value: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {value!r}: it must be {what}")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}: it must be {what}")
    return value


def check_weight(name: str, value: float, *, what: str = "a number above 0") -> float:
    """A finite number above 0. Raises TypeError, ValueError."""
    if _check_number(name, value, what) <= 0:
        raise ValueError(f"{name} is {value}: it must be {what}")
    return value


def check_seconds(name: str, value: float) -> int:
    """Seconds, 0 or more, as nanoseconds. Raises TypeError, ValueError."""
    what = "a number of seconds, 0 or more"
    if _check_number(name, value, what) < 0:
        raise ValueError(f"{name} is {value}: it must be {what}")
    return round(value * SECOND)


def check_count(name: str, value: int, *, least: int = 0) -> int:
    """A whole number. Raises TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}: it must be a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}: it must be {least} or more")
    return value


def check_errno(value: int) -> int:
    """An errno of this system. Raises ValueError."""
    if value not in errno.errorcode:
        raise ValueError(f"errno is {value!r}: it must be one of the errno module, such as errno.ENOMEM")
    return value


def check_callable(name: str, value: Callable[..., object]) -> None:
    """Something to call. Raises TypeError."""
    if not callable(value):
        raise TypeError(f"{name} is {value!r}: it must be callable")
