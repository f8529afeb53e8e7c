"""Programs, their text, and what running them gives, on the simulated kernel."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given

from simkernel.contract.corpus import programs_in
from simkernel.contract.generate import programs, random_program
from simkernel.contract.normal import HIDDEN
from simkernel.contract.program import VERBS, Program, ProgramError, Step
from simkernel.contract.trace import SimBench
from tests.quality.project import ROOT

CORPUS = ROOT / "tests" / "conformance" / "corpus"
PAGE = ROOT / "docs" / "conformance" / "README.md"


def outcomes(text: str) -> tuple[dict[str, object], ...]:
    return SimBench().run(Program.parse(text))


@given(programs())
def test_the_text_of_a_program_reads_back_as_the_program(program: Program) -> None:
    assert Program.parse(str(program)) == program


@pytest.mark.parametrize("word", ["", " ", "a b", 'quo"te', "=", "#", "back\\slash", "ünï", "x=y", "\n"])
def test_any_word_survives_the_text(word: str) -> None:
    step = Step("rename", ("a", word))
    assert Program.parse(str(Program((step,)))).steps == (step,)


def test_comments_are_no_part_of_the_key() -> None:
    assert Program.parse("# K1\nactor a\n").key == Program.parse("actor   a\n# more").key


def test_the_comment_before_the_steps_is_kept() -> None:
    assert str(Program.parse("# K1: why\nactor a\n")) == "# K1: why\nactor a\n"


def test_options_have_no_order() -> None:
    assert Program.parse("m = map e pages=1 writable=0") == Program.parse("m = map e writable=0 pages=1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("actor a\nfly a", "line 2: there is no verb 'fly'"),
        ("pin a", "pin takes actor cpu"),
        ("map e", "map makes ring, and its result is ''"),
        ("x = close e", "close makes nothing"),
        ("m = map e depth=1", "map has no option 'depth'"),
        ("M = map e", "'M' is no name"),
        ("m = map e pages=1 pages=2", "an option twice"),
        ('rename a "half', "a quotation mark without its other half"),
        ("m =", "no verb"),
    ],
)
def test_what_is_no_program_says_why(text: str, words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        Program.parse(text)


def test_a_step_that_needs_what_was_never_made_is_absent() -> None:
    assert outcomes("drain m\ngetppid a 1") == ({"absent": "m"}, {"absent": "a"})


def test_a_closed_event_is_a_bad_descriptor_whoever_has_its_number() -> None:
    found = outcomes("a = open software:dummy\nclose a\nb = open software:dummy\nread a\nread b")
    assert [next(iter(each)) for each in found] == ["ok", "ok", "ok", "errno", "ok"]


def test_an_actor_that_has_exited_is_gone() -> None:
    assert outcomes("actor a\nexit a\ngetppid a 1")[-1] == {"gone": "a"}


def test_a_refusal_tells_the_size_that_the_kernel_knows() -> None:
    assert outcomes("e = open software:dummy size=63") == ({"errno": "E2BIG", "size": 136},)


def test_records_name_actors_and_events() -> None:
    *_, seen = outcomes(
        "actor a\ne = open tracepoint:getppid pid=a sample_period=1 sample_type=TID|ID|TIME\nm = map e\n"
        "getppid a 1\nlook m"
    )
    record = {"type": "SAMPLE", "misc": 2, "size": 32, "tid": "a/a", "time": "t", "id": "e"}
    assert seen == {"ok": {"head": 32, "tail": 0, "records": [record]}}


def test_a_time_that_steps_back_is_seen() -> None:
    from perfring import abi
    from simkernel.contract.normal import Names, Writer, decode
    from simkernel.contract.raw import RawRecord

    writer = Writer("e", abi.PerfEventAttr(sample_type=abi.PERF_SAMPLE_TIME))
    times = [
        decode(RawRecord(9, 0, bytes([n, *[0] * 7])), writer, Names(), executable="")["time"] for n in (5, 6, 4, 0)
    ]
    assert times == ["t", "t", "back", "0"]


def test_noise_makes_lower_bounds() -> None:
    *_, seen = outcomes(
        "actor a\ne = open software:page-faults pid=a sample_period=1 sample_type=TID\nm = map e\n"
        "touch_pages a 3\nlook m"
    )
    assert seen == {"ok": {"head": {"at_least": 0}, "noise": {"SAMPLE": {"at_least": 3, "slack": 3}}, "records": []}}


def test_noise_reaches_what_is_redirected() -> None:
    *_, asked = outcomes(
        "actor a\nl = open software:dummy pid=a\nm = map l\n"
        "e = open software:page-faults pid=a sample_period=1 wakeup_events=1\nredirect e l\n"
        "touch_pages a 1\npoll l,e IN"
    )
    assert asked == {"ok": {}}


def test_the_same_seed_makes_the_same_program() -> None:
    assert random_program(random.Random("1/2")) == random_program(random.Random("1/2"))


@given(programs())
def test_a_random_program_runs_to_its_end_twice_alike(program: Program) -> None:
    bench = SimBench()
    assert bench.run(program) == bench.run(program)


def test_every_program_of_the_corpus_has_an_outcome_for_each_step() -> None:
    bench = SimBench()
    lengths = {name: (len(bench.run(program)), len(program.steps)) for name, program in programs_in(CORPUS)}
    assert not [name for name, (outcomes, steps) in lengths.items() if outcomes != steps]


def test_a_corpus_says_where_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.programs").write_text("== one\nactor a\n== two\nactor b\nfly b\n")
    with pytest.raises(ProgramError, match=r"x\.programs, below line 3: line 2: there is no verb 'fly'"):
        list(programs_in(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("actor a\n", "a program begins with a line '== name'"),
        ("== a\n", "a program without a step"),
        ("== a\nactor a\n== a\nactor a\n", "a second program of the name 'x/a'"),
    ],
)
def test_a_corpus_file_has_headings(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.programs").write_text(text)
    with pytest.raises(ProgramError, match=words):
        list(programs_in(tmp_path))


def test_the_page_lists_what_is_hidden() -> None:
    assert [name for name, what in HIDDEN.items() if f"| {name} | {what} |" not in PAGE.read_text()] == []


def test_the_page_lists_the_language() -> None:
    text = PAGE.read_text()
    assert [name for name, verb in VERBS.items() if not (f"`{name}" in text or f"NAME = {name}" in text)] == []
    assert [name for name, verb in VERBS.items() if f"| {verb.says} |" not in text] == []
