"""Who gets the CPUs, counted in columns: python columns.py [SECONDS]. Needs numpy, and what switches.py needs."""

import sys
from collections import Counter

import numpy as np

from perfring import Kernel, SessionBuilder, TracepointEvents


def count_switches(seconds: float, kernel: Kernel | None = None) -> tuple[Counter[str], int]:
    """How often each name got a CPU, and the longest time between two switches of one CPU, in nanoseconds."""
    builder = SessionBuilder().with_columns().with_tracepoint_events(TracepointEvents("sched:sched_switch"))
    chosen: Counter[str] = Counter()
    longest = 0
    with builder.build(kernel) as session:
        session.enable()
        for batch in session.batches(duration=seconds):
            switches = batch.columns.get("sched:sched_switch")
            if switches is None:
                continue
            names, times = np.unique(switches.fields["next_comm"], return_counts=True)
            chosen.update({name.decode(): count for name, count in zip(names.tolist(), times.tolist(), strict=True)})
            for cpu in np.unique(switches.array("cpu")):
                moments = switches.array("time")[switches.array("cpu") == cpu]
                longest = max(longest, int(np.diff(moments).max(initial=0)))
    return chosen, longest


if __name__ == "__main__":
    chosen, longest = count_switches(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    print(f"{chosen.total()} switches to {len(chosen)} names, {longest / 1e6:.1f} ms without one at the most")
