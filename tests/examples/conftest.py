"""What the tests of the examples share."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

import simkernel.aio
from perfring import Kernel
from simkernel import SimKernel


@pytest.fixture(scope="session", autouse=True)
def _makers_are_known(remember_who_opened: None) -> None:
    """A leak on the real kernel shows the stack that opened it."""


@pytest.fixture
def loop_of(perf_kernel: Kernel) -> dict[str, Any]:
    """What an example with asyncio is given: the kernel, and for the simulated one the loop on its time."""
    if isinstance(perf_kernel, SimKernel):
        return {"kernel": perf_kernel, "run": functools.partial(simkernel.aio.run, perf_kernel)}
    return {"kernel": perf_kernel}


@pytest.fixture
def ctrl_c() -> Callable[[], None]:
    """Presses it."""
    return functools.partial(os.kill, os.getpid(), signal.SIGINT)
