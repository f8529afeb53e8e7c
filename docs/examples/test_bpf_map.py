"""A map and the program that fills it, simulated. Run with pytest, as anybody."""

from bpf_map import read_payloads

from simkernel import SimKernel
from simkernel.workload import Emit, constant


def test_payloads_arrive_in_order(sim_kernel: SimKernel) -> None:
    sim_kernel.spawn(constant(1000, act=Emit(64), count=100), cpu=0)
    payloads = read_payloads(1, 1.0, sim_kernel)
    assert [int.from_bytes(payload[:8], "little") for payload in payloads] == list(range(100))
