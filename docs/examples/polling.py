"""The same counting, by the clock and by the watermark: python polling.py. Needs the rights of switches.py."""

import sys
import time

from perfring import Session, SessionBuilder, TracepointEvents

BUILDER = SessionBuilder().with_page_count(64).with_tracepoint_events(TracepointEvents("sched:sched_switch"))


def by_the_clock(session: Session, seconds: float) -> int:
    counted, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)
        counted += session.parse_all()
    return counted


def by_the_watermark(session: Session, seconds: float) -> int:
    return sum(len(batch) for batch in session.batches(duration=seconds, max_latency=0.5))


if __name__ == "__main__":
    for read in (by_the_clock, by_the_watermark):
        with BUILDER.build() as session:
            session.enable()
            before = time.process_time()
            counted = read(session, float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
            spent = time.process_time() - before
            print(f"{read.__name__}: {counted} records, {session.statistics().wakeups} wakeups, {spent:.3f} s of CPU")
