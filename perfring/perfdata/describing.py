"""What a file tells of a session and of the machine that it runs on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perfring import __version__
from perfring.perfdata.described import FileEvent, FileFeatures, Place
from perfring.procfs import parse_cpu_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.kernel import Kernel
    from perfring.opening import OpenEvent
    from perfring.session import Session

__all__ = ["describe_machine", "describe_session"]


def describe_session(session: Session) -> tuple[FileEvent, ...]:
    """The events of an open session, the leader first, each with its ids on all CPUs and for all targets."""
    opened: dict[int, list[tuple[int, OpenEvent]]] = {}
    for ring in session.rings:
        for event in ring.events:
            opened.setdefault(id(event.spec), []).append((ring.cpu, event))
    return tuple(map(_described, opened.values()))


def _described(opened: list[tuple[int, OpenEvent]]) -> FileEvent:
    (_, first), places = opened[0], {event.id: Place(cpu, event.tid) for cpu, event in opened}
    # As it was opened: an older kernel may have refused a bit of it (K22).
    attr = first.spec.attr.copy(read_format=first.read_format)
    return FileEvent(attr=attr, name=first.spec.name, ids=tuple(sorted(places)), places=places)


def describe_machine(kernel: Kernel, *, command: Sequence[str] = ()) -> FileFeatures:
    """What a file tells of this machine; what is not shown, or a simulated kernel does not have, is left out."""
    cpus = kernel.online_cpus()
    possible = _text(kernel, "/sys/devices/system/cpu/possible")
    return FileFeatures(
        hostname=_text(kernel, "/proc/sys/kernel/hostname") or None,
        release=kernel.release,
        version=f"perfring {__version__}",
        arch=os.uname().machine,
        cpus=(max(_count(possible), len(cpus)), len(cpus)),
        cpu_description=_labelled(_text(kernel, "/proc/cpuinfo"), "model name") or None,
        memory_kib=_kib(_labelled(_text(kernel, "/proc/meminfo"), "MemTotal")),
        command=tuple(command),
        clock_resolution=1,
    )


def _text(kernel: Kernel, path: str) -> str:
    try:
        return kernel.read_text(path).strip()
    except OSError:
        return ""


def _labelled(text: str, label: str) -> str:
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == label:
            return value.strip()
    return ""


def _kib(text: str) -> int | None:
    number, _, _ = text.partition(" ")
    return int(number) if number.isdigit() else None


def _count(cpu_list: str) -> int:
    try:
        return len(parse_cpu_list(cpu_list))
    except ValueError:
        return 0
