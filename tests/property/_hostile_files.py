"""Recordings, scenarios and tables as enemies would write them, and the commands that read them."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from perfring import cli
from simkernel.contract import __main__ as contract
from simkernel.simulate import Scenario, ScenarioError, read_scenario
from tests.property._hostile import Form, damaged, hostile_file, other_words
from tests.property._judging import Told, in_time, judged
from tests.property._perfdata import SEEDS

__all__ = ["a_recording", "a_scenario", "a_table"]

_RECORDED: Final = Path(__file__).parents[1] / "conformance"
_MOST_RINGS: Final = 64 << 20
_MOST_TO_RUN: Final = 20_000
"""Events and looks of a scenario that is run as well as read: a larger one is honest work, and for other tests."""
_WHOLE: Final[Mapping[str, Any]] = {
    "name": "mine",
    "about": "all keys",
    "pages": 4,
    "watermark": 4096,
    "page_size": 4096,
    "cpus": 2,
    "event": "bpf",
    "payload": {"64": 9, "4096": 1},
    "pattern": "bursty",
    "rate": 1000,
    "burst": 10,
    "reader": "perfring",
    "start": "1ms",
    "latency": "50ms",
    "delay": "2ms",
    "work": "1us",
    "duration": 0.2,
    "seed": 7,
    "kernel": "6.18",
}
_SCENARIOS: Final[tuple[Mapping[str, Any], ...]] = (
    _WHOLE,
    {"rate": 500, "duration": "100ms", "lifetime": 0.05, "reader": "bare-hangup", "watermark": "auto"},
    {"event": "page-fault", "pattern": "random", "rate": 2_000.0, "duration": 0.1, "period": "10ms", "cpus": 1},
    *(
        {"reader": reader, "watermark": 4096, "pages": 1, "duration": 0.2, "rate": 1000}
        for reader in ("bare", "bare-late")
    ),
    {"event": "bpf", "pattern": "recorded", "recording": "RECORDING", "duration": 0.1, "cpus": 2},
)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int) and value.bit_length() > 2_000:
        return hex(value)
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _toml_file(tree: Any) -> str:
    if not isinstance(tree, dict):
        return _toml(tree)
    return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in tree.items())


def a_scenario(folder: Path, number: int) -> str:
    """One damaged scenario, or the recording of one: `perfring simulate` must run or refuse it.

    Returns:
        What came of it, in a word.
    """
    random = Random(number)
    path = folder / "x.toml"
    seed = dict(random.choice(_SCENARIOS))
    seed |= {key: _WHOLE[key] for key in random.sample(sorted(_WHOLE), random.choice((0, 0, 1, 2)))}
    data = SEEDS[random.choice(sorted(SEEDS))]
    if "recording" in seed:
        seed["recording"] = str(folder / "y.data")
        if random.random() < 0.7:
            data = damaged(data, random)
    (folder / "y.data").write_bytes(data)
    if random.random() < 0.05:
        return _told(judged(cli.main, ["simulate", "--replay", str(folder / "y.data"), "--json"], "y.data"))
    path.write_bytes(hostile_file(seed, Form(_toml_file), random))
    if not _is_small(path):
        return "large"
    words = ["simulate", str(path), *random.choice(([], [], ["--json"], ["--latency", "10ms", "--loss", "0.1"]))]
    return _told(judged(cli.main, words, "x.toml", *_recording_of(path)))


def _is_small(path: Path) -> bool:
    try:
        with in_time():
            scenario = read_scenario(path, checked=False)
            return _work(scenario) <= _MOST_TO_RUN and scenario.ring_bytes * scenario.cpus <= _MOST_RINGS
    except ScenarioError:
        return True


def _recording_of(path: Path) -> Iterator[str]:
    """What the scenario says where it is: what is wrong with that file is said of that file."""
    with contextlib.suppress(ScenarioError):
        yield from filter(None, [read_scenario(path, checked=False).recording])


def _work(scenario: Scenario) -> float:
    looks = [scenario.duration / each for each in (scenario.period, scenario.latency) if each]
    return scenario.rate * scenario.duration * scenario.cpus + sum(looks) + 50 * scenario.cpus


def _told(told: Told) -> str:
    return ("done", "refused" if told.err else "unhealthy", "refused")[told.status]


@cache
def _traces() -> tuple[str, list[str]]:
    """The head of a recording, and the traces of its corpus."""
    head, *lines = gzip.decompress((_RECORDED / "recordings/6.18.gz").read_bytes()).decode().splitlines()
    return head, [line for line in lines if '"name":"random/' not in line]


def _some_traces(random: Random) -> list[Any]:
    head, lines = _traces()
    return [json.loads(head), *(json.loads(line) for line in random.sample(lines, random.choice((1, 2, 4))))]


def _json_lines(tree: Any) -> str:
    lines = tree if isinstance(tree, list) else [tree]
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def a_recording(folder: Path, number: int) -> str:
    """One damaged recording, result of a comparison, or file of programs: `python -m simkernel.contract` reads them.

    Returns:
        What came of it, in a word.
    """
    random = Random(number)
    kind = random.choice(("trace", "trace", "trace", "trace", "run", "corpus"))
    if kind == "trace":
        return _a_trace(folder, random)
    return _a_run(folder, random) if kind == "run" else _a_corpus(folder, random)


def _a_trace(folder: Path, random: Random) -> str:
    suffix = random.choice((".gz", ".jsonl"))
    form = Form(_json_lines, _gzipped if suffix == ".gz" else bytes)
    path = folder / f"x{suffix}"
    traces = _some_traces(random)
    if random.random() < 0.5:
        path.write_bytes(hostile_file(traces, form, random))
    else:
        path.write_bytes(
            form.packed(form.text([traces[0], *(_with_other_words(trace, random) for trace in traces[1:])]).encode())
        )
    if random.random() < 0.8 or suffix != ".gz":
        return _told(judged(contract.main, ["replay", str(path)], path.name))
    words = ["results", "--recordings", str(folder), "--runs", str(_RECORDED / "runs"), "--out", str(folder / "page")]
    try:
        return _told(judged(contract.main, words, path.name))
    finally:
        path.unlink()


def _with_other_words(trace: dict[str, Any], random: Random) -> dict[str, Any]:
    """A program that may well be one, and is run."""
    program = trace["program"]
    for _ in range(random.choice((1, 1, 2, 4))):
        program = other_words(program, random)
    return trace | {"program": program}


def _gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def _a_run(folder: Path, random: Random) -> str:
    whole, runs = folder / "whole", folder / "runs"
    for each in (whole, runs):
        each.mkdir(exist_ok=True)
    if not (whole / "6.18.gz").exists():
        (whole / "6.18.gz").write_bytes(_gzipped(_json_lines(_some_traces(Random(0))).encode()))
    tree = json.loads((_RECORDED / "runs/6.18.json").read_text(encoding="utf-8"))
    (runs / "x.json").write_bytes(hostile_file(tree, Form(json.dumps), random))
    words = ["results", "--recordings", str(whole), "--runs", str(runs), "--out", str(folder / "page")]
    return _told(judged(contract.main, words, "x.json"))


def _a_corpus(folder: Path, random: Random) -> str:
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    text = random.choice(sorted((_RECORDED / "corpus").glob("*.programs"))).read_text(encoding="utf-8")
    programs = text.split("\n== ")
    tree = [programs[0], *random.sample(programs[1:], min(3, len(programs) - 1))]
    (corpus / "x.programs").write_bytes(hostile_file(tree, Form(_joined), random))
    words = ["run", "--kernel", "sim", "--corpus", str(corpus), "--out", str(folder / "written.jsonl")]
    return _told(judged(contract.main, words, "x.programs"))


def _joined(tree: Any) -> str:
    return "\n== ".join(map(str, tree)) if isinstance(tree, list) else str(tree)


@cache
def _table() -> bytes:
    """A file of Parquet as `perfring record` writes them, with the mark of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    rows = pa.table({"kind": ["sample"] * 3, "cpu": [0, 1, 2]}).replace_schema_metadata({"perfring.table": "{}"})
    pq.write_table(rows, sink)
    return bytes(sink.getvalue())


def a_table(folder: Path, number: int) -> str:
    """One damaged file of Parquet: `perfring record -o` asks of files that are there already whether they are its own.

    Returns:
        What came of it, in a word.
    """
    from perfring.cli._parquet_tables import is_ours

    random, path = Random(number), folder / "x.sample.parquet"
    path.write_bytes(damaged(_table(), random))
    with in_time():
        return "ours" if is_ours(str(path)) else "foreign"
