"""What every test gets: a check that nothing it opened is left open.

A descriptor or mapping that leaks in one test changes what the next one measures, and names no culprit there.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# How to name the maker of a descriptor or mapping: tests/linux fills it, see its conftest.
MADE_BY = pytest.StashKey[dict[str, str]]()


def _open_files() -> dict[str, str]:
    """Every open descriptor and what it points at."""
    found: dict[str, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[f"fd {name}"] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor that listed the directory
            continue
    return found


def _mapped_rings() -> dict[str, str]:
    """Every mapping of a perf ring, by its address range."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines():
        if line.endswith("anon_inode:[perf_event]"):
            found[f"mapping {line.split()[0]}"] = "anon_inode:[perf_event]"
    return found


def held_resources() -> dict[str, str]:
    """What this process holds: descriptors and ring mappings, each with what is behind it."""
    return _open_files() | _mapped_rings()


def _leaked(before: dict[str, str]) -> dict[str, str]:
    return dict(held_resources().items() - before.items())


@pytest.fixture(autouse=True)
def _nothing_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    before = held_resources()
    yield
    if _leaked(before):
        gc.collect()  # a cycle that only waits for the collector is no leak
    leaked = _leaked(before)
    if leaked:
        made_by = request.config.stash.get(MADE_BY, {})
        lines = [f"{name} -> {target}\n{made_by.get(name, '')}" for name, target in sorted(leaked.items())]
        pytest.fail("left open by this test:\n" + "\n".join(lines), pytrace=False)
