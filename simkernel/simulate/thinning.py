"""Fewer points for a picture, and none of those that matter: the extremes of each stretch of time stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["thinned"]

_T = TypeVar("_T")


def thinned(points: Sequence[_T], most: int, *, height: Callable[[_T], int]) -> tuple[_T, ...]:
    """At most about ``most`` of the points, in their order: of each stretch the first, lowest, highest and last.

    Args:
        points: in order.
        most: 4 at least.
        height: what a picture shows of a point.
    """
    if len(points) <= most:
        return tuple(points)
    stretch = -(-len(points) * 4 // most)
    kept: list[_T] = []
    for begin in range(0, len(points), stretch):
        indices = range(begin, min(begin + stretch, len(points)))
        by_height = sorted(indices, key=lambda index: height(points[index]))
        kept += (points[index] for index in sorted({indices[0], by_height[0], by_height[-1], indices[-1]}))
    return tuple(kept)
