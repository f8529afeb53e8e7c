"""Stops Python code that runs for ever without asking the kernel for anything."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from simkernel.contract.stage_kernel import Halted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["limited_lines"]


@contextmanager
def limited_lines(most: int) -> Iterator[None]:
    """Inside, so many lines of Python may run: counted, not timed, so that it ends the same way everywhere.

    A debugger or a coverage tool that traces by `sys.settrace` sees nothing of it.

    Raises:
        Halted: they have run; raised where the code is at that moment.
    """
    left = most

    def trace(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            sys.settrace(None)
            raise Halted("it runs in a loop that has no end")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
