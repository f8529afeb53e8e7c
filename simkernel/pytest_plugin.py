"""pytest plugin: a simulated kernel for a test, or the same test on both kernels.

Fixtures::

    sim_kernel    a fresh SimKernel, with all capabilities
    perf_kernel   the test runs twice: on a SimKernel, and on the real kernel where that is permitted
    perf_actor    makes actors for the kernel of the test: perf_actor(cpu=0)
    perf_arm      what stands behind the two above (`simkernel.contract.arm`)

Marks::

    @pytest.mark.sim_kernel(cpus=4, paranoid=1, capabilities=())    # arguments of SimKernel
    @pytest.mark.perf_linux                                         # needs the real kernel

Options: ``--perf-kernel=sim|linux|both`` and ``--perf-seed=N|random``. When a test fails, its report shows the state of
the simulated kernel and the seed that gives it again.

Every installation of perfring loads this file with every run of pytest, so it imports nothing until a test asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from perfring.kernel import Kernel
    from simkernel.contract.arm import Actor, Arm
    from simkernel.kernel import SimKernel

__all__ = [
    "ActorFactory",
    "perf_actor",
    "perf_arm",
    "perf_kernel",
    "pytest_addoption",
    "pytest_assertrepr_compare",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_report_collectionfinish",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_terminal_summary",
    "sim_kernel",
]

_LINUX: Final = "perf_linux"
_ARMS: Final = {"sim": ("sim",), "linux": ("linux",), "both": ("sim", "linux")}


class ActorFactory(Protocol):
    """What the fixture `perf_actor` is."""

    def __call__(self, cpu: int = 0) -> Actor:
        """A new actor on this CPU; it ends with the test."""
        ...


# Options and marks.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --perf-kernel and --perf-seed."""
    group = parser.getgroup("perfring", "perf rings on a simulated kernel and on the real one")
    group.addoption(
        "--perf-kernel",
        choices=tuple(_ARMS),
        default="both",
        help="where tests of the fixture perf_kernel run (default: both; the real kernel where it permits)",
    )
    group.addoption(
        "--perf-seed",
        type=_seed,
        default=0,
        metavar="N|random",
        help="the seed of simulated kernels: a number, or 'random' for another one in each run (default: 0)",
    )


def _seed(text: str) -> int:
    import argparse
    import secrets

    if text == "random":
        return secrets.randbelow(1 << 32)
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a whole number, or 'random'") from None


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marks."""
    config.addinivalue_line("markers", "sim_kernel(**arguments): arguments of SimKernel for the simulated kernel")
    config.addinivalue_line("markers", f"{_LINUX}: needs the real kernel (PERFRING_LINUX=1 forces it, 0 forbids it)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes a test of each arm."""
    if "perf_arm" in metafunc.fixturenames:
        arms = _ARMS[metafunc.config.getoption("--perf-kernel")]
        marks = {"sim": (), "linux": (getattr(pytest.mark, _LINUX),)}
        metafunc.parametrize("perf_arm", [pytest.param(arm, marks=marks[arm]) for arm in arms], indirect=True)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Tells the seed, if a test is going to use it."""
    if not any("sim_kernel" in getattr(item, "fixturenames", ()) or _on_sim_arm(item) for item in items):
        return []
    return [f"simulated kernels: --perf-seed={config.getoption('--perf-seed')}"]


def _on_sim_arm(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("perf_arm") == "sim"


# Fixtures.


@pytest.fixture
def sim_kernel(request: pytest.FixtureRequest) -> Iterator[SimKernel]:
    """A fresh simulated kernel on which the test may do everything.

    ``@pytest.mark.sim_kernel(...)`` gives it other arguments than the defaults of `simkernel.SimKernel`; of several
    marks the closest to the test decides. ``capabilities=()`` makes an ordinary user of it.
    """
    from simkernel.kernel import SimKernel
    from simkernel.machine import CAPABILITIES

    arguments: dict[str, Any] = {"capabilities": frozenset(CAPABILITIES)}
    arguments["seed"] = request.config.getoption("--perf-seed")
    for mark in reversed(list(request.node.iter_markers("sim_kernel"))):
        if mark.args:
            pytest.fail(f"sim_kernel{mark.args}: give the arguments by name, as in sim_kernel(cpus=4)", pytrace=False)
        arguments |= mark.kwargs
    kernel = SimKernel(**arguments)
    watched = request.node.stash[_WATCHED] = request.config.stash[_WATCHED] = _Watched(kernel)
    yield kernel
    del request.config.stash[_WATCHED]
    watched.at_failure = None


@pytest.fixture
def perf_arm(request: pytest.FixtureRequest) -> Iterator[Arm]:
    """One of the two kernels with what a test needs to drive it; the test runs on each.

    On the simulated arm its kernel is that of `sim_kernel`, with the same marks.
    """
    from simkernel.contract.arm import LinuxArm, SimArm

    arm: Arm = LinuxArm() if request.param == "linux" else SimArm(request.getfixturevalue("sim_kernel"))
    yield arm
    arm.close()


@pytest.fixture
def perf_kernel(perf_arm: Arm) -> Kernel:
    """The system calls of one of the two kernels, with all capabilities; the test runs on each."""
    return perf_arm.kernel


@pytest.fixture
def perf_actor(perf_arm: Arm) -> ActorFactory:
    """Makes tasks that do one observable thing at a time, on the kernel of `perf_kernel`: ``perf_actor(cpu=0)``."""
    return perf_arm.actor


# What a failure shows.


class _Watched:
    """The simulated kernel of a test, and what it looked like when an assertion failed.

    A report is made after the with-blocks of the test have closed everything, and then there is little to see.
    """

    def __init__(self, kernel: SimKernel) -> None:
        self.kernel = kernel
        self.at_failure: str | None = None

    def section(self) -> tuple[str, str]:
        """Title and text for the report."""
        seed = self.kernel.seed
        when = "now" if self.at_failure is None else "when the comparison failed"
        return f"simulated kernel {when} (--perf-seed={seed} gives it again)", self.at_failure or str(self.kernel)


_WATCHED: Final = pytest.StashKey[_Watched]()


def pytest_assertrepr_compare(config: pytest.Config) -> None:
    """Called when a comparison has failed, before anything is closed: keeps the state of the simulated kernel."""
    watched = config.stash.get(_WATCHED, None)
    if watched is not None:
        watched.at_failure = str(watched.kernel)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the state of the simulated kernel to the report of a failure."""
    report = yield
    watched = item.stash.get(_WATCHED, None)
    if report.failed and watched is not None:
        report.sections.append(watched.section())
    return report


# The gate of the real kernel.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips or fails a test that needs the real kernel where it is off or refuses."""
    if item.get_closest_marker(_LINUX) is None:
        return
    from simkernel.contract.gate import GATE, HOW_TO_FORCE, gate_state, linux_refusal

    try:
        state = gate_state()
    except ValueError as wrong:
        pytest.fail(str(wrong), pytrace=False)
    if state == "0":
        pytest.skip(f"{GATE}=0")
    refused = linux_refusal()
    if refused is not None and state == "1":
        pytest.fail(f"{GATE}=1, but {refused}", pytrace=False)
    if refused is not None:
        pytest.skip(f"{refused}; {HOW_TO_FORCE}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many tests ran on the real kernel, and why the others did not."""
    reports = [
        report
        for category in terminalreporter.stats.values()
        for report in category
        if isinstance(report, pytest.TestReport) and _LINUX in report.keywords
    ]
    if reports:
        terminalreporter.write_line(_summary(reports))


def _summary(reports: list[pytest.TestReport]) -> str:
    from collections import Counter

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
