"""Tracepoints by name: where tracefs is mounted, which events it has, and the format of one.

Nobody mounts tracefs on a bare system, and only root may look into it by default. Three things can thus be wrong with
``sched:sched_switch``, and each has another remedy: not mounted, not readable, not there. The errors tell them apart.
"""

from __future__ import annotations

import errno
import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from perfring.errors import PermissionDenied, TracepointNotFound
from perfring.tracepoint import TracepointField, TracepointFormat, Value, parse_format

if TYPE_CHECKING:
    from perfring.kernel import Kernel

__all__ = [
    "MOUNT_COMMAND",
    "NOT_SAMPLED",
    "TRACER_SYSTEM",
    "Mount",
    "TracepointField",
    "TracepointFormat",
    "Value",
    "find_mount",
    "find_tracefs",
    "is_glob",
    "matching_names",
    "parse_format",
    "read_format",
    "readable_command",
    "split_glob",
    "split_name",
    "tracepoint_names",
]

MOUNT_COMMAND = "sudo mount -t tracefs nodev /sys/kernel/tracing"
"""What mounts tracefs where everybody looks for it."""

NOT_SAMPLED = frozenset(("irq_vectors:irq_work_exit",))
"""Tracepoints that nobody may sample, root neither: EPERM, for perf itself works through them (K53)."""

TRACER_SYSTEM = "ftrace"
"""What lies below it are entries of the tracer's own buffer; perf_event_open(2) says EINVAL to most (K53)."""

_USUAL = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_NO_SYSTEM = frozenset(("enable", "header_event", "header_page"))
_NO_EVENT = frozenset(("enable", "filter"))
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(f"({_PART}):({_PART})")
_MAGIC = frozenset("*?[")
_GLOB_PART = r"[A-Za-z0-9_.*?\[\]!-]+"
_GLOB = re.compile(f"({_GLOB_PART}):({_GLOB_PART})")
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


def is_glob(name: str) -> bool:
    """Whether it has one of ``*``, ``?`` and ``[`` in it, which the name of a tracepoint never has."""
    return not _MAGIC.isdisjoint(name)


def split_glob(glob: str) -> tuple[str, str]:
    """``"sched:*"`` as the glob of the system and that of the event.

    Raises:
        ValueError: it is not of that form.
    """
    found = _GLOB.fullmatch(glob)
    if not found:
        raise ValueError(
            f"{glob!r} is not a glob of tracepoints; it should look like 'sched:*', 'sched:sched_[sw]*' or "
            "'*:*_exit', with a system, a colon and an event, and *, ? and [...] in them"
        )
    return found[1], found[2]


def tracepoint_names(kernel: Kernel) -> tuple[str, ...]:
    """All tracepoints as ``system:event``, sorted.

    Raises:
        TracepointNotFound: tracefs is not mounted.
        PermissionDenied: it is not readable.
    """
    return _names_below(kernel, f"{find_tracefs(kernel)}/events")


def matching_names(kernel: Kernel, glob: str) -> tuple[str, ...]:
    """The tracepoints whose system and event match a glob, as ``system:event``, sorted; at least one.

    The case counts, and a glob matches a whole name, as in a shell. What perf cannot sample is left out:
    ``irq_vectors:irq_work_exit``, and the system ``ftrace`` unless it is spelt out.

    Args:
        kernel: whose tracefs.
        glob: with ``*``, ``?``, ``[abc]`` and ``[!abc]`` in its system, its event, or both.

    Raises:
        ValueError: the glob is not of that form.
        TracepointNotFound: nothing matches, or tracefs is not mounted.
        PermissionDenied: tracefs is not readable.
    """
    system, event = split_glob(glob)
    events = f"{_root(kernel, glob)}/events"
    names = _names_below(kernel, events, system)
    found = _matching(names, event)
    if not found:
        raise _no_match(kernel, glob, events, names)
    return found


def _matching(names: tuple[str, ...], event: str) -> tuple[str, ...]:
    return tuple(name for name in names if fnmatchcase(name.partition(":")[2], event) and name not in NOT_SAMPLED)


def _no_match(kernel: Kernel, glob: str, events: str, names: tuple[str, ...]) -> TracepointNotFound:
    """Names are the events of the systems that do match, none when it is the system that is wrong."""
    system, event = split_glob(glob)
    hint = f"see the names by: ls {f'{events}/{system}' if names else events}"
    suggestions: list[str] = []
    if _matching(names, wider := f"*{event.strip('*')}*"):
        suggestions.append(f"{system}:{wider}")
        hint = f"a glob has to match the whole name; did you mean {suggestions[0]!r}?"
    elif not names:
        suggestions += (f"{other}:{event}" for other in get_close_matches(system, sorted(_systems(kernel, events))))
        hint = f"did you mean {' or '.join(map(repr, suggestions))}?" if suggestions else hint
    text = f"no tracepoint in {events} matches {glob!r}; {hint}"
    return TracepointNotFound(glob, text, suggestions=suggestions)


def _systems(kernel: Kernel, events: str, glob: str | None = None) -> set[str]:
    """All, or those that a glob matches; who means ``ftrace`` has to spell it."""
    systems = set(kernel.list_dir(events)) - _NO_SYSTEM
    if glob is None:
        return systems
    return {name for name in systems if fnmatchcase(name, glob) and (name != TRACER_SYSTEM or name == glob)}


def _names_below(kernel: Kernel, events: str, systems: str | None = None) -> tuple[str, ...]:
    return tuple(
        f"{system}:{event}"
        for system in sorted(_systems(kernel, events, systems))
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
