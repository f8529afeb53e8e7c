"""The kernel of the real-kernel tests; the plugin's gate decides whether they run (`simkernel.contract.gate`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from perfring.linux import LinuxKernel
    from tests.linux._rig import Rig


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts every test of this directory behind the gate."""
    item.add_marker(pytest.mark.perf_linux)


@pytest.fixture(scope="session", autouse=True)
def _makers_are_known(remember_who_opened: None) -> None:
    """A leak shows the stack that opened it."""


@pytest.fixture
def kernel() -> LinuxKernel:
    """The kernel this machine runs."""
    from perfring.linux import LinuxKernel

    return LinuxKernel()


@pytest.fixture
def rig(kernel: LinuxKernel) -> Iterator[Rig]:
    """Opens and maps for the tests of the facts; closed with the test."""
    from tests.linux._rig import Rig

    made = Rig(kernel)
    yield made
    made.close()
