"""The largest watermark that cannot stall, for what this machine would record: python choose_watermark.py."""

from perfring import Kernel, LinuxKernel, SessionBuilder, TracepointEvents, watermark_verdict


def chosen_by_the_builder(kernel: Kernel) -> int | None:
    builder = SessionBuilder().with_page_count(8)
    plan = builder.with_tracepoint_events(TracepointEvents("sched:sched_switch")).plan(kernel)
    return plan.wakeup_watermark  # nothing was opened


def chosen_by_the_rule() -> int:
    verdict = watermark_verdict(8, 16384, record_bytes=(56, 120), page_size=4096)
    print(verdict.outcome, verdict.reason)
    return verdict.largest_safe


if __name__ == "__main__":
    print("a quarter of the ring, or less:", chosen_by_the_builder(LinuxKernel()))
    print("at most:", chosen_by_the_rule())
