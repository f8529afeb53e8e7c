"""Measures functions in turns, and keeps medians and spreads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Figure(NamedTuple):
    """One figure of the table.

    Attributes:
        name: what was measured.
        value: the median over the rounds.
        spread: lowest and highest round.
        unit: of all three; "x" for a ratio.
        limit: what the project holds itself to, or None.
    """

    name: str
    value: float
    spread: tuple[float, float]
    unit: str
    limit: float | None = None


def in_turns(rounds: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Seconds of CPU time of each function, round by round: A B A B, after one round to warm up."""
    for function in functions:
        function()
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for seconds, function in zip(taken, functions, strict=True):
            begin = time.process_time()
            function()
            seconds.append(time.process_time() - begin)
    return taken


def figure(name: str, values: list[float], unit: str, *, limit: float | None = None) -> Figure:
    """Median and spread of one figure over the rounds."""
    return Figure(name, statistics.median(values), (min(values), max(values)), unit, limit)


def ratio(name: str, above: list[float], below: list[float], *, limit: float | None = None) -> Figure:
    """The ratio of two functions, pair by pair: a slow minute slows both."""
    return figure(name, [a / b for a, b in zip(above, below, strict=True)], "x", limit=limit)
