"""The pytest plugin: fixtures, options, marks, the gate, and what a failure shows."""

from __future__ import annotations

import pytest

from perfring import builder
from simkernel.contract import arm, gate
from tests.quality.project import ROOT

pytest_plugins = ["pytester"]

# pytester forgets the modules that a run has imported: these stay, or each run would import them anew.
KEPT = (arm, builder)

# The plugins of others cost more than all the rest.
WITHOUT = ("-p", "no:hypothesispytest", "-p", "no:pytest_fakefs")

ON_BOTH = "def test_it(perf_kernel, perf_actor): assert perf_actor().pid > 0"
FAILS = """
    def test_it(sim_kernel):
        sim_kernel.waker()
        assert sim_kernel.page_size == 1
"""
FAILS_AFTER_CLOSING = """
    from contextlib import closing
    def test_it(sim_kernel):
        with closing(sim_kernel.waker()):
            assert sim_kernel.page_size == 1
"""


@pytest.fixture(autouse=True)
def _gate_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gate.GATE, raising=False)


def _refuses(monkeypatch: pytest.MonkeyPatch, reason: str | None = "no rings here") -> None:
    """Stands for a machine that refuses, or permits, the real kernel."""
    monkeypatch.setattr(gate, "linux_refusal", lambda: reason)


def _run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(text)
    return pytester.runpytest_inprocess("--strict-markers", "-Werror", *WITHOUT, *options)


# The simulated kernel.


def test_sim_kernel_permits_everything(pytester: pytest.Pytester) -> None:
    text = """
        from perfring import SessionBuilder, TracepointEvents
        def test_it(sim_kernel):
            events = TracepointEvents("sched:sched_switch")
            SessionBuilder().with_page_count(64).with_tracepoint_events(events).build(sim_kernel).close()
    """
    _run(pytester, text).assert_outcomes(passed=1)


def test_sim_kernel_takes_the_arguments_of_its_mark(pytester: pytest.Pytester) -> None:
    text = """
        import pytest
        @pytest.mark.sim_kernel(cpus=3, page_size=16384, paranoid=1, capabilities=())
        def test_it(sim_kernel):
            assert sim_kernel.online_cpus() == (0, 1, 2)
            assert (sim_kernel.page_size, sim_kernel.settings.paranoid) == (16384, 1)
            assert not sim_kernel.settings.capabilities
    """
    _run(pytester, text).assert_outcomes(passed=1)


def test_the_closest_of_several_marks_decides(pytester: pytest.Pytester) -> None:
    text = """
        import pytest
        pytestmark = pytest.mark.sim_kernel(cpus=3, page_size=16384)
        @pytest.mark.sim_kernel(cpus=5)
        def test_it(sim_kernel):
            assert (len(sim_kernel.online_cpus()), sim_kernel.page_size) == (5, 16384)
    """
    _run(pytester, text).assert_outcomes(passed=1)


def test_a_mark_with_arguments_by_position_is_refused(pytester: pytest.Pytester) -> None:
    text = """
        import pytest
        @pytest.mark.sim_kernel(4)
        def test_it(sim_kernel): pass
    """
    result = _run(pytester, text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*sim_kernel(4,): give the arguments by name*")


def test_each_test_gets_a_kernel_of_its_own(pytester: pytest.Pytester) -> None:
    text = """
        seen = []
        def test_one(sim_kernel): seen.append(sim_kernel)
        def test_two(sim_kernel): assert sim_kernel not in seen
    """
    _run(pytester, text).assert_outcomes(passed=2)


def test_the_example_of_the_readme_passes(pytester: pytest.Pytester) -> None:
    text = (ROOT / "docs" / "examples" / "test_wakeup.py").read_text()
    _run(pytester, text).assert_outcomes(passed=1)


# Seeds, and what a failure shows.


def test_the_seed_is_that_of_the_option(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "def test_it(sim_kernel): assert sim_kernel.seed == 77", "--perf-seed=77")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("simulated kernels: --perf-seed=77")


def test_a_random_seed_is_told(pytester: pytest.Pytester) -> None:
    text = "def test_it(sim_kernel): print('drawn', sim_kernel.seed)"
    result = _run(pytester, text, "--perf-seed=random", "-s")
    (told,) = (line.split("=")[1] for line in result.outlines if line.startswith("simulated kernels"))
    result.stdout.fnmatch_lines(f"*drawn {told}*")


def test_a_seed_that_is_no_number_is_refused(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "def test_it(): pass", "--perf-seed=often")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*'often' is no seed: a whole number, or 'random'*")


def test_a_failure_shows_the_state_and_the_seed(pytester: pytest.Pytester) -> None:
    result = _run(pytester, FAILS, "--perf-seed=5")
    result.stdout.fnmatch_lines(["*simulated kernel*--perf-seed=5 gives it again*", "SimKernel*", "*eventfd*"])


def test_a_failure_shows_what_was_open_when_the_comparison_failed(pytester: pytest.Pytester) -> None:
    result = _run(pytester, FAILS_AFTER_CLOSING)
    result.stdout.fnmatch_lines(["*when the comparison failed*", "*eventfd*"])


def test_a_failure_in_another_fixture_shows_the_state(pytester: pytest.Pytester) -> None:
    text = """
        import pytest
        @pytest.fixture
        def broken(sim_kernel): raise OSError("broken")
        def test_it(broken): pass
    """
    _run(pytester, text).stdout.fnmatch_lines(["*simulated kernel now*", "SimKernel*"])


def test_a_test_that_passes_shows_nothing(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "def test_it(sim_kernel): assert sim_kernel.page_size", "-rA")
    result.stdout.no_fnmatch_line("*SimKernel*")


def test_a_failure_without_a_kernel_shows_none(pytester: pytest.Pytester) -> None:
    result = _run(pytester, FAILS + "\n    def test_other(): assert 1 == 2", "-k", "other")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.no_fnmatch_line("*simulated kernel*")


# Both kernels.


@pytest.mark.parametrize(("option", "ran"), [("sim", ["sim"]), ("linux", ["linux"]), ("both", ["sim", "linux"])])
def test_perf_kernel_runs_a_test_on_the_chosen_kernels(pytester: pytest.Pytester, option: str, ran: list[str]) -> None:
    result = _run(pytester, ON_BOTH, f"--perf-kernel={option}", "--collect-only", "-q")
    found = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert found == [f"test_it[{arm}]" for arm in ran]


def test_the_simulated_arm_is_the_kernel_of_sim_kernel(pytester: pytest.Pytester) -> None:
    text = "def test_it(perf_kernel, sim_kernel): assert perf_kernel is sim_kernel"
    _run(pytester, text, "--perf-kernel=sim").assert_outcomes(passed=1)


def test_the_simulated_arm_needs_no_permission(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuses(monkeypatch)
    monkeypatch.setenv(gate.GATE, "1")
    _run(pytester, ON_BOTH, "--perf-kernel=sim").assert_outcomes(passed=1)


def test_a_refusal_skips_the_real_arm_and_tells_how_to_force_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuses(monkeypatch)
    result = _run(pytester, ON_BOTH, "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["real-kernel tests: 0 ran, 1 skipped (1: no rings here; *PERFRING_LINUX=1 makes*"])


def test_a_refusal_fails_the_real_arm_when_it_must_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuses(monkeypatch)
    monkeypatch.setenv(gate.GATE, "1")
    result = _run(pytester, ON_BOTH)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["PERFRING_LINUX=1, but no rings here", "real-kernel tests: 0 ran*1 could not start"])


def test_the_real_arm_can_be_switched_off(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuses(monkeypatch, None)
    monkeypatch.setenv(gate.GATE, "0")
    _run(pytester, ON_BOTH).assert_outcomes(passed=1, skipped=1)


def test_another_state_of_the_gate_is_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gate.GATE, "yes")
    result = _run(pytester, ON_BOTH)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("PERFRING_LINUX='yes': must be unset, 0 or 1")


def test_the_mark_puts_a_test_behind_the_gate(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuses(monkeypatch)
    text = """
        import pytest
        @pytest.mark.perf_linux
        def test_it(): raise AssertionError("ran")
        def test_other(): pass
    """
    _run(pytester, text).assert_outcomes(passed=1, skipped=1)


def test_what_ran_on_the_real_kernel_is_counted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuses(monkeypatch, None)
    text = """
        import pytest
        pytestmark = pytest.mark.perf_linux
        def test_good(): pass
        def test_bad(): assert False
    """
    _run(pytester, text).stdout.fnmatch_lines("real-kernel tests: 2 ran, 0 skipped")


# Whoever has perfring installed and does not use it here.


def test_unused_it_says_nothing(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "def test_it(): pass")
    result.stdout.no_fnmatch_line("*kernel*")


def test_unused_it_loads_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys
        def test_it():
            assert [name for name in sys.modules if name.startswith(("perfring", "simkernel", "typer", "rich"))] == [
                "simkernel", "simkernel.pytest_plugin"]
    """)
    pytester.runpytest_subprocess(*WITHOUT).assert_outcomes(passed=1)
