"""Who is refused for want of privilege is told what he may do as he is."""

from __future__ import annotations

import pytest

from perfring.cli import main, record, top
from perfring.cli._offer import _OF_A_COMMAND, _OF_TARGETS
from simkernel import SimKernel


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> SimKernel:
    kernel = SimKernel(paranoid=2, capabilities=())
    monkeypatch.setattr(record, "_this_kernel", lambda: kernel)
    monkeypatch.setattr(top, "_this_kernel", lambda: kernel)
    return kernel


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that a refused command says."""
    assert main(words) == 1
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("command", ["record", "top"])
def test_who_may_not_record_the_machine_is_offered_a_command(
    command: str, unprivileged: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal([command], capsys)[1:] == ["To mend it: sudo sysctl -w kernel.perf_event_paranoid=0", _OF_A_COMMAND]


def test_who_may_not_record_the_kernels_part_of_his_process_is_offered_the_rest(
    unprivileged: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(["record", "-p", str(unprivileged.me.pid)], capsys)[-1] == _OF_TARGETS


def test_the_offer_holds(unprivileged: SimKernel) -> None:
    assert main(["record", "--user-only", "--duration", "1", "-p", str(unprivileged.me.pid)]) == 0


@pytest.mark.parametrize("event", ["context-switches", "sched:sched_switch"])
def test_what_only_the_kernel_does_is_offered_to_nobody(
    event: str, unprivileged: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(["record", "-e", event, "-p", str(unprivileged.me.pid)], capsys)
    assert not [line for line in said if "--user-only" in line]


def test_a_level_that_forbids_everything_leaves_nothing_to_offer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = SimKernel(paranoid=3, capabilities=())
    monkeypatch.setattr(record, "_this_kernel", lambda: kernel)
    assert not [line for line in refusal(["record"], capsys) if "--user-only" in line]
