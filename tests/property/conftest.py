"""Properties get the time that their number of examples takes."""

from __future__ import annotations

import pytest

from tests.hypothesis_profiles import factor

SHRINKING = 360
"""Seconds: Hypothesis takes up to five minutes to make a failure small, and a limit would be one more failure to it."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Raises the time limit by as much as the number of examples, so that it still ends what hangs."""
    limit = float(item.config.getini("timeout")) * factor()
    item.add_marker(pytest.mark.timeout(limit + SHRINKING))
