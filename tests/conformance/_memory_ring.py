"""A ring in a memfd: mmap(2) and `LinuxMapping` read it as they read the kernel's; any word of it can be written."""

from __future__ import annotations

import os
import struct
from types import TracebackType
from typing import Final, Self

from perfring.kernel import Mapping
from perfring.linux import LinuxKernel
from simkernel.contract.raw import DATA_HEAD, DATA_OFFSET, DATA_SIZE, DATA_TAIL

__all__ = ["MemoryRing"]

U64: Final = (1 << 64) - 1


class MemoryRing:
    """One metadata page and one data page."""

    LENGTH: Final = 8192

    def __init__(self) -> None:
        self._kernel = LinuxKernel()
        self._mappings: list[Mapping] = []
        self._fd = os.memfd_create("ring")
        os.ftruncate(self._fd, self.LENGTH)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for mapping in self._mappings:
            mapping.close()
        os.close(self._fd)

    def write(self, stream: bytes, *, tail: int, head: int | None = None, offset: int = 4096, size: int = 4096) -> None:
        """Puts the stream at tail, and the four words of K2 into the metadata page."""
        at = tail % 4096
        room = 4096 - at
        os.pwrite(self._fd, stream[:room], 4096 + at)
        os.pwrite(self._fd, stream[room:], 4096)
        words = {DATA_TAIL: tail, DATA_HEAD: (tail + len(stream)) & U64 if head is None else head}
        for place, word in (words | {DATA_OFFSET: offset, DATA_SIZE: size}).items():
            os.pwrite(self._fd, struct.pack("=Q", word), place)

    def map(self) -> Mapping:
        """mmap(2)."""
        mapping = self._kernel.mmap(self._fd, self.LENGTH)
        self._mappings.append(mapping)
        return mapping
