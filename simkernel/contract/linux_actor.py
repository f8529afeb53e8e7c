"""`LinuxActor`: the actor of the simulated kernel as a real process, so that both kernels can be driven alike.

The process runs `_linux_actor_main.py`, as bare as an interpreter gets, and takes one order at a time over a socket. It
cannot be perfectly quiet: each order costs it a context switch, and an interpreter faults pages. So counts of switches,
faults, migrations and clock samples compare as lower bounds, everything else exactly.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from perfring._libc import syscall_numbers
from simkernel.contract.linux_bpf import LARGEST_PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from simkernel.contract.linux_bpf import LinuxBpfOutput

__all__ = ["ActorGone", "LinuxActor"]

_MAIN = Path(__file__).with_name("_linux_actor_main.py")
_PATIENCE = 60.0
"""Seconds for one order: a bound for a process that hangs, not a measure."""


_MOST_LOOKS = 10_000
"""Until a zombie is believed to stay one: its parent may be another's child."""


class ActorGone(RuntimeError):
    """The actor has exited, by order or otherwise, and takes no orders any more."""


class LinuxActor:
    """A real process that does one observable thing at a time. Use it as a context manager, or call `close`.

    Args:
        cpu: the CPU on which it runs.
        bpf_output: gives what `emit` writes into; called when it is needed first.
    """

    pid: int
    """The process id: its only thread has the same id."""

    def __init__(self, cpu: int = 0, *, bpf_output: Callable[[], LinuxBpfOutput] | None = None) -> None:
        self._bpf_output = bpf_output
        self._control, theirs = socket.socketpair()
        with theirs:
            # -I -S: no site, no environment; the actor needs os, json and socket, and nothing of the project.
            command = [sys.executable, "-I", "-S", str(_MAIN), str(theirs.fileno())]
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self._control.settimeout(_PATIENCE)
        self._children: list[LinuxActor] = []
        self.pid = self._process.pid
        self.pin(cpu)

    def _of_child(self, pid: int, control: socket.socket) -> LinuxActor:
        actor = LinuxActor.__new__(LinuxActor)
        actor.pid, actor._control, actor._process = pid, control, None
        actor._bpf_output = self._bpf_output
        actor._children = []
        self._children.append(actor)
        control.settimeout(_PATIENCE)
        return actor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LinuxActor {self.pid}>"

    def prepare(self) -> None:
        """Loads now what later orders need, so that those it forks need not, each with records of its own."""
        self._order("prepare")

    def pin(self, cpu: int) -> None:
        """Runs on this CPU from now on: sched_setaffinity(2)."""
        self._order("pin", cpu)

    def getppid(self, times: int = 1) -> None:
        """Calls getppid(2) so often: a hit of syscalls:sys_enter_getppid each."""
        self._order("getppid", times)

    def rename(self, comm: str) -> None:
        """prctl(PR_SET_NAME): one PERF_RECORD_COMM. At most 15 bytes are kept."""
        self._order("rename", comm)

    def map_executable(self, path: str, length: int) -> None:
        """Maps a file executable and private: one PERF_RECORD_MMAP or MMAP2."""
        self._order("map_executable", path, length)

    def touch_pages(self, n: int) -> None:
        """Writes to so many new pages: a minor fault each."""
        self._order("touch_pages", n)

    def emit(self, payload: bytes) -> None:
        """bpf_perf_event_output: one PERF_COUNT_SW_BPF_OUTPUT sample into what is connected for the actor's CPU.

        A full ring takes nothing and counts a loss, which is no error here.

        Args:
            payload: 1 to 65516 bytes.

        Raises:
            OSError: ENOENT, nothing is connected for this CPU; EOPNOTSUPP, the event does not run here and now.
            RuntimeError: the actor was made without ``bpf_output``; `LinuxArm.actor` gives it one.
            ValueError: the payload is empty or too long.
        """
        if not 1 <= len(payload) <= LARGEST_PAYLOAD:
            raise ValueError(f"a payload of {len(payload)} bytes: it must be 1 to {LARGEST_PAYLOAD}")
        if self._bpf_output is None:
            raise RuntimeError(f"actor {self.pid} has no BPF output; LinuxArm.actor() makes one that has")
        output = self._bpf_output()
        output.set_payload(payload)
        number = syscall_numbers(platform.machine()).bpf
        result = -self._order("emit", number, len(payload), send_fd=output.program_fd)
        if result not in (0, errno.ENOSPC):
            raise OSError(result, os.strerror(result))

    def spend(self, ns: int) -> None:
        """Keeps the CPU busy for so many nanoseconds of its own time."""
        self._order("spend", ns)

    def switch(self) -> None:
        """Gives up the CPU once: a context switch out and in."""
        self._order("switch")

    def fork(self) -> LinuxActor:
        """fork(2): the child is an actor of its own."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                pid = self._order("fork", send_fd=theirs.fileno())
        except BaseException:
            ours.close()
            raise
        return self._of_child(int(pid), ours)

    def exec(self, path: str) -> None:
        """execve(2) under another name: the actor goes on taking orders as the program at ``path``.

        Args:
            path: an executable file that is the running Python interpreter: a link to it, or `sys.executable`.
        """
        self._order("exec", path, sys.executable, str(_MAIN))

    def exit(self, status: int = 0) -> None:
        """_exit(2), and waits until the process is gone."""
        # The socket closes before the events of a task do; the pidfd is readable only behind both.
        if self._control.fileno() < 0:
            raise ActorGone(f"actor {self.pid} has exited and takes no order 'exit' any more")
        end = os.pidfd_open(self.pid)
        try:
            self._send("exit", status)
            self._wait_for_end()
            select.select([end], [], [], _PATIENCE)
        finally:
            os.close(end)
        self._wait_until_reaped()

    def _wait_until_reaped(self) -> None:
        """A moment more, in which the task can still be found: then every call is refused alike."""
        for _ in range(_MOST_LOOKS):
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return
            os.sched_yield()

    def close(self) -> None:
        """Ends the process if it still runs, and those it forked. Idempotent."""
        for child in self._children:
            child.close()
        if self._control.fileno() >= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._wait_for_end()

    def forget_children(self) -> None:
        """Those it forked have been closed by whoever has them."""
        self._children.clear()

    def _wait_for_end(self) -> None:
        # The socket closes when the process exits; to reap it, where it is ours, waits until the exit is complete.
        while self._control.recv(4096):
            pass
        self._control.close()
        if self._process is not None:
            self._process.wait(_PATIENCE)

    def _send(self, order: str, *arguments: object, send_fd: int | None = None) -> None:
        if self._control.fileno() < 0:
            raise ActorGone(f"actor {self.pid} has exited and takes no order {order!r} any more")
        message = json.dumps([order, *arguments]).encode() + b"\n"
        if send_fd is None:
            self._control.sendall(message)
        else:
            socket.send_fds(self._control, [message], [send_fd])

    def _order(self, order: str, *arguments: object, send_fd: int | None = None) -> Any:
        self._send(order, *arguments, send_fd=send_fd)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._control.recv(4096)
            if not piece:
                raise ActorGone(f"actor {self.pid} died of the order {order!r}")
            answer += piece
        result, failure = json.loads(answer)
        if failure is not None:
            raise OSError(*failure)
        return result
