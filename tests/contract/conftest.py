"""What the tests that run on both kernels share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _makers_are_known(remember_who_opened: None) -> None:
    """A leak on the real kernel shows the stack that opened it."""
