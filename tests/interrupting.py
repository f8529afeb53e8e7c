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
from collections.abc import Callable, Sequence
from functools import cache
from types import CodeType, FrameType
from typing import Any, Final, Generic, NoReturn, TypeVar

__all__ = ["Interrupted", "interrupted_at"]

_Answer = TypeVar("_Answer")

_LOOKS_FOR_SIGNALS: Final = ("RESUME", "JUMP_BACKWARD", "CALL")
_THE_KERNEL: Final = "simkernel"


class _Arrival:
    """``-arrival`` makes SIGINT arrive. A call would be followed by a look for signals, here and at once."""

    __neg__ = staticmethod(_thread.interrupt_main)


_ARRIVAL: Final = _Arrival()


class Interrupted(Generic[_Answer]):
    """What became of a call.

    Attributes:
        struck: an interrupt was raised; False when the call has no such moment.
        answer: what the call returned; None when it did not.
    """

    def __init__(self) -> None:
        self.struck = False
        self.answer: _Answer | None = None


def interrupted_at(call: Callable[[], _Answer], *moments: int) -> Interrupted[_Answer]:
    """Calls, and makes a signal whose handler raises KeyboardInterrupt arrive at the so many-th moment.

    Nothing of this directory is interrupted, and nothing of a simulated kernel but its first step.

    Args:
        call: what is interrupted; from the main thread.
        moments: counted from 0, ascending; the second one arrives while the first is dealt with, or later.
    """
    told, tracer = Interrupted[_Answer](), _Tracer(moments)
    before_trace, before_handler = sys.gettrace(), signal.signal(signal.SIGINT, tracer.interrupt)
    try:
        sys.settrace(tracer.enter)
        told.answer = call()
        sys.settrace(None)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before_trace)
        signal.signal(signal.SIGINT, before_handler)
    told.struck = tracer.struck == len(moments)
    return told


class _Tracer:
    """Counts the moments in all frames but those of the tests and of the kernel, and of what these call."""

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
            -_ARRIVAL  # and no call from here to the end
        return self._look

    def _look(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode" and frame.f_lasti in _moments_of(frame.f_code) and self._is_time():
            -_ARRIVAL
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
        if _part(frame) == "tests":
            return False
        below: FrameType | None = frame
        while below is not None and below is not self._outside:
            if _part(below) in (_THE_KERNEL, "importlib"):
                return False
            below = below.f_back
        return True


def _part(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


@cache
def _moments_of(code: CodeType) -> frozenset[int]:
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname.startswith(_LOOKS_FOR_SIGNALS))
