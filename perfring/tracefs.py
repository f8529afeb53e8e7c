"""Tracepoints by name: where tracefs is mounted, which events it has, and the format of one.

Nobody mounts tracefs on a bare system, and only root may look into it by default. Three things can thus be wrong with
``sched:sched_switch``, and each has another remedy: not mounted, not readable, not there. The errors tell them apart.
"""

from __future__ import annotations

import errno
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from perfring.errors import PermissionDenied, TracepointNotFound
from perfring.tracepoint import TracepointField, TracepointFormat, Value, parse_format

if TYPE_CHECKING:
    from perfring.kernel import Kernel

__all__ = [
    "MOUNT_COMMAND",
    "Mount",
    "TracepointField",
    "TracepointFormat",
    "Value",
    "find_mount",
    "find_tracefs",
    "parse_format",
    "read_format",
    "readable_command",
    "split_name",
    "tracepoint_names",
]

MOUNT_COMMAND = "sudo mount -t tracefs nodev /sys/kernel/tracing"
"""What mounts tracefs where everybody looks for it."""

_USUAL = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_NO_SYSTEM = frozenset(("enable", "header_event", "header_page"))
_NO_EVENT = frozenset(("enable", "filter"))
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(f"({_PART}):({_PART})")
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """Where tracefs is.

    Attributes:
        path: its directory.
        readable: whether this process may look into it.
    """

    path: str
    readable: bool


def readable_command(path: str) -> str:
    """What lets the caller's group read tracefs: at every place it is mounted, for all mounts are one superblock."""
    return f"sudo mount -o remount,mode=0755,gid=$(id -g) {path}"


def find_mount(kernel: Kernel) -> Mount | None:
    """Finds tracefs: at its usual places, else wherever /proc/self/mountinfo says; None when it is not mounted."""
    mounted = _mounted(kernel)
    for path in dict.fromkeys((*_USUAL, *mounted)):
        try:
            kernel.list_dir(f"{path}/events")
        except PermissionError:
            # Without the right to look, an empty directory and a mount look alike: ask the table of mounts.
            if path in mounted:
                return Mount(path, readable=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
        else:
            return Mount(path, readable=True)
    return None


def _mounted(kernel: Kernel) -> tuple[str, ...]:
    """The directories under which tracefs can be found, from proc_pid_mountinfo(5)."""
    try:
        table = kernel.read_text("/proc/self/mountinfo")
    except OSError:
        return ()
    found = []
    for line in table.split("\n"):
        mount, dash, source = line.partition(" - ")
        kind = source.split(" ", 1)[0]
        if dash and kind in ("tracefs", "debugfs"):
            path = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), mount.split(" ")[4])
            found.append(path if kind == "tracefs" else f"{path}/tracing")
    return tuple(found)


def find_tracefs(kernel: Kernel) -> str:
    """The directory of tracefs.

    Raises:
        TracepointNotFound: it is not mounted; the text holds the command that mounts it.
        PermissionDenied: it is mounted, and this process may not look into it.
    """
    return _root(kernel, "")


def _root(kernel: Kernel, name: str) -> str:
    mount = find_mount(kernel)
    if mount is None:
        raise TracepointNotFound(name, f"{_about(name)}tracefs is not mounted\nTo mend it: {MOUNT_COMMAND}")
    if not mount.readable:
        raise _unreadable(name, mount.path, mount.path)
    return mount.path


def _about(name: str) -> str:
    return f"tracepoint {name!r}: " if name else ""


def _unreadable(name: str, path: str, root: str) -> PermissionDenied:
    text = f"{_about(name)}{path} is not readable for this user; root may read it\nTo mend it: "
    return PermissionDenied(errno.EACCES, text + readable_command(root))


def split_name(name: str) -> tuple[str, str]:
    """``"sched:sched_switch"`` as system and event.

    Raises:
        ValueError: it is not of that form.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise ValueError(f"{name!r} is not the name of a tracepoint; it should look like 'sched:sched_switch'")
    return found[1], found[2]


def tracepoint_names(kernel: Kernel) -> tuple[str, ...]:
    """All tracepoints as ``system:event``, sorted.

    Raises:
        TracepointNotFound: tracefs is not mounted.
        PermissionDenied: it is not readable.
    """
    return _names_below(kernel, f"{find_tracefs(kernel)}/events")


def _names_below(kernel: Kernel, events: str) -> tuple[str, ...]:
    return tuple(
        f"{system}:{event}"
        for system in sorted(set(kernel.list_dir(events)) - _NO_SYSTEM)
        for event in sorted(set(_list_or_nothing(kernel, f"{events}/{system}")) - _NO_EVENT)
    )


def _list_or_nothing(kernel: Kernel, path: str) -> list[str]:
    """A module that is unloaded takes its events along."""
    try:
        return kernel.list_dir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_format(kernel: Kernel, name: str) -> TracepointFormat:
    """The format of a tracepoint, with its id and its decoder.

    Args:
        name: ``system:event``.

    Raises:
        ValueError: the name is not of that form.
        TracepointNotFound: there is none of that name, or tracefs is not mounted.
        PermissionDenied: tracefs or the file is not readable.
    """
    system, event = split_name(name)
    root = _root(kernel, name)
    path = f"{root}/events/{system}/{event}/format"
    try:
        text = kernel.read_text(path)
    except PermissionError as refused:
        raise _unreadable(name, path, root) from refused
    except (FileNotFoundError, NotADirectoryError) as missing:
        raise _unknown(kernel, name, root) from missing
    return parse_format(text, system=system)


def _unknown(kernel: Kernel, name: str, root: str) -> TracepointNotFound:
    suggestions = _similar(name, _names_below(kernel, f"{root}/events"))
    hint = f"did you mean {' or '.join(suggestions)}?" if suggestions else f"see the names below {root}/events"
    return TracepointNotFound(name, f"there is no tracepoint {name!r} on this kernel; {hint}", suggestions=suggestions)


def _similar(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The same event of another system first, then what is spelt alike; three at most."""
    event = name.partition(":")[2]
    same = [candidate for candidate in names if candidate.partition(":")[2] == event]
    return tuple(dict.fromkeys([*same, *get_close_matches(name, names)]))[:3]
