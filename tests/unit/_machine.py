"""Files of a made-up machine: what decides on permission, each to be changed by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

__all__ = ["ALL_CAPABILITIES", "Machine"]

ALL_CAPABILITIES = (1 << 41) - 1
_SYSCTL = "/proc/sys/kernel/perf_event_"
_UNLIMITED = "unlimited"


class Machine:
    """Four CPUs, mainline defaults, and an ordinary user who may read tracefs."""

    def __init__(self, fs: FakeFilesystem) -> None:
        self._fs = fs
        self.write("/sys/devices/system/cpu/online", "0-3\n")
        self.sysctl("paranoid", 2)
        self.sysctl("mlock_kb", 516)
        self.sysctl("max_sample_rate", 100000)
        self.sysctl("max_stack", 127)
        self.user()
        self.limits()
        self.namespace("0 0 4294967295")
        fs.create_dir("/sys/kernel/tracing/events")
        for name in ("breakpoint", "software", "tracepoint", "cpu"):
            fs.create_dir(f"/sys/bus/event_source/devices/{name}")

    def write(self, path: str, text: str) -> None:
        """Makes or replaces a file."""
        if self._fs.exists(path):
            self._fs.remove(path)
        self._fs.create_file(path, contents=text)

    def remove(self, path: str) -> None:
        """Takes a file or directory away."""
        self._fs.remove_object(path)

    def sysctl(self, name: str, value: int) -> None:
        """Sets kernel.perf_event_NAME."""
        self.write(f"{_SYSCTL}{name}", f"{value}\n")

    def user(self, *, uid: int = 1000, capabilities: int = 0, seccomp: int = 0, pid: str = "self") -> None:
        """Says who a process is."""
        text = f"Tgid:\t7\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{capabilities:016x}\nSeccomp:\t{seccomp}\n"
        self.write(f"/proc/{pid}/status", text)

    def limits(self, *, memlock: int | str = 8 << 20, files: int | str = 1024, most_files: int | str = 4096) -> None:
        """Sets the resource limits of this process."""
        rows = [
            ("Limit", "Soft Limit", "Hard Limit"),
            ("Max open files", files, most_files),
            ("Max locked memory", memlock, _UNLIMITED),
        ]
        self.write("/proc/self/limits", "".join(f"{name:26}{soft!s:21}{hard!s:21}x\n" for name, soft, hard in rows))

    def namespace(self, uid_map: str) -> None:
        """Sets the map of the user namespace."""
        self.write("/proc/self/uid_map", f"{uid_map}\n")
