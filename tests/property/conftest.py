"""Properties get the time that their number of examples takes."""

from __future__ import annotations

import pytest

from tests.hypothesis_profiles import factor


def pytest_itemcollected(item: pytest.Item) -> None:
    """Raises the time limit by as much as the number of examples, so that it still ends what hangs."""
    limit = float(item.config.getini("timeout"))
    if factor() > 1:
        item.add_marker(pytest.mark.timeout(limit * factor()))
