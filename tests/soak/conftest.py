"""The soak is on the real kernel; the plugin's gate decides whether it runs."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts every test of this directory behind the gate."""
    item.add_marker(pytest.mark.perf_linux)
