"""What a file says of its events and of the machine they happened on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr

__all__ = ["FileEvent", "FileFeatures", "Place"]


class Place(NamedTuple):
    """Where an event of one id was open.

    Attributes:
        cpu: on this CPU alone; -1 for any.
        tid: for this thread alone; -1 for any.
    """

    cpu: int = -1
    tid: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEvent:
    """One event of a file, open at many places, with an id for each.

    Attributes:
        attr: as it was opened.
        name: what it is called: "cpu-clock", "sched:sched_switch".
        ids: the kernel's ids, as in its records.
        places: where each id was open, as far as the file tells.
    """

    attr: PerfEventAttr
    name: str
    ids: tuple[int, ...] = ()
    places: Mapping[int, Place] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFeatures:
    """What a file tells besides its records; None, or nothing, where it does not.

    Attributes:
        hostname: the machine's name.
        release: the kernel's, as in uname(2).
        version: of the program that wrote the file.
        arch: the machine's architecture, as in uname(2).
        cpus: how many CPUs the machine has, and how many of them were online.
        cpu_description: the model's name.
        memory_kib: the machine's memory.
        command: the command line that recorded.
        times: of the first and the last sample, in nanoseconds of the events' clock.
        clock_resolution: nanoseconds.
    """

    hostname: str | None = None
    release: str | None = None
    version: str | None = None
    arch: str | None = None
    cpus: tuple[int, int] | None = None
    cpu_description: str | None = None
    memory_kib: int | None = None
    command: tuple[str, ...] = ()
    times: tuple[int, int] | None = None
    clock_resolution: int | None = None
