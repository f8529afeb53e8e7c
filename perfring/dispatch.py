"""Callbacks: who wants which records, and what happens when one of them fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfring.records import Record

__all__ = ["ANY", "Dispatcher", "ErrorCallback", "RecordCallback"]

RecordCallback: TypeAlias = "Callable[[Record], object]"
"""Is called with each record that it was registered for; what it returns is ignored."""
ErrorCallback: TypeAlias = "Callable[[Exception, Record | None], object]"
"""Is called with what went wrong, and the record at which it did (None for a ring that makes no sense)."""

ANY = "*"
"""The topic of every record."""

_log = logging.getLogger("perfring")


class Dispatcher:
    """Hands records to callbacks, by topic.

    The topics of a record are its kind ("sample", "lost", "comm" ...) and `ANY`; those of a sample are besides the name
    of its event ("cpu-clock", "syscalls:sys_enter_getppid") and what that event is for ("profile", "tracepoint" ...).

    Attributes:
        errors: how many times a callback raised.
    """

    def __init__(self, event_kinds: dict[str, str]) -> None:
        self._event_kinds = event_kinds
        self._callbacks: dict[str, list[RecordCallback]] = {}
        # Which callbacks a (kind, event) has: looked up once, for this is on the way of every record.
        self._routes: dict[tuple[str, str | None], tuple[RecordCallback, ...]] = {}
        self._error_callback: ErrorCallback | None = None
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

    def deliver(self, records: Iterable[Record]) -> int:
        """Calls every callback of every record, and returns the count of records; a failing callback is reported."""
        routes, count = self._routes, 0
        for record in records:
            count += 1
            key = (record.kind, record.event)
            callbacks = routes.get(key)
            if callbacks is None:
                callbacks = self._find_route(*key)
            for callback in callbacks:
                try:
                    callback(record)
                except Exception as error:
                    self.errors += 1
                    self.report(error, record)
        return count

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
        found = tuple(
            callback for topic in (*dict.fromkeys(topics), ANY) for callback in self._callbacks.get(topic, ())
        )
        self._routes[kind, event] = found
        return found
