"""callcount TRACEPOINT [SECONDS]: counts until the time is over."""

from __future__ import annotations

import sys
import threading

from callcount.collector import collector_of
from perfring import PerfringError


def main() -> int:
    """The command."""
    if not 2 <= len(sys.argv) <= 3:
        print("usage: callcount TRACEPOINT [SECONDS], as in: callcount sched:sched_switch 5", file=sys.stderr)
        return 2
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    try:
        collector = collector_of(sys.argv[1])
    except PerfringError as error:
        print(f"callcount: {error}", file=sys.stderr)  # says what is missing, and the command that mends it
        return 1
    with collector:
        timer = threading.Timer(seconds, collector.stop)
        timer.start()
        while collector.read() is not None:
            pass
        timer.cancel()  # when it was something else that ended us
        for pid, times in collector.calls.most_common(5):
            print(f"{times:8} pid {pid}")
        print(f"{collector.calls.total()} counted, {collector.lost} lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
