"""What differs between kernel releases, each difference with a name: nothing else asks for a version number.

The newest release that is not newer than the one asked for decides, as if nothing had been backported. 6.18 is the one
that the simulator is measured against; for the others see the facts named at each attribute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["RELEASES", "Release", "release_named"]


@dataclass(frozen=True, slots=True)
class Release:
    """One release.

    Attributes:
        attr_size: the kernel's own sizeof(struct perf_event_attr) (K29).
        sample_bits: how many bits of sample_type it knows.
        flag_bits: how many flag bits of the attr.
        read_bits: how many bits of read_format: 5 with PERF_FORMAT_LOST (K22).
        redirected_maps: mapping a redirected event shares the target's ring; otherwise EBUSY (K27).
        signal_at_watermark: SIGIO also when side-band crosses the watermark (K20).
        perfmon: CAP_PERFMON exists (K31).
        inherit_read: PERF_SAMPLE_READ together with inherit is allowed, with TID.
        dead_group_first: ENODEV of a group whose task has exited comes before whatever is wrong with task and event.
        limit_stops_tracepoints: a tracepoint that REFRESH has used up hears nothing any more, ENABLE or not (K39).
        max_trace_bytes: PERF_MAX_TRACE_SIZE.
    """

    attr_size: int
    sample_bits: int
    flag_bits: int
    read_bits: int
    redirected_maps: bool
    signal_at_watermark: bool
    perfmon: bool = True
    inherit_read: bool = False
    dead_group_first: bool = False
    limit_stops_tracepoints: bool = False
    max_trace_bytes: int = 8192


_V5_10: Final = Release(
    attr_size=120,
    sample_bits=22,
    flag_bits=34,
    read_bits=5,
    redirected_maps=True,
    signal_at_watermark=False,
    max_trace_bytes=2048,
)
_V6_1: Final = replace(_V5_10, attr_size=128, sample_bits=25, flag_bits=38, max_trace_bytes=8192)
_V6_12: Final = replace(_V6_1, attr_size=136, signal_at_watermark=True, inherit_read=True)
_V6_18: Final = replace(_V6_12, redirected_maps=False, dead_group_first=True, limit_stops_tracepoints=True)
_V7_2: Final = replace(_V6_18, attr_size=144, flag_bits=40)

RELEASES: Final[dict[tuple[int, int], Release]] = {
    (5, 10): _V5_10,
    (6, 1): _V6_1,
    (6, 12): _V6_12,
    (6, 18): _V6_18,
    (7, 2): _V7_2,
}
"""The releases that were measured, oldest first."""


def release_named(name: str) -> Release:
    """What ``uname -r`` stands for.

    Raises:
        ValueError: not a release, or older than the oldest that is known.
    """
    found = re.match(r"(\d+)\.(\d+)", name)
    if found is None:
        raise ValueError(f"release is {name!r}: it must begin like '6.18'")
    version = (int(found[1]), int(found[2]))
    known = [release for least, release in RELEASES.items() if least <= version]
    if not known:
        raise ValueError(f"release is {name!r}: the oldest that is simulated is 5.10")
    return known[-1]
