"""One seed, one trace: byte for byte, a thousand times, and whatever Python makes of hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.determinism import digest, trace

ROOT = Path(__file__).parents[2]


def test_the_same_seed_gives_the_same_trace_a_thousand_times() -> None:
    first = digest(7)
    assert {digest(7) for _ in range(1000)} == {first}


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_the_trace_does_not_depend_on_the_hash_seed(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.unit.determinism", "7"]
    ended = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    assert ended.stdout.strip() == digest(7)


def test_another_seed_gives_another_trace() -> None:
    assert len({digest(seed) for seed in range(8)}) == 8


def test_the_trace_has_records_of_every_kind_in_it() -> None:
    text = trace(7).decode()
    assert [kind for kind in ("sample", "comm", "fork", "exit", "switch_cpu_wide") if f'"{kind}"' not in text] == []
