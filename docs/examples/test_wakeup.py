"""Run with pytest, as anybody: no privilege, no Linux."""

from perfring import SessionBuilder, TracepointEvents
from simkernel import SimKernel


def test_the_reader_is_woken_above_the_watermark(sim_kernel: SimKernel) -> None:
    actor = sim_kernel.actor(cpu=0)
    builder = SessionBuilder().with_page_count(1).with_wakeup_watermark(1024).with_target_pid(actor.pid)
    events = TracepointEvents("syscalls:sys_enter_getppid")
    with builder.with_target_cpu(0).with_tracepoint_events(events).build(sim_kernel) as session:
        session.enable()
        session.next_batch(timeout=0)
        actor.getppid(19)  # 19 samples of 56 bytes
        assert len(session.next_batch()) == 19
        assert session.statistics().wakeups == 1
