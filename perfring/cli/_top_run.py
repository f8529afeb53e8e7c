"""One run of ``perfring top``: reads and throws away, and shows what came of it."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from perfring.cli._top_meter import Meter, awake_seconds
from perfring.cli._top_screen import Screen, named
from perfring.command import Command
from perfring.linux import LinuxKernel
from perfring.session import Session
from perfring.stopping import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from perfring.cli._choices import Choices
    from perfring.cli._top_meter import Interval
    from perfring.kernel import Kernel
    from perfring.plan import SessionPlan

__all__ = ["Monitor"]

_STDERR: Final = 2
_LOOKS: Final = 4
"""How often a second a screen is drawn at most, and into how many parts the rest of an interval is divided by looks."""
_LEAST_PART: Final = 0.01
"""Of an interval: so much later than asked it may end."""
_WIDTH_OF_A_LOG: Final = 100


class _View(Protocol):
    """Where intervals go."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, interval: Interval) -> None:
        """An interval is over."""

    def refresh(self, session: Session) -> None:
        """Time has passed within one."""


class Monitor:
    """Carries a plan out.

    Args:
        kernel: what to record on.
        plan: what to record; of a command everything but its pid.
        choices: the rest of what the command line said.
        interval: seconds between two results.
        json: results are JSON lines.
        once: one result is enough.
    """

    def __init__(
        self, kernel: Kernel, plan: SessionPlan, choices: Choices, *, interval: float, json: bool, once: bool
    ) -> None:
        self._kernel = kernel
        self._plan = plan
        self._choices = choices
        self._interval = interval
        self._json = json
        self._once = once
        self._view: _View = _Lines() if json else self._for_people()

    def _for_people(self) -> _View:
        # rich takes 80 for what is no terminal.
        logged = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        console = Console(highlight=False, width=_WIDTH_OF_A_LOG if logged else None)
        events = [spec.name for spec in self._plan.events]
        if console.is_terminal and not self._once:
            return _Live(console, events)
        return _Pages(console, events)

    def run(self) -> int:
        """Returns the exit status of ``perfring top``.

        Raises:
            PerfringError, OSError: the kernel refused something, or a command cannot be executed; nothing is left.
        """
        with ExitStack() as opened:
            command = self._fork(opened)
            session = opened.enter_context(Session(self._kernel, self._plan))
            with stop_on_signals(session), self._view as view:
                meter = self._meter(session)  # before anything can come
                if command is not None:
                    command.release()
                    command.on_exit(session.stop)
                else:
                    session.enable()
                self._watch(session, view, meter)
        return 0

    def _fork(self, opened: ExitStack) -> Command | None:
        if not self._choices.command:
            return None
        command = opened.enter_context(Command(self._choices.command, stdout=_STDERR))
        self._plan = replace(self._plan, pids=(command.pid,))
        return command

    def _meter(self, session: Session) -> Meter:
        # A simulated kernel's time has nothing to do with this process's.
        awake = awake_seconds if isinstance(self._kernel, LinuxKernel) else None
        return Meter(self._kernel, session, awake_seconds=awake)

    def _watch(self, session: Session, view: _View, meter: Meter) -> None:
        due = meter.now()
        end = None if self._choices.duration is None else due + self._choices.duration
        while end is None or due < end:
            # Of intervals that were missed, as by a stopped process, nothing would be left to tell.
            due = max(due + self._interval, meter.now())
            if end is not None and due > end - _LEAST_PART * self._interval:
                due = end
            ended = self._read_until(due, session, meter, view)
            view.show(meter.take())
            if ended or self._once:
                return

    def _read_until(self, due: float, session: Session, meter: Meter, view: _View) -> bool:
        """Whether the session has ended before that."""
        while (left := due - meter.now()) > 0:
            # Each batch puts the next look off, so the looks come closer the nearer the end is.
            tick = max(left / _LOOKS, _LEAST_PART * self._interval)
            look = min(meter.now() + tick, due)
            session.parse_until(partial(meter.is_past, look), tick=tick)
            if not meter.is_past(look):
                return True
            view.refresh(session)
        return False


class _Lines:
    """One JSON object for each interval."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, interval: Interval) -> None:
        print(json.dumps(interval.to_dict()), flush=True)  # noqa: T201

    def refresh(self, session: Session) -> None:
        pass


class _Pages(_Lines):
    """One page for each interval, one below the other: for a file, a pipe, or ``--once``."""

    def __init__(self, console: Console, events: Sequence[str]) -> None:
        self._console = console
        self._screen = Screen(events, width=console.width, height=None, ascii_only=console.options.ascii_only)

    def show(self, interval: Interval) -> None:
        self._console.print(self._screen.draw(interval))
        self._console.file.flush()


class _Live:
    """The whole screen, again and again."""

    def __init__(self, console: Console, events: Sequence[str]) -> None:
        self._console = console
        self._events = events
        self._live = Live(console=console, auto_refresh=False, screen=True)
        self._last: Interval | None = None
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._live.__enter__()
        # Until the first interval is over, which may be long, the screen would look like a program that hangs.
        what = named(self._events, self._console.width)
        self._live.update(Text(f"perfring top  {what}  the first interval runs  (Ctrl-C ends)"), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        if self._last is not None:  # the alternate screen is gone, and what was last seen should not be
            self._console.print(self._screen().draw(self._last))

    def show(self, interval: Interval) -> None:
        self._last = interval
        self._draw(interval, None)

    def refresh(self, session: Session) -> None:
        # Batches come more often than anybody can look.
        if self._last is not None and time.monotonic() - self._drawn >= 1 / _LOOKS:
            self._draw(self._last, [ring.fill for ring in session.statistics().rings])

    def _draw(self, interval: Interval, fills: list[int] | None) -> None:
        self._live.update(self._screen().draw(interval, fills=fills, hint="(Ctrl-C ends)"), refresh=True)
        self._drawn = time.monotonic()

    def _screen(self) -> Screen:
        """Anew each time: the window may have another size."""
        width, height = self._console.size
        return Screen(self._events, width=width, height=height, ascii_only=self._console.options.ascii_only)
