"""Boots one guest under qemu and brings its results out, or says how it died.

The console goes to a file and the results come through a second serial port, which every kernel has built in. Software
emulation suffices; a guest has a time limit for its boot, one for its silence and one for everything.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ci.guest.frames import BadFrame, Frame, FrameReader

__all__ = ["GuestFailed", "GuestRun", "Limits", "boot", "last_lines", "qemu_command"]

_LAST_LINES: Final = 25
_LONGEST_LINE: Final = 200
_GLANCE: Final = 0.5
"""Seconds between two looks at the console; nothing is ever waited for by sleeping."""
_PANIC: Final = b"Kernel panic - not syncing"

# No AVX: the C library would use it, and it is emulated piece by piece.
_CPU: Final = "Nehalem"
# What guards against other users of the CPU, or judges every system call, costs an emulated one most of its time.
_KERNEL_ARGUMENTS: Final = (
    # A kernel that got stuck says where, and ends: the emulator's exchange between CPUs gets lost now and then.
    "console=ttyS0 loglevel=4 panic=-1 oops=panic softlockup_panic=1 rdinit=/init mitigations=off apparmor=0 audit=0"
)


class GuestFailed(Exception):
    """The guest did not come to its end.

    Args:
        reason: how it died.
        console: the last lines of its console.
        frames: what it delivered before.
        boot_seconds: until the first frame, 0 if none came.
    """

    def __init__(self, reason: str, console: str, frames: Mapping[str, bytes], *, boot_seconds: float = 0.0) -> None:
        self.reason = reason
        self.boot_seconds = boot_seconds
        self.frames = dict(frames)
        super().__init__(f"{reason}; the last lines of its console:\n{console or '(nothing)'}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a guest is given.

    Attributes:
        boot: until the first frame.
        silence: without a byte on the results port or the console, after that.
        total: for everything.
    """

    boot: float = 90.0
    silence: float = 120.0
    total: float = 540.0


@dataclass(frozen=True, slots=True)
class GuestRun:
    """A guest that came to its end.

    Attributes:
        frames: what it sent, by name.
        boot_seconds: from the start of qemu to the first frame.
        seconds: until the end.
    """

    frames: dict[str, bytes]
    boot_seconds: float
    seconds: float


def qemu_command(
    qemu: str, kernel: Path, initramfs: Path, console: Path, *, cpus: int = 2, memory_mb: int = 1024
) -> list[str]:
    """What starts a guest: no disk, no network, no display; results on standard output."""
    return [
        qemu,
        *("-accel", "tcg,thread=multi", "-machine", "pc", "-cpu", _CPU),
        *("-smp", str(cpus), "-m", str(memory_mb)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(kernel), "-initrd", str(initramfs)),
        *("-append", _KERNEL_ARGUMENTS),
        *("-serial", f"file:{console}"),
        *("-chardev", "stdio,id=results,signal=off", "-serial", "chardev:results"),
    ]


def boot(command: Sequence[str], console: Path, *, limits: Limits) -> GuestRun:
    """Runs a guest until it says that it is done.

    Args:
        command: as from `qemu_command`.
        console: the file that its console goes to.
        limits: its time.

    Raises:
        GuestFailed: it panicked, ended early, hung, or sent what is no frame.
        FileNotFoundError: there is no such qemu.
    """
    console.write_bytes(b"")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        return _Guest(process, console, limits).run()
    finally:
        process.kill()
        process.communicate()


class _Guest:
    """One running guest."""

    def __init__(self, process: subprocess.Popen[bytes], console: Path, limits: Limits) -> None:
        self._process = process
        self._console = console
        self._limits = limits
        self._began = self._heard = time.monotonic()
        self._booted: float | None = None
        self._reader = FrameReader()
        self._frames: dict[str, bytes] = {}
        self._seen = 0

    def run(self) -> GuestRun:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while "bye" not in self._frames:
                if selector.select(_GLANCE):
                    self._take(self._process.stdout)
                self._check_time()
        assert self._booted is not None
        return GuestRun(self._frames, self._booted, time.monotonic() - self._began)

    def _take(self, port: IO[bytes]) -> None:
        data = os.read(port.fileno(), 1 << 16)
        if not data:
            self._fail(self._how_it_ended())
        self._heard = time.monotonic()
        try:
            for frame in self._reader.feed(data):
                self._note(frame)
        except BadFrame as bad:
            self._fail(f"garbage on its results port: {bad}")

    def _note(self, frame: Frame) -> None:
        if self._booted is None:
            self._booted = time.monotonic() - self._began
        self._frames[frame.name] = frame.data

    def _how_it_ended(self) -> str:
        half = f", in the middle of a frame ({self._reader.pending} bytes)" if self._reader.pending else ""
        if _PANIC in self._console.read_bytes():
            return f"the guest's kernel panicked{half}"
        _, errors = self._process.communicate()
        said = errors.decode(errors="backslashreplace").strip()
        return f"qemu ended with status {self._process.returncode} before the guest was done{half}{said and ': '}{said}"

    def _check_time(self) -> None:
        now = time.monotonic()
        size = self._console.stat().st_size
        if size != self._seen:
            self._seen, self._heard = size, now
        limits = self._limits
        if now - self._began > limits.total:
            self._fail(f"not done within {limits.total:.0f} s")
        if self._booted is None and now - self._began > limits.boot:
            self._fail(f"not booted within {limits.boot:.0f} s")
        if self._booted is not None and now - self._heard > limits.silence:
            self._fail(f"silent for {limits.silence:.0f} s")

    def _fail(self, reason: str) -> None:
        console = last_lines(self._console.read_bytes())
        raise GuestFailed(reason, console, self._frames, boot_seconds=self._booted or 0.0)


def last_lines(console: bytes) -> str:
    """The end of a console, fit to be printed: no control characters, no endless lines."""
    text = console.decode(errors="backslashreplace").replace("\r", "")
    clean = "".join(each if each.isprintable() or each == "\n" else "." for each in text)
    lines = [line[:_LONGEST_LINE] for line in clean.splitlines() if line.strip()]
    return "\n".join(lines[-_LAST_LINES:])
