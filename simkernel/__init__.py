"""A simulated Linux kernel for perf rings, in virtual time, behind the same seam as the real one::

    kernel = SimKernel(capabilities={"CAP_PERFMON"})
    actor = kernel.actor(cpu=0)
    fd = kernel.perf_event_open(attr, -1, 0)       # the signatures of perfring.LinuxKernel
    actor.getppid(100)                             # something happens, and the ring fills

The map, from the system calls down; each file knows only those below it::

    kernel       SimKernel: the system calls; a rule may interfere with each (rules)
      descriptors, fcntl, files     descriptors; /proc, /sys and tracefs, made when they are read
      ioctls, validation, perf      what perf_event_open, ioctl, mmap accept, in Linux's order
      actor, stalls                 tasks that take orders; the wait that can never end
      repeating                     rows of the same call, made at once where nothing comes between
    activity     what tasks do, as perf sees it: hits, switches, side-band
      counting, sampling, sideband  when an event counts; the bytes of its records
      output                        the one way of every record and wakeup into a ring
    event, mapping, perffile        what an event is, a ring and its mappings, the file behind an fd
    readiness    files that can be asked, poll and epoll
    machine      what everything shares: settings, CPUs, tasks, clock, rules
      tasks, clock                  who runs, and when
      releases, tracepoints, filters
    ringbuf      the kernel's side of a ring; usable alone

and above them what drives a machine::

    workload           programs for SimKernel.spawn: when things happen, and what
    faults, damage     rules that refuse, delay, drop, corrupt
    hotplug            CPUs that go offline, and things that happen later
    aio                an asyncio loop on virtual time
    explore            every interleaving of a reader with a few writers, on the ring alone

A record's way: an actor's order runs its task (tasks), says what happened (activity), which finds the events that
listen on the task and its CPU, counts, encodes (sampling) and writes (output, ringbuf). When the ring's cursor moves,
the latch is set and whoever waits is woken (perf, readiness).

Time (clock) stands still while the program under test runs. A call that blocks gives up its CPU and lets due things
happen, one by one, until it is ready: programs run (tasks), timers expire (counting), deadlines pass. Nothing due is a
`Deadlock`.

Linux decides: every fact here was measured before (the K numbers, see docs), and where Linux leaves something open, the
seed decides. What is not modelled raises NotImplementedError, misuse of the simulator a `SimulatorError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simkernel.actor import Actor
    from simkernel.kernel import SimKernel
    from simkernel.misuse import ActorExited, Deadlock, SimulatorError
    from simkernel.ringbuf import RingBuffer, Writer
    from simkernel.rules import DROP, PASS, Delay, Errno, Happening, Replace
    from simkernel.tasks import Sleep, Spend

__all__ = [
    "DROP",
    "PASS",
    "Actor",
    "ActorExited",
    "Deadlock",
    "Delay",
    "Errno",
    "Happening",
    "Replace",
    "RingBuffer",
    "SimKernel",
    "SimulatorError",
    "Sleep",
    "Spend",
    "Writer",
]

# Every run of pytest on a machine with perfring loads this package, for its plugin: nothing else is loaded until
# somebody asks for it.
_NAMES = {
    "simkernel.actor": ("Actor",),
    "simkernel.kernel": ("SimKernel",),
    "simkernel.misuse": ("ActorExited", "Deadlock", "SimulatorError"),
    "simkernel.ringbuf": ("RingBuffer", "Writer"),
    "simkernel.rules": ("DROP", "PASS", "Delay", "Errno", "Happening", "Replace"),
    "simkernel.tasks": ("Sleep", "Spend"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    """PEP 562: loads a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    """All public names, loaded or not."""
    return sorted({*globals(), *__all__})
