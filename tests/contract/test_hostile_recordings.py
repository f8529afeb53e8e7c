"""Recordings, results and programs as enemies write them: found by the fuzzer of tests/property, or beside it."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from simkernel.contract import amounts, trace
from simkernel.contract.__main__ import main
from simkernel.contract.corpus import programs_in
from simkernel.contract.program import Program, ProgramError
from simkernel.contract.results import read_run
from simkernel.contract.trace import FORMAT, SimBench, TraceError, read_traces

MACHINE = {**asdict(replace(SimBench().machine, release="6.18.44")), "format": FORMAT, "cpus": [0, 1]}
TRACE = {"name": "x/one", "program": "p = epoll", "outcomes": [{"ok": None}]}
RUN = {"release": "6.18.44", "seed": 1, "programs": 1, "steps": 1, "differences": [], "coverage": {"map": {"ok": 1}}}
WRONG: dict[str, list[Any]] = {
    "cpus": ["ab", 2, [], [0, "1"], [0, True], [0, 0], [-1], [10**12], [[0]], None],
    "facts": [[], {"version": 1}, None, {"version": "x" * 5000}],
    "release": [6.18, "", "6", "2.6", "6." + "9" * 5000, None, ["6.18"]],
    "page_size": ["4096", 0, 10**400],
    "executable": [3, None, "x" * 5000],
    "arm": [None],
    "python": [3.11],
    "more": [1],
}
WRONG_RUN: dict[str, list[Any]] = {
    "seed": ["1", None, 1.5, True],
    "coverage": [None, [], {"map": 1}, {"map": {"ok": "1"}}],
    "differences": [None, 3, ["x"], [{}], [{"programs": "1"}]],
    "release": [None, 6.18],
}
LONGEST = 400
"""Characters of an error that is one line, without the path."""


def recording(folder: Path, *lines: object) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def refusal(path: Path) -> str:
    """What is said of a file, after its name."""
    with pytest.raises(TraceError) as caught:
        list(read_traces(path)[1])
    assert str(caught.value).startswith(str(path))
    said = str(caught.value).removeprefix(str(path))
    assert len(said) < LONGEST
    return said


def test_a_file_that_decompresses_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(1 << 25)) * 2)
    assert refusal(path) == ": it is larger than 33,554,432 bytes"


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", gzip.compress(b"{}")[:-9], gzip.compress(b"\xff")])
def test_a_file_that_is_cut_off_or_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(data)
    assert refusal(path)


def test_an_endless_file_is_refused() -> None:
    assert refusal(Path("/dev/zero")) == ": it is larger than 33,554,432 bytes"


@pytest.mark.parametrize("line", ["[" * 100_000, '{"name":' * 100_000, '{"name": ' + "[" * 100_000])
def test_a_line_that_is_nested_deeply_is_named(tmp_path: Path, line: str) -> None:
    assert refusal(recording(tmp_path, MACHINE, TRACE, line)).startswith(", line 3: it is nested too deeply")


def test_a_line_of_megabytes_is_not_even_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_MOST_LINE", 1000)
    assert "longer than 1,000 characters" in refusal(recording(tmp_path, MACHINE, "[" + "[]," * 1000))


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_machine_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, key: str, value: object) -> None:
    said = refusal(recording(tmp_path, {**MACHINE, key: value}))
    assert said.startswith(": the machine in line 1: ")
    assert key in said


@pytest.mark.parametrize("key", ["name", "program", "outcomes"])
@pytest.mark.parametrize("value", [None, 1, {}, [[]]])
def test_a_trace_of_other_types_is_refused(tmp_path: Path, key: str, value: object) -> None:
    assert refusal(recording(tmp_path, MACHINE, {**TRACE, key: value})).startswith(", line 2: ")


def test_a_trace_without_a_name_is_refused(tmp_path: Path) -> None:
    assert refusal(recording(tmp_path, MACHINE, {"program": "", "outcomes": []})) == ", line 2: it has no 'name'"


@pytest.mark.parametrize(
    "outcome",
    [
        *(1, None, {}, [], "ok", {"ko": 1}, {"ok": 1, "errno": "EINVAL"}, {"errno": 22}),
        *({"ok": value} for value in (None, 3, "IN", ["IN"], {"e": 1}, {"e": None})),
    ],
)
def test_an_outcome_that_no_kernel_has_is_refused(tmp_path: Path, outcome: object) -> None:
    path = recording(tmp_path, MACHINE, {**TRACE, "program": "poll e", "outcomes": [outcome]})
    assert refusal(path).startswith(", line 2: ")


@pytest.mark.parametrize("bound", [{"at_least": "1"}, {"at_least": None}, {"at_least": 1, "slack": []}])
def test_a_bound_that_is_no_number_is_refused(tmp_path: Path, bound: dict[str, Any]) -> None:
    path = recording(tmp_path, MACHINE, {**TRACE, "program": "look m", "outcomes": [{"ok": {"noise": [bound]}}]})
    assert "must be a whole number" in refusal(path)


def test_an_outcome_that_is_nested_deeply_is_refused(tmp_path: Path) -> None:
    line = json.dumps({**TRACE, "outcomes": [{"ok": "HERE"}]}).replace('"HERE"', "[" * 50 + "]" * 50)
    assert "nested deeper than 20 levels" in refusal(recording(tmp_path, MACHINE, line))


@pytest.mark.parametrize(
    "step",
    [
        *(f"{verb} a {10**18}" for verb in ("getppid", "touch_pages", "spend", "map_executable")),
        *("emit a 0xfffffffff", "read e 1_000_000_000", "write e 10000000", "getppid a 1" + "0" * 3000),
        *("m = map e pages=1048576", "m = map e length=99999999999"),
    ],
)
def test_a_step_that_would_take_for_ever_is_refused(step: str) -> None:
    with pytest.raises(ProgramError, match=r"line 1: .* is more than ") as caught:
        Program.parse(step)
    assert len(str(caught.value)) < LONGEST


def test_a_program_of_too_many_steps_is_refused() -> None:
    with pytest.raises(ProgramError, match="501 steps are more than a program may have, 500"):
        Program.parse("signals\n" * 501)


def test_a_program_that_does_too_much_in_all_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"30 steps, and what the actors do, come to 90,000,900, which is more than"):
        Program.parse("getppid a 100000\n" * 30)


def test_a_recording_whose_programs_do_too_much_in_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_MOST_WORK", 5)
    assert ", line 7: the programs come to 6, more than 5" in refusal(recording(tmp_path, MACHINE, *[TRACE] * 9))


def test_what_was_recorded_is_far_from_the_limits() -> None:
    folder = Path(__file__).parents[1] / "conformance/recordings"
    work = [amounts.work_of(each.program.steps) for each in read_traces(folder / "6.18.gz")[1]]
    assert 10 * max(work) < amounts.MOST_WORK
    assert 10 * sum(work) < trace._MOST_WORK


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", "\x00", "[" * 100_000, "{}"),
        *(json.dumps({**RUN, key: value}) for key, values in WRONG_RUN.items() for value in values),
    ],
)
def test_a_result_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(TraceError, match=r"x\.json: not what compare --json prints: ") as caught:
        read_run(path)
    assert len(str(caught.value)) < LONGEST


@pytest.mark.parametrize(
    "data",
    [b"== a\n\xff", b"== a\nsignals " + b"x" * 10_000, (b"== " + b"a" * 10_000 + b"\nsignals\n") * 2, bytes(2 << 20)],
)
def test_a_file_of_programs_that_is_none_is_refused_in_a_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.programs").write_bytes(data)
    with pytest.raises(ProgramError, match=r"x\.programs") as caught:
        list(programs_in(tmp_path))
    assert len(str(caught.value)) < LONGEST


def test_a_fact_that_no_file_can_hold_is_spelled_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "6.18.gz").write_bytes(
        gzip.compress(recording(tmp_path, {**MACHINE, "facts": {"x": "\ud800"}}).read_bytes())
    )
    words = ["--recordings", str(tmp_path), "--runs", str(tmp_path), "--out", str(tmp_path / "page")]
    assert main(["results", *words]) == 0
    assert "- x: \\ud800\n" in (tmp_path / "page").read_text()


def test_a_recording_does_nothing_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recording(
        tmp_path, {**MACHINE, "arm": "\x1b[2J"}, {**TRACE, "name": "\x1b]0;x\x07", "outcomes": [{"ok": 1}]}
    )
    assert main(["replay", str(path)]) == 1
    assert "\\x1b[2J" in (said := capsys.readouterr().out)
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("argument", [1 << 64, -1, 10**30])
@pytest.mark.parametrize("request_name", ["PERIOD", "QUERY_BPF"])
def test_a_number_that_fits_no_field_is_an_outcome(request_name: str, argument: int) -> None:
    program = Program.parse(f"e = open software:dummy\nioctl e {request_name} {argument}")
    assert "error" in SimBench().run(program)[1]


@pytest.mark.parametrize("make", ["e = open software:dummy", "e = epoll"])
def test_what_is_closed_by_its_number_is_closed_once(make: str) -> None:
    program = Program.parse(f"{make}\nclose {1 << 30}\nclose e")
    assert SimBench().run(program)[1:] == ({"ok": None}, {"errno": "EBADF"})


def test_a_filter_nested_deeply_is_not_simulated() -> None:
    program = Program.parse(f'e = open tracepoint:getppid pid=me\nioctl e SET_FILTER "{"!" * 3000}(nr==1)"')
    assert "unsupported" in SimBench().run(program)[1]
