"""The first line of an error says what to do."""

from __future__ import annotations

import errno
import os

import pytest

from perfring.cli import main
from perfring.cli._advice import _ADVICE, of_command, with_advice
from perfring.linux import LinuxKernel


def first_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Of a command that must fail, without the box that typer draws around wrong usage."""
    assert main(words) != 0
    text = capsys.readouterr().err
    if text.startswith("perfring: "):
        return text.splitlines()[0]
    return " ".join(line.strip("│ ") for line in text.splitlines() if line.startswith("│"))


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["record", "-e", "nope"], "A tracepoint is written system:event"),
        (["record", "-p", "-5"], "no target the whole machine"),
        (["record", "-C", "x"], "it should look like '0-3,5,8-9'"),
        (["record", "-F", "0"], "it must be at least 1"),
        (["record", "--pages", "1", "--watermark", "4096"], "Lower the watermark or raise the page count"),
        (["record", "--watermark", "9", "--wakeup-events", "9"], "the kernel has one field for both"),
        (["record", "--max-latency", "x"], "give seconds, or 'none'"),
        (["record", "--filter", "a==1"], "name one with --event system:name"),
        (["watermark", "--pages", "1", "--bytes", "9", "--record-bytes", "a"], "such as 24-56"),
        (["watermark", "--pages", "9999999999", "--bytes", "9"], "a ring has 2147483648 data pages at most"),
        (["watermark", "--pages", "1", "--bytes", "9", "--page-size", "17"], "such as 4096, 16384 or 65536"),
        (["record", "-e", "cpu-clock:u"], "--user-only, leaves the kernel out"),
        (["record", "--", "/"], "/: Is a directory; name a program in it"),
        (["simulate"], "name a scenario: one of steady"),
        (["simulate", "stedy"], "do you mean steady?"),
        (["simulate", "/nope.toml"], "No such file or directory; check the path"),
        (["simulate", "steady", "--set", "a"], "write KEY=VALUE, as in watermark=4096"),
        (["simulate", "steady", "--html", "/nope/x"], "check the path, and the directory it is in"),
    ],
    ids=" ".join,
)
def test_the_first_line_says_what_to_do(
    words: list[str], advice: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert advice in first_line(words, capsys)


@pytest.mark.parametrize("number", sorted(_ADVICE), ids=errno.errorcode.get)
def test_an_error_of_the_system_comes_with_advice(number: int) -> None:
    text = with_advice(OSError(number, os.strerror(number), "/x"))
    assert text == f"/x: {os.strerror(number)}; {_ADVICE[number]}"


def test_an_error_that_nobody_foresaw_leads_to_the_doctor() -> None:
    assert with_advice(OSError(errno.ENOTTY, "odd")) == "odd; perfring doctor says whether this machine can record"


def test_an_error_without_a_number_is_not_empty() -> None:
    assert with_advice(OSError("something")).startswith("something; ")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.EIO])
def test_a_command_that_cannot_be_run_is_named_with_advice(number: int) -> None:
    text = of_command(OSError(number, os.strerror(number), "x"))
    assert text.startswith(f"x: {os.strerror(number)}; ")
    assert "{}" not in text


@pytest.mark.perf_linux
def test_a_ring_that_no_machine_has_memory_for_is_refused_by_its_pages(capsys: pytest.CaptureFixture[str]) -> None:
    line = first_line(["record", "--pages", "99999999", "--", "true"], capsys)
    assert "mapping 134217728 pages" in line
    assert "ask for fewer pages" in line


@pytest.mark.perf_linux
def test_a_cpu_that_is_not_there_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    online = LinuxKernel().online_cpus()
    line = first_line(["record", "-C", "60000"], capsys)
    assert f"online are {online[0]}" in line
    assert line.endswith(": name some of these")
