"""Callbacks: who wants which records, and what happens when one of them fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfring.ordering import Handout
    from perfring.records import Record

__all__ = ["ANY", "Dispatcher", "ErrorCallback", "RecordCallback"]

RecordCallback: TypeAlias = "Callable[[Record], object]"
"""Is called with each record that it was registered for; what it returns is ignored."""
ErrorCallback: TypeAlias = "Callable[[Exception, Record | None], object]"
"""Is called with what went wrong, and the record at which it did (None for a ring that makes no sense)."""

ANY = "*"
"""The topic of every record."""

_log = logging.getLogger("perfring")


class _Taken:
    """In place of a handout, where nobody asks what is left of it."""

    put_back = False


class Dispatcher:
    """Hands records to callbacks, by topic.

    The topics of a record are its kind ("sample", "lost", "comm" ...) and `ANY`; those of a sample are besides the name
    of its event ("cpu-clock", "syscalls:sys_enter_getppid") and what that event is for ("profile", "tracepoint" ...).

    An interrupt (KeyboardInterrupt, or what else a signal handler raises) may come at any moment. A callback that had
    been called by then has had its record, however far it came; those that had not are called with it first of all the
    next time. So each callback is called with each record once, and a record that no callback was called with is still
    to be delivered.

    Attributes:
        errors: how many times a callback raised.
    """

    def __init__(self, event_kinds: dict[str, str]) -> None:
        self._event_kinds = event_kinds
        self._callbacks: dict[str, list[RecordCallback]] = {}
        # Which callbacks a (kind, event) has: looked up once, for this is on the way of every record.
        self._routes: dict[tuple[str, str | None], tuple[RecordCallback, ...]] = {}
        self._error_callback: ErrorCallback | None = None
        # Interrupted records, all the callbacks they have, and the one of these that was called last.
        self._unfinished: list[tuple[Record, tuple[RecordCallback, ...], RecordCallback | None]] = []
        self.errors = 0

    def name_event(self, name: str, kind: str) -> None:
        """Makes the samples of one more event reach the callbacks of their kind."""
        self._event_kinds[name] = kind
        self._routes.clear()

    def on(self, topic: str, callback: RecordCallback) -> None:
        """Adds a callback; several of one topic are called in the order in which they were added."""
        self._callbacks.setdefault(topic, []).append(callback)
        self._routes.clear()

    def on_error(self, callback: ErrorCallback | None) -> None:
        """Sets who hears of errors; None goes back to the log."""
        self._error_callback = callback

    def deliver(self, records: Iterable[Record], *, handout: Handout | None = None) -> int:
        """Calls every callback of every record, and returns the count of records; a failing callback is reported.

        Args:
            records: taken one by one.
            handout: where they come from; None when nobody asks what is left after an interrupt.
        """
        if self._unfinished:
            self._finish()
        routes, count, callback = self._routes, 0, None
        taken = _Taken() if handout is None else handout
        # From the moment at which a record is taken to that at which its first callback is called, nothing else is
        # called: a signal handler, which runs at calls and jumps back only, finds no record in between. The end of an
        # except is such a jump, so what is said in it is taken back behind it.
        for record in records:
            count += 1
            try:
                callbacks = routes[record.kind, record.event]
            except KeyError:
                taken.put_back = True
                callbacks = self._find_route(record.kind, record.event)
            taken.put_back = False
            try:
                for callback in callbacks:
                    try:
                        callback(record)
                    except Exception as error:
                        self._failed(error, record)
            except BaseException:
                self._unfinished.append((record, callbacks, callback))
                raise
        return count

    def _failed(self, error: Exception, record: Record) -> None:
        self.errors += 1
        self.report(error, record)

    def _finish(self) -> None:
        """Calls the callbacks that an interrupt kept from being called with their record."""
        while self._unfinished:
            record, callbacks, called = self._unfinished[0]
            left = callbacks[[each is called for each in callbacks].index(True) + 1 :]
            if not left:
                del self._unfinished[0]
                continue
            callback = left[0]
            self._unfinished[0] = (record, callbacks, callback)  # and no call between here and there
            try:
                callback(record)
            except Exception as error:
                self._failed(error, record)

    def report(self, error: Exception, record: Record | None = None) -> None:
        """Tells the error callback, or the log ``perfring`` when there is none or when it fails itself."""
        if self._error_callback is not None:
            try:
                self._error_callback(error, record)
            except Exception:
                _log.exception("the error callback failed")
            else:
                return
        where = f"at {record!r}: " if record is not None else ""
        _log.error("%s%s: %s", where, type(error).__name__, error, exc_info=error if record is not None else None)

    def _find_route(self, kind: str, event: str | None) -> tuple[RecordCallback, ...]:
        topics = [kind]
        # A LOST or COMM record also names an event, but only as its writer (K21): who asked for that event wants its
        # samples.
        if kind == "sample" and event is not None:
            topics += [event, self._event_kinds.get(event, "")]
        found: list[RecordCallback] = []
        for topic in (*dict.fromkeys(topics), ANY):
            for callback in self._callbacks.get(topic, ()):
                # What was registered twice is called twice, and each time is told from the other: see `_finish`.
                found.append(partial(callback) if any(callback is other for other in found) else callback)
        self._routes[kind, event] = route = tuple(found)
        return route
