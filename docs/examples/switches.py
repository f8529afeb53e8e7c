"""Who gets the CPUs: python switches.py [SECONDS]. Needs root, or CAP_PERFMON and a readable tracefs."""

import asyncio
import sys
from collections import Counter

from perfring import Sample, SessionBuilder, TracepointEvents


async def watch(seconds: float) -> None:
    builder = (
        SessionBuilder()
        .with_page_count(64)
        .with_wakeup_watermark(65536)  # the kernel wakes us once per 64 KiB, build() checks that it will
        .with_tracepoint_events(TracepointEvents("sched:sched_switch"))
    )
    chosen: Counter[object] = Counter()
    with builder.build() as session:
        session.enable()
        async for batch in session.stream(duration=seconds, max_latency=1.0):
            for record in batch:
                if isinstance(record, Sample) and record.fields:
                    chosen[record.fields["next_comm"]] += 1
    counts = session.statistics()
    for comm, times in chosen.most_common(5):
        print(f"{times:8} {comm}")
    print(f"{counts.records} records, {counts.wakeups} wakeups, {counts.lost} lost")


if __name__ == "__main__":
    asyncio.run(watch(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0))
