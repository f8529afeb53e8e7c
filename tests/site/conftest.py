"""The site that `tox -e docs` has just built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the site, or a skip that says who builds one."""
    folder = os.environ.get("PERFRING_SITE")
    if not folder:
        pytest.skip("no PERFRING_SITE: `tox -e docs` builds the site and runs these tests on it")
    assert (Path(folder) / "index.html").is_file(), f"PERFRING_SITE={folder}: no index.html in it"
    return Path(folder)
