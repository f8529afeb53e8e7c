"""A fuzzer on the reader of perf.data: short in every run, ten minutes with ``pytest -m slow``.

    PERFRING_FUZZ_SECONDS=60 pytest -m slow tests/property/test_perfdata_fuzz.py

A failure prints the number that the damage was drawn from.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.property._perfdata import SEEDS, damaged, most_memory, read_whatever

SECONDS = float(os.environ.get("PERFRING_FUZZ_SECONDS", "600"))
"""How long the slow one goes on."""
MOST_MEMORY = 64 << 20
"""Bytes, for files of some kilobytes."""


def fuzz(path: str, number: int) -> None:
    """One damaged file; the same number is the same file."""
    random = Random(number)
    data = damaged(SEEDS[random.choice(sorted(SEEDS))], random)
    try:
        if number % 50:
            read_whatever(path, data)
        else:
            assert most_memory(path, data) < MOST_MEMORY
    except BaseException as error:
        error.add_note(f"the damage of number {number}")
        raise


def test_no_damage_of_a_fixed_choice_is_too_much(tmp_path: Path) -> None:
    for number in range(2000):
        fuzz(str(tmp_path / "x"), number)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_no_damage_of_ten_minutes_is_too_much(tmp_path: Path) -> None:
    first, end = SystemRandom().getrandbits(48), time.monotonic() + SECONDS
    number = first
    while time.monotonic() < end:
        fuzz(str(tmp_path / "x"), number)
        number += 1
    assert number > first
    print(f"{number - first:,} damaged files, from number {first}")  # noqa: T201 - for who lets it run
