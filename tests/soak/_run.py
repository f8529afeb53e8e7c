"""The soak, a process of its own: SECONDS SEED. Prints a line for whatever goes wrong, and one with counts last."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import random
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.soak._limits import held, leaked, open_with_few_addresses, open_with_few_descriptors, settled
from tests.soak._rounds import Life, live, live_asynchronously

THREADS, TASKS, LIVES = 2, 2, 4
STUCK = 100.0
GROWTH_KIB = 96 * 1024
"""Resident memory that a run may add after its first rounds."""


class Soak:
    """Rounds of lives in threads and tasks, then a look at what is left, then the limits; and so on.

    Args:
        seed: everything but the kernel's and the scheduler's part follows from it.
    """

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    def round(self) -> None:
        """Lives side by side, then the limits, with a look at what is held before and after."""
        before = held()
        self.side_by_side()
        settled(before)
        for more in self.luck.sample(range(12), 4):
            self.counts[f"descriptors: {open_with_few_descriptors(more)}"] += 1
        for spare in self.luck.sample(range(0, 40 << 20, 1 << 20), 2):
            self.counts[f"addresses: {open_with_few_addresses(spare)}"] += 1
        gc.collect()
        left = leaked(before)
        if left:
            self.wrong.append(left)
        self.counts["rounds"] += 1

    def side_by_side(self) -> None:
        """Lives in threads, and in the tasks of one more."""
        works: list[Callable[[], None]] = [self._thread(self.luck.getrandbits(32)) for _ in range(THREADS)]
        works.append(self._loop([self.luck.getrandbits(32) for _ in range(TASKS)]))
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _thread(self, seed: int) -> Callable[[], None]:
        def work() -> None:
            for step in range(LIVES):
                life = Life.drawn(seed + step, asynchronous=False)
                self._note(life, live(life))

        return self._guarded(work, seed)

    def _loop(self, seeds: list[int]) -> Callable[[], None]:
        async def one(seed: int) -> None:
            for step in range(LIVES):
                life = Life.drawn(seed + step, asynchronous=True)
                self._note(life, await live_asynchronously(life))

        async def all_of_them() -> None:
            await asyncio.gather(*map(one, seeds))

        return self._guarded(lambda: asyncio.run(all_of_them()), seeds)

    def _guarded(self, work: Callable[[], None], seed: object) -> Callable[[], None]:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                self.wrong.append(f"seed {seed}: {type(error).__name__}: {error}")

        return guarded

    def _note(self, life: Life, wrong: list[str]) -> None:
        self.counts["lives"] += 1
        self.counts["with columns"] += life.columns
        self.counts["calls"] += life.calls
        self.counts["delivered"] += life.delivered
        self.counts["lost"] += life.lost
        self.counts["cut short"] += life.ending != "exit"
        self.wrong += [f"{life}: {each}" for each in wrong]


def _resident_kib() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def main() -> int:
    """Soaks for so long; 1 when something went wrong."""
    seconds, seed = float(sys.argv[1]), int(sys.argv[2])
    soak, end = Soak(seed), time.monotonic() + seconds
    warm = 0
    soak.side_by_side()  # loads modules, and numpy starts its threads
    while time.monotonic() < end and not soak.wrong:
        faulthandler.dump_traceback_later(STUCK, exit=True)
        soak.round()
        faulthandler.cancel_dump_traceback_later()
        warm = _resident_kib() if soak.counts["rounds"] <= 2 else warm
    growth = _resident_kib() - warm
    if growth > GROWTH_KIB:
        soak.wrong.append(f"{growth} KiB of memory more than after the first rounds")
    for line in soak.wrong:
        sys.stderr.write(f"seed {seed}: {line}\n")
    sys.stdout.write(f"seed {seed}: {growth} KiB more, {dict(sorted(soak.counts.items()))}\n")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
