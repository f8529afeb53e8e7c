from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import pytest

from perfring.cli import doctor, main
from perfring.engine import ENGINES, using
from tests.unit._machine import ALL_CAPABILITIES, Machine
from tests.unit._opening import PaperKernel

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem


@pytest.fixture
def machine(fs: FakeFilesystem) -> Machine:
    """A machine where root may do everything."""
    machine = Machine(fs)
    machine.user(uid=0, capabilities=ALL_CAPABILITIES)
    machine.write("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/format", "name: sys_enter_getppid\nID: 5\n")
    return machine


@pytest.fixture
def kernel(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> PaperKernel:
    kernel = PaperKernel()
    monkeypatch.setattr(doctor, "_this_kernel", lambda: kernel)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return kernel


@pytest.mark.usefixtures("kernel")
def test_a_healthy_machine_exits_0_and_says_so_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nA session can be opened.\n")


def test_a_refusal_exits_1_and_says_what_cannot_be_opened(
    kernel: PaperKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.refuse["mmap"] = errno.EPERM
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.endswith("A session cannot be opened: rings refused.\n")


def test_what_was_tried_decides_not_what_was_predicted(
    kernel: PaperKernel, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.user()
    assert main(["doctor"]) == 0
    assert "kernel.perf_event_paranoid is 2" in capsys.readouterr().out


def test_a_session_without_tracepoints_is_said_and_exits_0(
    kernel: PaperKernel, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.remove("/sys/kernel/tracing")
    assert main(["doctor"]) == 0
    assert "A session can be opened, but without tracepoints." in capsys.readouterr().out


def test_each_command_stands_once_on_a_line_of_its_own(
    kernel: PaperKernel, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.remove("/sys/kernel/tracing")
    main(["doctor"])
    lines = capsys.readouterr().out.split("\n")
    assert lines.count("  sudo mount -t tracefs nodev /sys/kernel/tracing  # tracepoints, tracefs") == 1


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("name", ENGINES)
def test_the_engine_in_use_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "compiled":
        pytest.importorskip("perfring._core", reason="this perfring was installed without its compiled engine")
    with using(name):
        main(["doctor"])
        main(["doctor", "--json"])
    out = capsys.readouterr().out
    assert {"compiled": "compiled: batches as columns", "python": "batches as columns take"}[name] in out
    assert f'"engine": "{name}"' in out


@pytest.mark.usefixtures("kernel")
def test_a_pipe_gets_no_colours_and_at_most_80_columns_of_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(map(len, out.split("\n"))) <= 80


def test_the_pages_are_those_that_are_tried(kernel: PaperKernel, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--pages", "100"])
    assert "mapped 128 pages" in capsys.readouterr().out


def test_user_only_is_passed_on(kernel: PaperKernel) -> None:
    main(["doctor", "--user-only"])
    assert kernel.pids == {0}


def test_json_holds_findings_verdict_and_commands(
    kernel: PaperKernel, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.user()
    kernel.refuse["open on", 3] = errno.EACCES
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is False
    assert report["tried"][0]["mend"] == "sudo sysctl -w kernel.perf_event_paranoid=0"
    assert {"topic", "severity", "text", "mend"} == set(report["found"][0])


def test_another_system_is_told_that_this_needs_linux(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "only Linux has" in captured.err
    assert "this is darwin" in captured.err


@pytest.mark.parametrize("pages", ["0", "-4", "many"])
def test_a_number_of_pages_that_makes_no_sense_is_wrong_usage(pages: str) -> None:
    assert main(["doctor", "--pages", pages]) == 2
