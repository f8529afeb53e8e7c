"""Jobs run one after another, and each is delivered before the next begins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ci.guest.agent import run_jobs


def _job(script: str, *, timeout: float = 60) -> dict[str, Any]:
    return {"name": "job", "argv": [sys.executable, "-c", script], "outputs": ["made"], "timeout": timeout}


def _sent(folder: Path, *todo: dict[str, Any]) -> dict[str, bytes]:
    sent: dict[str, bytes] = {}
    run_jobs(todo, folder, lambda name, data: sent.update({name: data}))
    return sent


def test_log_file_and_status_of_a_job_are_sent(tmp_path: Path) -> None:
    sent = _sent(tmp_path, _job(f"print('working'); open({str(tmp_path / 'made')!r}, 'w').write('done')"))
    assert list(sent) == ["hello", "job/log", "job/made", "job/status", "bye"]
    assert (sent["job/log"], sent["job/made"]) == (b"working\n", b"done")
    assert json.loads(sent["job/status"])["status"] == 0


def test_a_job_that_fails_is_sent_with_what_it_said(tmp_path: Path) -> None:
    sent = _sent(tmp_path, _job("raise SystemExit('no perf events here')"))
    assert json.loads(sent["job/status"])["status"] == 1
    assert b"no perf events here" in sent["job/log"]
    assert "job/made" not in sent


def test_a_job_whose_time_is_up_has_no_status(tmp_path: Path) -> None:
    sent = _sent(tmp_path, _job("while True: pass", timeout=0.1))
    assert json.loads(sent["job/status"])["status"] is None
    assert "bye" in sent


def test_a_silent_job_is_mentioned_so_that_the_guest_is_known_to_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ci.guest.agent._GLANCE", 0.01)
    monkeypatch.setattr("ci.guest.agent._PULSE", 2)
    _sent(tmp_path, _job("while True: pass", timeout=0.5))
    assert capsys.readouterr().err.count(" s: ") > 1
