"""The simulated kernel refuses what the real one refuses, errno for errno: the same calls on both, side by side.

The contract's checks say what must happen and why; here only the answers are compared, over tables too long to be told.
"""

from __future__ import annotations

import errno
import itertools
import os
from typing import Final

import pytest

from perfring import abi, tracefs
from perfring.kernel import Kernel
from perfring.linux import LinuxKernel
from simkernel import SimKernel
from simkernel.machine import CAPABILITIES

Fields = dict[str, int]

_DUMMY: Final[Fields] = {"type": abi.PERF_TYPE_SOFTWARE, "config": abi.PERF_COUNT_SW_DUMMY}
_NOBODY: Final = 4_000_000

# Each is wrong in a way of its own: two of them together show which one the kernel finds first.
_WRONG: Final[dict[str, Fields]] = {
    "reserved bits": {"reserved_1": 1},
    "config": {"config": 77},
    "frequency": {"freq": 1, "sample_freq": 10**6},
    "wide registers": {"sample_regs_user": 1 << 40},
    "clock": {"use_clockid": 1, "clockid": 3},
    "size": {"size": 10},
    "inherit_thread": {"inherit_thread": 1},
    "aux_output": {"aux_output": 1},
    "stack depth": {"sample_type": abi.PERF_SAMPLE_CALLCHAIN, "sample_max_stack": 500},
    "read of inherited": {"sample_type": abi.PERF_SAMPLE_READ, "inherit": 1},
    "sigtrap": {"sigtrap": 1},
}
_WRONG_CALLS: Final = ((_NOBODY, -1, -1, 0), (0, 99, -1, 0), (0, -1, 900_000, 0), (-1, -1, -1, 0), (0, -1, -1, 64))


def answer(kernel: Kernel, fields: Fields, pid: int = 0, cpu: int = -1, group_fd: int = -1, flags: int = 0) -> object:
    """The errno and the size afterwards, or that it was taken."""
    attr = abi.PerfEventAttr(**fields)  # type: ignore[arg-type]
    try:
        fd = kernel.perf_event_open(attr, pid, cpu, group_fd, flags)
    except OSError as error:
        return errno.errorcode[error.errno or 0], attr.size
    kernel.close(fd)
    return "taken", attr.size


@pytest.fixture(scope="module")
def simulated() -> SimKernel:
    return SimKernel(cpus=len(os.sched_getaffinity(0)), capabilities=CAPABILITIES)


def assert_same(simulated: SimKernel, fields: Fields, *call: int) -> None:
    assert answer(simulated, fields, *call) == answer(LinuxKernel(), fields, *call)


@pytest.mark.parametrize("bit", range(30))
def test_bits_of_sample_type(simulated: SimKernel, bit: int) -> None:
    assert_same(simulated, _DUMMY | {"sample_type": 1 << bit})


@pytest.mark.parametrize("bit", range(8))
def test_bits_of_read_format(simulated: SimKernel, bit: int) -> None:
    assert_same(simulated, _DUMMY | {"read_format": 1 << bit})


@pytest.mark.parametrize("bit", range(64))
def test_flags(simulated: SimKernel, bit: int) -> None:
    assert_same(simulated, _DUMMY | {"flags": 1 << bit})
    assert_same(simulated, _DUMMY | {"flags": 1 << bit}, -1, 0)


@pytest.mark.parametrize("bit", range(64))
def test_registers(simulated: SimKernel, bit: int) -> None:
    mask = {"sample_regs_user": 1 << bit}
    assert_same(simulated, _DUMMY | mask)
    assert_same(simulated, _DUMMY | mask | {"sample_type": abi.PERF_SAMPLE_REGS_USER})


@pytest.mark.parametrize("bit", range(24))
def test_branch_types(simulated: SimKernel, bit: int) -> None:
    assert_same(simulated, _DUMMY | {"sample_type": abi.PERF_SAMPLE_BRANCH_STACK, "branch_sample_type": 1 << bit})


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 72, 100, 120, 136, 137, 144, 200, 4096, 4097, 2**32 - 1])
def test_k29_sizes(simulated: SimKernel, size: int) -> None:
    assert_same(simulated, _DUMMY | {"size": size})


@pytest.mark.parametrize("size", [1, 8, 65528, 65534, 65535, 65536])
def test_stack_sizes(simulated: SimKernel, size: int) -> None:
    assert_same(simulated, _DUMMY | {"sample_type": abi.PERF_SAMPLE_STACK_USER, "sample_stack_user": size})


@pytest.mark.parametrize("config", [0, 11, 12, 1 << 32])
@pytest.mark.parametrize("kind", [0, 1, 3, 4, 99])
def test_k30_types_and_configs(simulated: SimKernel, kind: int, config: int) -> None:
    assert_same(simulated, {"type": kind, "config": config})


@pytest.mark.parametrize("clock", range(-1, 13))
def test_clocks(simulated: SimKernel, clock: int) -> None:
    assert_same(simulated, _DUMMY | {"use_clockid": 1, "clockid": clock})


@pytest.mark.parametrize(("pid", "cpu"), list(itertools.product((-2, -1, 0, _NOBODY), (-2, -1, 0, 999))))
def test_targets(simulated: SimKernel, pid: int, cpu: int) -> None:
    assert_same(simulated, _DUMMY, pid, cpu)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(_WRONG, 2)))
def test_which_of_two_errors_wins(simulated: SimKernel, first: str, second: str) -> None:
    assert_same(simulated, _DUMMY | _WRONG[first] | _WRONG[second])


@pytest.mark.parametrize("call", _WRONG_CALLS)
@pytest.mark.parametrize("wrong", _WRONG)
def test_whether_attr_or_call_wins(simulated: SimKernel, wrong: str, call: tuple[int, int, int, int]) -> None:
    assert_same(simulated, _DUMMY | _WRONG[wrong], *call)


@pytest.mark.parametrize("name", tracefs.tracepoint_names(SimKernel(capabilities=CAPABILITIES)))
def test_fields_of_tracepoints(simulated: SimKernel, name: str) -> None:
    ours, real = (tracefs.read_format(kernel, name) for kernel in (simulated, LinuxKernel()))
    assert ours.common + ours.fields == real.common + real.fields
