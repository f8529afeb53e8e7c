"""Both engines, for fixtures: the compiled one where it was built."""

from __future__ import annotations

from typing import Final

import pytest

from perfring.engine import ENGINES, is_built

__all__ = ["EACH_ENGINE", "NOT_BUILT"]

NOT_BUILT: Final = "the compiled engine is not built: PERFRING_BUILD=compiled pip install -e . says what is missing"
_built = {"python": True, "compiled": is_built()}
EACH_ENGINE: Final = [
    pytest.param(name, marks=pytest.mark.skipif(not _built[name], reason=NOT_BUILT)) for name in ENGINES
]
