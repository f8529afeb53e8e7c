"""Times as people write them: ``10ms``."""

from __future__ import annotations

import re
import sys
from typing import Final, TypeGuard

__all__ = ["format_ns", "is_number", "parse_seconds"]

_UNITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_PATTERN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|ms|us|ns)")
_STEPS: Final = ((10**9, "s"), (10**6, "ms"), (10**3, "us"))


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a finite number that a float can hold, which not every int is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def parse_seconds(value: object) -> float:
    """A number of seconds, or a text such as ``"10ms"``, ``"2.5 us"``, ``"1s"``; never negative.

    Raises:
        ValueError: anything else, with no word of whose value it was.
    """
    if isinstance(value, str):
        found = _PATTERN.fullmatch(value.strip())
        if found is None:
            raise ValueError("it must be a number of seconds, or a time such as '10ms', '250us' or '2s'")
        # Not times 1e-3, which makes 0.010000000000000002 of 10ms.
        return float(f"{found[1]}e-{_UNITS[found[2]]}")
    if not is_number(value) or value < 0:
        raise ValueError("it must be a number of seconds, 0 or more, or a time such as '10ms'")
    return float(value)


def format_ns(ns: int) -> str:
    """Three digits and a unit: ``1.25 ms``."""
    for scale, unit in _STEPS:
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}" if ns < 1000 * scale else f"{ns // scale} {unit}"
    return f"{ns} ns"
