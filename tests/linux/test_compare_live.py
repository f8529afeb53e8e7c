"""The simulated kernel does what the kernel underneath does: the corpus, random programs, and single ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simkernel.contract._commands import random_programs
from simkernel.contract.compare import NOT_SIMULATED, Pair, difference_on_this_machine
from simkernel.contract.corpus import programs_in
from tests.quality.project import ROOT


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Pair() as both:
        yield both


def test_the_corpus_is_the_same_on_both_kernels(pair: Pair) -> None:
    for name, program in programs_in(ROOT / "tests" / "conformance" / "corpus"):
        difference = pair(program)
        assert difference is None or difference.where == NOT_SIMULATED, f"{name}: {difference}"


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_are_the_same_on_both_kernels(pair: Pair, seed: int) -> None:
    for name, program in random_programs(seed, steps=500):
        difference = pair(program)
        assert difference is None, f"{name}: {difference}"


def test_a_program_by_its_text() -> None:
    assert difference_on_this_machine("e = open software:dummy\nwrite e 8\nclose e\nclose e") is None
