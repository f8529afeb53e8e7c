"""One life of a session: opened on a new target, read in one of many ways, and held to what the target did."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from perfring import Batch, Session, SessionBuilder, SessionClosed, TracepointEvents

GETPPID = "syscalls:sys_enter_getppid"
TARGET = Path(__file__).with_name("_target.py")
PATIENCE = 60.0


@dataclass
class Life:
    """What is done in one round; everything follows from the seed."""

    seed: int
    columns: bool = False
    reading: str = "next_batch"
    ending: str = "exit"
    pages: int = 1
    watermark: int = 1024
    max_latency: float | None = None
    calls: int = 0
    delivered: int = 0
    lost: int = 0
    times: list[int] = field(default_factory=list, repr=False)

    @classmethod
    def drawn(cls, seed: int, *, asynchronous: bool) -> Life:
        """A life of this seed."""
        luck = random.Random(seed)
        pages = luck.choice((1, 2, 16, 64))
        return cls(
            seed,
            columns=luck.random() < 0.5,
            reading="stream" if asynchronous else luck.choice(("next_batch", "batches", "records", "callbacks")),
            ending=luck.choice(("exit", "exit", "exit", "stop", "close")),
            pages=pages,
            watermark=luck.randrange(1, pages * 4096 // 2),
            max_latency=luck.choice((None, 0.001, 0.05)),
            calls=luck.choice((0, 1, 50, 3000, 30000)),
        )

    def open(self, pid: int) -> Session:
        """The session on this target, enabled."""
        builder = SessionBuilder().with_page_count(self.pages).with_wakeup_watermark(self.watermark)
        builder = builder.with_target_pid(pid).with_tracepoint_events(TracepointEvents(GETPPID))
        if self.max_latency is not None:
            builder = builder.with_max_latency(self.max_latency)
        session = (builder.with_columns() if self.columns else builder).build()
        session.enable()
        return session

    @property
    def expected(self) -> tuple[type[Exception], ...]:
        """What reading may raise: it can begin after the other thread has closed the session."""
        return (SessionClosed,) if self.ending == "close" else ()

    def take(self, batch: Batch) -> None:
        """Counts the samples of a batch."""
        if self.columns:
            samples = batch.columns.get(GETPPID)
            times = [] if samples is None else [int(time) for time in samples["time"]]
        else:
            times = [record.time or 0 for record in batch if record.kind == "sample"]
        self.delivered += len(times)
        self.times += times

    def judge(self, session: Session) -> Iterator[str]:
        """What is wrong; asked when the session is closed and the target has exited."""
        counts = session.statistics()
        self.lost = counts.lost
        if counts.bad_records or counts.callback_errors:
            yield f"{counts.bad_records} bad records, {counts.callback_errors} callback errors"
        if self.ending == "exit" and self.delivered + self.lost != self.calls:
            yield f"{self.calls} calls, but {self.delivered} delivered and {self.lost} lost: {counts}"
        if self.delivered > self.calls:
            yield f"{self.calls} calls, but {self.delivered} delivered"
        if not counts.late and self.times != sorted(self.times):
            yield "out of time order, and none was counted as late"


@contextmanager
def target(life: Life) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be released; ended with the block."""
    command = [sys.executable, "-S", "-E", str(TARGET), str(life.seed), str(life.calls)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def release(process: subprocess.Popen[bytes]) -> None:
    """Lets it begin."""
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def live(life: Life) -> list[str]:
    """A whole life in this thread; what went wrong."""
    with target(life) as process, life.open(process.pid) as session:
        ender = _ender(life, session)
        release(process)
        with suppress(*life.expected):
            _read(life, session)
        ender.join(PATIENCE)
        if life.ending == "exit":
            process.wait(PATIENCE)
        session.close()
        return list(life.judge(session))


async def live_asynchronously(life: Life) -> list[str]:
    """The same in a task."""
    with target(life) as process, life.open(process.pid) as session:
        ender = _ender(life, session)
        release(process)
        with suppress(*life.expected):
            async for batch in session.stream():
                life.take(batch)
        await asyncio.to_thread(ender.join, PATIENCE)
        session.close()
        return list(life.judge(session))


def _ender(life: Life, session: Session) -> threading.Thread:
    """Another thread that ends the session while it is read, or does nothing."""

    def end() -> None:
        if life.ending == "stop":
            session.stop()
        if life.ending == "close":
            session.close()

    thread = threading.Timer(random.Random(life.seed).uniform(0, 0.05), end)
    thread.start()
    return thread


def _read(life: Life, session: Session) -> None:
    if life.reading == "callbacks" and life.ending == "exit" and not life.columns:
        session.on("sample", lambda sample: life.times.append(sample.time or 0))
        session.parse_for_duration(None)
        life.delivered = len(life.times)
        return
    for batch in _batches(life, session):
        life.take(batch)


def _batches(life: Life, session: Session) -> Iterable[Batch]:
    """By `batches`, which ends when the session does, however that comes; or one by one, with timeouts between."""
    if life.reading == "batches" or life.ending != "exit":
        yield from session.batches()
        return
    while True:
        batch = session.next_batch(timeout=0.01)
        yield batch
        if not batch and batch.reason == "end":
            return
