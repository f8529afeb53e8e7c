"""CPUs that go away and come back while the machine runs."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simkernel._arguments import check_callable, check_seconds
from simkernel.event import Context, State
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simkernel.kernel import SimKernel
    from simkernel.machine import Machine
    from simkernel.tasks import Cpu

__all__ = ["later", "offline", "plug", "unplug"]


def unplug(kernel: SimKernel, cpu: int) -> None:
    """A CPU goes offline, as by ``echo 0 > /sys/devices/system/cpu/cpuN/online``. Nothing for one that is.

    Its tasks go on somewhere else. Events of the whole CPU count no more, for ever, also when it comes back; their fds
    stay readable and mapped, and nothing is signalled, no POLLHUP either (read in the source, not measured: the kernel
    takes them off the CPU in state OFF). Events of tasks that are bound to this CPU wait for it.

    Raises:
        ValueError: there is no such CPU.
        OSError: EBUSY: it is the last one.
    """
    machine = kernel.machine
    gone = _cpu(machine, cpu)
    if not gone.online:
        return
    if machine.online() == (cpu,):
        raise os_error(errno.EBUSY)
    gone.online = False
    for task in [task for task in machine.tasks.values() if task.cpu is gone]:
        machine.scheduler.move(task, machine.cpus[machine.rng.choice(machine.online())])
    limbo = Context(machine.clock)
    for event in tuple(gone.context.events):
        kernel.perf.counting.retire(event, State.OFF)
        # Not in the CPU's context any more: to enable it has no effect.
        event.context, event.stamp = limbo, limbo.time


def plug(kernel: SimKernel, cpu: int) -> None:
    """It comes back, without the events that it had. Nothing for one that is online.

    Raises:
        ValueError: there is no such CPU.
    """
    _cpu(kernel.machine, cpu).online = True


@contextmanager
def offline(kernel: SimKernel, cpu: int) -> Iterator[None]:
    """A CPU that is offline inside a ``with`` block. Raises as `unplug`."""
    unplug(kernel, cpu)
    try:
        yield
    finally:
        plug(kernel, cpu)


def later(kernel: SimKernel, seconds: float, action: Callable[[], object]) -> None:
    """Lets something happen in so many virtual seconds: ``later(kernel, 0.5, lambda: unplug(kernel, 1))``.

    Raises:
        TypeError, ValueError: ``seconds`` is not a number from 0 on.
    """
    check_callable("action", action)

    def act() -> None:
        action()

    kernel.machine.clock.after(check_seconds("seconds", seconds), act)


def _cpu(machine: Machine, cpu: int) -> Cpu:
    found = machine.cpus.get(cpu)
    if found is None:
        raise ValueError(f"cpu is {cpu!r}: the machine has {list(machine.cpus)}")
    return found
