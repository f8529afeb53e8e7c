"""What an example says when it cannot: perfring's own words, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

import simkernel.aio
from examples import flame, schedlat, syscalls
from perfring import Kernel
from simkernel import SimKernel
from simkernel.contract.arm import Arm

Main = Callable[[list[str], Kernel], int]


def _run_syscalls(argv: list[str], kernel: Kernel) -> int:
    if isinstance(kernel, SimKernel):
        return syscalls.main(argv, kernel=kernel, run=partial(simkernel.aio.run, kernel))
    return syscalls.main(argv, kernel=kernel)


MAINS = {
    "flame": lambda argv, kernel: flame.main(argv, kernel=kernel),
    "schedlat": lambda argv, kernel: schedlat.main(argv, kernel=kernel),
    "syscalls": _run_syscalls,
}
TRACERS = ("schedlat", "syscalls")


class Bare(SimKernel):
    """A machine whose kernel was built without these tracepoints."""

    def read_bytes(self, path: str) -> bytes:
        if "raw_syscalls" in path or "sched_" in path:
            raise FileNotFoundError(2, "No such file or directory", path)
        return super().read_bytes(path)


@pytest.mark.parametrize("name", MAINS)
def test_a_process_that_there_is_not_is_named(name: str, perf_arm: Arm, capsys: pytest.CaptureFixture[str]) -> None:
    gone = perf_arm.actor()
    gone.exit()
    perf_arm.settle(lambda: str(gone.pid) not in perf_arm.kernel.list_dir("/proc"), "the actor is gone")
    assert MAINS[name](["--pid", str(gone.pid)], perf_arm.kernel) == 1
    assert capsys.readouterr().err.startswith(f"{name}: there is no process {gone.pid}: ")


@pytest.mark.parametrize("name", MAINS)
@pytest.mark.sim_kernel(capabilities=())
def test_a_missing_permission_is_told_with_what_mends_it(
    name: str, sim_kernel: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert MAINS[name]([], sim_kernel) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{name}: ")
    assert "To mend it: " in told


@pytest.mark.parametrize("name", TRACERS)
def test_a_tracepoint_that_the_kernel_does_not_have_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert MAINS[name]([], Bare(capabilities=("CAP_SYS_ADMIN",))) == 1
    assert f"{name}: there is no tracepoint " in capsys.readouterr().err


@pytest.mark.parametrize("name", MAINS)
@pytest.mark.parametrize("argv", [["--pid", "0"], ["--pid", "1", "--duration", "-1"], ["--duration", "nan"]])
def test_a_number_that_makes_no_sense_is_told_with_its_value(
    name: str, argv: list[str], sim_kernel: SimKernel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert MAINS[name](argv, sim_kernel) == 1
    assert f" {argv[-1]}" in capsys.readouterr().err
