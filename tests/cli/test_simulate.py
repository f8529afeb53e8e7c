"""`perfring simulate`: what it prints, its exit statuses, and what it says to bad input."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfring.cli import main
from simkernel.simulate import BUILT_IN, READERS
from tests.unit.perfdata_encoder import a_sample, attr, file, saved
from tests.unit.test_perfdata_reader import RAW
from tests.unit.test_simulate_recorded import sampled, traffic_file

CALM = "pages = 2\nwatermark = 4096\nrate = 4000\ncpus = 1\nduration = 0.1\n"
Simulate = Callable[..., int]


@pytest.fixture
def calm(tmp_path: Path) -> str:
    """A small scenario that is healthy."""
    return _file(tmp_path, CALM)


def _file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def _simulate(*words: str) -> int:
    return main(["simulate", *words])


def _words(text: str) -> str:
    """Without the frame and the line breaks of a usage error."""
    return " ".join(text.replace("│", " ").split())


def test_the_list_has_every_scenario_and_reader(capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("--list") == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in (*BUILT_IN, *READERS))


def test_the_list_as_json_has_them_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("--list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["scenarios"].keys() == BUILT_IN.keys()
    assert listed["readers"].keys() == READERS.keys()


def test_a_healthy_run_exits_with_0_and_says_so(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate(calm) == 0
    text = capsys.readouterr()
    assert "healthy" in text.out
    assert "Nothing needs to change" in text.out
    assert not text.err


def test_a_stalled_run_exits_with_1_and_is_unmistakable(capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("oversized") == 1
    text = _words(capsys.readouterr().out)
    assert " STALLED healthy" in text
    assert "bare STALLED: nothing would have woken the reader of cpu 0 any more." in text
    assert "Lower the watermark to 3991 bytes or less" in text


def test_a_watermark_that_is_defeated_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("follower-defeats-watermark", "--set", "duration=0.1") == 1
    assert "WATERMARK DEFEATED" in capsys.readouterr().out


def test_losses_exit_with_1_and_a_share_of_them_may_be_allowed(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    late = (calm, "--set", "delay=60ms")
    assert _simulate(*late) == 1
    assert "LOSES RECORDS" in capsys.readouterr().out
    assert _simulate(*late, "--loss", "0.9") == 0


def test_a_run_that_is_later_than_allowed_exits_with_1(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate(calm, "--latency", "20ms") == 0
    assert _simulate(calm, "--latency", "2ms") == 1
    assert "TOO LATE" in capsys.readouterr().out


def test_settings_of_the_command_line_change_the_scenario(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate(calm, "--set", "watermark=2048", "--set", "latency=5ms", "--json") == 0
    (ran,) = json.loads(capsys.readouterr().out)
    assert (ran["scenario"]["watermark"], ran["scenario"]["latency"]) == (2048, 0.005)


def test_a_reader_that_is_named_runs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("oversized", "--set", "reader=perfring", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_json_has_result_advice_and_timeline_of_each_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("oversized", "--json") == 1
    mistaken, own = json.loads(capsys.readouterr().out)
    assert mistaken.keys() == {"scenario", "healthy", "result", "advice", "timeline"}
    assert (mistaken["healthy"], own["healthy"]) == (False, True)
    assert (mistaken["result"]["stalled"], mistaken["result"]["verdict"]) == ([0], "STALLS")
    assert mistaken["result"]["latency"]["p50"]["at_least"] is True
    assert mistaken["timeline"]["stalled"] is True


@pytest.mark.parametrize("words", [["oversized"], ["bursty"], ["--list"]])
@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(
    words: list[str], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _simulate(*words)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text


# The page.


def test_html_is_written_with_every_run(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert _simulate("oversized", "--html", str(page)) == 1
    text = page.read_text()
    assert "oversized, read by bare" in text
    assert "oversized, read by perfring" in text


def test_without_plotly_it_is_said_what_to_install(
    calm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert _simulate(calm, "--html", str(tmp_path / "page.html")) == 1
    assert "pip install 'perfring[plots]'" in _words(capsys.readouterr().err)
    assert not (tmp_path / "page.html").exists()


# Sweeps.


def test_a_sweep_shows_each_setting_and_the_best(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate(calm, "--sweep", "watermark", "--latency", "10ms", "--jobs", "1") == 0
    text = capsys.readouterr().out
    (best,) = [line.split() for line in text.splitlines() if line.rstrip().endswith(" best")]
    assert best[0] == "2048"
    assert "Best for p99 within 10 ms and a loss of 0 at most: watermark = 2048" in text


def test_a_sweep_in_two_processes_prints_the_same(calm: str) -> None:
    one, two = (_python("simulate", calm, "--sweep", "watermark", "--jobs", jobs) for jobs in "12")
    assert one.stdout == two.stdout
    assert one.stdout.count(" best") == 1


def test_a_sweep_without_a_fitting_setting_exits_with_1(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate(calm, "--sweep", "watermark", "--latency", "1us", "--jobs", "1") == 1
    text = _words(capsys.readouterr().out)
    assert "No setting has p99 within 1 us and a loss of 0 at most." in text
    assert "The shortest p99 is " in text


def test_a_sweep_that_is_too_short_to_see_any_wait_end_says_so(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sweep", "pages", "--set", "duration=0.01", "--latency", "1s", "--jobs", "1"]
    assert _simulate(calm, *words) == 1
    assert "raise the duration" in _words(capsys.readouterr().out)


def test_a_sweep_as_json_has_all_results_and_the_best(calm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate(calm, "--sweep", "pages", "--json", "--jobs", "1") == 0
    swept = json.loads(capsys.readouterr().out)
    assert [result["pages"] for result in swept["results"]] == [2, 4, 8, 16, 32, 64, 128]
    assert swept["best"] in swept["results"]


def test_a_sweep_finds_pages_for_records_that_the_ring_of_the_scenario_is_too_small_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = _file(tmp_path, "pages = 1\nevent = 'bpf'\npayload = 5000\nrate = 1000\nduration = 0.1\n")
    assert _simulate(file, "--sweep", "pages", "--jobs", "1") == 0
    text = _words(capsys.readouterr().out)
    assert "with rings of 2 to 128 pages" in text
    assert "pages = 64: the reader runs " in text  # one of 128 is not filled in so short a time


def test_what_the_runs_have_in_common_is_told_once_and_times_with_their_units(
    calm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _simulate(calm, "--set", "delay=0.002", "--set", "latency=5ms")
    assert "virtual s; latency 5 ms, delay 2 ms, kernel 6.18" in _words(capsys.readouterr().out)
    _simulate("bursty", "--set", "duration=0.2")
    assert "perfring, latency 10 ms" in capsys.readouterr().out


def test_a_setting_that_mends_a_file_is_taken(tmp_path: Path) -> None:
    file = _file(tmp_path, CALM.replace("4096", "8192"))
    assert _simulate(file) == 2
    assert _simulate(file, "--set", "watermark=1024") == 0


def test_a_sweep_of_rings_that_are_all_too_small_exits_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = _file(tmp_path, "pages = 8\nwatermark = 1024\nevent = 'bpf'\npayload = 65000\nreader = 'bare'\n")
    assert _simulate(file, "--sweep", "watermark", "--jobs", "1") == 1
    assert "no watermark of such rings is safe" in _words(capsys.readouterr().out)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
@pytest.mark.parametrize("at_work", [False, True])
def test_ctrl_c_ends_the_workers_of_a_sweep(at_work: bool, tmp_path: Path) -> None:
    file = _file(tmp_path, "rate = 100000\nduration = 90\ncpus = 1\n")
    words = [sys.executable, "-m", "perfring", "simulate", file, "--sweep", "watermark", "--jobs", "2"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        workers = _await(lambda: _workers_of(process.pid, at_work=at_work))
        blocked = [_blocks(worker, signal.SIGINT) for worker in workers]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate()
    assert process.returncode == 130
    assert all(blocked)
    assert "Traceback" not in said
    assert _await(lambda: [True] if not any(map(_lives, workers)) else [])


def _workers_of(pid: int, *, at_work: bool) -> list[int]:
    """The two workers, as soon as there are both, or once both are at work."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return found if len(found) == 2 and (not at_work or all(map(_computes, found))) else []


def _computes(pid: int) -> bool:
    """It has got beyond its imports: so much time it has spent."""
    spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(spent[11]) >= os.sysconf("SC_CLK_TCK")


def _blocks(pid: int, number: int) -> bool:
    """Whether a process does not hear a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _await(condition: Callable[[], list[Any]]) -> list[Any]:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "perfring", *words], capture_output=True, text=True, check=True)


# Bad input.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("colour = 3", "mine.toml: colour is 3: there is no such key"),
        ("rate = -5", "mine.toml: rate is -5: it must be a number of events per second above 0"),
        ("pages = 'two'", "mine.toml: pages is 'two': it must be a whole number"),
        ("watermark = 40960", "mine.toml: watermark is 40960: a wakeup watermark of 40960 bytes is not below"),
        ("watermark = ", "mine.toml: it is not TOML"),
    ],
)
def test_a_bad_file_is_wrong_usage_that_names_file_key_and_value(
    line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert _simulate(_file(tmp_path, line)) == 2
    assert words in _words(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a scenario: one of steady, bursty"),
        (["stedy"], "no built-in scenario 'stedy', and no such file: do you mean steady?"),
        (["nothing"], "there are steady, bursty"),
        (["./nothing.toml"], "./nothing.toml: No such file or directory"),
        (["steady", "--set", "rate"], "'rate' is no setting: write KEY=VALUE"),
        (["steady", "--set", "rate=-5"], "--set: rate is -5: it must be a number of events"),
        (["steady", "--set", "watermark=32768"], "--set: watermark is 32768: a wakeup watermark"),
        (["steady", "--set", "kernel=2.6"], "--set: kernel is '2.6': "),
        (["steady", "--set", "pages=2"], "steady: watermark is 8192: a wakeup watermark"),
        (["steady", "--set", "watermark=64", "--sweep", "watermark"], "--set watermark is 64, and --sweep watermark"),
        (["steady", "--list"], "--list runs nothing: it goes alone, or with --json"),
        ([""], "no built-in scenario ''"),
        (["steady", "--sweep", "rate"], "--sweep is 'rate': sweep watermark, pages, or both"),
        (["steady", "--sweep", "pages", "--jobs", "0"], "--jobs is 0: it must be 1 or more"),
        (["steady", "--sweep", "pages", "--html", "x"], "--html is 'x': a sweep has no picture"),
        (["steady", "--jobs", "2"], "--jobs is 2, but there is nothing to share out"),
        (["steady", "--latency", "soon"], "--latency is 'soon': it must be a number of seconds, or a time such as"),
        (["steady", "--latency", "-1"], "--latency is '-1': it must be a number of seconds, 0 or more"),
        (["steady", "--loss", "2"], "--loss is 2.0: it must be a share from 0 to 1"),
    ],
)
def test_bad_words_are_wrong_usage_with_their_value(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert _simulate(*words) == 2
    assert said in _words(capsys.readouterr().err)


def test_a_page_that_cannot_be_written_is_said_before_anything_is_run(
    calm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _simulate(calm, "--html", "/nowhere/page.html") == 1
    text = capsys.readouterr()
    assert "/nowhere/page.html: No such file or directory" in text.err
    assert not text.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_a_page_for_which_there_is_no_room_is_an_error_with_its_name(
    calm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _simulate(calm, "--html", "/dev/full") == 1
    assert "/dev/full: No space left on device" in capsys.readouterr().err


def test_the_command_is_loaded_without_the_simulator() -> None:
    # `perfring --help` shows it among the others, and has to be quick.
    code = "import sys, perfring.cli.simulate; sys.exit('simkernel.simulate' in sys.modules)"
    assert importlib.util.find_spec("simkernel.simulate")
    subprocess.run([sys.executable, "-c", code], check=True)


# Recorded traffic.


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """400 records of 64 bytes, a millisecond apart."""
    events = [(attr(RAW), (7,))]
    records = b"".join(a_sample(1000 + number * 10**6, form=RAW, raw=bytes(28)) for number in range(400))
    return saved(tmp_path, file(records, events=events))


def test_a_recording_that_would_not_have_lost_exits_with_0(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("--replay", recording, "--pages", "1", "--watermark", "2048") == 0
    text = _words(capsys.readouterr().out)
    assert "400 records as they were recorded" in text
    assert "lost 0 of 400" in text


def test_a_recording_that_would_have_lost_exits_with_1(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("--replay", recording, "--pages", "1", "--watermark", "2048", "--set", "delay=60ms") == 1
    assert "LOSES RECORDS" in capsys.readouterr().out


def test_the_best_watermark_for_a_recording_is_found(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("--replay", recording, "--pages", "1", "--sweep", "watermark", "--jobs", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["best"]["lost"] == 0


def test_a_recording_and_a_scenario_exclude_each_other(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("steady", "--replay", recording) == 2
    assert "'steady'" in _words(capsys.readouterr().err)


def test_a_recording_in_place_of_a_scenario_is_told_how_it_is_played(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _simulate(recording) == 2
    assert f"play it with --replay {recording}" in _words(capsys.readouterr().err)


def test_a_recording_that_is_cut_off_is_played_and_said_to_be(
    recording: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.data"
    cut.write_bytes(Path(recording).read_bytes()[:-40])
    _simulate("--replay", str(cut), "--watermark", "64")
    assert "the file is damaged or cut off, see `perfring read --summary`" in _words(capsys.readouterr().out)


def test_what_is_no_recording_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _simulate("--replay", _file(tmp_path, CALM)) == 1
    assert "not a perf.data file" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["none.data", "a/b/none.data"])
def test_a_recording_that_is_missing_is_named_and_not_the_scenario(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    path = _file(tmp_path, f'event = "bpf"\npattern = "recorded"\nrecording = "{missing}"\n')
    assert _simulate(path) == 2
    assert f"Invalid value: {missing}: No such file" in _words(capsys.readouterr().err)


def test_what_a_scenario_is_called_cannot_be_for_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _simulate(_file(tmp_path, 'name = "\\u001b[2J"\n"\\u001b" = 1\n')) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("sweep", [(), ("--sweep", "watermark", "--jobs", "1")])
def test_a_recording_of_more_cpus_than_the_scenario_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sweep: tuple[str, ...]
) -> None:
    path = traffic_file(tmp_path, sampled(1000, 64, event=8))
    assert _simulate("--replay", path, "--set", "cpus=2", *sweep) == 2
    assert "cpus is 2: the recording has records of CPU 2" in _words(capsys.readouterr().err)
