"""Symbols as three kinds of table have them: where each begins, where it ends, and its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import IO, cast

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from examples.guarded import Guarded

Symbol = tuple[int, int, str]
_HEX = re.compile("(0x)?[0-9a-fA-F]{1,16}")
_MOST_SEGMENTS = 64


def of_kallsyms(text: str) -> Iterator[Symbol]:
    """Each function of the kernel reaches to the next one."""
    starts = []
    for line in text.splitlines():
        address, kind, name = line.split()[:3]
        if kind in "tTwW" and int(address, 16):  # 0: kernel.kptr_restrict hides them from us
            starts.append((int(address, 16), name))
    for (start, name), (end, _) in pairwise([*sorted(starts), (1 << 64, "")]):
        yield start, end, name


def of_perf_map(lines: Iterable[str]) -> Iterator[Symbol | None]:
    """``START SIZE NAME`` in hexadecimal digits; None for every line that is no such thing."""
    for line in lines:
        start, size, name = (*line.split(" ", 2), "", "")[:3]
        if name and _HEX.fullmatch(start) and _HEX.fullmatch(size):
            yield int(start, 16), int(start, 16) + int(size, 16), name
        else:
            yield None


def of_elf(stream: Guarded) -> Iterator[Symbol]:
    """Functions by their offset in the file, as mappings tell it."""
    elf = ELFFile(cast("IO[bytes]", stream))
    loaded = [(s["p_vaddr"], s["p_memsz"], s["p_offset"]) for s in elf.iter_segments("PT_LOAD")]
    if len(loaded) > _MOST_SEGMENTS:
        raise ValueError(f"it has {len(loaded)} segments")
    table = elf.get_section_by_name(".symtab") or elf.get_section_by_name(".dynsym")
    for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
        value, size = symbol["st_value"], symbol["st_size"]
        if symbol["st_info"]["type"] in ("STT_FUNC", "STT_LOOS") and symbol["st_shndx"] != "SHN_UNDEF":
            for start, length, offset in loaded:
                if start <= value < start + length:
                    yield value - start + offset, value - start + offset + max(size, 1), symbol.name
