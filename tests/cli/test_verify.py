"""`perfring verify`: the table, JSON and exit statuses, on kernels of a few lines."""

from __future__ import annotations

import errno
import json
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from perfring.cli import main
from perfring.cli.verify import ARMS
from perfring.errors import Unsupported
from perfring.stories import STORIES, Story, watch
from perfring.timeline import Timeline
from perfring.verify import Arm, Measurement
from tests.unit._rings import RenameKernel

KEYS = {"kernel", "pages", "watermark", "record_bytes", "predicted", "predicted_woke_at", "woke_at", "agrees"}


def _opens(kernel: RenameKernel, name: str) -> Callable[[], AbstractContextManager[Arm]]:
    @contextmanager
    def open_arm() -> Iterator[Arm]:
        yield kernel.arm(name)

    return open_arm


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these the kernels that `perfring verify` knows."""

    def only(**kernels: RenameKernel) -> None:
        for name in list(ARMS):
            monkeypatch.delitem(ARMS, name)
        for name, kernel in kernels.items():
            monkeypatch.setitem(ARMS, name, _opens(kernel, name))

    return only


def _verify(*words: str) -> int:
    return main(["verify", *words])


def _rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    _verify("--json", *words)
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_agreement_exits_with_0_and_says_how_many(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reach(model=RenameKernel())
    assert _verify() == 0
    assert "model: 381 of 381 agree" in capsys.readouterr().out


def test_one_disagreement_exits_with_1_and_is_listed(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reach(right=RenameKernel(), wrong=RenameKernel(crosses=operator.ge))
    assert _verify() == 1
    text = capsys.readouterr().out
    assert "right: 381 of 381 agree" in text
    assert "  1 page, 56-byte records, watermark 4088: expected never, woke at 4088\n" in text


def test_json_has_the_keys_of_each_measurement(reach: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    reach(model=RenameKernel())
    rows = _rows(capsys)
    assert all(row.keys() == KEYS for row in rows)
    assert {row["record_bytes"] for row in rows} == set(range(24, 88, 8))


def test_json_of_the_boundary_of_56_byte_records(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reach(model=RenameKernel())
    rows = {(row["pages"], row["record_bytes"], row["watermark"]): row for row in _rows(capsys)}
    below, at = rows[1, 56, 4087], rows[1, 56, 4088]
    assert (below["predicted"], below["predicted_woke_at"], below["woke_at"]) == ("DEPENDS", 4088, 4088)
    assert (at["predicted"], at["predicted_woke_at"], at["woke_at"], at["agrees"]) == ("STALLS", None, None, True)


def test_json_names_every_kernel_that_was_reached(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reach(one=RenameKernel(), other=RenameKernel())
    assert {row["kernel"] for row in _rows(capsys)} == {"one", "other"}


def test_after_loss_measures_every_stream_twice(reach: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    reach(model=RenameKernel())
    rows = _rows(capsys, "--after-loss")
    assert sum(row["after_loss"] for row in rows) * 2 == len(rows) == 762


def test_a_disagreement_in_json_exits_with_1(reach: Callable[..., None]) -> None:
    reach(wrong=RenameKernel(drops_signal=True))
    assert _verify("--json") == 1


def test_no_kernel_exits_with_2_and_the_doctors_text(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reach(locked=RenameKernel(refuses=errno.EACCES))
    assert _verify() == 2
    text = capsys.readouterr()
    assert "locked was not verified" in text.err
    assert "paranoid" in text.err
    assert not text.out


def test_an_unreachable_kernel_does_not_keep_another_from_being_verified(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reach(locked=RenameKernel(refuses=errno.EACCES), model=RenameKernel())
    assert _verify() == 0
    text = capsys.readouterr()
    assert "locked was not verified: " in text.err
    assert "model: 381 of 381 agree" in text.out


def test_kernels_stand_side_by_side(reach: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    reach(right=RenameKernel(), wrong=RenameKernel(crosses=operator.ge))
    _verify()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["watermark", "predicted", "expected", "on", "right", "on", "wrong", "agrees"] in lines
    assert ["4088", "STALLS", "never", "never", "4088", "NO"] in lines


def test_kernels_with_other_pages_get_tables_of_their_own(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    large = RenameKernel()
    large.page_size = 16384
    reach(small=RenameKernel(), large=large)
    assert _verify() == 0
    text = capsys.readouterr().out
    assert "small, large" not in text
    assert "1 page = 4096 bytes" in text
    assert "1 page = 16384 bytes" in text


def test_the_simulated_kernel_agrees_without_privilege(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> AbstractContextManager[Arm]:
        raise PermissionError(errno.EACCES, "not you")

    monkeypatch.setitem(ARMS, "the real kernel", refused)
    assert _verify() == 0
    text = capsys.readouterr()
    assert "simulated 6.18: 381 of 381 agree" in text.out
    assert "the real kernel was not verified: [Errno 13] not you; `perfring doctor --user-only` tells more" in text.err


def test_a_kernel_that_is_no_linux_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> AbstractContextManager[Arm]:
        raise Unsupported("perf rings need Linux")

    monkeypatch.setitem(ARMS, "the real kernel", refused)
    assert _verify("--json") == 0
    assert "the real kernel was not verified: perf rings need Linux" in capsys.readouterr().err


def test_nothing_is_broken_into_two_lines_at_80_columns(
    reach: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(model=RenameKernel())
    texts = []
    for columns in ("80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        _verify("--after-loss")
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_html_draws_each_story_and_every_measurement(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(ARMS, "the real kernel")
    assert _verify("--html", str(tmp_path / "page.html")) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article>") == len(STORIES)
    assert "<td>381 of 381</td>" in page
    assert "simulated 6.18: 381 of 381 agree" in capsys.readouterr().out


def test_html_says_which_measurement_disagrees(
    reach: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("perfring.cli._verify_page.STORIES", STORIES[:1])
    simulated = ARMS["the simulated kernel"]
    reach(wrong=RenameKernel(crosses=operator.ge))
    monkeypatch.setattr("perfring.cli._verify_page.watch", lambda arm, story: _watched(simulated, story))
    assert _verify("--html", str(tmp_path / "page.html")) == 1
    assert '<td class="wrong">NO</td>' in (tmp_path / "page.html").read_text()


def _watched(open_arm: Callable[[], AbstractContextManager[Arm]], story: Story) -> Timeline:
    with open_arm() as arm:
        return watch(arm, story)


def test_a_page_that_cannot_be_written_is_said_before_anything_is_measured(
    reach: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reach(model=RenameKernel())
    assert _verify("--html", str(tmp_path / "no" / "page.html")) == 1
    text = capsys.readouterr()
    assert f"perfring: {tmp_path}/no/page.html: No such file or directory" in text.err
    assert not text.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_a_page_for_which_there_is_no_room_is_no_refusal_of_a_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(ARMS, "the real kernel")
    monkeypatch.setattr("perfring.cli._verify_page.STORIES", STORIES[:1])
    assert _verify("--html", "/dev/full") == 1
    assert (
        capsys.readouterr().err
        == "perfring: /dev/full: No space left on device; make room, or choose a path on another disk\n"
    )


def test_a_reader_of_the_output_who_has_gone_is_no_refusal_of_a_kernel(
    reach: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    reach(model=RenameKernel())
    monkeypatch.setattr("typer.echo", gone)
    assert _verify("--json") == 1
    assert not capsys.readouterr().err


def test_a_ring_that_is_refused_in_the_midst_of_it_exits_with_2(
    reach: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> Iterator[Measurement]:
        yield from ()
        raise OSError(errno.EMFILE, "Too many open files")

    reach(model=RenameKernel())
    monkeypatch.setattr("perfring.verify.sweep", refused)
    assert _verify() == 2
    assert "a ring was refused in the midst of it: [Errno 24] Too many open files" in capsys.readouterr().err


def test_without_plotly_html_says_how_to_get_it(
    reach: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reach(model=RenameKernel())
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert _verify("--html", str(tmp_path / "page.html")) == 1
    assert "pip install 'perfring[plots]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
