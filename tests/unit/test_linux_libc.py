"""What LinuxKernel checks before it calls, and what it says where it cannot work."""

from __future__ import annotations

import ctypes
import errno
import subprocess
import sys

import pytest

from perfring import _fence
from perfring._libc import Libc, _call, check_fits, syscall_numbers
from perfring._signals import _sigset
from perfring.errors import Unsupported
from perfring.linux import LinuxKernel

ELSEWHERE = """
import ctypes, mmap, os, platform, select, signal, sys, typing, weakref
for missing in ("fcntl", "resource", "termios"):
    sys.modules[missing] = None
for module, names in ((select, ("epoll", "poll")), (os, ("eventfd", "register_at_fork"))):
    for name in names:
        delattr(module, name)
sys.platform = "darwin"
from perfring.linux import LinuxKernel
from perfring.errors import Unsupported
from perfring.linux import LinuxKernel
try:
    LinuxKernel()
except Unsupported as refused:
    print(refused)
"""


def test_elsewhere_the_import_works_and_the_kernel_says_why_not() -> None:
    ran = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (
        "LinuxKernel needs Linux, this is darwin; simkernel.SimKernel runs the same programs anywhere\n",
        "",
    )


@pytest.mark.parametrize(
    ("machine", "number"), [("x86_64", 298), ("aarch64", 241), ("riscv64", 241), ("ppc64le", 319), ("s390x", 331)]
)
def test_perf_event_open_has_this_number(machine: str, number: int) -> None:
    assert syscall_numbers(machine).perf_event_open == number


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(Unsupported, match="'pdp11'; known are x86_64"):
        syscall_numbers("pdp11")


def test_a_32_bit_process_on_a_64_bit_kernel_is_refused() -> None:
    with pytest.raises(Unsupported, match="32-bit pointers"):
        syscall_numbers("x86_64", pointer_bytes=4)


def test_libc_is_refused_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Unsupported, match="this is win32"):
        Libc()


@pytest.mark.parametrize(("value", "signed"), [(2**31, True), (-(2**31) - 1, True), (-1, False), (2**32, False)])
def test_a_number_beyond_its_bits_is_refused_by_name(value: int, signed: bool) -> None:
    with pytest.raises(ValueError, match=f"pid={value} must be between"):
        check_fits("pid", value, bits=32, signed=signed)


@pytest.mark.parametrize(("value", "signed"), [(2**31 - 1, True), (-(2**31), True), (0, False), (2**32 - 1, False)])
def test_a_number_within_its_bits_is_taken(value: int, signed: bool) -> None:
    assert check_fits("pid", value, bits=32, signed=signed) == value


def test_an_interrupted_call_is_repeated() -> None:
    outcomes = [errno.EINTR, errno.EINTR]

    def interrupted_twice(argument: int) -> int:
        if outcomes:
            ctypes.set_errno(outcomes.pop())
            return -1
        return argument

    assert _call(interrupted_twice, 7) == 7


def test_a_failed_call_raises_its_errno() -> None:
    def fail() -> int:
        ctypes.set_errno(errno.ENOENT)
        return -1

    with pytest.raises(FileNotFoundError, match="No such file"):
        _call(fail)


def test_something_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="pid must be an int, not '1'"):
        check_fits("pid", "1", bits=32, signed=True)  # type: ignore[arg-type]


class AuxLibc:
    """A libc whose mmap succeeds at any offset, as with a PMU that has an AUX area."""

    def __init__(self) -> None:
        self.unmapped: list[tuple[int, int]] = []

    def mmap(self, length: int, protection: int, flags: int, fd: int, offset: int) -> int:
        return 0x1000

    def munmap(self, address: int, length: int) -> None:
        self.unmapped.append((address, length))


@pytest.mark.skipif(sys.platform != "linux", reason="LinuxKernel needs Linux")
def test_an_aux_area_is_refused_and_unmapped(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, libc = LinuxKernel(), AuxLibc()
    monkeypatch.setattr(kernel, "_libc", libc)
    with pytest.raises(Unsupported, match="offset=8192 maps an AUX area"):
        kernel.mmap(3, 4096, offset=8192)
    assert libc.unmapped == [(0x1000, 4096)]


@pytest.mark.parametrize("machine", ["x86_64", "s390x"])
def test_k37_a_machine_that_keeps_order_needs_no_fence(machine: str) -> None:
    assert _fence.fence_for(machine) is None


def refuse() -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("machine", ["aarch64", "riscv64", "ppc64le"])
def test_k37_no_fence_to_be_had_is_an_error_that_says_what_to_do(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fence, "_MAKERS", (refuse,))
    with pytest.raises(Unsupported, match=rf"on {machine}.*refuse: .*Operation not permitted.*seccomp"):
        _fence.fence_for(machine)


def test_k37_a_refused_membarrier_gives_way_to_the_next_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fence() -> None:
        """Stands for the one of libatomic."""

    monkeypatch.setattr(_fence, "_MAKERS", (refuse, lambda: fence))
    assert _fence.fence_for("aarch64") is fence


@pytest.mark.parametrize(("number", "byte", "bit"), [(1, 0, 0), (29, 3, 4), (64, 7, 7)])
@pytest.mark.skipif(sys.byteorder == "big", reason="the literal is little-endian")
def test_a_signal_is_this_bit_of_the_set(number: int, byte: int, bit: int) -> None:
    signals = _sigset({number}).raw
    assert signals[byte] == 1 << bit
    assert sum(signals) == 1 << bit
