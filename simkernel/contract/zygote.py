"""The real kernel for many programs in a row: actors are forked from one that is kept ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfring import abi
from simkernel.contract.arm import LinuxArm
from simkernel.contract.symbols import TRACEPOINTS, tracepoint_id

if TYPE_CHECKING:
    from simkernel.contract.linux_actor import LinuxActor

__all__ = ["ZygoteArm"]


class ZygoteArm(LinuxArm):
    """A `LinuxArm` that serves one program after another: an interpreter starts once, a fork is some thousand times.

    All actors are named ``actor``, as those of the simulated kernel are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._zygote = super().actor(self.kernel.online_cpus()[0])
        self._zygote.prepare()
        self._lent: list[LinuxActor] = []
        self._kept = [self._keep(path) for path in TRACEPOINTS.values()]

    def _keep(self, tracepoint: str) -> int:
        """An event of a tracepoint that stays: when the last one closes, Linux waits for every CPU, some 20 ms."""
        number = tracepoint_id(self.kernel, tracepoint)
        attr = abi.PerfEventAttr(type=abi.PERF_TYPE_TRACEPOINT, config=number, disabled=True)
        return self.kernel.perf_event_open(attr, self._zygote.pid, -1, -1, abi.PERF_FLAG_FD_CLOEXEC)

    def actor(self, cpu: int = 0) -> LinuxActor:
        """A fork of the one that is kept; see `Arm`."""
        actor = self._zygote.fork()
        self._lent.append(actor)
        if cpu != self.kernel.online_cpus()[0]:
            actor.pin(cpu)
        return actor

    def reset(self) -> None:
        """Ends the actors of a program, and forgets its BPF output and its signals."""
        for actor in self._lent:
            actor.close()
        self._lent.clear()
        self._zygote.forget_children()
        if self._bpf is not None:
            self._bpf.close()
            self._bpf = None
        self.kernel.take_signals()

    def close(self) -> None:
        """See `Arm`."""
        for fd in self._kept:
            self.kernel.close(fd)
        self._kept.clear()
        super().close()
