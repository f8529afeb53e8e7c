"""What the tests that run on both kernels share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfring.kernel import Kernel
from perfring.session import Session
from simkernel.contract.arm import Actor
from simkernel.pytest_plugin import ActorFactory
from tests.session_rig import watching


@pytest.fixture(scope="session", autouse=True)
def _makers_are_known(remember_who_opened: None) -> None:
    """A leak on the real kernel shows the stack that opened it."""


@pytest.fixture
def actor(perf_actor: ActorFactory) -> Actor:
    """Who is watched, on CPU 0."""
    return perf_actor(0)


@pytest.fixture
def session(perf_kernel: Kernel, actor: Actor) -> Iterator[Session]:
    """An enabled session on the actor's getppid calls, with a ring of one page."""
    with watching(actor).build(perf_kernel) as session:
        session.enable()
        yield session
