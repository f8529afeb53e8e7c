"""What a sample holds besides id, thread and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfring import abi
from perfring._checks import require_bool, require_int

if TYPE_CHECKING:
    from perfring.abi import PerfEventAttr

__all__ = ["Sampling"]

_U64 = (1 << 64) - 1
_LARGEST_USER_STACK = 65528


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """What a sample holds besides id, thread and time: the groups that write samples take these as keywords.

    Attributes:
        callchain: the return addresses (PERF_SAMPLE_CALLCHAIN).
        user_callchain: whether the chain has the part in user space.
        kernel_callchain: whether it has the part in the kernel.
        ip: the instruction pointer (PERF_SAMPLE_IP).
        cpu: the CPU once more, in the sample itself (PERF_SAMPLE_CPU): for readers of the bytes, who see no rings.
        period: how many events, or nanoseconds, the sample stands for (PERF_SAMPLE_PERIOD).
        user_regs: a mask of user registers, as in the architecture's ``asm/perf_regs.h`` (PERF_SAMPLE_REGS_USER).
        user_stack: bytes of the user stack (PERF_SAMPLE_STACK_USER), a multiple of 8 up to 65528.

    Raises:
        TypeError: an option of the wrong type.
        ValueError: an option out of range, or one that means nothing without another.
    """

    callchain: bool = False
    user_callchain: bool = True
    kernel_callchain: bool = True
    ip: bool = False
    cpu: bool = False
    period: bool = False
    user_regs: int = 0
    user_stack: int = 0

    def __post_init__(self) -> None:
        for name in ("callchain", "user_callchain", "kernel_callchain", "ip", "cpu", "period"):
            require_bool(name, getattr(self, name))
        require_int("user_regs", self.user_regs, least=0, most=_U64)
        require_int("user_stack", self.user_stack, least=0, most=_LARGEST_USER_STACK)
        if self.user_stack % 8:
            raise ValueError(f"user_stack is {self.user_stack}: the kernel takes multiples of 8 only")
        if not (self.user_callchain or self.kernel_callchain):
            raise ValueError("user_callchain and kernel_callchain are both False: then say callchain=False")
        if not self.callchain and not (self.user_callchain and self.kernel_callchain):
            raise ValueError("a part of the callchain is left out, but callchain is False: nothing would record it")

    def onto(self, attr: PerfEventAttr) -> PerfEventAttr:
        """A copy of the attr that records this as well."""
        bits = (
            (abi.PERF_SAMPLE_CALLCHAIN, self.callchain),
            (abi.PERF_SAMPLE_IP, self.ip),
            (abi.PERF_SAMPLE_CPU, self.cpu),
            (abi.PERF_SAMPLE_PERIOD, self.period),
            (abi.PERF_SAMPLE_REGS_USER, self.user_regs),
            (abi.PERF_SAMPLE_STACK_USER, self.user_stack),
        )
        return attr.copy(
            sample_type=attr.sample_type | sum(bit for bit, wanted in bits if wanted),
            exclude_callchain_user=not self.user_callchain,
            exclude_callchain_kernel=not self.kernel_callchain,
            sample_regs_user=self.user_regs,
            sample_stack_user=self.user_stack,
        )
