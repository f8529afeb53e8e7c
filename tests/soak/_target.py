"""A process that calls getppid(2) a known number of times, on CPUs that change, when it is told to: SEED CALLS."""

from __future__ import annotations

import os
import random
import sys


def main() -> None:
    """Waits for a line on stdin, calls, and exits at once."""
    seed, calls = map(int, sys.argv[1:])
    luck, cpus = random.Random(seed), sorted(os.sched_getaffinity(0))
    sys.stdin.readline()
    while calls:
        os.sched_setaffinity(0, {luck.choice(cpus)})
        burst = min(luck.choice((1, 20, 500, 5000)), calls)
        for _ in range(burst):
            os.getppid()
        calls -= burst
    os._exit(0)


if __name__ == "__main__":
    main()
