"""Interrupts at every moment of a call, as CPython makes them: a signal that has arrived, and its handler raises.

Python runs signal handlers between bytecodes, and not between any two: where a function begins or a generator goes on
(RESUME), at the end of a loop's body (JUMP_BACKWARD), and behind a call (CALL), which is when a function of C has
returned. So a signal is made to have arrived before each such instruction, one after the other, and CPython does the
rest: what is seen here is what Ctrl-C does.
"""

from __future__ import annotations

import _thread
import dis
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from types import CodeType, FrameType
from typing import Any, Final, Generic, NoReturn, TypeVar

__all__ = ["Interrupted", "each_moment", "interrupted_at"]

_Answer = TypeVar("_Answer")

_LOOKS_FOR_SIGNALS: Final = ("RESUME", "JUMP_BACKWARD", "CALL")
# An interrupt of what runs when an object dies cannot be raised: Python says so on stderr, and forgets it.
_NOT_OURS: Final = frozenset({"tests", "asyncio", "selectors", "weakref", "_weakrefset"})
_WITH_ALL_THEY_CALL: Final = frozenset({"simkernel", "importlib"})


class _Arrival:
    """``-arrival`` makes SIGINT arrive. A call would be followed by a look for signals, here and at once."""

    __neg__ = staticmethod(_thread.interrupt_main)


_ARRIVAL: Final = _Arrival()


@dataclass
class Interrupted(Generic[_Answer]):
    """What became of a call.

    Attributes:
        struck: how many interrupts arrived; 0 when the call has no such moment.
        answer: what the call returned; None when it did not.
        error: what it raised instead: it keeps every frame alive that it came through.
    """

    struck: int = 0
    answer: _Answer | None = None
    error: KeyboardInterrupt | None = None


def interrupted_at(call: Callable[[], _Answer], *moments: int) -> Interrupted[_Answer]:
    """Calls, and makes a signal whose handler raises KeyboardInterrupt arrive at the so many-th moment.

    What perfring does and calls is interrupted; but nothing of asyncio, and of a simulated kernel only its first step.

    Args:
        call: what is interrupted; from the main thread.
        moments: counted from 0, ascending; the second one arrives while the first is dealt with, or later.
    """
    told, tracer = Interrupted[_Answer](), _Tracer(moments)
    before_trace, before_handler = sys.gettrace(), signal.signal(signal.SIGINT, tracer.interrupt)
    try:
        try:
            sys.settrace(tracer.enter)
            told.answer = call()
        finally:
            sys.settrace(None)  # a call: one that has arrived and was not seen yet is seen here
    except KeyboardInterrupt as error:
        told.error = error
    finally:
        sys.settrace(before_trace)
        signal.signal(signal.SIGINT, before_handler)
    told.struck = tracer.struck
    return told


def each_moment(call: Callable[[], _Answer], *further: int) -> Iterator[Interrupted[_Answer]]:
    """Calls again and again, interrupted at the first moment, at the second, and so on, and at last not at all.

    Args:
        call: what is interrupted.
        further: how many moments later more interrupts arrive.
    """
    for moment in count():
        told = interrupted_at(call, moment, *(moment + more for more in further))
        yield told
        if not told.struck:
            assert moment, "a call without a moment was not looked into"
            return


class _Tracer:
    """Counts the moments in the frames of perfring, and of what it calls."""

    def __init__(self, moments: Sequence[int]) -> None:
        self._moments = list(moments)
        self._count = 0
        self._outside = sys._getframe(2)
        self.struck = 0

    def interrupt(self, number: int, frame: FrameType | None) -> NoReturn:
        """The signal handler."""
        if self._moments:
            sys.settrace(self.enter)
            while frame is not None and frame is not self._outside:
                if self._is_traced(frame):
                    frame.f_trace, frame.f_trace_opcodes, frame.f_trace_lines = self._look, True, False
                frame = frame.f_back
        raise KeyboardInterrupt

    def enter(self, frame: FrameType, event: str, argument: object) -> Any:
        """For `sys.settrace`: a function begins, or a generator goes on."""
        if not self._is_traced(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if self._is_time():
            -_ARRIVAL  # noqa: B018 - and no call from here to the end
        return self._look

    def _look(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode" and frame.f_lasti in _moments_of(frame.f_code) and self._is_time():
            -_ARRIVAL  # noqa: B018
        return self._look

    def _is_time(self) -> bool:
        count = self._count
        self._count = count + 1
        if not self._moments or count < self._moments[0]:
            return False
        del self._moments[0]
        self.struck += 1
        sys.settrace(None)  # or the signal would find this class in the midst of the next instruction
        return True

    def _is_traced(self, frame: FrameType) -> bool:
        if _part(frame) in _NOT_OURS:
            return False
        below: FrameType | None = frame
        parts = set()
        while below is not None and below is not self._outside:
            parts.add(_part(below))
            below = below.f_back
        return "perfring" in parts and _WITH_ALL_THEY_CALL.isdisjoint(parts)


def _part(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return "asyncio" if name == "simkernel.aio" else name.partition(".")[0]


@cache
def _moments_of(code: CodeType) -> frozenset[int]:
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname.startswith(_LOOKS_FOR_SIGNALS))
