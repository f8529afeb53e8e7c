"""What read(2) and PERF_SAMPLE_READ give of an event or a group, with what was inherited of it (K22, K41)."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from perfring.abi import (
    PERF_FORMAT_GROUP,
    PERF_FORMAT_ID,
    PERF_FORMAT_LOST,
    PERF_FORMAT_TOTAL_TIME_ENABLED,
    PERF_FORMAT_TOTAL_TIME_RUNNING,
)
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simkernel.event import PerfEvent

__all__ = ["read_values", "room_left"]


def read_values(event: PerfEvent, *, own: bool = False) -> bytes:
    """What read(2) gives for the event's read_format, of its group with PERF_FORMAT_GROUP.

    Args:
        event: which.
        own: without what inherited events have counted: so PERF_SAMPLE_READ has it.

    Raises:
        OSError: ECHILD: the group has changed since a child inherited it.
    """
    shape = event.attr.read_format
    leader = event.leader if shape & PERF_FORMAT_GROUP else event
    leader.update_times()
    times = _times(leader, shape)
    if not shape & PERF_FORMAT_GROUP:
        values = [leader.count if own else _total(leader), *times, *_ends(leader, shape, leader.writer.lost)]
    else:
        if not own and any(child.generation != leader.generation for child in leader.children):
            raise os_error(errno.ECHILD)  # the counts of another group cannot be added to those of this one
        members = (leader, *leader.siblings)
        values = [len(members), *times]
        for member in members:
            member.update_times()
            # The kernel adds up the counts of inherited events, and overwrites the losses with theirs, which are none.
            lost = 0 if leader.children and not own else member.writer.lost
            values += [member.count if own else _total(member), *_ends(member, shape, lost)]
    packed = struct.pack(f"={len(values)}Q", *(value % 2**64 for value in values))
    return packed if own else packed + bytes(room_left(event))


def room_left(event: PerfEvent) -> int:
    """Bytes of a read that nothing is written into, for members of a group that fell apart (K50)."""
    shape = event.attr.read_format
    if not event.room_for or not shape & PERF_FORMAT_GROUP:
        return 0
    words = 1 + bool(shape & PERF_FORMAT_ID) + bool(shape & PERF_FORMAT_LOST)
    return 8 * words * (event.room_for - 1)


def _family(event: PerfEvent) -> Iterator[PerfEvent]:
    yield event
    for child in event.children:
        child.update_times()
        yield child


def _total(event: PerfEvent) -> int:
    return event.child_count + sum(member.count for member in _family(event))


def _times(event: PerfEvent, shape: int) -> Iterator[int]:
    if shape & PERF_FORMAT_TOTAL_TIME_ENABLED:
        yield event.child_enabled + sum(member.enabled_ns for member in _family(event))
    if shape & PERF_FORMAT_TOTAL_TIME_RUNNING:
        yield event.child_running + sum(member.running_ns for member in _family(event))


def _ends(event: PerfEvent, shape: int, lost: int) -> Iterator[int]:
    if shape & PERF_FORMAT_ID:
        yield event.first.id
    if shape & PERF_FORMAT_LOST:
        yield lost
