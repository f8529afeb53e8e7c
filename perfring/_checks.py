"""Checks of arguments at the border: the type, the range, and the value in the message."""

from __future__ import annotations

__all__ = ["require_bool", "require_int", "require_seconds"]


def require_int(name: str, value: object, *, least: int, most: int, hint: str = "") -> int:
    """Returns the value, an int within the range.

    Raises:
        TypeError: not an int; a bool is none here, for ``with_target_cpu(True)`` is a mistake and not cpu 1.
        ValueError: out of range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}: it must be an int")
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}: it must be from {least} to {most}{hint and '; ' + hint}")
    return value


def require_seconds(name: str, value: object, *, most: float) -> float:
    """Returns the value as a float: a finite number of seconds above 0.

    Raises:
        TypeError: not a number.
        ValueError: not a number (NaN), infinite, not above 0, or too long.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}: it must be a number of seconds")
    if not 0 < value <= most:  # false for NaN too
        raise ValueError(f"{name} is {value}: it must be a number of seconds above 0, {most:g} at most")
    return float(value)


def require_bool(name: str, value: object) -> bool:
    """Returns the value, a bool.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}: it must be True or False")
    return value
