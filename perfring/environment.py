"""What runs already when a session begins: COMM and MMAP2 records, made from /proc.

The kernel tells of names and mappings only when they change. Whoever wants to know what an address in a sample belongs
to needs the ones from before, too; so they are made here, in the very form in which the kernel would have sent them.
They are marked: `Record.synthesized` is true, ``cpu`` and ``position`` are -1.

To miss nothing, enable the session first and capture then. What changes between the two comes twice, which is harmless;
the other order has a gap.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from perfring import procfs
from perfring.abi import PERF_RECORD_MISC_MMAP_DATA, PERF_RECORD_MISC_USER
from perfring.errors import TargetNotFound
from perfring.sideband import Comm, Mmap2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfring.kernel import Kernel
    from perfring.procfs import MapEntry

__all__ = ["capture"]

_ANONYMOUS = "//anon"
"""What the kernel writes into MMAP2 for memory without a file; /proc/PID/maps has an empty path there."""


def capture(
    kernel: Kernel,
    pids: Iterable[int] | None = None,
    *,
    time: int | None = None,
    mappings: bool = True,
    all_mappings: bool = False,
) -> Iterator[Comm | Mmap2]:
    """Makes the records of what runs now: of each process a COMM for every thread, then its MMAP2.

    Processes and threads that end meanwhile are left out. So are, when all processes are asked for, the mappings of
    those that belong to somebody else (reading them takes CAP_SYS_PTRACE); their names are there.

    Args:
        kernel: whose /proc is read.
        pids: the processes; all that can be seen when None.
        time: the `Record.time` of all these records, in nanoseconds of the session's clock.
        mappings: whether there are MMAP2 at all; names alone are read faster, and without a privilege.
        all_mappings: also those that are not executable, as with ``attr.mmap_data``.

    Raises:
        PermissionError: the mappings of one of ``pids`` may not be read.
        ValueError: a pid that cannot be one, or ``all_mappings`` of no mappings.
    """
    if all_mappings and not mappings:
        raise ValueError("all_mappings is True, but mappings is False: nothing would have them")
    # Checked here and not at the first record: a generator would keep the error until somebody pulls.
    chosen = None if pids is None else tuple(pids)
    for pid in chosen or ():
        if pid <= 0:
            raise ValueError(f"pid {pid} is no process: process ids are greater than 0")
    return _capture(kernel, chosen, time=time, mappings=mappings, all_mappings=all_mappings)


def _capture(
    kernel: Kernel, pids: tuple[int, ...] | None, *, time: int | None, mappings: bool, all_mappings: bool
) -> Iterator[Comm | Mmap2]:
    for pid in procfs.processes(kernel) if pids is None else pids:
        for task in procfs.tasks(kernel, pids=(pid,)):
            yield Comm(pid=task.pid, tid=task.tid, comm=task.comm, time=time)
        try:
            if mappings:
                yield from _mappings(kernel, pid, time=time, all_mappings=all_mappings)
        except PermissionError:
            if pids is not None:
                raise


def _mappings(kernel: Kernel, pid: int, *, time: int | None, all_mappings: bool) -> Iterator[Mmap2]:
    with suppress(TargetNotFound):
        for entry in procfs.maps(kernel, pid, executable_only=not all_mappings):
            yield _mapping(entry, pid, time)


def _mapping(entry: MapEntry, pid: int, time: int | None) -> Mmap2:
    return Mmap2(
        time=time,
        pid=pid,
        tid=pid,
        misc=PERF_RECORD_MISC_USER | (0 if entry.executable else PERF_RECORD_MISC_MMAP_DATA),
        addr=entry.start,
        length=entry.end - entry.start,
        pgoff=entry.pgoff,
        maj=entry.major,
        min=entry.minor,
        ino=entry.inode,
        prot=entry.prot,
        flags=entry.flags,
        filename=entry.path or _ANONYMOUS,
    )
