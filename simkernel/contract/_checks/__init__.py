"""The checks of a kernel, a module for each part of what it does. A check's name is its statement."""

from __future__ import annotations

from importlib import import_module

_MODULES = (
    "geometry",
    "wakeups",
    "stalls",
    "readiness",
    "epolling",
    "loss",
    "redirect",
    "controls",
    "opening",
    "overwrite",
    "records",
    "tasks",
    "counting",
)


def load() -> None:
    """Imports every module, and so registers its checks."""
    for name in _MODULES:
        import_module(f"{__name__}.{name}")
