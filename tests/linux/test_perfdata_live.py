"""perf.data between perfring and the perf of this machine: what one writes the other reads, with the same counts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which a test gives up: a bound for what hangs, never a measure."""
GETPPID = "syscalls:sys_enter_getppid"
SWITCH = "sched:sched_switch"
BUSY = "import os\nfor _ in range(20000): os.getppid()\nsum(range(2000000))"
COMMAND = (sys.executable, "-c", BUSY)
WITHOUT_END = "import os, time\nwhile True: os.getppid(); time.sleep(0.0005)"
COMPLAINT = re.compile("out of order|below last|invalid|corrupt|error|can't", re.IGNORECASE)


def perf(*words: str, status: int = 0) -> str:
    """What perf printed; skips where there is none."""
    program = shutil.which("perf")
    if program is None:
        pytest.skip("perf is not installed: apt install linux-perf")
    argv = [program, "--no-pager", *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=PATIENCE, errors="replace")
    assert done.returncode == status, done.stderr
    # Whatever perf complains of, a file of ours must not make it.
    assert not COMPLAINT.search(done.stderr), done.stderr
    printed: str = done.stdout
    return printed


def perfring(*words: str, status: int = 0, **options: Any) -> str:
    argv = [sys.executable, "-m", "perfring", *words]
    done = subprocess.run(argv, check=False, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, **options)
    assert done.returncode == status, done.stderr
    said: str = done.stdout + done.stderr
    return said


def samples_of_perf(path: Path) -> Counter[str]:
    """How many samples `perf script` prints of each event."""
    return Counter(perf("script", "-i", str(path), "-F", "event", "-G").split())


def read(path: Path) -> dict[str, Any]:
    """The summary of `perfring read`."""
    summary: dict[str, Any] = json.loads(perfring("read", str(path), "--json").splitlines()[-1])["summary"]
    return summary


def samples(summary: dict[str, Any]) -> dict[str, int]:
    """How many samples of each event, under the names that `perf script` prints."""
    return {f"{event}:": kinds["sample"] for event, kinds in summary["events"].items() if "sample" in kinds}


def counted(printed: str) -> int:
    """What `perfring record` says it has recorded."""
    found = re.match(r"([\d,]+) samples", printed)
    assert found is not None
    return int(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A command that perfring recorded for perf, and how many samples it counted."""
    path = tmp_path_factory.mktemp("ours") / "ours.data"
    events = ("-e", "cpu-clock", "-F", "999", "-e", GETPPID)
    return path, counted(perfring("record", *events, "--pages", "1024", "-o", str(path), "--", *COMMAND))


def test_perf_script_prints_as_many_samples_as_perfring_counted(ours: tuple[Path, int]) -> None:
    path, count = ours
    by_perf = samples_of_perf(path)
    assert by_perf[f"{GETPPID}:"] >= 20000
    assert by_perf["cpu-clock:"] > 0
    assert by_perf.total() == count


def test_perfring_reads_its_own_file_as_perf_does(ours: tuple[Path, int]) -> None:
    path, _ = ours
    assert samples(read(path)) == samples_of_perf(path)


def test_side_band_is_counted_alike(ours: tuple[Path, int]) -> None:
    path, _ = ours
    stats = perf("report", "-i", str(path), "--stats")
    told = {kind.lower(): int(count) for kind, count in re.findall(r"^ +(\w+) events: +(\d+)", stats, re.MULTILINE)}
    summary = read(path)
    assert {kind: told[kind] for kind in summary["events"]["side-band"]} == summary["events"]["side-band"]
    assert told["mmap2"] > 0


def test_perf_script_knows_the_cpu_of_each_sample_and_what_it_stands_for(ours: tuple[Path, int]) -> None:
    path, count = ours
    assert len(re.findall(r"^\[00\d\]", perf("script", "-i", str(path), "-F", "cpu", "-G"), re.MULTILINE)) == count
    clock = re.findall(r"(\d+) +cpu-clock", perf("script", "-i", str(path), "-F", "event,period", "-G"))
    assert set(clock) == {"1001001"}  # nanoseconds, at 999 Hz


def test_perf_sched_reads_switches(tmp_path: Path) -> None:
    path = tmp_path / "sched.data"
    events = ",".join(f"sched:sched_{name}" for name in ("switch", "wakeup", "waking", "stat_runtime"))
    perfring("record", "-e", events, "--pages", "256", "--duration", "0.3", "-o", str(path))
    assert re.search(r"\[000\d\]", perf("sched", "-i", str(path), "timehist"))


def test_perf_report_finds_the_names_of_functions(ours: tuple[Path, int]) -> None:
    path, _ = ours
    report = perf("report", "-i", str(path), "--stdio", "-s", "dso,symbol")
    assert "of event 'cpu-clock'" in report
    assert "python" in report
    assert os.path.basename(sys.executable)[:6] in report


def test_the_header_tells_where_when_and_how(ours: tuple[Path, int]) -> None:
    path, _ = ours
    told = perf("report", "-i", str(path), "--header-only")
    for words in (f"hostname : {os.uname().nodename}", f"os release : {os.uname().release}", "perf version : perfring"):
        assert words in told
    assert f"{os.uname().machine}\n" in told
    assert "record -e cpu-clock" in told


def test_build_ids_are_those_that_perf_finds(ours: tuple[Path, int]) -> None:
    path, _ = ours
    of_file = perf("buildid-list", "-i", str(path))
    assert perf("buildid-list", "-k").strip() in of_file
    for line in of_file.splitlines():
        build_id, name = line.split(" ", 1)
        if name.startswith("/"):
            assert perf("buildid-list", "-i", name).strip() == build_id


def test_perf_decodes_the_fields_of_a_tracepoint(tmp_path: Path) -> None:
    path = tmp_path / "switch.data"
    perfring("record", "-e", SWITCH, "--pages", "256", "--duration", "0.3", "-o", str(path))
    printed = perf("script", "-i", str(path), "-F", "event,trace")
    assert len(re.findall(r"sched_switch: .*prev_comm=.* ==> next_comm=", printed)) == read(path)["samples"] > 0


def test_the_whole_machine_is_in_order_over_all_cpus(tmp_path: Path) -> None:
    path = tmp_path / "all.data"
    with subprocess.Popen([sys.executable, "-c", WITHOUT_END]) as target:
        words = (
            "-e",
            f"{GETPPID},{SWITCH}",
            "--pages",
            "64",
            "--watermark",
            "4096",
            "--duration",
            "1",
            "-o",
            str(path),
        )
        count = counted(perfring("record", *words))
        target.kill()
    # perf says on stderr when a round was ended too early.
    times = [
        float(each) for each in re.findall(r"([\d.]+):", perf("script", "-i", str(path), "-F", "time", "--ns", "-G"))
    ]
    summary = read(path)
    assert (len(times), summary["samples"], times == sorted(times)) == (count, count, True)
    assert summary["synthesized"] > 10


def test_a_recording_that_is_killed_can_be_read_by_both(tmp_path: Path) -> None:
    path = tmp_path / "killed.data"
    argv = [sys.executable, "-m", "perfring", "record", "-e", GETPPID, "--max-latency", "0.01", "-o", str(path)]
    with (
        subprocess.Popen([sys.executable, "-c", WITHOUT_END]) as target,
        subprocess.Popen([*argv, "-p", str(target.pid)], cwd=ROOT) as recorder,
    ):
        wait_for_growth(path, recorder)
        recorder.send_signal(signal.SIGKILL)
        recorder.wait(PATIENCE)
        target.kill()
    by_perf = samples_of_perf(path)
    assert by_perf == samples(read(path))
    assert by_perf.total() > 0


def wait_for_growth(path: Path, recorder: subprocess.Popen[bytes]) -> None:
    """Until there are samples in the file, which the recorder is writing."""
    from perfring.errors import PerfDataError
    from perfring.perfdata import PerfDataFile

    while recorder.poll() is None:
        try:
            with PerfDataFile(str(path)) as found:
                if any(record.kind == "sample" for record in found.records()):
                    return
        except (OSError, PerfDataError):
            continue


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounts a filesystem, which takes root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)  # as in test_parquet_live.py


def test_a_disk_that_fills_up_leaves_a_file_that_both_can_read(small_disk: Path) -> None:
    path = small_disk / "full.data"
    words = ("-e", GETPPID, "--pages", "64", "--watermark", "8192", "-o", str(path), "--", *COMMAND)
    said = perfring("record", *words, status=1)
    found = re.search(r"No space left on device: .*; ([\d,]+) records are in the file, .* ([\d,]+) are not", said)
    assert found is not None
    summary, by_perf = read(path), samples_of_perf(path)
    kept = sum(sum(kinds.values()) - kinds.get("lost", 0) for kinds in summary["events"].values())
    assert by_perf.total() == summary["samples"] > 100
    assert kept <= int(found[1].replace(",", ""))
    assert summary["lost"] >= int(found[2].replace(",", "")) > 0


# What perf has recorded.


@pytest.mark.parametrize(
    "words",
    [
        ("-e", "cpu-clock"),
        ("-e", "cpu-clock", "-g"),
        ("-e", "cpu-clock", "-e", GETPPID),
        ("-e", GETPPID, "-e", "syscalls:sys_exit_getppid", "-e", "page-faults", "-d"),
        ("-e", "cpu-clock", "--call-graph", "dwarf,1024"),
        ("-a", "-e", "cpu-clock", "--switch-events", "--namespaces"),
        ("-e", "cpu-clock", "--no-bpf-event", "--intr-regs"),
    ],
    ids=" ".join,
)
def test_perfring_counts_what_perf_script_prints(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = tmp_path / "perf.data"
    perf("record", "-q", "-o", str(path), *words, "--", *COMMAND)
    summary = read(path)
    by_perf = Counter(re.sub(r":[a-zA-Z]*:?$", ":", each) for each in samples_of_perf(path).elements())
    assert summary["samples"] == by_perf.total() > 0
    assert (summary["bad_records"], summary["problems"], summary["late"]) == (0, [], 0)


def test_a_pipe_from_perf_is_read() -> None:
    program = shutil.which("perf") or pytest.skip("perf is not installed: apt install linux-perf")
    argv = [program, "record", "-q", "-o", "-", "-e", GETPPID, "--", *COMMAND]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as recorder:
        said = perfring("read", "-", "--json", stdin=recorder.stdout)
    summary = json.loads(said.splitlines()[-1])["summary"]
    assert summary["events"][GETPPID]["sample"] + summary["lost"] >= 20000
    assert summary["bad_records"] == 0


def test_a_group_has_one_record_for_what_perf_prints_of_each_member(tmp_path: Path) -> None:
    path = tmp_path / "perf.data"
    perf("record", "-q", "-o", str(path), "-e", "{cpu-clock,page-faults}:S", "--", *COMMAND)
    assert read(path)["samples"] == samples_of_perf(path)["cpu-clock:"] > 0


def test_perfring_reads_what_perf_put_into_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "piped.data"
    program = shutil.which("perf") or pytest.skip("perf is not installed: apt install linux-perf")
    with path.open("wb") as file:
        argv = [program, "record", "-q", "-o", "-", "-e", "cpu-clock", "-e", GETPPID, "--", *COMMAND]
        subprocess.run(argv, check=True, stdout=file, timeout=PATIENCE)
    assert read(path)["samples"] == samples_of_perf(path).total() > 0


def test_what_perf_compressed_is_refused_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "z.data"
    perf("record", "-q", "-z", "-o", str(path), "-e", "cpu-clock", "--", *COMMAND)
    assert "record without -z" in perfring("read", str(path), status=1)
