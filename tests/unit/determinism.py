"""A small world in which everything happens that a seed decides; prints the digest of its trace.

Run as a script with a seed, it is the same world in a process of its own, with a hash seed of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys

from perfring import KernelEvents, SessionBuilder, TracepointEvents
from simkernel import SimKernel
from simkernel.workload import Mixed, bursty, constant, getppid, poisson

EVERYTHING = frozenset({"CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_IPC_LOCK"})


def trace(seed: int) -> bytes:
    """Every record that a session of the whole machine delivers, its counts, and the kernel's state at the end."""
    kernel = SimKernel(cpus=3, capabilities=EVERYTHING, seed=seed)
    kernel.spawn(poisson(400, act=Mixed((3, getppid), (1, lambda actor: actor.rename("named"))), count=12), cpu=0)
    kernel.spawn(bursty(4, 0.01, count=12), cpu=1)
    kernel.spawn(constant(300, act=lambda actor: actor.fork().exit(), count=4), cpu=2)
    builder = SessionBuilder().with_page_count(4).with_wakeup_watermark(512).with_max_latency(0.02)
    builder = builder.with_kernel_events(KernelEvents(context_switch=True))
    with builder.with_tracepoint_events(TracepointEvents("syscalls:sys_enter_getppid")).build(kernel) as session:
        session.enable()
        batches = [(batch.reason, [record.to_dict() for record in batch]) for batch in session.batches(duration=0.2)]
        lines = [json.dumps(batches), repr(session.statistics()), str(kernel)]
    return "\n".join(lines).encode()


def digest(seed: int) -> str:
    """Of the trace."""
    return hashlib.sha256(trace(seed)).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(int(sys.argv[1])))
