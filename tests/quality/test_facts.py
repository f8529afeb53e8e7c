"""Fact numbers: what is cited is written down, and what the code relies on is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.quality.project import PACKAGES, ROOT, python_files

PAGE = ROOT / "docs" / "kernel.md"
CITED = re.compile(r"\bK([1-9][0-9]?)\b")
TEST_NAME = re.compile(r"def test_k([0-9]{2})_")


@dataclass(frozen=True)
class Fact:
    """One entry of docs/kernel.md."""

    number: int
    text: str

    @property
    def measured(self) -> bool:
        return "*Measured* " in self.text

    @property
    def measuring_files(self) -> list[str]:
        return re.findall(r"`(tests/linux/\w+\.py)`", self.text)


def _facts() -> dict[int, Fact]:
    parts = re.split(r"^### K([0-9]+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {int(number): Fact(int(number), text) for number, text in pairs}


FACTS = _facts()


def _numbers_in(folder: str) -> set[int]:
    files = [path for path in python_files() if path.is_relative_to(ROOT / folder)]
    return {int(number) for path in files for number in CITED.findall(path.read_text())}


RELIED_ON = sorted(set().union(*map(_numbers_in, PACKAGES)))


def _tested_in(file: str) -> set[int]:
    path = ROOT / file
    return {int(number) for number in TEST_NAME.findall(path.read_text())} if path.is_file() else set()


def test_the_facts_are_numbered_without_a_gap() -> None:
    assert sorted(FACTS) == list(range(1, max(FACTS, default=0) + 1))
    assert FACTS


@pytest.mark.parametrize("number", FACTS)
def test_a_fact_says_whether_it_was_measured(number: int) -> None:
    assert FACTS[number].measured != ("*Source only*" in FACTS[number].text)


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "benchmarks"])
def test_every_cited_fact_is_written_down(folder: str) -> None:
    assert _numbers_in(folder) <= set(FACTS)


@pytest.mark.parametrize("number", RELIED_ON)
def test_a_measured_fact_that_the_code_cites_has_a_test(number: int) -> None:
    fact = FACTS[number]
    if fact.measured:
        tested = set().union(*map(_tested_in, fact.measuring_files))
        assert number in tested, f"no test_k{number:02}_... in the files that docs/kernel.md names for K{number}"


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "tests" / "linux").glob("*.py")))
def test_a_fact_names_every_file_that_measures_it(file: str) -> None:
    name = f"tests/linux/{file}"
    unnamed = [number for number in sorted(_tested_in(name)) if name not in FACTS[number].measuring_files]
    assert not unnamed, f"add `{name}` to the Measured by line of these facts in docs/kernel.md"
