"""What an address in a call chain belongs to: a function of a file, of the kernel, or of a JIT that writes a perf map.

Where an address lies is asked when its sample comes, for mappings change; what the function is called, in the end,
when nobody waits. Names come from the ELF file (no DWARF, no separate debug files, nothing demangled), from
/proc/kallsyms, and from /tmp/perf-PID.map for code in memory without a file. What is wrong with them is remarked.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from examples.guarded import Work, opened
from examples.tables import Symbol, of_elf, of_kallsyms, of_perf_map
from perfring import Kernel, Mmap, Mmap2

KERNEL = "[kernel]"
PERF_MAP = "/tmp/perf-"  # PID.map
MOST_SYMBOLS = 1 << 20  # of all files together: some 350 MB


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
        self.remarks: list[str] = []
        self._kernel = kernel
        self._work = Work()
        self._symbols_left = MOST_SYMBOLS
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
        return (
            "[jit]" if place.source.startswith(PERF_MAP) and not place.inode else f"[{os.path.basename(place.source)}]"
        )

    def _load(self, source: str, inode: int) -> tuple[list[int], list[Symbol]]:
        symbols: list[Symbol] = []
        wrong = 0
        try:
            for symbol in self._read(source, inode):
                if symbol is None:
                    wrong += 1
                elif len(symbols) == self._symbols_left:
                    raise ValueError(f"it and others have more than {MOST_SYMBOLS}")
                else:
                    symbols.append(symbol)
        except FileNotFoundError:
            pass  # then it has no names: the file itself stands for them
        except Exception as error:  # over garbage the parser of ELF files stumbles in any way
            self.remarks.append(f"{source}: only {len(symbols)} symbols are used: {str(error) or type(error).__name__}")
        if wrong:
            self.remarks.append(f"{source}: {wrong} lines that are no symbol were skipped")
        self._symbols_left -= len(symbols)
        symbols.sort()
        return [start for start, _, _ in symbols], symbols

    def _read(self, source: str, inode: int) -> Iterator[Symbol | None]:
        """None stands for what is no symbol."""
        if source == KERNEL:
            yield from of_kallsyms(self._kernel.read_text("/proc/kallsyms"))
        elif inode:
            with opened(_the_file(source, inode, self._seen_by[source, inode]), self._work, inode=inode) as stream:
                yield from of_elf(stream)
        elif source.startswith(PERF_MAP):
            with opened(source, self._work, owners=_owners(source[len(PERF_MAP) : -len(".map")])) as stream:
                yield from of_perf_map(stream.lines())


def _owners(pid: str) -> set[int]:
    """Who may say what a process's code is called: root, the process's user while it runs, and ours."""
    owners = {0, os.geteuid()}
    with suppress(OSError):
        owners.add(os.stat(f"/proc/{pid}").st_uid)
    return owners


def _the_file(path: str, inode: int, pid: int) -> str:
    """It may have been replaced since, or mean another file in the mount namespace of the process."""
    for candidate in (f"/proc/{pid}/root{path}", path):
        with suppress(OSError):
            if os.stat(candidate).st_ino == inode:
                return candidate
    raise FileNotFoundError(path)


def printable(name: str) -> str:
    """Whoever names a function or a thread can write what moves a terminal's cursor, or begins a line."""
    return "".join(each if each.isprintable() else "?" for each in name)
