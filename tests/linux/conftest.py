"""The gate of the real-kernel tests, their kernel, and the count of what ran.

``PERFRING_LINUX`` has three states: unset, the tests run where the kernel permits and are skipped with
the reason where not; ``1``, they must run; ``0``, they are off. With two states a machine that forbids
perf_event_open would either fail everybody's run, or skip unseen where the tests were meant to count.
"""

from __future__ import annotations

import functools
import os
import re
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from perfring import abi
from tests.conftest import MADE_BY, held_resources

if TYPE_CHECKING:
    from perfring.linux import LinuxKernel
    from tests.linux._rig import Rig

GATE = "PERFRING_LINUX"
HOW_TO_FORCE = f"`perfring doctor` explains; {GATE}=1 makes these tests compulsory, {GATE}=0 switches them off"
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
        pytest.fail(f"{GATE}={mode!r}: must be unset, 0 or 1", pytrace=False)
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


def _stack_of_caller() -> str:
    """The project's own frames: those of pytest and of the start of Python tell nothing."""
    foreign = re.compile("site-packages|^<frozen")
    frames = [frame for frame in traceback.extract_stack()[:-2] if not foreign.search(frame.filename)]
    return "".join(traceback.format_list(frames[-8:]))


def _noting(plain: Callable[..., object], made_by: dict[str, str]) -> Callable[..., object]:
    """The same method, which also notes the stack of whatever it opened or mapped."""

    @functools.wraps(plain)
    def noting(*args: object, **keywords: object) -> object:
        before = held_resources()
        made = plain(*args, **keywords)
        made_by.update(dict.fromkeys(held_resources().keys() - before.keys(), _stack_of_caller()))
        return made

    return noting


@pytest.fixture(scope="session", autouse=True)
def _remember_who_opened(_gate: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """So that the leak check of tests/conftest.py can show the stack that opened what was left open."""
    from perfring.linux import LinuxKernel

    made_by = request.config.stash.setdefault(MADE_BY, {})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("perf_event_open", "mmap", "epoll", "waker"):
            patch.setattr(LinuxKernel, name, _noting(getattr(LinuxKernel, name), made_by))
        yield


@pytest.fixture
def kernel() -> LinuxKernel:
    """The kernel this machine runs."""
    from perfring.linux import LinuxKernel

    return LinuxKernel()


@pytest.fixture
def rig(kernel: LinuxKernel) -> Iterator[Rig]:
    """Opens and maps for the tests of the facts; closed with the test."""
    from tests.linux._rig import Rig

    made = Rig(kernel)
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests that the gate skips share one line of the summary, not one each."""
    report = yield
    if report.skipped and report.when == "setup":
        report.longrepr = (__file__, _probe.__code__.co_firstlineno, f"Skipped: {_reason(report)}")
    return report


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
