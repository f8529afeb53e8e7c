"""`perfring record` as a person starts it, on the real kernel."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GETPPID = "syscalls:sys_enter_getppid"
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which a test gives up: a bound for what hangs, never a measure."""
# This very interpreter: a shim that a PATH may have in its place is a shell script, and calls getppid too.
MILLION = (sys.executable, "-c", "import os; f = os.getppid\nfor _ in range(1_000_000): f()")
PACED = """
import os, time
f, begin = os.getppid, time.monotonic_ns()
for tick in range(1, 2001):
    for _ in range(50):
        f()
    time.sleep(max(begin + tick * 1_000_000 - time.monotonic_ns(), 0) / 1e9)
"""

WITHOUT_END = "import os, time\nwhile True: os.getppid(); time.sleep(0.001)"

# Once as root, so that everything is imported: another user may not be able to read where this interpreter is.
AS_NOBODY = """
import os, sys
import perfring.findings, perfring.permissions
from perfring.cli import main
main(["record", "-C", "65535"])
os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
sys.exit(main(["record", "-e", "cpu-clock", "--duration", "5"]))
"""


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """``perfring record WORDS`` with its output as text."""
    argv = [sys.executable, "-m", "perfring", "record", *words]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    with start(*words, **options) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def lines(done: subprocess.CompletedProcess[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The records and the summary behind them."""
    *records, last = map(json.loads, done.stdout.splitlines())
    return records, last["summary"]


def test_a_million_samples_are_a_million_and_none_is_lost() -> None:
    done = run("-e", GETPPID, "--pages", "16384", "--watermark", "65536", "--json", "--", *MILLION)
    *_, last = done.stdout.rsplit("\n", 2)[:-1]
    summary = json.loads(last)["summary"]
    assert (done.returncode, summary["samples"], summary["lost"]) == (0, 1_000_000, 0)
    assert done.stdout.count('"kind":"sample"') == 1_000_000
    assert summary["sideband"] == done.stdout.count("\n") - 1_000_001


def test_at_50000_samples_a_second_every_wakeup_is_the_watermarks() -> None:
    done = run("-e", GETPPID, "--pages", "16384", "--watermark", "65536", "--json", "--", sys.executable, "-c", PACED)
    _, summary = lines(done)
    expected = summary["bytes"] / summary["watermark"]
    # Each ring keeps what lies below its watermark to itself; wakeups merge when others keep this machine's CPUs busy.
    assert (summary["samples"], summary["lost"], summary["timeouts"]) == (100_000, 0, 0)
    assert 0 < summary["wakeups"] <= expected * 1.02


def test_loss_is_said_and_delivered_and_lost_make_the_whole() -> None:
    done = run("-e", GETPPID, "--no-side-band", "--pages", "1", "--watermark", "4000", "--json", "--", *MILLION)
    *_, last = done.stdout.rsplit("\n", 2)[:-1]
    summary = json.loads(last)["summary"]
    assert summary["lost"] > 0
    assert summary["samples"] + summary["lost"] == 1_000_000
    assert "LOST" in done.stderr
    assert "larger ones only lose later" in " ".join(done.stderr.split())


def test_a_terminal_is_told_what_is_recorded_before_anything_comes() -> None:
    master, slave = pty.openpty()
    words = [
        sys.executable,
        "-m",
        "perfring",
        "record",
        "-e",
        "page-faults",
        "-p",
        str(os.getpid()),
        "--duration",
        "0.1",
    ]
    done = subprocess.run(words, stdin=slave, stdout=slave, stderr=slave, timeout=60, check=False)
    os.close(slave)
    shown = os.read(master, 4096).decode()
    os.close(master)
    assert done.returncode == 0
    assert "recording side-band, page-faults (Ctrl-C ends)" in shown.splitlines()[0]


def test_a_command_is_recorded_from_its_execve_to_its_exit() -> None:
    records, _ = lines(run("-e", GETPPID, "--json", "--", "/bin/true"))
    first, last = records[0], records[-1]
    assert (first["kind"], first["comm"], first["exec"], last["kind"]) == ("comm", "true", True, "exit")


def test_what_the_command_prints_does_not_tear_the_records() -> None:
    done = run("-e", GETPPID, "--json", "--", "/bin/echo", "hello")
    assert "hello" in done.stderr
    assert lines(done)[1]["sideband"] > 0


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_exit_status_is_the_commands(command: str, status: int) -> None:
    assert run("--", "/bin/sh", "-c", command).returncode == status


def test_command_that_is_not_there_is_127_and_writes_no_record() -> None:
    done = run("--json", "--", "/no/such/command")
    assert (done.returncode, done.stdout) == (127, "")
    said = "perfring: /no/such/command: No such file or directory; name a program on PATH, or the path of one\n"
    assert done.stderr == said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_sums_up(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WITHOUT_END]) as target:
        process = start("-e", GETPPID, "--no-side-band", "-p", str(target.pid), "--max-latency", "0.01", "--json")
        with process:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            process.send_signal(number)
            out = process.stdout.read()
        target.kill()
    assert (first["kind"], process.returncode) == ("sample", 0)
    assert json.loads(out.splitlines()[-1])["summary"]["samples"] == out.count(
        "\n"
    )  # but for the first, and the summary


def test_duration_ends_the_recording_and_the_command() -> None:
    done = run("--duration", "0.2", "--json", "--", "/bin/sleep", "1000")
    assert (done.returncode, lines(done)[1]["timeouts"]) == (0, 0)


def test_recording_ends_by_itself_with_its_last_target() -> None:
    with (
        subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as target,
        start("-e", "cpu-clock", "--environment", "-p", str(target.pid), "--json") as process,
    ):
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        target.communicate()
        out = process.stdout.read()
    assert (first["synthesized"], first["comm"]) == (True, "cat")
    assert json.loads(out.splitlines()[-1])["summary"]["synthesized"] > 1


def test_reader_that_goes_away_ends_it_quietly() -> None:
    with start("-e", GETPPID, "--", *MILLION) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (1, "")


def test_full_disk_is_named() -> None:
    done = run("-o", "/dev/full", "--", "/bin/true")
    said = "perfring: /dev/full: No space left on device; make room, or choose a path on another disk\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_file_gets_the_records_and_stdout_the_summary(tmp_path: Path) -> None:
    done = run("-e", GETPPID, "-o", str(tmp_path / "out"), "--", "/bin/true")
    *records, last = map(json.loads, (tmp_path / "out").read_text().splitlines())
    assert (len(records), done.stderr) == (last["summary"]["sideband"], "")
    assert "Nothing lost." in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("-e", "sched:no_such"), "sched:no_such"),
        (("-p", "4194305"), "4194305"),
        (("-C", "65535"), "65535"),
        (("-e", "sched:sched_switch", "--filter", "nonsense == 1"), "nonsense == 1"),
    ],
)
def test_what_the_machine_refuses_is_named(words: tuple[str, ...], named: str) -> None:
    done = run(*words, "--duration", "5")
    assert (done.returncode, done.stdout) == (1, "")
    assert named in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
def test_unprivileged_user_is_told_what_is_missing() -> None:
    argv = [sys.executable, "-c", AS_NOBODY]
    done = subprocess.run(argv, check=False, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "perf_event_paranoid" in done.stderr
