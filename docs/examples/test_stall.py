"""What a stall looks like in a test. Run with pytest, as anybody."""

import warnings

import pytest

from perfring import SessionBuilder, TracepointEvents, WatermarkError, WatermarkStallWarning
from simkernel import Deadlock, SimKernel
from simkernel.workload import constant

GETPPID = TracepointEvents("syscalls:sys_enter_getppid")


def test_a_watermark_of_the_whole_ring_is_not_even_opened(sim_kernel: SimKernel) -> None:
    builder = SessionBuilder().with_page_count(1).with_wakeup_watermark(4096).with_tracepoint_events(GETPPID)
    with pytest.raises(WatermarkError, match="4096"):
        builder.build(sim_kernel)


def test_a_watermark_that_can_stall_is_an_error_in_our_tests(sim_kernel: SimKernel) -> None:
    builder = SessionBuilder().with_page_count(1).with_wakeup_watermark(4087).with_tracepoint_events(GETPPID)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WatermarkStallWarning)
        with pytest.raises(WatermarkStallWarning, match="largest safe watermark is 3991"):
            builder.build(sim_kernel)


@pytest.mark.filterwarnings("ignore::perfring.WatermarkStallWarning")
def test_a_reader_that_waits_for_ever_is_found_at_once(sim_kernel: SimKernel) -> None:
    builder = SessionBuilder().with_page_count(1).with_wakeup_watermark(4088).with_target_cpu(0)
    with builder.with_tracepoint_events(GETPPID).build(sim_kernel) as session:
        session.enable()
        sim_kernel.spawn(constant(1000, count=200), cpu=0)
        with pytest.raises(Deadlock, match="lost"):
            session.next_batch()
