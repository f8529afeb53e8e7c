"""A reader and a reporter in one event loop: python two_tasks.py [SECONDS]. Needs the rights of switches.py."""

import asyncio
import sys

from perfring import Kernel, Session, SessionBuilder, TracepointEvents


async def read(session: Session, seconds: float) -> int:
    return sum([len(batch) async for batch in session.stream(duration=seconds, max_latency=0.2)])


async def report(session: Session) -> None:
    while True:
        await asyncio.sleep(0.5)
        counts = session.statistics()
        print(f"{counts.records} records, {counts.wakeups} wakeups, {counts.lost} lost")


async def main(seconds: float, kernel: Kernel | None = None) -> int:
    builder = SessionBuilder().with_tracepoint_events(TracepointEvents("sched:sched_switch"))
    with builder.build(kernel) as session:
        session.enable()
        reporting = asyncio.create_task(report(session))
        counted = await read(session, seconds)
        reporting.cancel()
    return counted


if __name__ == "__main__":
    print(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)), "records in all")
