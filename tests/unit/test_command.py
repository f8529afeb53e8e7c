"""`Command`: a child that waits, and then becomes the command."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from perfring import Command, CommandNotStarted


def _status(script: str) -> int:
    with Command(["/bin/sh", "-c", script]) as command:
        command.release()
        return command.wait()


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_exit_status_of_a_command_is_the_shells(script: str, status: int) -> None:
    assert _status(script) == status


@pytest.mark.parametrize(("name", "status"), [("no-such-command", 127), ("/no/such", 127), ("/etc/passwd", 126)])
def test_command_that_cannot_run_is_named_with_the_shells_status(name: str, status: int) -> None:
    with Command([name]) as command, pytest.raises(CommandNotStarted) as caught:
        command.release()
    assert (caught.value.name, caught.value.status) == (name, status)


def test_command_that_was_never_released_leaves_nothing(tmp_path: Path) -> None:
    with Command(["/bin/touch", str(tmp_path / "ran")]):
        pass
    assert not (tmp_path / "ran").exists()


def test_command_that_was_killed_before_it_was_released_has_ended() -> None:
    with Command(["/bin/true"]) as command:
        os.kill(command.pid, signal.SIGKILL)
        os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
        command.release()
        assert command.wait() == 128 + signal.SIGKILL


def test_command_gets_the_signals_that_python_ignores() -> None:
    assert _status("kill -PIPE $$; exit 0") == 128 + signal.SIGPIPE


def test_command_ends_with_its_recording() -> None:
    with Command(["/bin/sleep", "1000"]) as command:
        command.release()
        assert command.finish() == 128 + signal.SIGTERM


def test_text_of_a_command_that_cannot_run_names_it() -> None:
    with (
        Command(["/no/such"]) as command,
        pytest.raises(CommandNotStarted, match=r"^/no/such: No such file or directory"),
    ):
        command.release()


@pytest.mark.parametrize(
    ("argv", "error"), [("make", TypeError), ([b"make"], TypeError), ([], ValueError), (["a\0b"], ValueError)]
)
def test_what_is_no_command_is_refused_before_anything_is_forked(argv: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^argv is"):
        Command(argv)
