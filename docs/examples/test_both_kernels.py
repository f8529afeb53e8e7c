"""One test, two kernels. Run with pytest; the real kernel takes part where it permits."""

from perfring import Kernel, Sample, SessionBuilder, TracepointEvents
from simkernel.pytest_plugin import ActorFactory

GETPPID = TracepointEvents("syscalls:sys_enter_getppid")


def test_a_call_is_a_sample(perf_kernel: Kernel, perf_actor: ActorFactory) -> None:
    actor = perf_actor(cpu=0)
    builder = SessionBuilder().with_page_count(1).with_target_pid(actor.pid).with_tracepoint_events(GETPPID)
    with builder.build(perf_kernel) as session:
        session.enable()
        actor.getppid(3)
        samples = [record for record in session.records(duration=0) if isinstance(record, Sample)]
    assert [sample.pid for sample in samples] == [actor.pid] * 3
