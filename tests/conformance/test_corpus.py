"""The corpus itself: how much it holds, and that it shows every fact of docs/kernel.md that a program can show."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from simkernel.contract.corpus import programs_in
from tests.conformance._recorded import CORPUS

FACTS = Path(__file__).parents[2] / "docs" / "kernel.md"
PROGRAMS = dict(programs_in(CORPUS))
LEAST = 300

NOT_SHOWN = {
    "K24": "how often a clock is throttled depends on the machine, and LOST_SAMPLES takes hardware",
    "K31": "programs run as root, whom no level of paranoia stops",
    "K32": "programs run as root, whose mappings are not rationed",
    "K33": "a seccomp filter belongs to the process that runs the programs, for good",
    "K36": "nothing interrupts the writing of a software event's record at a time of one's choosing",
    "K37": "the steps of a program are done one after another: nobody writes while it reads",
    "K52": "what the scheduler's own tracepoints count is time that a task really ran or slept, which no program sets",
    "K53": "the simulated kernel has no tracepoints that perf may not have, and closes its own in no time",
}
"""Facts that no program can show, and why; `tests/linux` and `tests/unit` have tests of them."""


def shown() -> Counter[str]:
    return Counter(fact for program in PROGRAMS.values() for fact in set(re.findall(r"\bK\d+\b", program.about)))


def test_the_corpus_has_the_programs_that_were_promised() -> None:
    assert len(PROGRAMS) >= LEAST


def test_every_fact_is_shown_by_a_program() -> None:
    facts = set(re.findall(r"^### (K\d+)$", FACTS.read_text(), re.MULTILINE))
    assert len(facts) >= 46
    assert facts - NOT_SHOWN.keys() == set(shown())


def test_what_cannot_be_shown_is_not_shown() -> None:
    assert not [fact for fact in NOT_SHOWN if shown()[fact]]


def test_no_program_is_there_twice() -> None:
    keys = Counter(program.key for program in PROGRAMS.values())
    assert not [name for name, program in PROGRAMS.items() if keys[program.key] > 1]
