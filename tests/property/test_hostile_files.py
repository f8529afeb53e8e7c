"""A fuzzer on recordings, scenarios and tables: short in every run, ten minutes each with ``pytest -m slow``.

    PERFRING_FUZZ_SECONDS=60 pytest -s -m slow tests/property/test_hostile_files.py

A failure prints the number that the damage was drawn from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.property._hostile_files import a_recording, a_scenario, a_table
from tests.property._judging import SECONDS, fuzz

READ = pytest.mark.parametrize("one", [a_recording, a_scenario, a_table])


@READ
def test_no_damage_of_a_fixed_choice_is_too_much(tmp_path: Path, one: Callable[[Path, int], str]) -> None:
    assert len(fuzz(partial(one, tmp_path), range(300))) > 1


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@READ
def test_no_damage_of_ten_minutes_is_too_much(tmp_path: Path, one: Callable[[Path, int], str]) -> None:
    assert len(fuzz(partial(one, tmp_path))) > 1
