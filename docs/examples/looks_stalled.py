"""Whether a session that is being read stalls, by its counts: to be called from another thread."""

import time

from perfring import Session


def looks_stalled(session: Session) -> list[int]:
    """The CPUs whose ring loses records while nobody is woken by it."""
    before = session.statistics().rings
    time.sleep(1.0)
    after = session.statistics().rings
    pairs = zip(before, after, strict=True)
    return [new.cpu for old, new in pairs if new.lost > old.lost and new.wakeups == old.wakeups]
