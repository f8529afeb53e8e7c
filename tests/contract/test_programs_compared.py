"""Two traces of a program: the first difference, shrinking it, keeping it, and the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simkernel.contract.__main__ import main
from simkernel.contract.compare import Difference, Pair, as_test, first_difference, shrunk
from simkernel.contract.coverage import Coverage
from simkernel.contract.program import Program
from simkernel.contract.running import Outcome
from simkernel.contract.trace import Bench, SimBench, Trace, TraceError, read_traces, write_traces

TWO = Program.parse("epoll = epoll\nwait epoll")
CORPUS = """== woken
actor a
e = open tracepoint:getppid pid=a sample_period=1 sample_type=TID wakeup_events=1
m = map e
getppid a 3
poll e IN
drain m
"""


def found(real: object, simulated: object) -> tuple[object, ...] | None:
    difference = first_difference(TWO, [{"ok": None}, {"ok": real}], [{"ok": None}, {"ok": simulated}])
    if difference is None:
        return None
    return (difference.at, difference.where, difference.real, difference.simulated)


@pytest.mark.parametrize(
    ("real", "simulated", "where"),
    [
        ({"a": "IN"}, {}, "ok.a"),
        ([1, 2], [1, 3], "ok[1]"),
        ([1], [1, 2], "ok[1]"),
        ({"at_least": 2}, {"at_least": 3}, "ok"),
        ({"at_least": 2}, {"at_least": 8, "slack": 5}, "ok"),
        (
            {"noise": {}, "records": []},
            {"noise": {"SWITCH": {"at_least": 8, "slack": 6}}, "records": []},
            "ok.noise.SWITCH",
        ),
        ({"records": [{"misc": 0}], "head": 8}, {"records": [{"misc": 2}], "head": 16}, "ok.records[0].misc"),
        ({"noise": {}, "records": []}, {"noise": {"SWITCH": {"at_least": 1}}, "records": []}, "ok.noise.SWITCH"),
    ],
)
def test_a_difference_is_found_where_it_is(real: object, simulated: object, where: str) -> None:
    at = found(real, simulated)
    assert at is not None
    assert at[:2] == (1, where)


@pytest.mark.parametrize(
    ("real", "simulated"),
    [
        ({"at_least": 3}, {"at_least": 2}),
        ({"at_least": 2}, {"at_least": 8, "slack": 6}),
        ({"noise": {}, "records": []}, {"noise": {"SWITCH": {"at_least": 3, "slack": 3}}, "records": []}),
        ({"unsure": "noise"}, {"head": 3}),
        ({"head": 3}, {"unsure": "noise"}),
        ({"noise": {"SWITCH": {"at_least": 1}}, "records": []}, {"noise": {}, "records": []}),
        ({"head": 1, "bytes": ["a"]}, {"head": 1, "bytes": ["b"]}),
    ],
)
def test_what_may_differ_does_not(real: object, simulated: object) -> None:
    assert found(real, simulated) is None


class OneBug(SimBench):
    """A kernel whose watermark is off by one record, as far as the traces tell."""

    def run(self, program: Program, *, raw: bool = False) -> tuple[Outcome, ...]:
        steps = tuple(replace(s, words=("a", "4")) if s.verb == "getppid" else s for s in program.steps)
        return super().run(Program(steps), raw=raw)


LONG = """
actor a
actor b
p = epoll
e = open tracepoint:getppid pid=a sample_id_all=1 sample_period=1 sample_type=TID wakeup_events=1
add p e IN
m = map e pages=2
rename a x
getppid a 10
poll e IN
wait p
drain m
close e
"""


def test_shrinking_leaves_what_shows_the_difference() -> None:
    with Pair(SimBench(), OneBug()) as pair:
        difference = pair(Program.parse(LONG))
        assert difference is not None
        smallest, _ = shrunk(difference, pair)
    assert [step.verb for step in smallest.program.steps] == ["actor", "open", "map", "getppid", "drain"]


def test_shrinking_stops_at_its_budget() -> None:
    with Pair(SimBench(), OneBug()) as pair:
        difference = pair(Program.parse(LONG))
        assert difference is not None
        assert shrunk(difference, pair, budget=3)[1] == 3


def test_a_difference_becomes_a_test_that_compiles() -> None:
    text = as_test(Difference(TWO, 1, "ok", {"e": "IN"}, {}))
    compile(text, "test", "exec")
    assert "    wait epoll\n" in text


def test_traces_are_kept_and_read_back(tmp_path: Path) -> None:
    bench, path = SimBench(), tmp_path / "t.gz"
    traces = [bench.trace("one", TWO), bench.trace("two", Program.parse("e = open type:99"))]
    assert write_traces(path, bench.machine, traces) == 2
    machine, back = read_traces(path)
    assert (machine, list(back)) == (bench.machine, traces)


def test_the_same_traces_are_the_same_bytes(tmp_path: Path) -> None:
    bench, paths = SimBench(), (tmp_path / "1.gz", tmp_path / "2.gz")
    for path in paths:
        write_traces(path, bench.machine, [bench.trace("one", TWO)])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def recorded(tmp_path: Path) -> Path:
    bench, path = SimBench(), tmp_path / "t.jsonl"
    write_traces(path, bench.machine, [bench.trace("one", TWO)])
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("perfring-traces-1", "perfring-traces-9", "format 'perfring-traces-1'"),
        ('"release":"6.18"', '"release":"4.4.0"', "the oldest that is simulated is 5.10"),
        ('"release":"6.18"', '"release":"Plan 9"', "release is 'Plan 9'"),
        ('"cpus":', '"cores":', "the machine in line 1"),
        ('{"name"', '{"nam', "line 2"),
        ('"outcomes":[', '"outcomes":[{},', "3 outcomes of 2 steps"),
        ("wait", "sing", "there is no verb 'sing'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = recorded(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TraceError, match=words):
        list(read_traces(path)[1])


def test_a_file_that_is_not_compressed_says_so(tmp_path: Path) -> None:
    (tmp_path / "t.gz").write_bytes(b"not at all")
    with pytest.raises(TraceError, match=r"t\.gz"):
        read_traces(tmp_path / "t.gz")


def test_coverage_counts_results_and_changes_of_readiness() -> None:
    coverage = Coverage()
    program = Program.parse("poll e IN\npoll e IN\npoll e IN\nioctl e RESET")
    coverage.add(program, [{"ok": {}}, {"ok": {"e": "IN"}}, {"ok": {"e": "IN"}}, {"errno": "EBADF"}])
    assert coverage.as_data() == {
        "ioctl RESET": {"EBADF": 1},
        "poll": {"ok": 3},
        "readiness by poll": {"never asked -> nothing": 1, "nothing -> IN": 1},
    }


def corpus(tmp_path: Path) -> str:
    (tmp_path / "x.programs").write_text(CORPUS)
    return str(tmp_path)


def test_run_and_replay_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "t.gz")
    run = ["run", "--kernel", "sim", "--corpus", corpus(tmp_path), "--random", "1", "--steps", "200", "--out", out]
    assert (main(run), main(["replay", out])) == (0, 0)
    assert "0 differ" in capsys.readouterr().out


def test_replay_shows_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench, path = SimBench(), tmp_path / "t.jsonl"
    outcomes: tuple[Outcome, ...] = ({"ok": None}, {"ok": {"e": "IN"}})
    write_traces(path, bench.machine, [Trace("lied", TWO, outcomes)])
    assert main(["replay", str(path)]) == 1
    assert "lied: step 2, wait epoll" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--kernel", "sim", "--out", "x"],
        ["run", "--kernel", "sim", "--out", "x", "--random", "1"],
        ["run", "--kernel", "sim", "--out", "x", "--corpus", "/nowhere"],
        ["run", "--kernel", "sim", "--release", "2.6", "--out", "x", "--random", "1", "--steps", "9"],
        ["replay", "/nowhere.gz"],
        ["compare"],
    ],
)
def test_what_cannot_begin_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("python -m simkernel.contract: ")


def test_a_bench_says_what_it_is() -> None:
    assert json.loads(json.dumps(SimBench(release="5.10").machine.facts))["perf_event_paranoid"] == "2"
    assert isinstance(SimBench(), Bench)
