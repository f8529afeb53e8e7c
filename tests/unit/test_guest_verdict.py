"""From what a guest delivered to the line of the table and the exit status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ci.guest import __main__ as command
from ci.guest.boot import GuestFailed
from ci.guest.checks import Result, expected
from ci.guest.judge import Verdict, judge
from ci.guest.matrix import Matrix
from ci.guest.payload import Plan, initramfs, jobs
from ci.guest.store import Store

HELLO = {"hello": b'{"release": "6.1.0-50-cloud-amd64"}'}
PLAN = Plan(seed=7, steps=0, corpus=False, seconds=60)


def _delivered(results: Sequence[Result], *, status: int | None = 0) -> dict[str, bytes]:
    fields = ("name", "facts", "verdict", "text", "seconds")
    data = json.dumps([{field: getattr(each, field) for field in fields} for each in results])
    ended = json.dumps({"status": status, "seconds": 1.0})
    return {
        **HELLO,
        "checks/log": b"K14 so it is",
        "checks/checks.json": data.encode(),
        "checks/status": ended.encode(),
    }


def _judged(frames: dict[str, bytes], folder: Path, *, wanted: tuple[str, ...] = ("checks",)) -> Verdict:
    verdict = Verdict("6.1")
    judge(verdict, frames, list(wanted), folder)
    return verdict


def test_a_kernel_that_does_what_the_simulated_one_does_agrees(tmp_path: Path) -> None:
    verdict = _judged(_delivered(expected("6.1")[:3]), tmp_path)
    assert (verdict.word, verdict.checks, verdict.release) == ("agrees", 3, "6.1.0-50-cloud-amd64")


def test_a_check_that_ends_otherwise_is_a_difference(tmp_path: Path) -> None:
    first = expected("6.1")[0]
    verdict = _judged(_delivered([Result(first.name, (), "failed", "head is 8", 0.0)]), tmp_path)
    assert verdict.word == "DIFFERS"
    assert verdict.differences == [f"{first.name}: failed on linux, ok on the simulated kernel: head is 8"]


def test_what_a_machine_lacks_is_neither_agreed_nor_different(tmp_path: Path) -> None:
    first = expected("6.1")[0]
    verdict = _judged(_delivered([Result(first.name, (), "unavailable", "one CPU", 0.0)]), tmp_path)
    assert (verdict.checks, verdict.unavailable, verdict.differences) == (0, 1, [])


@pytest.mark.parametrize(("status", "said"), [(1, "ended with status 1"), (None, "not done after 1 s")])
def test_a_job_that_did_not_end_well_is_a_failure_with_its_last_words(
    tmp_path: Path, status: int | None, said: str
) -> None:
    verdict = _judged(_delivered([], status=status), tmp_path)
    assert verdict.word == "FAILED"
    assert said in verdict.failures[0]
    assert "K14 so it is" in verdict.failures[0]


def test_a_job_that_never_began_is_a_failure(tmp_path: Path) -> None:
    assert _judged(HELLO, tmp_path).failures == ["checks: not done"]


def test_traces_that_cannot_be_read_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.jsonl.gz").write_bytes(b"garbage")
    ended = {"corpus/log": b"", "corpus/corpus.jsonl.gz": b"garbage", "corpus/status": b'{"status": 0, "seconds": 1}'}
    assert "corpus.jsonl.gz" in _judged(HELLO | ended, tmp_path, wanted=("corpus",)).failures[0]


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([Verdict("6.1")], 0),
        ([Verdict("6.1"), Verdict("sid", not_run="no mirror")], 3),
        ([Verdict("6.1", differences=["head"]), Verdict("sid", not_run="no mirror")], 1),
        ([Verdict("6.1", failures=["panicked"])], 1),
    ],
)
def test_the_exit_status_tells_what_came_of_it(verdicts: list[Verdict], status: int) -> None:
    assert command.status(verdicts) == status


def test_a_kernel_that_was_not_had_is_not_passed() -> None:
    lines = command.table([Verdict("6.1", "6.1.9-1", checks=423), Verdict("sid", not_run="no mirror")]).splitlines()
    assert lines[1].split() == ["6.1", "6.1.9-1", "-", "0", "423", "0", "0", "0", "0", "agrees"]
    assert lines[2].split() == ["sid", "not", "run:", "no", "mirror"]


@pytest.fixture
def matrix(tmp_path: Path) -> Matrix:
    for kept, packages in (("bookworm", {"linux-image-cloud-amd64": "6.1.9-1"}), ("userland", {})):
        (tmp_path / kept).mkdir()
        (tmp_path / kept / "packages.json").write_text(json.dumps(packages))
    (tmp_path / "bookworm" / "config").write_text("CONFIG_HZ=250\nCONFIG_OTHER=y\n")
    (tmp_path / "userland" / "initramfs").write_bytes(b"")
    return Matrix(PLAN, Store(tmp_path), str(tmp_path / "no-qemu"), tmp_path / "logs", 1, lambda _: None)


def test_without_qemu_a_kernel_is_not_run(matrix: Matrix) -> None:
    [verdict] = matrix.run(["6.1"])
    assert verdict.word == "not run"
    assert "qemu-system-x86" in verdict.not_run


def test_a_guest_that_died_is_a_failure_that_quotes_its_console(
    matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise GuestFailed("the guest's kernel panicked", "end of the world", HELLO)

    monkeypatch.setattr("ci.guest.matrix.boot", dies)
    [verdict] = matrix.run(["6.1"])
    assert verdict.word == "FAILED"
    assert "end of the world" in verdict.failures[0]


def test_versions_and_configuration_are_noted(matrix: Matrix) -> None:
    list(matrix.run(["6.1"]))
    facts = json.loads((matrix.folder / "6.1" / "kernel.json").read_text())
    assert facts["packages"] == {"linux-image-cloud-amd64": "6.1.9-1"}
    assert facts["config"] == {"CONFIG_HZ": "250"}


@pytest.mark.parametrize("arguments", ["--only 2.6", "--steps -1", "--guests 0", "--seconds x"])
def test_wrong_usage_is_refused_before_anything_runs(arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments.split())
    assert ended.value.code == 2


def test_the_jobs_name_seed_and_steps() -> None:
    made = jobs(Plan(seed=7, steps=100, corpus=True, seconds=60), "python", "/tmp")
    assert [each["name"] for each in made] == ["checks", "corpus", "random"]
    assert made[2]["argv"][-6:] == ["--random", "7", "--steps", "100", "--out", "/tmp/random.jsonl.gz"]


def test_a_guest_gets_the_sources_and_nothing_compiled(tmp_path: Path) -> None:
    (tmp_path / "userland").write_bytes(b"userland")
    image = initramfs(tmp_path / "userland", PLAN)
    assert image.startswith(b"userland")
    assert b"work/simkernel/kernel.py\0" in image
    assert b".pyc\0" not in image
