"""callcount TRACEPOINT [SECONDS]: counts until the time is over, or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from callcount.collector import collector_of
from perfring import PerfringError


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="callcount", description="Counts which processes come by a tracepoint.")
    parser.add_argument("tracepoint", help="as in sched:sched_switch")
    parser.add_argument("seconds", type=float, nargs="?", default=2.0, help="how long; 2 when it is not said")
    args = parser.parse_args(argv)
    if not 0 <= args.seconds <= threading.TIMEOUT_MAX:  # nan is neither
        parser.error(f"seconds is {args.seconds}: it must be a number, 0 or more")
    try:
        collector = collector_of(args.tracepoint)
    except (PerfringError, ValueError) as error:
        print(f"callcount: {error}", file=sys.stderr)  # says what is missing, and the command that mends it
        return 1
    with collector:
        signal.signal(signal.SIGINT, lambda *_: collector.stop())
        timer = threading.Timer(args.seconds, collector.stop)
        timer.daemon = True  # Python would wait for it when something goes wrong
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
