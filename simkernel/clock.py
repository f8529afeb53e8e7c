"""Virtual time: it stands still while code runs, and jumps to the next thing that is due while everybody waits."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from perfring.abi import CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME, CLOCK_TAI
from simkernel.misuse import SimulatorError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["CLOCK_OFFSETS", "SCHED_CLOCK_OFFSET", "Clock", "Timer"]

CLOCK_OFFSETS: Final[dict[int, int]] = {
    CLOCK_MONOTONIC: 0,
    CLOCK_MONOTONIC_RAW: -1_377_131,
    CLOCK_BOOTTIME: 5_000_000_000,
    CLOCK_REALTIME: 1_700_000_000_000_000_000,
    CLOCK_TAI: 1_700_000_037_000_000_000,
}
"""Nanoseconds from the monotonic clock to each other: all different, so that who mixes clocks is found out."""

SCHED_CLOCK_OFFSET: Final = -731_555
"""The same for the scheduler's clock, which stamps records of events without use_clockid."""

_BOOTED_NS: Final = 60_000_000_000


class Timer:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("action", "when")

    def __init__(self, when: int, action: Callable[[], None]) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Takes it back. Harmless when it has happened."""
        self.action = None


class Clock:
    """The time of the simulated machine, in nanoseconds, and what is due.

    Attributes:
        now: CLOCK_MONOTONIC.

    Args:
        rng: decides the order of what is due at the same instant, which Linux leaves open.
    """

    def __init__(self, rng: random.Random) -> None:
        self.now = _BOOTED_NS
        self._rng = rng
        self._due: list[tuple[int, float, int, Timer]] = []
        self._made = 0

    def read(self, clock_id: int) -> int | None:
        """The time on one of the clocks; None for one that there is not."""
        offset = CLOCK_OFFSETS.get(clock_id)
        return None if offset is None else self.now + offset

    def at(self, when: int, action: Callable[[], None]) -> Timer:
        """Lets ``action`` happen at an absolute time.

        Raises:
            SimulatorError: the time is over.
        """
        if when < self.now:
            raise SimulatorError(f"a timer for {when} ns was set at {self.now} ns: time does not run backwards")
        timer = Timer(when, action)
        self._made += 1
        heapq.heappush(self._due, (when, self._rng.random(), self._made, timer))
        return timer

    def after(self, delay: int, action: Callable[[], None]) -> Timer:
        """Lets ``action`` happen ``delay`` nanoseconds from now."""
        return self.at(self.now + delay, action)

    def next_due(self) -> int | None:
        """When the next thing happens; None when nothing ever will."""
        while self._due and self._due[0][3].action is None:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def step(self, limit: int | None) -> bool:
        """Lets the next thing happen, if there is one up to ``limit``. True when something happened.

        Without one the time moves to the limit.
        """
        when = self.next_due()
        if when is None or (limit is not None and when > limit):
            if limit is not None:
                self.now = max(self.now, limit)
            return False
        timer = heapq.heappop(self._due)[3]
        action, timer.action = timer.action, None
        # What happens may itself take time, and so this may be late: never early, and never backwards.
        self.now = max(self.now, when)
        if action is not None:
            action()
        return True

    def run_until(self, when: int) -> None:
        """Lets everything happen that is due up to then, and moves the time there."""
        while self.step(when):
            pass

    def pass_time(self, ns: int) -> None:
        """Moves the time by ``ns``; quickly, when nothing is due meanwhile."""
        when = self.now + ns
        if not self._due or self._due[0][0] > when:
            self.now = when
        else:
            self.run_until(when)
