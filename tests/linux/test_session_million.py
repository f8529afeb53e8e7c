"""A million getppid calls on one CPU, read in three ways: delivered + lost is a million, whatever happens."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from perfring.builder import SessionBuilder
from perfring.events import TracepointEvents
from perfring.linux import LinuxKernel
from perfring.records import Record
from perfring.session import Session
from simkernel.contract.linux_actor import LinuxActor
from tests.session_rig import GETPPID

MILLION = 1_000_000


@pytest.fixture(autouse=True)
def _reader_on_another_cpu(kernel: LinuxKernel) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    others = before - {0}
    os.sched_setaffinity(0, others or before)  # with one CPU there is no other, and more is lost
    yield
    os.sched_setaffinity(0, before)


def by_epoll(session: Session) -> int:
    return sum(record.kind == "sample" for batch in session.batches() for record in batch)


def by_asyncio(session: Session) -> int:
    async def read() -> int:
        return sum([record.kind == "sample" async for batch in session.stream() for record in batch])

    return asyncio.run(read())


def by_parse(session: Session) -> int:
    samples: list[Record] = []
    session.on("sample", samples.append)
    session.parse_for_duration(None)
    return len(samples)


@pytest.mark.parametrize("pages", [16, 256, 16384])
@pytest.mark.parametrize("read", [by_epoll, by_asyncio, by_parse])
def test_every_call_is_delivered_or_counted_as_lost(
    kernel: LinuxKernel, pages: int, read: Callable[[Session], int]
) -> None:
    builder = SessionBuilder().with_page_count(pages).with_wakeup_watermark(pages * 1024).with_target_cpu(0)
    with LinuxActor(0) as actor:
        builder = builder.with_target_pid(actor.pid).with_tracepoint_events(TracepointEvents(GETPPID))
        with builder.build(kernel) as session:
            session.enable()

            def produce() -> None:
                actor.getppid(MILLION)
                session.stop()

            producer = threading.Thread(target=produce)
            producer.start()
            delivered = read(session)
            producer.join()
            counts = session.statistics()
    assert delivered + counts.lost == MILLION
    assert counts.wakeups > 0
    if pages == 16384:  # 64 MiB hold all of it
        assert counts.lost == 0
