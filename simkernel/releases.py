"""What differs between kernel releases, each difference with a name: nothing else asks for a version number.

`BEHAVIOURS` is the one table: what differs, since which release it is so, and which program of
``tests/conformance/corpus`` shows it. The recordings of that program, one for each kernel, are the evidence.
``docs/releases.md`` repeats the table for people.

The versions are those that were measured: 5.10.223, 6.1.176, 6.12.117, 6.18.44 and 7.2.13. What is said to be so
"since 6.12" began somewhere behind 6.1.176. Distributions carry changes back, so a kernel of the same number from
somebody else may differ: the newest that is not newer than the one asked for decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from simkernel.foreign import shown

__all__ = ["BEHAVIOURS", "RELEASES", "Behaviour", "Release", "release_named"]

_OLDEST: Final = (5, 10)


@dataclass(frozen=True, slots=True)
class Release:
    """What one release does: an attribute for each row of `BEHAVIOURS`, where it is said what it means."""

    attr_size: int
    sample_bits: int
    branch_bits: int
    flag_bits: int
    redirected_maps: bool
    signal_at_watermark: bool
    inherit_read: bool
    dead_group_first: bool
    limit_stops_tracepoints: bool
    rdnorm: bool
    arms_tracepoints: bool
    mmap2_flags: int
    no_data_source: int
    orphans_read_as_groups: bool


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row.

    Attributes:
        name: the attribute of `Release`.
        what: what it means, in a sentence.
        since: from which release on it has which value, oldest first; the first is the oldest release.
        fact: the fact of docs/kernel.md that it belongs to.
        program: which program shows it.
    """

    name: str
    what: str
    since: dict[tuple[int, int], Any]
    fact: str
    program: str

    def at(self, version: tuple[int, int]) -> Any:
        """Its value in a release that is not older than the oldest."""
        return [value for since, value in self.since.items() if since <= version][-1]


def _from(version: tuple[int, int]) -> dict[tuple[int, int], bool]:
    return {_OLDEST: False, version: True}


def _until(version: tuple[int, int]) -> dict[tuple[int, int], bool]:
    return {_OLDEST: True, version: False}


BEHAVIOURS: Final = (
    Behaviour(
        "attr_size",
        "the kernel's own sizeof(struct perf_event_attr), which it tells with E2BIG",
        {_OLDEST: 120, (6, 1): 128, (6, 12): 136, (7, 2): 144},
        "K29",
        "versions/the_size_of_the_attr",
    ),
    Behaviour(
        "sample_bits",
        "how many bits of sample_type it knows",
        {_OLDEST: 22, (6, 1): 25},
        "K30",
        "versions/bits_of_sample_type",
    ),
    Behaviour(
        "branch_bits",
        "how many bits of branch_sample_type it knows",
        {_OLDEST: 18, (6, 1): 19, (6, 12): 20},
        "K30",
        "versions/bits_of_branch_sample_type",
    ),
    Behaviour(
        "flag_bits",
        "how many flag bits of the attr it knows",
        {_OLDEST: 34, (6, 1): 38, (7, 2): 40},
        "K30",
        "versions/flags_of_the_attr",
    ),
    Behaviour(
        "redirected_maps",
        "mapping a redirected event maps the target's ring; otherwise EBUSY",
        _until((6, 18)),
        "K27",
        "versions/a_redirected_event_is_mapped",
    ),
    Behaviour(
        "signal_at_watermark",
        "SIGIO also when side-band crosses the watermark",
        _from((6, 12)),
        "K20",
        "versions/a_watermark_signals",
    ),
    Behaviour(
        "inherit_read",
        "PERF_SAMPLE_READ goes together with inherit, if there is TID; otherwise EINVAL",
        _from((6, 12)),
        "K30",
        "versions/counts_of_inherited_events",
    ),
    Behaviour(
        "dead_group_first",
        "a group_fd whose task has exited is ENODEV, before anything is said of task and event, and with NO_GROUP "
        "as well; otherwise the group is one of another task: EINVAL, at the end",
        _from((6, 12)),
        "K48",
        "versions/a_group_of_the_dead",
    ),
    Behaviour(
        "limit_stops_tracepoints",
        "a tracepoint that REFRESH has used up hears nothing any more, ENABLE or not",
        _from((6, 18)),
        "K39",
        "versions/a_tracepoint_that_is_used_up",
    ),
    Behaviour(
        "rdnorm",
        "POLLRDNORM comes with POLLIN",
        _from((6, 1)),
        "K47",
        "versions/rdnorm_is_asked_for",
    ),
    Behaviour(
        "arms_tracepoints",
        "the first period of a tracepoint begins where counting begins; otherwise the first hit is two samples, and "
        "the periods are counted from it",
        _from((6, 1)),
        "K49",
        "versions/the_first_period_of_a_tracepoint",
    ),
    Behaviour(
        "mmap2_flags",
        "what MMAP2 has in its flags beside those of mmap(2): MAP_EXECUTABLE of whatever may become executable",
        {_OLDEST: 0x1000, (6, 1): 0},
        "K51",
        "versions/the_flags_of_a_mapping",
    ),
    Behaviour(
        "no_data_source",
        "PERF_SAMPLE_DATA_SRC of an event that knows none: each part of it says so, and there came more",
        {_OLDEST: 0x508_0021, (6, 12): 0x1E_0508_0021},
        "K51",
        "versions/no_data_source",
    ),
    Behaviour(
        "orphans_read_as_groups",
        "an event whose leader was closed goes on with room for the counts of the whole group: behind what "
        "read(2) gives are zeros, behind its samples whatever was in the ring",
        _until((6, 12)),
        "K50",
        "versions/who_has_lost_his_leader",
    ),
)
"""Every difference between the releases that were measured."""


def _release(version: tuple[int, int]) -> Release:
    return Release(**{behaviour.name: behaviour.at(version) for behaviour in BEHAVIOURS})


RELEASES: Final[dict[tuple[int, int], Release]] = {
    version: _release(version) for version in (_OLDEST, (6, 1), (6, 12), (6, 18), (7, 2))
}
"""The releases that were measured, oldest first."""


def release_named(name: str) -> Release:
    """What ``uname -r`` stands for.

    Raises:
        ValueError: not a release, or older than the oldest that is known.
    """
    found = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", name)
    if found is None:
        raise ValueError(f"release is {shown(name)}: it must begin like '6.18'")
    version = (int(found[1]), int(found[2]))
    known = [release for least, release in RELEASES.items() if least <= version]
    if not known:
        raise ValueError(f"release is {shown(name)}: the oldest that is simulated is 5.10")
    return known[-1]
