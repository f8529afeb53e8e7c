"""asyncio on virtual time: the loop waits in the simulated kernel, and so a day passes in seconds.

    async def main() -> None:
        async for batch in session.stream():
            ...

    simkernel.aio.run(kernel, main())

It is asyncio's own selector loop, with an epoll of the simulated kernel for a selector (each fd registered itself, K16)
and the simulated clock for a clock: sleeps, timeouts and `add_reader` are what they always are. As with the real epoll,
a timer is late by up to a millisecond. When nothing can ever happen any more, `run` raises `Deadlock`.

The simulated machine has one thread, and none but simulated descriptors. So whatever would bring in another world is
refused, with a word: other threads (`call_soon_threadsafe` from one, `run_in_executor`, `asyncio.to_thread`), real
descriptors and sockets, subprocesses, and signal handlers of the loop. Ctrl-C works.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from perfring.abi import CLOCK_MONOTONIC
from simkernel.misuse import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextvars import Context
    from typing import TypeVar, TypeVarTuple

    from _typeshed import FileDescriptorLike

    from simkernel.kernel import SimKernel

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

__all__ = ["SimEventLoop", "SimSelector", "run"]

_FIRST_FD: Final = 1 << 30
# The bits of epoll(7), also where the select module does not have them.
_IN: Final = 0x1
_OUT: Final = 0x4


def run(kernel: SimKernel, main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """As `asyncio.run`, on a fresh loop in the virtual time of ``kernel``.

    Args:
        kernel: where the waiting happens.
        main: the coroutine to run.
        debug: asyncio's debug mode.

    Returns:
        what ``main`` returns.

    Raises:
        Deadlock: every task waits, and nothing that is going to happen can wake one. Tasks are cancelled first.
        SimulatorError: something of another world was used, see the head of this module.
    """
    with asyncio.Runner(debug=debug, loop_factory=lambda: SimEventLoop(kernel)) as runner:
        return runner.run(main)


class SimSelector(selectors.BaseSelector):
    """A selector over an epoll of the simulated kernel: perf fds, wakers and epolls.

    Args:
        kernel: whose.
    """

    def __init__(self, kernel: SimKernel) -> None:
        self._epoll = kernel.epoll()
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """EPOLL_CTL_ADD, which asks the fd (K15).

        Raises:
            SimulatorError: the fd is not one of the simulated kernel.
            ValueError: no events, or others than EVENT_READ and EVENT_WRITE.
            KeyError: it is registered.
            OSError: EBADF, EPERM, ELOOP.
        """
        key = selectors.SelectorKey(fileobj, _checked_fd(fileobj), events, data)
        mask = _epoll_events(events)
        if key.fd in self._keys:
            raise KeyError(f"fd {key.fd} is already registered")
        self._epoll.register(key.fd, mask)
        self._keys[key.fd] = key
        return key

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """EPOLL_CTL_MOD, which asks, too, but only where the events change. Raises as `register`."""
        old = self._find(fileobj)
        mask = _epoll_events(events)
        if events != old.events:
            self._epoll.modify(old.fd, mask)
        key = self._keys[old.fd] = selectors.SelectorKey(old.fileobj, old.fd, events, data)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """EPOLL_CTL_DEL; an fd that was closed meanwhile is gone already.

        Raises:
            KeyError: it is not registered.
        """
        key = self._find(fileobj)
        del self._keys[key.fd]
        with suppress(OSError):
            self._epoll.unregister(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """epoll_wait(2): the simulated world goes on until an fd is ready, or the timeout passes.

        Raises:
            Deadlock: nothing that is going to happen can end the wait.
        """
        ready = self._epoll.poll(None if timeout is None else max(timeout, 0.0))
        return [(key, events) for fd, mask in ready if (key := self._keys.get(fd)) and (events := _wanted(key, mask))]

    def close(self) -> None:
        """Closes the epoll. Idempotent."""
        self._epoll.close()
        self._keys.clear()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """What is registered, by fd."""
        return self._keys

    def _find(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        fd = _checked_fd(fileobj)
        if fd not in self._keys:
            raise KeyError(f"fd {fd} is not registered")
        return self._keys[fd]


def _checked_fd(fileobj: FileDescriptorLike) -> int:
    fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
    if fd < _FIRST_FD:
        raise SimulatorError(
            f"fd {fd} is a real descriptor: a loop on virtual time waits for descriptors of its simulated kernel only"
        )
    return fd


def _epoll_events(events: int) -> int:
    if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
        raise ValueError(f"events is {events!r}: it must be EVENT_READ, EVENT_WRITE, or both")
    return (_IN if events & selectors.EVENT_READ else 0) | (_OUT if events & selectors.EVENT_WRITE else 0)


def _wanted(key: selectors.SelectorKey, mask: int) -> int:
    """Hangups and errors are told as everything that was asked for, as by the selectors of the standard library."""
    events = (selectors.EVENT_READ if mask & ~_OUT else 0) | (selectors.EVENT_WRITE if mask & ~_IN else 0)
    return events & key.events


class SimEventLoop(asyncio.SelectorEventLoop):
    """An event loop in the virtual time of a simulated kernel; for `asyncio.Runner`, or a test plugin's factory.

    Args:
        kernel: where the waiting happens. Its time goes on only inside waits, of whichever loop or call.
    """

    def __init__(self, kernel: SimKernel) -> None:
        self._sim_kernel = kernel
        self._sim_thread = threading.get_ident()
        super().__init__(SimSelector(kernel))
        self._sim_waker = kernel.waker()
        self.add_reader(self._sim_waker.fileno(), self._sim_waker.clear)

    def time(self) -> float:
        """CLOCK_MONOTONIC of the simulated machine, in seconds."""
        return self._sim_kernel.clock_ns(CLOCK_MONOTONIC) / 1e9

    # A loop is woken from outside, as by a handler of Ctrl-C, through a real socket. Here it is a simulated eventfd.

    def _make_self_pipe(self) -> None:
        """No socket."""

    def _close_self_pipe(self) -> None:
        """Called once, by the first `close`."""
        self.remove_reader(self._sim_waker.fileno())
        self._sim_waker.close()

    def _write_to_self(self) -> None:
        """Ends the wait that is under way, or the next one."""
        self._sim_waker.set()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`, for signal handlers, and for timers of the simulator that fire while the loop waits.

        Raises:
            SimulatorError: from another thread.
        """
        if threading.get_ident() != self._sim_thread:
            raise SimulatorError(
                "call_soon_threadsafe from another thread: the simulated machine has one thread, and virtual time does "
                "not wait for others; let a simulated task do it (SimKernel.spawn)"
            )
        return super().call_soon_threadsafe(callback, *args, context=context)


_THREADS: Final = "virtual time does not wait for other threads"
_SOCKETS: Final = "the simulated machine has no sockets and pipes, and real ones live in real time"
_PROCESSES: Final = "make simulated tasks with SimKernel.actor or SimKernel.spawn"
_SIGNALS: Final = "real signals come in real time; SimKernel.take_signals tells of simulated ones"
_REFUSED: Final = {
    "run_in_executor": _THREADS,
    "getaddrinfo": _THREADS,
    "getnameinfo": _THREADS,
    "add_signal_handler": _SIGNALS,
    "subprocess_exec": _PROCESSES,
    "subprocess_shell": _PROCESSES,
    "connect_read_pipe": _SOCKETS,
    "connect_write_pipe": _SOCKETS,
    "connect_accepted_socket": _SOCKETS,
    "create_connection": _SOCKETS,
    "create_datagram_endpoint": _SOCKETS,
    "create_server": _SOCKETS,
    "create_unix_connection": _SOCKETS,
    "create_unix_server": _SOCKETS,
    "sock_accept": _SOCKETS,
    "sock_connect": _SOCKETS,
    "sock_recv": _SOCKETS,
    "sock_recv_into": _SOCKETS,
    "sock_recvfrom": _SOCKETS,
    "sock_recvfrom_into": _SOCKETS,
    "sock_sendall": _SOCKETS,
    "sock_sendfile": _SOCKETS,
    "sock_sendto": _SOCKETS,
    "sendfile": _SOCKETS,
    "start_tls": _SOCKETS,
}


def _refusal(name: str, why: str) -> Callable[..., NoReturn]:
    """A method of the loop that is not simulated."""

    def refused(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError(f"a loop on virtual time has no {name}: {why}")

    refused.__name__ = name
    refused.__doc__ = f"Raises NotImplementedError: {why}."
    return refused


for _name, _why in _REFUSED.items():
    setattr(SimEventLoop, _name, _refusal(_name, _why))
