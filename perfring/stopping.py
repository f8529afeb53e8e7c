"""Ctrl-C as the end of a recording, and not of the program: what was recorded is still delivered.

Example::

    with builder.build() as session, stop_on_signals(session):
        session.enable()
        for record in session.records():  # until somebody presses Ctrl-C
            print(record)
    print(session.statistics())
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from perfring.session import Session

__all__ = ["stop_on_signals"]


@contextmanager
def stop_on_signals(session: Session, *, signals: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[None]:
    """The first of these signals stops the session (`Session.stop`), a second one raises KeyboardInterrupt.

    The handlers from before come back at the end of the ``with`` block. Callbacks, pulling and asyncio alike then end
    by themselves, with all that was recorded.

    Args:
        session: what to stop.
        signals: which ones.

    Raises:
        ValueError: this is not the main thread, the only one that may have handlers; or no such signal.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal(2) wants it
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        session.stop()

    before = {number: signal.getsignal(number) for number in signals}
    # What was ignored stays ignored: nohup means SIGHUP, and a shell means SIGINT for what it runs in the background.
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
