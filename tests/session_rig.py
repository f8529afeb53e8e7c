"""What the session tests share: an actor that is watched, and sessions on it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfring.builder import SessionBuilder
from perfring.events import TracepointEvents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfring.records import Record
    from simkernel.contract.arm import Actor

GETPPID = "syscalls:sys_enter_getppid"
SAMPLE_BYTES = 56
"""A getppid sample as a session asks for it: header, id, pid and tid, time, 4 + 20 bytes of raw data."""
PATIENCE = 20.0
"""Seconds after which a test gives up: a bound for what hangs, never a measure."""


def watching(actor: Actor, *, cpu: int = 0, pages: int = 1, watermark: int = 1024) -> SessionBuilder:
    """A session on the actor's getppid calls on one CPU."""
    return (
        SessionBuilder()
        .with_page_count(pages)
        .with_wakeup_watermark(watermark)
        .with_target_pid(actor.pid)
        .with_target_cpu(cpu)
        .with_tracepoint_events(TracepointEvents(GETPPID))
    )


def kinds(records: Iterable[Record]) -> dict[str, int]:
    """How many of each kind."""
    return dict(Counter(record.kind for record in records))
