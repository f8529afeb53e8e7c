"""A guest that ends well, and the ways in which one dies: a script plays qemu."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ci.guest.boot import GuestFailed, GuestRun, Limits, boot, last_lines, qemu_command
from tests.quality.project import ROOT

PATIENT = Limits(boot=60, silence=60, total=60)


class FakeQemu:
    """Runs a piece of Python in place of qemu: `console` is its console, `port` its results port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = folder / "console"

    def run(self, script: str, *, limits: Limits = PATIENT) -> GuestRun:
        qemu = self.folder / "qemu"
        lines = [
            f"#!{sys.executable}",
            "import os, sys, time",
            f"sys.path.insert(0, {str(ROOT)!r})",
            "from ci.guest.frames import encode",
            "serial = sys.argv[sys.argv.index('-serial') + 1]",
            "console = open(serial.removeprefix('file:'), 'ab', buffering=0)",
            "port = open(1, 'wb', buffering=0)",
            script,
        ]
        qemu.write_text("\n".join(lines))
        qemu.chmod(0o755)
        command = qemu_command(str(qemu), self.folder / "vmlinuz", self.folder / "initramfs", self.console)
        return boot(command, self.console, limits=limits)

    def failure(self, script: str, *, limits: Limits = PATIENT) -> GuestFailed:
        with pytest.raises(GuestFailed) as failed:
            self.run(script, limits=limits)
        return failed.value


@pytest.fixture
def qemu(tmp_path: Path) -> FakeQemu:
    return FakeQemu(tmp_path)


def test_what_a_guest_sends_is_brought_out(qemu: FakeQemu) -> None:
    done = qemu.run("port.write(encode('hello', b'{}') + encode('checks/log', b'fine') + encode('bye', b''))")
    assert done.frames == {"hello": b"{}", "checks/log": b"fine", "bye": b""}
    assert 0 < done.boot_seconds <= done.seconds


def test_a_guest_that_does_not_switch_off_is_ended(qemu: FakeQemu) -> None:
    done = qemu.run("port.write(encode('bye', b''))\nwhile True: time.sleep(1)")
    assert "bye" in done.frames


def test_a_panic_is_told_with_the_console(qemu: FakeQemu) -> None:
    failure = qemu.failure("console.write(b'one\\nKernel panic - not syncing: Attempted to kill init!\\n')")
    assert "the guest's kernel panicked" in str(failure)
    assert "Attempted to kill init!" in str(failure)


def test_what_came_before_a_panic_is_kept(qemu: FakeQemu) -> None:
    sent = "port.write(encode('hello', b'{}') + encode('bye', b'')[:-3])"
    failure = qemu.failure(f"{sent}; console.write(b'Kernel panic - not syncing')")
    assert failure.frames == {"hello": b"{}"}
    assert "in the middle of a frame" in failure.reason


def test_garbage_is_told_and_not_taken_for_results(qemu: FakeQemu) -> None:
    failure = qemu.failure("port.write(b'\\x00\\xffgarbage\\n' * 9)\nwhile True: time.sleep(1)")
    assert "garbage on its results port" in str(failure)
    assert not failure.frames


def test_a_guest_that_never_boots_is_given_up(qemu: FakeQemu) -> None:
    failure = qemu.failure(
        "console.write(b'Loading...\\n')\nwhile True: time.sleep(1)", limits=Limits(boot=0.1, silence=60, total=60)
    )
    assert "not booted within" in failure.reason


def test_a_guest_that_hangs_is_given_up(qemu: FakeQemu) -> None:
    script = "console.write(b'agent: K14\\n'); port.write(encode('hello', b'{}'))\nwhile True: time.sleep(1)"
    failure = qemu.failure(script, limits=Limits(boot=60, silence=0.5, total=60))
    assert "silent for" in failure.reason
    assert "agent: K14" in str(failure)


def test_a_guest_that_prints_for_ever_is_given_up(qemu: FakeQemu) -> None:
    script = "port.write(encode('hello', b'{}'))\nwhile True: console.write(b'still here\\n'); time.sleep(0.01)"
    assert "not done within" in qemu.failure(script, limits=Limits(boot=60, silence=60, total=1)).reason


def test_a_qemu_that_refuses_is_quoted(qemu: FakeQemu) -> None:
    failure = qemu.failure("sys.exit('qemu: no such CPU')")
    assert "ended with status 1" in failure.reason
    assert "no such CPU" in failure.reason


def test_a_qemu_that_is_not_there_is_the_callers_to_explain(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        boot([str(tmp_path / "none")], tmp_path / "console", limits=PATIENT)


def test_a_console_is_shown_without_control_characters() -> None:
    assert last_lines(b"\x1b[2J\x07one\r\n\n\xfftwo") == ".[2J.one\n\\xfftwo"


def test_a_line_without_end_is_cut() -> None:
    assert len(last_lines(b"x" * 10_000)) == 200


def test_only_the_end_of_a_console_is_shown() -> None:
    shown = last_lines(b"".join(b"line %d\n" % number for number in range(1000)))
    assert shown.splitlines()[0] == "line 975"
