"""What an address in a call chain belongs to: a function of a file, of the kernel, or of a JIT that writes a perf map.

Where an address lies is asked when its sample comes, for mappings change; what the function is called, in the end,
when nobody waits. Names come from the ELF file (no DWARF, no separate debug files, nothing demangled), from
/proc/kallsyms, and from /tmp/perf-PID.map for code in memory without a file.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from perfring import Kernel, Mmap, Mmap2

KERNEL = "[kernel]"
PERF_MAP = "/tmp/perf-"  # PID.map


class Place(NamedTuple):
    """An address, as independent of the process as can be.

    Attributes:
        source: the file, the perf map, or a word in brackets.
        address: the offset in the file, else the address itself.
        inode: of the file; 0 where there is none.
    """

    source: str
    address: int
    inode: int = 0


class Symbols:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._maps: defaultdict[int, list[Mmap]] = defaultdict(list)
        self._seen_by: dict[tuple[str, int], int] = {}  # a process that has this file under this name
        self._table = cache(self._load)

    def mapped(self, record: Mmap) -> None:
        if record.pid is not None:
            self._maps[record.pid].append(record)

    def forked(self, child: int, parent: int) -> None:
        self._maps[child] = self._maps[parent].copy()

    def executed(self, pid: int) -> None:
        self._maps.pop(pid, None)

    def place(self, pid: int, address: int, *, kernel: bool) -> Place:
        if kernel:
            return Place(KERNEL, address)
        for entry in reversed(self._maps[pid]):  # the newest first: the kernel does not tell what it took away
            if 0 <= address - entry.addr < entry.length:
                return self._place_in(entry, pid, address)
        return Place("[unknown]", address)

    def _place_in(self, entry: Mmap, pid: int, address: int) -> Place:
        if entry.filename.startswith(("//anon", "/memfd:", "[anon", "[heap]", "/dev/zero")):
            return Place(f"{PERF_MAP}{pid}.map", address)
        if not isinstance(entry, Mmap2) or not entry.ino:
            return Place(entry.filename, address)  # such as [vdso]
        self._seen_by.setdefault((entry.filename, entry.ino), pid)
        return Place(entry.filename, address - entry.addr + entry.pgoff, entry.ino)

    def name(self, place: Place) -> str:
        """The function, or in brackets what it would be a function of."""
        starts, found = self._table(place.source, place.inode)
        at = bisect_right(starts, place.address) - 1
        if at >= 0 and place.address < found[at][1]:
            return found[at][2]
        if place.source.startswith("["):
            return place.source
        return "[jit]" if place.source.startswith(PERF_MAP) else f"[{os.path.basename(place.source)}]"

    def _load(self, source: str, inode: int) -> tuple[list[int], list[tuple[int, int, str]]]:
        symbols: list[tuple[int, int, str]] = []
        with suppress(OSError, ELFError, ValueError):  # then it has no names: the file itself stands for them
            if source == KERNEL:
                symbols = list(_open_ended(_kallsyms(self._kernel)))
            elif source.startswith(PERF_MAP):
                symbols = list(_perf_map(Path(source).read_text(errors="replace")))
            elif inode:
                symbols = list(_elf(_the_file(source, inode, self._seen_by[source, inode])))
        symbols.sort()
        return [start for start, _, _ in symbols], symbols


def _the_file(path: str, inode: int, pid: int) -> Path:
    """It may have been replaced since, or mean another file in the mount namespace of the process."""
    for candidate in (Path(f"/proc/{pid}/root{path}"), Path(path)):
        with suppress(OSError):
            if candidate.stat().st_ino == inode:
                return candidate
    raise FileNotFoundError(path)


def _kallsyms(kernel: Kernel) -> Iterator[tuple[int, str]]:
    for line in kernel.read_text("/proc/kallsyms").splitlines():
        address, kind, name = line.split()[:3]
        if kind in "tTwW" and int(address, 16):  # 0: kernel.kptr_restrict hides them from us
            yield int(address, 16), name


def _open_ended(symbols: Iterable[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
    """Each reaches to the next one."""
    ordered = sorted(symbols)
    for (start, name), (end, _) in zip(ordered, [*ordered[1:], (1 << 64, "")], strict=True):
        yield start, end, name


def _perf_map(text: str) -> Iterator[tuple[int, int, str]]:
    for line in text.splitlines():
        start, size, name = line.split(" ", 2)
        yield int(start, 16), int(start, 16) + int(size, 16), name


def _elf(path: Path) -> Iterator[tuple[int, int, str]]:
    """Functions by their offset in the file, as mappings tell it."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        loaded = [(s["p_vaddr"], s["p_memsz"], s["p_offset"]) for s in elf.iter_segments("PT_LOAD")]
        table = elf.get_section_by_name(".symtab") or elf.get_section_by_name(".dynsym")
        for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            value, size = symbol["st_value"], symbol["st_size"]
            if symbol["st_info"]["type"] in ("STT_FUNC", "STT_LOOS") and symbol["st_shndx"] != "SHN_UNDEF":
                for start, length, offset in loaded:
                    if start <= value < start + length:
                        yield value - start + offset, value - start + offset + max(size, 1), symbol.name
