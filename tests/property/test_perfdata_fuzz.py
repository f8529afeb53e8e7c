"""A fuzzer on the reader of perf.data: short in every run, ten minutes with ``pytest -m slow``.

    PERFRING_FUZZ_SECONDS=60 pytest -s -m slow tests/property/test_perfdata_fuzz.py

A failure prints the number that the damage was drawn from.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.property._hostile import damaged
from tests.property._judging import SECONDS, fuzz
from tests.property._perfdata import SEEDS, most_memory, read_whatever

MOST_MEMORY: Final = 64 << 20
"""Bytes, for files of some kilobytes."""


def a_file(path: str, number: int) -> str:
    """One damaged file; the same number is the same file."""
    random = Random(number)
    data = damaged(SEEDS[random.choice(sorted(SEEDS))], random)
    if not number % 50:
        assert most_memory(path, data) < MOST_MEMORY
    return "read" if read_whatever(path, data)[1] is None else "refused"


def test_no_damage_of_a_fixed_choice_is_too_much(tmp_path: Path) -> None:
    assert len(fuzz(partial(a_file, str(tmp_path / "x")), range(2000))) > 1


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_no_damage_of_ten_minutes_is_too_much(tmp_path: Path) -> None:
    assert len(fuzz(partial(a_file, str(tmp_path / "x")))) > 1
