"""Whether the real kernel may take part: the one gate of every test that needs it.

The environment variable ``PERFRING_LINUX`` has three states: unset, such tests run where the machine permits it and are
skipped with the reason where not; ``1``, they must run; ``0``, they are off.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

from perfring import abi

if TYPE_CHECKING:
    from perfring.kernel import Kernel

__all__ = ["GATE", "HOW_TO_FORCE", "gate_state", "linux_refusal"]

GATE: Final = "PERFRING_LINUX"
"""The environment variable."""
HOW_TO_FORCE: Final = f"`perfring doctor` explains; {GATE}=1 makes these tests compulsory, {GATE}=0 switches them off"
"""What to tell somebody whose test was skipped."""

_GETPPID_ID: Final = "events/syscalls/sys_enter_getppid/id"
_TRACEFS: Final = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def gate_state() -> str:
    """What the variable says: ``""`` (unset), ``"0"`` or ``"1"``.

    Raises:
        ValueError: anything else, with the value.
    """
    state = os.environ.get(GATE, "")
    if state not in ("", "0", "1"):
        raise ValueError(f"{GATE}={state!r}: must be unset, 0 or 1")
    return state


@cache
def linux_refusal() -> str | None:
    """Opens what such tests open, once per process: what the machine refused, or None.

    That is: a software event on each whole CPU, and a tracepoint with its raw data.
    """
    from perfring.errors import Unsupported
    from perfring.linux import LinuxKernel

    try:
        _open_what_tests_open(LinuxKernel())
    except (OSError, Unsupported) as refused:
        return f"this machine refuses real perf events: {refused}"
    return None


def _open_what_tests_open(kernel: Kernel) -> None:
    dummy = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, disabled=True)
    for cpu in kernel.online_cpus():
        _open_and_close(kernel, dummy, cpu)
    tracepoint = abi.PerfEventAttr(
        type=abi.PERF_TYPE_TRACEPOINT,
        config=_tracepoint_id(kernel),
        sample_period=1,
        sample_type=abi.PERF_SAMPLE_RAW,
        disabled=True,
    )
    _open_and_close(kernel, tracepoint, kernel.online_cpus()[0])


def _open_and_close(kernel: Kernel, attr: abi.PerfEventAttr, cpu: int) -> None:
    kernel.close(kernel.perf_event_open(attr, -1, cpu))


def _tracepoint_id(kernel: Kernel) -> int:
    for root in _TRACEFS:
        try:
            return int(kernel.read_text(f"{root}/{_GETPPID_ID}"))
        except FileNotFoundError:
            continue
    raise FileNotFoundError(f"no {_GETPPID_ID} below {' or '.join(_TRACEFS)}: mount tracefs")
