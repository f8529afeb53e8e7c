"""The two tasks, in virtual time. Run with pytest, as anybody."""

from two_tasks import main

from simkernel import SimKernel, aio
from simkernel.workload import constant


def test_a_second_takes_no_second(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(constant(100, duration=1.0), cpu=0)
    assert aio.run(sim_kernel, main(1.0, sim_kernel)) > 200
