"""Measures functions in turns, and keeps medians and spreads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Figure(NamedTuple):
    """One figure of the table.

    Attributes:
        name: what was measured.
        value: the median over the rounds.
        spread: lowest and highest round.
        unit: of all three; "x" for a ratio.
        at_most: what the project holds itself to, or None.
        at_least: the same from below, or None.
    """

    name: str
    value: float
    spread: tuple[float, float]
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def missed(self) -> bool:
        """The median is beyond a limit; one that is exactly met is kept, and no number at all keeps none."""
        above = self.at_most is not None and not self.value <= self.at_most
        below = self.at_least is not None and not self.value >= self.at_least
        return above or below


class Skipped(NamedTuple):
    """A figure, or several, that this machine cannot give.

    Attributes:
        name: what would have been measured.
        why: what is missing, and what mends it.
    """

    name: str
    why: str


Outcome: TypeAlias = Figure | Skipped


class UnavailableError(Exception):
    """Something that a figure needs is not there; the text says what, and what mends it."""


def _say_nothing(_: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """How much to measure, and who hears of it.

    Attributes:
        short: only see that everything runs: one round of little.
        rounds: how often each contender is measured.
        say: is told what is measured now.
    """

    short: bool = False
    rounds: int = 7
    say: Callable[[str], None] = _say_nothing


def timed(function: Callable[[], object]) -> float:
    """Seconds of CPU time, of all threads of this process, that a call takes."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def in_turns(rounds: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Seconds of CPU time of each function, round by round: A B A B, after one round to warm up."""
    for function in functions:
        function()
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for seconds, function in zip(taken, functions, strict=True):
            seconds.append(timed(function))
    return taken


def figure(
    name: str, values: Sequence[float], unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> Figure:
    """Median and spread of one figure over the rounds."""
    return Figure(name, statistics.median(values), (min(values), max(values)), unit, at_most, at_least)


def ratio(
    name: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """The ratio of two functions, pair by pair: a slow minute slows both."""
    pairs = [a / b for a, b in zip(above, below, strict=True)]
    return figure(name, pairs, "x", at_most=at_most, at_least=at_least)


class Length(NamedTuple):
    """One run of a process: what it cost, and how much it did.

    Attributes:
        seconds: CPU time, start-up and end included.
        records: how many it delivered.
    """

    seconds: float
    records: int


def marginal_ns(short: Length, long: Length) -> float:
    """Nanoseconds for one more record: between two lengths of run, so that what both pay once is in neither.

    Raises:
        ValueError: the long run did not do more than the short one, or took no longer: they are too short to tell.
    """
    more, longer = long.records - short.records, long.seconds - short.seconds
    if more <= 0 or longer <= 0:
        raise ValueError(f"{more} records more in {longer:.6f} s more of CPU time: the runs are too short to tell")
    return longer / more * 1e9


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that so many percent of ``ordered``, ascending, do not exceed: the nearest rank, never in between.

    Raises:
        ValueError: there are none, or the percentage is not above 0 and at most 100.
    """
    if not ordered or not 0 < percent <= 100:
        raise ValueError(f"{percent} percent of {len(ordered)} values: it takes a value, and 0 < percent <= 100")
    return ordered[max(-int(-len(ordered) * percent // 100) - 1, 0)]
