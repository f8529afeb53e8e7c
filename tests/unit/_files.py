"""A kernel that has files and nothing else: enough for what reads /proc, /sys and tracefs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from perfring.procfs import parse_cpu_list

if TYPE_CHECKING:
    from perfring.kernel import Kernel

__all__ = ["FileKernel", "file_kernel"]


class FileKernel:
    """Reads through ``open``, which pyfakefs replaces. Whatever else is asked is an AttributeError."""

    release = "6.18.0"

    def __init__(self, *, page_size: int = 4096) -> None:
        self.page_size = page_size

    def online_cpus(self) -> tuple[int, ...]:
        return parse_cpu_list(self.read_text("/sys/devices/system/cpu/online"))

    def read_bytes(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def read_text(self, path: str) -> str:
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def list_dir(self, path: str) -> list[str]:
        return os.listdir(path)


def file_kernel(*, page_size: int = 4096) -> Kernel:
    """`FileKernel` under the name that the code under test asks for."""
    return cast("Kernel", FileKernel(page_size=page_size))
