"""The scenarios that come with perfring: two of healthy streams, and five of what stalls, drowns or loses in the field.

Where there is a mistake to be seen, a scenario is run twice: by a reader that makes it, and by perfring's session.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from simkernel.simulate.scenario import AUTO, Scenario

__all__ = ["BUILT_IN"]


def _against(mistaken: Scenario, *, watermark: int | str | None = None) -> tuple[Scenario, ...]:
    """The same stream for perfring, with its own watermark where it would refuse this one."""
    own = mistaken.watermark if watermark is None else watermark
    return mistaken, replace(mistaken, reader="perfring", watermark=own)


_BURSTY: Final = Scenario(
    name="bursty",
    about="500 events every 100 ms; the end of a burst waits below the watermark, unless the wait is bounded",
    pages=16,
    watermark=16384,
    pattern="bursty",
    burst=500,
    rate=5000,
)

BUILT_IN: Final[dict[str, tuple[Scenario, ...]]] = {
    "steady": (
        Scenario(
            name="steady",
            about="10,000 events per second on each of two CPUs, a watermark of a quarter of the ring",
            watermark=8192,
            rate=10_000,
        ),
    ),
    "bursty": (_BURSTY, replace(_BURSTY, latency=0.01)),
    "oversized": _against(
        Scenario(
            name="oversized",
            about="a watermark as large as the ring: nothing ever wakes the reader (K11, K12)",
            pages=1,
            watermark=4096,
            rate=1000,
            cpus=1,
            reader="bare",
        ),
        watermark=AUTO,
    ),
    "follower-defeats-watermark": _against(
        Scenario(
            name="follower-defeats-watermark",
            about="a redirected event without the watermark flag: every sample wakes the reader (K10)",
            watermark=16384,
            rate=2000,
            reader="bare-follower",
        )
    ),
    "late-registration": _against(
        Scenario(
            name="late-registration",
            about="the ring is full before the reader registers with epoll, which takes the wakeup (K12, K15)",
            pages=1,
            watermark=2048,
            rate=1000,
            cpus=1,
            start=0.2,
            reader="bare-late",
        )
    ),
    "exit-with-data": _against(
        Scenario(
            name="exit-with-data",
            about="the tasks exit while records wait below the watermark: POLLHUP comes in place of POLLIN (K19)",
            pages=4,
            watermark=4096,
            rate=1000,
            lifetime=0.5,
            reader="bare-hangup",
        )
    ),
    "nested-epoll": _against(
        Scenario(
            name="nested-epoll",
            about="an epoll inside another epoll: the outer one takes the wakeup, the inner one finds nothing (K16)",
            pages=4,
            watermark=4096,
            rate=1000,
            cpus=1,
            reader="bare-nested",
        )
    ),
}
"""By name: the scenarios that are run, one after the other."""
