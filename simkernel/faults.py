"""Faults: rules that make the simulated machine do what a real one does on a bad day::

    with kernel.rules.installed(refuse("mmap", errno.ENOMEM, nth=2)) as fault:
        ...
    assert fault.struck == 1

Rules are asked in the order of their installation, the first that has an answer wins, and the ``with`` block takes its
rule back. Every fault counts what it has seen and how often it struck, so that a test can say that it happened at all.
CPUs that come and go are not rules: they are in `simkernel.hotplug`.
"""

from __future__ import annotations

import errno as _errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from simkernel._arguments import check_callable, check_count, check_errno
from simkernel.rules import DROP, PASS, Delay, Errno, Replace

if TYPE_CHECKING:
    from simkernel.damage import Damage
    from simkernel.rules import Answer, Happening

__all__ = [
    "SYSTEM_CALLS",
    "Fault",
    "Where",
    "corrupt_records",
    "delay_wakeups",
    "drop_records",
    "drop_wakeups",
    "during_drain",
    "exhaust_memory",
    "interrupt_waits",
    "on_call",
    "refuse",
    "slow",
]

SYSTEM_CALLS: Final = frozenset(
    {
        "bpf",
        "close",
        "epoll_create1",
        "epoll_ctl",
        "epoll_wait",
        "eventfd",
        "fcntl",
        "ioctl",
        "mmap",
        "perf_event_open",
        "poll",
        "read",
        "write",
    }
)
"""What `refuse` and `slow` can name."""

_WAITS: Final = frozenset({"epoll_wait", "poll"})
_TAIL_STORE: Final = "store"

Where = Callable[[dict[str, Any]], bool]
"""Which happenings are meant: given the details, such as the arguments of a system call by name."""


class Fault:
    """A rule that strikes the n-th time something fits, and ``times`` times from then on.

    Args:
        fits: whether a happening is meant at all.
        answer: what is answered; may be computed from the happening.
        nth: the first one that is struck: 1 is the very next.
        times: how many are struck in a row; None for all from then on.

    Attributes:
        seen: how many fitted.
        struck: how many of those were answered.

    Raises:
        TypeError, ValueError: ``nth`` or ``times`` is not a whole number from 1 on.
    """

    def __init__(
        self,
        fits: Callable[[Happening], bool],
        answer: Callable[[Happening], Answer],
        *,
        nth: int = 1,
        times: int | None = 1,
    ) -> None:
        self._fits = fits
        self._answer = answer
        self._first = check_count("nth", nth, least=1)
        self._times = times if times is None else check_count("times", times, least=1)
        self.seen = 0
        self.struck = 0

    def __call__(self, happening: Happening) -> Answer:
        """The rule: see `simkernel.rules`."""
        if not self._fits(happening):
            return PASS
        self.seen += 1
        if self.seen < self._first or (self._times is not None and self.struck >= self._times):
            return PASS
        self.struck += 1
        return self._answer(happening)

    def __repr__(self) -> str:
        """How often it fitted, and how often it struck."""
        return f"<Fault struck {self.struck} of {self.seen}>"


# System calls.


def refuse(call: str, errno: int, *, nth: int = 1, times: int | None = 1, where: Where | None = None) -> Fault:
    """The n-th call fails, before it has done anything.

    Args:
        call: its name: one of `SYSTEM_CALLS`.
        errno: what it fails with.
        nth, times: as for `Fault`.
        where: counts only calls with such arguments: ``where=lambda call: call["request"] == PERF_EVENT_IOC_ENABLE``.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    answer = Errno(check_errno(errno))
    if call in _WAITS and errno == _errno.EINTR:
        raise ValueError(f"errno is EINTR: Python repeats {call} by itself (PEP 475); see interrupt_waits")
    return Fault(_calls({call}, where), lambda _: answer, nth=nth, times=times)


def interrupt_waits(handler: Callable[[], object], *, nth: int = 1, times: int | None = 1) -> Fault:
    """A signal interrupts the n-th epoll_wait(2) or poll(2) that blocks, and Python runs its handler there.

    The EINTR itself is never seen: Python repeats the call (PEP 475), unless the handler raises. To let a signal come
    in the middle of a wait, and not at its beginning, let ``simkernel.hotplug.later`` run the handler.

    Args:
        handler: called without arguments; what it raises ends the wait.
        nth, times: as for `Fault`, of the waits with a timeout above 0 or none.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    check_callable("handler", handler)
    waits = _calls(_WAITS, lambda call: call["timeout"] is None or call["timeout"] > 0)
    return Fault(waits, lambda _: _done(handler), nth=nth, times=times)


def _done(action: Callable[[], object]) -> Answer:
    """Does it, and lets everything go on."""
    action()
    return PASS


def on_call(
    call: str, action: Callable[[], object], *, nth: int = 1, times: int | None = 1, where: Where | None = None
) -> Fault:
    """Something else happens as the n-th call begins, and then the call goes on.

    Args:
        call: its name: one of `SYSTEM_CALLS`.
        action: called then, such as an actor's ``exit``.
        nth, times, where: as for `refuse`.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    check_callable("action", action)
    return Fault(_calls({call}, where), lambda _: _done(action), nth=nth, times=times)


def slow(call: str, ns: int, *, nth: int = 1, times: int | None = None, where: Where | None = None) -> Fault:
    """System calls of this name take ``ns`` more; the world goes on meanwhile. Arguments are those of `refuse`."""
    answer = Delay(check_count("ns", ns))
    return Fault(_calls({call}, where), lambda _: answer, nth=nth, times=times)


def exhaust_memory(after: int, *, event_bytes: int = 4096) -> Fault:
    """Memory runs out: what would take more than ``after`` bytes in all fails with ENOMEM. Nothing is ever given back.

    Args:
        after: bytes that mmap(2) and perf_event_open(2) may still take, counted from the installation.
        event_bytes: what one event takes.

    Raises:
        TypeError, ValueError: a number that is not whole, or below 0.
    """
    check_count("after", after)
    check_count("event_bytes", event_bytes)
    taken = 0

    def too_much(happening: Happening) -> bool:
        nonlocal taken
        if happening.kind != "syscall" or happening.name not in ("mmap", "perf_event_open"):
            return False
        wanted = happening.details["length"] if happening.name == "mmap" else event_bytes
        if taken + wanted > after:
            return True
        taken += wanted
        return False

    answer = Errno(_errno.ENOMEM)
    return Fault(too_much, lambda _: answer, times=None)


def _calls(names: set[str] | frozenset[str], where: Where | None) -> Callable[[Happening], bool]:
    unknown = sorted(names - SYSTEM_CALLS)
    if unknown:
        raise ValueError(f"call is {unknown[0]!r}: it must be one of {', '.join(sorted(SYSTEM_CALLS))}")
    if where is None:
        return lambda happening: happening.kind == "syscall" and happening.name in names
    check_callable("where", where)
    return lambda happening: happening.kind == "syscall" and happening.name in names and where(happening.details)


# Records and wakeups.


def drop_records(*, nth: int = 1, times: int | None = 1, cpu: int | None = None) -> Fault:
    """Records vanish on their way into the ring, and nobody counts them: what no kernel should do.

    Args:
        nth, times: as for `Fault`.
        cpu: only those into the ring of this CPU.
    """
    return Fault(_of_ring("record", cpu), lambda _: DROP, nth=nth, times=times)


def corrupt_records(damage: Damage, *, nth: int = 1, times: int | None = 1, cpu: int | None = None) -> Fault:
    """Records are written with other bytes than they should have: torn, or corrupt.

    Args:
        damage: what becomes of the bytes; see `simkernel.damage`.
        nth, times: as for `Fault`.
        cpu: only those into the ring of this CPU.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    check_callable("damage", damage)

    def damaged(happening: Happening) -> Answer:
        return Replace(damage(happening.details["data"], happening.details["event"].attr))

    return Fault(_of_ring("record", cpu), damaged, nth=nth, times=times)


def delay_wakeups(ns: int, *, nth: int = 1, times: int | None = None, cpu: int | None = None) -> Fault:
    """Wakeups come ``ns`` later than they should; until then asking finds nothing either."""
    answer = Delay(check_count("ns", ns))
    return Fault(_of_ring("wakeup", cpu), lambda _: answer, nth=nth, times=times)


def drop_wakeups(*, nth: int = 1, times: int | None = 1, cpu: int | None = None) -> Fault:
    """Wakeups do not come at all: the data lies there, and only the next crossing of the watermark tells of it."""
    return Fault(_of_ring("wakeup", cpu), lambda _: DROP, nth=nth, times=times)


def _of_ring(kind: str, cpu: int | None) -> Callable[[Happening], bool]:
    if cpu is None:
        return lambda happening: happening.kind == kind
    check_count("cpu", cpu)
    return lambda happening: happening.kind == kind and happening.details["event"].cpu == cpu


# The reader.


def during_drain(action: Callable[[], object], *, nth: int = 1, times: int | None = 1) -> Fault:
    """Something happens in the middle of a drain: the data was copied, and the tail is about to be stored.

    Args:
        action: called then, such as an actor's ``exit``.
        nth, times: as for `Fault`: of the stores to a metadata page.

    Raises:
        TypeError, ValueError: an argument that has no meaning, with its value.
    """
    check_callable("action", action)

    return Fault(
        lambda seen: seen.kind == "access" and seen.name == _TAIL_STORE, lambda _: _done(action), nth=nth, times=times
    )
