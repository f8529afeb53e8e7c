"""A program that records itself, as anybody: python record_myself.py. Needs no privilege at paranoid 2."""

import os
from collections import Counter

from perfring import Kernel, KernelEvents, SessionBuilder


def record_self(kernel: Kernel | None = None, pid: int | None = None) -> Counter[str]:
    builder = (
        SessionBuilder()
        .with_page_count(4)
        .with_target_pid(pid or os.getpid())
        .user_only()
        .with_kernel_events(KernelEvents(mmap="executable", comm=True))
    )
    with builder.build(kernel) as session:
        session.enable()
        work()
        return Counter(record.kind for record in session.records(duration=0))


def work() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    print(dict(record_self()))
