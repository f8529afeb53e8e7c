"""A session: the rings of all CPUs, read in time order."""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from perfring import abi
from perfring.abi import CLOCK_MONOTONIC
from perfring.batch import Batch, Reason
from perfring.draining import RingDrain
from perfring.environment import capture
from perfring.errors import SessionClosed
from perfring.ordering import Order, TimeOrder
from perfring.reading import Reader
from perfring.recording import Recording
from perfring.statistics import SessionStatistics
from perfring.sweeping import Sweeper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from perfring.dispatch import RecordCallback
    from perfring.draining import OnImage
    from perfring.kernel import Kernel
    from perfring.plan import SessionPlan
    from perfring.records import Record

__all__ = ["Session"]

_TICK = 0.1


class Session(Recording):
    """Perf rings on every CPU, read in time order. Made by `SessionBuilder.build`; use it as a context manager.

    There are three ways to read, for one reader at a time:

    * callbacks: `on` registers them; `parse_all`, `parse_until`, `parse_for_duration` and `parse_for_cpu` call them;
    * pulling: `records`, `batches`, `next_batch`;
    * asyncio: ``async for batch in session.stream()``.

    All of them raise `SessionClosed` after `close`, `ForkedSession` in a forked child, and `SessionBusy` to a second
    reader.
    """

    def __init__(self, kernel: Kernel, plan: SessionPlan) -> None:
        super().__init__(kernel, plan)
        try:
            self._rings, order = self._drains()
            waker = kernel.waker()
        except BaseException:
            self._close_all()
            raise
        self._close_put_off = False
        self._sweeper = Sweeper(
            kernel, self._rings, self._guard, clock_id=plan.clock_id, budget=plan.budget_bytes, order=order
        )
        self._reader = Reader(kernel, self._rings, self._sweeper, waker, disable=self._disable)

    def _drains(self) -> tuple[tuple[RingDrain, ...], Order]:
        """What takes the records out of each ring, and what then puts them in order: as objects, or as columns."""
        report = self._dispatcher.report
        if not self._plan.columns:
            return tuple(RingDrain(ring, self._decoder, report) for ring in self._opened), TimeOrder()
        from perfring.columns import ColumnDrain, ColumnOrder, ColumnTaker  # with numpy

        taker = ColumnTaker(self._decoder)
        return tuple(ColumnDrain(ring, self._decoder, report, taker) for ring in self._opened), ColumnOrder()

    def on(self, topic: str, callback: RecordCallback) -> None:
        """Registers a callback for the ``parse_`` methods.

        Args:
            topic: a kind of record ("sample", "lost", "comm", "fork", "exit", "mmap2", "switch" ...), the name of an
                event ("cpu-clock", "syscalls:sys_enter_getppid"), what events are for ("profile", "tracepoint",
                "context-switch", "soft-page-fault", "hard-page-fault", "bpf-output", "custom"), or "*".
            callback: called with each such record, once: also when it is interrupted in it. What it raises goes to the
                error callback; the rest goes on.
        """
        self._dispatcher.on(topic, callback)

    def on_image(self, callback: OnImage | None) -> None:
        """Sets who is given the bytes as they lay in the rings, besides whoever reads the records.

        Args:
            callback: ``callback(cpu, position, image, records)``, called whenever bytes were copied out of a ring, from
                within whatever reads the session, so before their records are delivered; it must be quick and must not
                raise. A record stands at ``record.position - position`` of the image, and takes ``record.size`` bytes;
                what is in no record is bad, or the beginning of one that comes again, whole, with the next image. An
                interrupt (KeyboardInterrupt) may bring an image twice: the position tells. None for nobody.

        Raises:
            ValueError: the session delivers columns, and so has no records to give along.
        """
        if self._plan.columns and callback is not None:
            raise ValueError("on_image: a session built with_columns() makes no records to go with an image")
        for ring in self._rings:
            ring.on_image = callback

    def capture_environment(self, *, mappings: bool = True, all_mappings: bool = False) -> int:
        """Gives COMM and MMAP2 records of what runs already, read from /proc, to the callbacks. Returns their count.

        Enable the session before, so that nothing falls between; what comes twice is the same.

        Args:
            mappings, all_mappings: as for `environment`.
        """
        self._check()
        return self._dispatcher.deliver(self.environment(mappings=mappings, all_mappings=all_mappings))

    def environment(self, *, mappings: bool = True, all_mappings: bool = False) -> Iterator[Record]:
        """The same records, pulled: of the target processes, or of all. Processes that vanish meanwhile are left out.

        Args:
            mappings: False leaves out the MMAP2: names alone are read faster, and without a privilege.
            all_mappings: also those that are not executable.

        Raises:
            PermissionError: the mappings of a target may not be read.
            ValueError: ``all_mappings`` of no mappings.
        """
        self._check()
        now = self._kernel.clock_ns(self._plan.clock_id)
        return capture(self._kernel, self._plan.pids, time=now, mappings=mappings, all_mappings=all_mappings)

    def parse_all(self) -> int:
        """Drains what was there when it was called, in time order over all CPUs, and never waits.

        Returns:
            the count of records.
        """
        self._check()
        return self._reader.alone(self._parse_all)

    def _parse_all(self) -> int:
        order = self._sweeper.order
        order.settle()
        return self._deliver(order.outbox) + sum(map(self._deliver, self._sweeper.sweep()))

    def parse_for_cpu(self, cpu: int) -> int:
        """Drains what was there in one CPU's ring, without regard to the others, and never waits.

        Returns:
            the count of records.

        Raises:
            ValueError: the session has no ring of that CPU.
        """
        self._check()
        found = [ring for ring in self._rings if ring.cpu == cpu]  # no generator: Ctrl-C at the end of one is swallowed
        if not found:
            raise ValueError(f"cpu is {cpu}: the session has rings of cpus {[ring.cpu for ring in self._rings]}")
        return self._reader.alone(self._parse_ring, found[0])

    def _parse_ring(self, ring: RingDrain) -> int:
        self._sweeper.order.settle()
        return sum(map(self._deliver, self._sweeper.sweep_one(ring)))

    def parse_for_duration(self, seconds: float | None) -> int:
        """Waits and delivers for so long, or until the session ends; drains at the end.

        Args:
            seconds: how long; None is until the session ends.

        Returns:
            the count of records.
        """
        self._check()
        deadline = None if seconds is None else self._now() + _checked_seconds("seconds", seconds)
        return self._reader.alone(self._parse_up_to, deadline)

    def _parse_up_to(self, deadline: float | None) -> int:
        self._reader.begin_anew()
        total = 0
        while True:
            batch = self._next(self._reader.upcoming, timeout=self._left(deadline))
            total += self._deliver_next(batch)
            if self._is_over(batch, deadline):
                return total

    def parse_until(self, done: Callable[[], bool], *, tick: float = _TICK) -> int:
        """Waits and delivers until ``done()`` is true, or the session ends. Returns the count of records.

        Args:
            done: asked after each batch, and every ``tick`` seconds while nothing comes.
            tick: seconds; such a look is no drain, and does not lower what the watermark is worth.
        """
        self._check()
        return self._reader.alone(self._parse_until, done, _checked_seconds("tick", tick))

    def _parse_until(self, done: Callable[[], bool], tick: float) -> int:
        total = 0
        while not done():
            batch = self._next(self._reader.upcoming, tick=tick, until=done)
            total += self._deliver_next(batch)
            if not batch and batch.reason is Reason.END:
                break
        return total

    # Pulling.

    def next_batch(self, *, timeout: float | None = None, max_latency: float | None = None) -> Batch:
        """Waits for the next batch.

        Data comes first: a timeout, `flush`, or the end drains what lies below the watermark, and is then announced
            once by an empty batch with that reason.

        Args:
            timeout: seconds until TIMEOUT is announced; 0 only looks; None waits for ever.
            max_latency: seconds without a wakeup after which the rings are drained; None for the plan's own.
        """
        for name, value in (("timeout", timeout), ("max_latency", max_latency)):
            if value is not None:
                _checked_seconds(name, value)
        batch = self._next(self._reader.next_batch, timeout=timeout, max_latency=max_latency)
        self._sweeper.order.outbox = []  # and no call between here and there: see `TimeOrder`
        if self._reader.announcement is batch:
            self._reader.announcement = None
        return batch

    def batches(self, *, duration: float | None = None, max_latency: float | None = None) -> Iterator[Batch]:
        """Batches in time order, until the session ends, is closed by another thread, or ``duration`` seconds are over.

        Every batch has records, but for the announcement of a `flush`. A duration ends the reading and not the
            recording: what is written from then on stays in the rings, for the next reader. `stop` ends both.
        """
        self._check()
        deadline = self._checked_end(duration, max_latency)
        return self._hand_over(self._pull(deadline, max_latency))

    def _pull(self, deadline: float | None, max_latency: float | None) -> Iterator[Batch]:
        """Batches whose records are still in the outbox."""
        self._reader.begin_anew()
        while True:
            try:
                batch = self._next(self._reader.next_batch, timeout=self._left(deadline), max_latency=max_latency)
            except SessionClosed:
                return
            if self._is_over(batch, deadline):
                self._reader.announcement = None
                return
            if batch or batch.reason is Reason.FLUSH:
                yield batch

    def _checked_end(self, duration: float | None, max_latency: float | None) -> float | None:
        if max_latency is not None:
            _checked_seconds("max_latency", max_latency)
        return None if duration is None else self._now() + _checked_seconds("duration", duration)

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(deadline - self._now(), 0.0)

    def _is_over(self, batch: Batch, deadline: float | None) -> bool:
        """Whether that was the last batch. The timeout of an earlier call can be announced to a later one."""
        if batch or batch.reason is Reason.FLUSH:
            return False
        return batch.reason is Reason.END or (deadline is not None and self._now() >= deadline)

    def _hand_over(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._sweeper.order.outbox = []
            if self._reader.announcement is batch:
                self._reader.announcement = None
            yield batch

    def records(self, *, duration: float | None = None, max_latency: float | None = None) -> Iterator[Record]:
        """As `batches`, one record after the other. What a caller leaves of a batch comes first the next time."""
        self._check()
        deadline = self._checked_end(duration, max_latency)
        return self._flatten(self._pull(deadline, max_latency))

    def _flatten(self, batches: Iterator[Batch]) -> Iterator[Record]:
        order = self._sweeper.order
        for batch in batches:
            if self._reader.announcement is batch:
                self._reader.announcement = None
            handout = order.hand_out(order.outbox)
            for record in handout.turns:
                yield record
                if order.leaving is not handout:
                    break  # meanwhile somebody else has read, and took over what was left
            else:
                order.leaving = None

    def stream(self, *, duration: float | None = None, max_latency: float | None = None) -> AsyncIterator[Batch]:
        """As `batches`, for asyncio: ``async for batch in session.stream()``."""
        self._check()
        deadline = self._checked_end(duration, max_latency)
        bound = self._plan.max_latency if max_latency is None else max_latency
        return self._reader.stream(max_latency=bound, deadline=deadline)

    def flush(self) -> None:
        """Makes the reader deliver what is there now, and then announce FLUSH once. From any thread.

        Raises:
            SessionClosed: nobody will ever deliver that, or announce it.
        """
        self._check()
        self._reader.flush()

    def stop(self) -> None:
        """Makes the reader disable the events, deliver the rest, and end. From any thread, or a signal handler.

        Of a session that is closed nothing is left to stop: then it does nothing.
        """
        with suppress(SessionClosed):
            self._check()
            self._reader.stop()

    # Counts, and the end.

    def statistics(self) -> SessionStatistics:
        """What was counted so far, losses that never became a record among it (K22), and what lies in the rings now.

        From any thread, also after `close`. It drains nothing, and takes no wakeup away.
        """
        if self._in_child():
            self._check()
        with suppress(SessionClosed):
            return self._guard.call(self._take_stock)
        return self._counts()

    def _take_stock(self) -> SessionStatistics:
        for ring in self._rings:
            ring.take_stock(self._kernel)
        return self._counts()  # while nobody drains: what came out of a ring and what lies in it are of one moment

    def _counts(self) -> SessionStatistics:
        return SessionStatistics(
            rings=tuple(copy.copy(ring.statistics) for ring in self._rings),
            late=self._sweeper.order.late,
            undelivered=len(self._sweeper.order),
            callback_errors=self._dispatcher.errors,
            timeouts=self._reader.timeouts,
        )

    def close(self) -> None:
        """Stops recording, asks the kernel for its losses, and closes every fd and mapping. Idempotent.

        A reader that waits, in a thread or a task, ends: `next_batch` and the ``parse_`` methods raise SessionClosed,
            `batches`, `records` and `stream` just end. What still lies in the rings is counted as ``unread_bytes``:
            call `stop` and read to the end to have it. In a forked child only the child's own descriptors are closed,
            and the parent goes on recording (K45).
        """
        self._closed = True
        if self._in_child():
            self._reader.close_in_child()
            self._close_all()
            return
        self._close_put_off = not self._reader.close()
        if not self._close_put_off:
            self._guard.close()

    def _release(self) -> None:
        try:
            self._ioctl_all(abi.PERF_EVENT_IOC_DISABLE)
            for ring in self._rings:
                ring.close_account(self._kernel)
        finally:
            self._close_all()

    def _next(
        self,
        read: Callable[..., Batch],
        *,
        timeout: float | None = None,
        max_latency: float | None = None,
        tick: float | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Batch:
        self._check()
        if max_latency is None:
            max_latency = self._plan.max_latency
        try:
            return read(timeout, max_latency, tick=tick, until=until)
        finally:
            if self._close_put_off:  # by a signal handler inside this wait, where nothing could be taken away
                self.close()

    def _deliver(self, released: list[Any]) -> int:
        """Gives the callbacks what stands first in the outbox."""
        order = self._sweeper.order
        handout = order.hand_out(released)
        count = self._dispatcher.deliver(handout.turns, handout=handout)
        order.leaving = None  # all of it has left; an interrupt leaves it there, and whoever reads next goes on with it
        return count

    def _deliver_next(self, batch: Batch) -> int:
        """The same with the batch that was read just now. An announcement is made to nobody then."""
        if self._reader.announcement is batch:
            self._reader.announcement = None
        return self._deliver(self._sweeper.order.outbox)

    def _now(self) -> float:
        return self._kernel.clock_ns(CLOCK_MONOTONIC) / 1e9


def _checked_seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {value!r}: it must be a number of seconds")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value}: it must be a number of seconds, 0 or more")
    return float(value)
