"""What every test gets: a check that nothing it opened is left open.

A descriptor or mapping that leaks in one test changes what the next one measures, and names no culprit there.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hypothesis_profiles import use_profile

use_profile()

# Libraries that columns are handed to start threads of their own. A thread that does not block the signals of O_ASYNC
# (K20) would be given them, and their default action ends the process; one that is started from here on inherits this.
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)})

# How to name the maker of a descriptor or mapping: `remember_who_opened` fills it.
_MADE_BY = pytest.StashKey[dict[str, str]]()


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


def _held_resources() -> dict[str, str]:
    """What this process holds: descriptors and ring mappings, each with what is behind it."""
    return _open_files() | _mapped_rings()


def _leaked(before: dict[str, str]) -> dict[str, str]:
    return dict(_held_resources().items() - before.items())


@pytest.fixture(autouse=True)
def _nothing_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _held_resources()
    yield
    if _leaked(before):
        gc.collect()  # a cycle that only waits for the collector is no leak
    leaked = _leaked(before)
    if leaked:
        made_by = request.config.stash.get(_MADE_BY, {})
        lines = [f"{name} -> {target}\n{made_by.get(name, '')}" for name, target in sorted(leaked.items())]
        pytest.fail("left open by this test:\n" + "\n".join(lines), pytrace=False)


def _stack_of_caller() -> str:
    """The project's own frames: those of pytest and of the start of Python tell nothing."""
    foreign = re.compile("site-packages|^<frozen")
    frames = [frame for frame in traceback.extract_stack()[:-2] if not foreign.search(frame.filename)]
    return "".join(traceback.format_list(frames[-8:]))


def _noting(plain: Callable[..., object], made_by: dict[str, str]) -> Callable[..., object]:
    """The same method, which also notes the stack of whatever it opened or mapped."""

    @functools.wraps(plain)
    def noting(*args: object, **keywords: object) -> object:
        before = _held_resources()
        made = plain(*args, **keywords)
        made_by.update(dict.fromkeys(_held_resources().keys() - before.keys(), _stack_of_caller()))
        return made

    return noting


@pytest.fixture(scope="session")
def remember_who_opened(request: pytest.FixtureRequest) -> Iterator[None]:
    """So that the leak check can show the stack that opened what was left open."""
    from perfring.linux import LinuxKernel

    made_by = request.config.stash.setdefault(_MADE_BY, {})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("perf_event_open", "mmap", "epoll", "waker"):
            patch.setattr(LinuxKernel, name, _noting(getattr(LinuxKernel, name), made_by))
        yield
