from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import NoReturn

import pytest

import perfring
from perfring.cli import COMMANDS, build_app, doctor, main
from perfring.errors import TargetNotFound

HEAVY = ("ctypes", "asyncio", "pydantic", "perfring.linux", "perfring.session", "perfring.permissions")


def raising(error: BaseException) -> object:
    def raise_it() -> NoReturn:
        raise error

    return raise_it


def run_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit status of a command that ends this way."""
    monkeypatch.setattr(doctor, "_this_kernel", raising(error))
    return main(["doctor"])


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"Usage: perfring {command}" in capsys.readouterr().out


def test_the_help_breaks_its_lines_where_the_window_ends_and_nowhere_else() -> None:
    helps = [command.help or "" for command in build_app().registered_commands]
    assert len(helps) == len(COMMANDS)
    assert not [line for text in helps for line in text.replace("\n\n", "").split("\n")[1:]]


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"perfring {perfring.__version__}\n"


@pytest.mark.parametrize("words", [["nonsense"], ["doctor", "--nonsense"], ["--nonsense"], []])
def test_wrong_usage_exits_2(words: list[str]) -> None:
    assert main(words) == 2


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_a_shell_behind_an_option_of_completion_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option, "zsh"]) == 2
    assert f"perfring: {option} takes no value, but 'zsh' stands behind it: call it without" in capsys.readouterr().err


def test_a_command_that_is_nearly_right_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    main(["docter"])
    assert "Did you mean 'doctor'?" in capsys.readouterr().err


def test_an_error_of_ours_prints_its_text_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, TargetNotFound(7, "there is no process [7]\nTo mend it: start it")) == 1
    assert capsys.readouterr().err == "perfring: there is no process [7]\nTo mend it: start it\n"


def test_an_error_of_the_system_names_the_file_without_the_errno(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file", "/x/y")) == 1
    assert capsys.readouterr().err == "perfring: /x/y: No such file; check the path, and the directory it is in\n"


def test_a_long_error_keeps_its_line_whole_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with(monkeypatch, TargetNotFound(7, "word " * 60))
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_exits_130_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, KeyboardInterrupt()) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_not_dressed_up_as_a_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_with(monkeypatch, ZeroDivisionError())


def _python(code: str, *, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        # What is printed stays in the buffer until it is flushed, as it does for people.
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )


@pytest.mark.parametrize("words", ["--version", "doctor", "watermark --pages 1 --bytes 9", "simulate --list"])
def test_an_output_that_is_closed_is_told_once_and_without_a_traceback(words: str) -> None:
    done = _python(f"import os, sys; os.execl('/bin/sh', 'sh', '-c', sys.executable + ' -m perfring {words} >&-')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "perfring: Bad file descriptor; standard output is closed: leave out the >&-, or write > FILE"
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's disk that is always full")
def test_an_output_that_takes_nothing_is_told_once() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = _python(
            "from perfring.cli import main; raise SystemExit(main(['simulate', '--list']))", stdout=full.fileno()
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("perfring: No space left on device; make room")


@pytest.mark.perf_linux
def test_records_for_a_closed_output_are_not_written_into_a_ring_that_got_its_number() -> None:
    words = "record --user-only -- true"
    done = _python(f"import os, sys; os.execl('/bin/sh', 'sh', '-c', sys.executable + ' -m perfring {words} >&-')")
    assert done.returncode == 1
    assert "standard output: Bad file descriptor; " in done.stderr


def test_a_reader_that_has_gone_is_no_error_to_speak_of() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = _python("import sys; from perfring.cli import main; sys.exit(main(['--version']))", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_reader_that_goes_before_the_last_flush_is_no_error_either() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = (
        "import sys; from perfring.cli import doctor, main;"
        "doctor._this_kernel = lambda: sys.exit(print('kept in the buffer'));"
        "sys.exit(main(['doctor']))"
    )
    done = _python(code, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        f"import sys; from perfring.cli import main; main(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert _python(code).stdout.endswith("\n[]\n")


def test_a_command_does_not_import_the_others() -> None:
    code = (
        "import sys; from perfring.cli import main; main(['doctor', '--help']);"
        "print([m for m in sys.modules if m.startswith('perfring.cli.')])"
    )
    assert _python(code).stdout.endswith("['perfring.cli.doctor']\n")
