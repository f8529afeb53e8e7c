"""What the tests of workloads, faults and virtual asyncio share: a machine, and sessions on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfring.builder import SessionBuilder
from perfring.events import TracepointEvents
from simkernel import SimKernel

if TYPE_CHECKING:
    from perfring.session import Session
    from simkernel import Actor

__all__ = ["GETPPID", "SAMPLE_BYTES", "machine", "samples", "watching"]

GETPPID = "syscalls:sys_enter_getppid"
SAMPLE_BYTES = 56
"""A getppid sample as a session asks for it."""


def machine(*, cpus: int = 2, seed: int = 0) -> SimKernel:
    """A machine where everything is permitted."""
    return SimKernel(cpus=cpus, paranoid=-1, capabilities={"CAP_SYS_ADMIN"}, seed=seed)


def watching(*actors: Actor, pages: int = 1, watermark: int = 1024) -> SessionBuilder:
    """A session on the getppid calls of actors, or of everybody without them."""
    builder = SessionBuilder().with_page_count(pages).with_wakeup_watermark(watermark)
    for actor in actors:
        builder = builder.with_target_pid(actor.pid)
    return builder.with_tracepoint_events(TracepointEvents(GETPPID))


def samples(session: Session) -> int:
    """Reads until the session ends, and counts the samples."""
    return sum(record.kind == "sample" for batch in session.batches() for record in batch)
