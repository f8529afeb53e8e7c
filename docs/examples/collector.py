"""Who gets the CPUs: python collector.py [SECONDS]. Needs root, or CAP_PERFMON and a readable tracefs."""

import sys
from collections import Counter

from perfring import Kernel, Sample, SessionBuilder, SessionStatistics, TracepointEvents


def count_switches(seconds: float, kernel: Kernel | None = None) -> tuple[Counter[object], SessionStatistics]:
    builder = (
        SessionBuilder()
        .with_page_count(64)
        .with_wakeup_watermark(65536)
        .with_tracepoint_events(TracepointEvents("sched:sched_switch"))
    )
    chosen: Counter[object] = Counter()
    with builder.build(kernel) as session:
        session.enable()
        for record in session.records(duration=seconds):
            if isinstance(record, Sample) and record.fields:
                chosen[record.fields["next_comm"]] += 1
    return chosen, session.statistics()


if __name__ == "__main__":
    chosen, counts = count_switches(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    for comm, times in chosen.most_common(5):
        print(f"{times:8} {comm}")
    print(f"{counts.records} records, {counts.wakeups} wakeups, {counts.lost} lost")
