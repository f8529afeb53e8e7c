"""The gate of the real-kernel tests, their kernel, and the count of what ran.

``PERFRING_LINUX`` has three states (STYLE 13): unset, the tests run where the kernel permits and
are skipped with the reason where not; ``1``, they must run; ``0``, they are off.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from perfring import abi
from tests.conftest import MADE_BY

if TYPE_CHECKING:
    from perfring.linux import LinuxKernel

GATE = "PERFRING_LINUX"
HOW_TO_FORCE = f"{GATE}=1 makes these tests compulsory, {GATE}=0 switches them off"
GETPPID_ID = "events/syscalls/sys_enter_getppid/id"
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def _open_and_close(kernel: LinuxKernel, attr: abi.PerfEventAttr, cpu: int) -> None:
    kernel.close(kernel.perf_event_open(attr, -1, cpu))


def _tracepoint_id(kernel: LinuxKernel) -> int:
    for root in TRACEFS:
        try:
            return int(kernel.read_text(f"{root}/{GETPPID_ID}"))
        except FileNotFoundError:
            continue
    raise FileNotFoundError(f"no {GETPPID_ID} below {' or '.join(TRACEFS)}: mount tracefs")


def _probe() -> str | None:
    """Opens what the tests open; returns what was refused, or None."""
    from perfring.linux import LinuxKernel

    kernel = LinuxKernel()
    try:
        dummy = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, disabled=True)
        for cpu in kernel.online_cpus():
            _open_and_close(kernel, dummy, cpu)
        tracepoint = abi.PerfEventAttr(
            type=abi.PERF_TYPE_TRACEPOINT,
            config=_tracepoint_id(kernel),
            sample_period=1,
            sample_type=abi.PERF_SAMPLE_RAW,
            disabled=True,
        )
        _open_and_close(kernel, tracepoint, kernel.online_cpus()[0])
    except OSError as refused:
        return f"this machine refuses real perf events: {refused}"
    return None


def _mode() -> str:
    mode = os.environ.get(GATE, "")
    if mode not in ("", "0", "1"):
        raise pytest.UsageError(f"{GATE}={mode!r}: must be unset, 0 or 1")
    return mode


@pytest.fixture(scope="session", autouse=True)
def _gate(request: pytest.FixtureRequest) -> None:
    mode = _mode()
    if mode == "0":
        pytest.skip(f"{GATE}=0")
    refused = _probe()
    if refused is None:
        return
    if mode == "1":
        pytest.fail(f"{GATE}=1, but {refused}", pytrace=False)
    pytest.skip(f"{refused}; {HOW_TO_FORCE}")


@pytest.fixture(scope="session", autouse=True)
def _remember_who_opened(_gate: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes the stack of each perf event, epoll, waker and mapping, for the leak check."""
    from perfring.linux import LinuxKernel

    made_by: dict[str, str] = {}
    request.config.stash[MADE_BY] = made_by
    plain_open = LinuxKernel.perf_event_open

    def noting_open(
        self: LinuxKernel,
        attr: abi.PerfEventAttr,
        pid: int,
        cpu: int,
        group_fd: int = -1,
        flags: int = 0,
    ) -> int:
        fd = plain_open(self, attr, pid, cpu, group_fd, flags)
        made_by[f"fd {fd}"] = "".join(traceback.format_stack(limit=8)[:-1])
        return fd

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LinuxKernel, "perf_event_open", noting_open)
        yield


@pytest.fixture
def kernel() -> LinuxKernel:
    """The kernel this machine runs."""
    from perfring.linux import LinuxKernel

    return LinuxKernel()


def _summary(reports: list[pytest.TestReport]) -> str:
    skipped = [report for report in reports if report.skipped]
    ran = {report.nodeid for report in reports if report.when == "call" and not report.skipped}
    broken = {report.nodeid for report in reports if report.failed} - ran
    text = f"real-kernel tests: {len(ran)} ran, {len(skipped)} skipped"
    if broken:
        text += f", {len(broken)} could not start"
    reasons = Counter(_reason(report) for report in skipped)
    return text + "".join(f" ({count}: {reason})" for reason, count in reasons.items())


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    here = "tests/linux/"
    reports = [
        report
        for category in terminalreporter.stats.values()
        for report in category
        if isinstance(report, pytest.TestReport) and report.nodeid.startswith(here)
    ]
    terminalreporter.write_line(_summary(reports))
