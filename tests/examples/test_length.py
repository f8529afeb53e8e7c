"""The programs are there to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_each_file_is_below_150_lines(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 150


def test_there_are_examples_to_measure() -> None:
    assert {"flame.py", "syscalls.py", "schedlat.py"} <= {example.name for example in EXAMPLES}
