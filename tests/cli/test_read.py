"""`perfring read`: what it prints, its exit statuses, and what it says of bad files."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest

from perfring.cli import main
from tests.unit import perfdata_encoder as encode
from tests.unit.encoder import record
from tests.unit.perfdata_encoder import FINISHED_ROUND, a_comm, a_sample, attr, file, saved

FEATURES = {
    encode.HOSTNAME: encode.text("elsewhere"),
    encode.EVENT_DESC: encode.event_desc([(attr(), "cpu-clock", (7,))]),
}
RECORDS = a_comm("old", 0, event=0, tid=4) + a_comm("hello", 5, tid=4) + a_sample(6, tid=4) + FINISHED_ROUND


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file with two names and a sample."""
    return saved(tmp_path, file(RECORDS, features=FEATURES))


def test_records_are_lines_and_the_summary_is_on_stderr(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["read", path]) == 0
    printed = capfd.readouterr()
    _, named, sampled = printed.out.splitlines()
    assert ('"hello"' in named, "cpu-clock" in sampled, "hello" in sampled) == (True, True, True)
    assert "1 samples and 1 side-band records, and 1 made from /proc" in printed.err
    assert "elsewhere" in printed.err


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file(RECORDS, features=FEATURES))))


@pytest.mark.usefixtures("piped")
def test_a_dash_is_standard_input(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "-", "--summary"]) == 0
    assert "standard input  elsewhere" in capfd.readouterr().out


class Interrupted(io.BytesIO):
    """A pipe of what Ctrl-C ends."""

    def read(self, size: int | None = -1) -> bytes:
        if not self.tell():
            signal.raise_signal(signal.SIGINT)
        return super().read(size)


def test_what_is_written_after_ctrl_c_is_read(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Interrupted(file(RECORDS, features=FEATURES))))
    assert main(["read", "-", "--summary"]) == 0
    assert "1  sample  cpu-clock" in capfd.readouterr().out
    assert signal.getsignal(signal.SIGINT) is handler


def test_standard_input_that_nobody_writes_to_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["read", "-"]) == 2
    assert "nothing is piped into it" in capfd.readouterr().err


def test_names_are_the_files_and_not_this_machines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["read", saved(tmp_path, file(a_sample(6, tid=1), features=FEATURES))])
    assert "? " in capfd.readouterr().out


def test_json_is_a_line_for_each_record_and_the_summary_last(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["read", path, "--json"]) == 0
    *records, last = map(json.loads, capfd.readouterr().out.splitlines())
    assert [each["kind"] for each in records] == ["comm", "comm", "sample"]
    assert records[0]["synthesized"] is True
    summary = last["summary"]
    assert (summary["samples"], summary["sideband"], summary["synthesized"], summary["lost"]) == (1, 1, 1, 0)
    assert summary["events"] == {"cpu-clock": {"comm": 1, "sample": 1}}


def test_a_summary_alone_is_on_stdout(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["read", path, "--summary"]) == 0
    printed = capfd.readouterr()
    assert "1  sample  cpu-clock" in printed.out
    assert (printed.err, printed.out.count("hello")) == ("", 0)


def test_damage_is_said_and_exits_with_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = file(RECORDS + b"\xff" * 24, features=FEATURES)
    assert main(["read", saved(tmp_path, data), "--summary"]) == 1
    text = " ".join(capfd.readouterr().out.split())
    assert "1 bad record, 24 bytes skipped" in text
    assert f"damaged: byte {data.index(bytes([255] * 24))}" in text


def test_what_a_terminal_would_obey_is_escaped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evil = encode.event_desc([(attr(), "\x1b[2Jx", (7,))])
    features = {
        encode.EVENT_DESC: evil,
        encode.HOSTNAME: encode.text("\x1b]0;x\x07"),
        encode.CMDLINE: encode.texts(["\x1b"]),
    }
    main(["read", saved(tmp_path, file(RECORDS, features=features)), "--summary"])
    printed = capfd.readouterr()
    assert "\x1b" not in printed.out + printed.err


@pytest.mark.parametrize(
    ("data", "named"),
    [(b"nonsense", "not a perf.data file"), (file(record(81, b"")), "without -z")],
    ids=["foreign", "compressed"],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, data: bytes, named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", saved(tmp_path, data)]) == 1
    text = capfd.readouterr().err
    assert text.startswith(f"perfring: {tmp_path}/x.data, byte ")
    assert named in text


def test_a_file_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "/no/such.data"]) == 1
    said = "perfring: /no/such.data: No such file or directory; check the path, and the directory it is in\n"
    assert capfd.readouterr().err == said
