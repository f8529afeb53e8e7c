"""Run with pytest, as anybody: no privilege, no Linux."""

import errno

import pytest
from collector import count_switches

from perfring import PermissionDenied
from simkernel import SimKernel
from simkernel.faults import refuse
from simkernel.workload import bursty, constant


def test_every_switch_is_counted(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(constant(1000, count=300), cpu=0)
    chosen, counts = count_switches(1.0, sim_kernel)
    assert chosen.total() == counts.records > 600  # away from the CPU and back, 300 times
    assert counts.lost == 0


def test_a_burst_wakes_us_and_nothing_is_lost(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(bursty(600, 0.1, spacing=1e-5, count=3000), cpu=1)
    _, counts = count_switches(1.0, sim_kernel)
    assert counts.wakeups > 0
    assert counts.lost == 0


def test_a_refusal_reaches_the_caller(sim_kernel: SimKernel) -> None:
    with sim_kernel.rules.installed(refuse("perf_event_open", errno.EACCES)), pytest.raises(PermissionDenied):
        count_switches(1.0, sim_kernel)


@pytest.mark.sim_kernel(capabilities=(), paranoid=2)
def test_an_ordinary_user_is_refused(sim_kernel: SimKernel) -> None:
    with pytest.raises(PermissionDenied, match="not readable"):
        count_switches(1.0, sim_kernel)
