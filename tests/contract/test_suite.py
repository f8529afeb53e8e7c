"""The registry, the runner and the report of the contract."""

from __future__ import annotations

import pytest

from perfring import abi
from simkernel import RingBuffer, SimKernel
from simkernel.contract import SimArm, check_kernel
from simkernel.contract.__main__ import main
from simkernel.contract.raw import RawRing
from simkernel.contract.rig import Rig, expect, refused, require
from simkernel.contract.suite import Check, check, kernel_checks

NO_FACT = "K0"


def _run(body: object) -> str:
    assert callable(body)
    return Check("made up", (), body).run(SimArm).verdict


def test_every_check_has_a_name_of_its_own() -> None:
    names = [each.name for each in kernel_checks()]
    assert len(set(names)) == len(names) > 100


def test_a_check_that_raises_assertion_error_failed() -> None:
    assert _run(lambda rig: require(False, "wrong")) == "failed"


def test_a_check_that_raises_anything_else_is_an_error() -> None:
    assert _run(lambda rig: rig.kernel.close(3)) == "error"


def test_an_arm_that_cannot_be_made_is_an_error() -> None:
    def broken() -> SimArm:
        raise PermissionError("not today")

    assert Check("made up", (), lambda rig: None).run(broken).text.startswith("PermissionError: not today")


def test_expect_tells_what_linux_has() -> None:
    with pytest.raises(AssertionError, match="head: 8, and Linux has 16"):
        expect(8, 16, "head")


def test_refused_wants_a_refusal() -> None:
    with (
        pytest.raises(AssertionError, match="a mapping is not refused, and Linux says EINVAL"),
        refused("a mapping", 22),
    ):
        pass


def test_refused_wants_its_own_errno() -> None:
    with pytest.raises(AssertionError, match="refused with EPERM, and Linux says EINVAL"), refused("a mapping", 22):
        raise PermissionError(1, "no")


def test_a_fact_is_a_number_with_a_k() -> None:
    with pytest.raises(ValueError, match="are no facts"):
        check("14")


def test_only_takes_facts_statements_and_names() -> None:
    report = check_kernel(SimArm, only=["K18", "a_private_mapping_is_refused"])
    assert {each.check.name for each in report.outcomes} >= {"a_private_mapping_is_refused"}
    assert {fact for each in report.outcomes for fact in each.check.facts} == {"K1", "K18"}


def test_only_refuses_what_names_no_check() -> None:
    with pytest.raises(ValueError, match=NO_FACT):
        check_kernel(SimArm, only=[NO_FACT])


def test_the_report_counts_and_names_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RingBuffer, "take_latch", lambda ring: ring.latch)
    report = check_kernel(SimArm, only=["unread_data_is_not_reported_again"])
    assert not report.ok
    assert "1 checks of 1 facts: 1 failed" in str(report)
    assert "K14 unread_data_is_not_reported_again" in str(report)


def test_the_raw_reader_refuses_a_header_that_cannot_be() -> None:
    rig = Rig(SimArm())
    ring = rig.ring(rig.samples())
    assert isinstance(ring, RawRing)
    with pytest.raises(AssertionError, match="a record of 0 bytes at 0, head is 8"):
        ring.walk(0, 8)


def test_the_command_exits_0_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--only", "K14"]) == 0
    assert "simkernel 6.18: " in capsys.readouterr().out


def test_the_command_exits_1_when_a_check_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_nothing(kernel: SimKernel, fd: int, data: bytes) -> int:
        return len(data)

    monkeypatch.setattr(SimKernel, "write", refuse_nothing)
    assert main(["check", "--only", "write_is_refused"]) == 1


def test_the_command_exits_2_when_nothing_has_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--only", NO_FACT]) == 2
    assert "name no check" in capsys.readouterr().err


def test_bpf_output_goes_where_it_was_connected() -> None:
    rig = Rig(SimArm())
    raw = rig.software(abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW)
    ring = rig.ring(raw)
    rig.arm.connect_bpf_output(ring.fd, rig.cpus[0])
    rig.actor.emit(b"four")
    assert ring.drain()[0].body == b"\x04\0\0\0four"
