"""Durations in little memory: how many, how long all of them, the longest, and what share was shorter than what.

A bucket for every sixteenth of a power of two: a quantile is never too low, and at most 6 % too high.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_STEPS = 16


class Latencies:
    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.longest = 0
        self._buckets: Counter[int] = Counter()

    def add(self, ns: int) -> None:
        self.count += 1
        self.total += ns
        self.longest = max(self.longest, ns)
        self._buckets[_bucket(ns)] += 1

    def quantile(self, share: float) -> int:
        """Nanoseconds that this share of the durations did not exceed; 0 where there are none."""
        wanted = share * self.count
        for bucket, count in sorted(self._buckets.items()):
            wanted -= count
            if wanted <= 0:
                return min(_last_of(bucket), self.longest)
        return self.longest

    def summary(self) -> dict[str, int]:
        quantiles = {"p50_ns": self.quantile(0.5), "p99_ns": self.quantile(0.99)}
        return {"count": self.count, **quantiles, "max_ns": self.longest, "total_ns": self.total}

    def powers(self) -> Iterator[tuple[int, int]]:
        """From the shortest to the longest: a power of two in nanoseconds, and how many were from its half up to it."""
        found: Counter[int] = Counter()
        for bucket, count in self._buckets.items():
            found[_last_of(bucket).bit_length()] += count
        for bits in range(min(found, default=1), max(found, default=0) + 1):
            yield 1 << bits, found[bits]


def _bucket(ns: int) -> int:
    shift = max(ns.bit_length() - _STEPS.bit_length(), 0)
    return shift * _STEPS + (ns >> shift)


def _last_of(bucket: int) -> int:
    """The longest duration of a bucket."""
    shift = max(bucket // _STEPS - 1, 0)
    return ((bucket - shift * _STEPS + 1) << shift) - 1


def readable(ns: float) -> str:
    """Three digits and a unit: ``3.21 us``."""
    for unit, size in (("s ", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"
