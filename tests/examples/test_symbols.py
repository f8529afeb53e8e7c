"""What an address belongs to."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from examples.symbols import KERNEL, PERF_MAP, Place, Symbols
from perfring import Mmap2

PID = 7
SOURCE = "int near(int x) { return x + 1; }\nint far(int x) { return x * 3; }\n"
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def _symbols(kallsyms: str = "") -> Symbols:
    kernel: Any = SimpleNamespace(read_text=lambda _: kallsyms)
    return Symbols(kernel)


def _mapping(addr: int = 0x10000, *, filename: str = "/lib/x.so", length: int = 0x1000, **more: Any) -> Mmap2:
    return Mmap2(pid=PID, addr=addr, length=length, filename=filename, **{"ino": 5, **more})


# Where an address lies.


def test_an_address_in_a_file_is_an_offset_in_it() -> None:
    symbols = _symbols()
    symbols.mapped(_mapping(pgoff=0x3000))
    assert symbols.place(PID, 0x10010, kernel=False) == Place("/lib/x.so", 0x3010, 5)


def test_the_newest_mapping_of_an_address_holds() -> None:
    symbols = _symbols()
    symbols.mapped(_mapping())
    symbols.mapped(_mapping(filename="/lib/y.so"))
    assert symbols.place(PID, 0x10010, kernel=False).source == "/lib/y.so"


def test_a_child_begins_with_the_mappings_of_its_parent_and_goes_its_own_way() -> None:
    symbols = _symbols()
    symbols.mapped(_mapping())
    symbols.forked(8, PID)
    symbols.mapped(_mapping(0x20000))
    assert [symbols.place(8, addr, kernel=False).source for addr in (0x10010, 0x20010)] == ["/lib/x.so", "[unknown]"]


def test_execve_takes_all_mappings_away() -> None:
    symbols = _symbols()
    symbols.mapped(_mapping())
    symbols.executed(PID)
    assert symbols.place(PID, 0x10010, kernel=False).source == "[unknown]"


@pytest.mark.parametrize("filename", ["//anon", "/memfd:jit (deleted)", "[anon:v8]"])
def test_code_without_a_file_is_looked_up_in_the_perf_map(filename: str) -> None:
    symbols = _symbols()
    symbols.mapped(_mapping(filename=filename))
    assert symbols.place(PID, 0x10010, kernel=False) == Place(f"{PERF_MAP}{PID}.map", 0x10010)


# What it is called.


def test_a_function_of_the_kernel_reaches_to_the_next_one() -> None:
    symbols = _symbols("0000000000002000 T second\n0000000000001000 t first\t[module]\n0000000000002004 d data\n")
    named = [symbols.name(symbols.place(PID, address, kernel=True)) for address in (0x1FFF, 0x2000, 0x2008, 0xFFF)]
    assert named == ["first", "second", "second", KERNEL]


def test_a_kernel_that_hides_its_addresses_is_told_as_a_whole() -> None:
    symbols = _symbols("0000000000000000 T first\n0000000000000000 T second\n")
    assert symbols.name(symbols.place(PID, 0x1000, kernel=True)) == KERNEL


def test_a_mapping_that_is_no_file_stands_for_itself() -> None:
    symbols = _symbols()
    symbols.mapped(_mapping(filename="[vdso]", ino=0))
    assert symbols.name(symbols.place(PID, 0x10010, kernel=False)) == "[vdso]"


def test_a_perf_map_names_what_a_jit_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("examples.symbols.PERF_MAP", f"{tmp_path}/perf-")
    (tmp_path / f"perf-{PID}.map").write_text("10000 20 a function with blanks\n")
    symbols = _symbols()
    symbols.mapped(_mapping(filename="//anon", ino=0))
    named = [symbols.name(symbols.place(PID, address, kernel=False)) for address in (0x1001F, 0x10020)]
    assert named == ["a function with blanks", "[jit]"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    made = tmp_path / "lib.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(made)]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return made


def _offsets(library: Path) -> dict[str, int]:
    """What nm(1) says; the first segments of a library lie where they lie in the file."""
    lines = subprocess.run(["nm", "-D", str(library)], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines if line[17:19] == "T "}


@needs_cc
def test_functions_of_a_file_are_named_where_nm_says_they_are(library: Path) -> None:
    symbols, inode = _symbols(), library.stat().st_ino
    symbols.mapped(_mapping(filename=str(library), ino=inode, pgoff=0, length=1 << 20))
    for name, offset in _offsets(library).items():
        assert symbols.name(symbols.place(PID, 0x10000 + offset + 2, kernel=False)) == name
    assert symbols.name(symbols.place(PID, 0x10000, kernel=False)) == "[lib.so]"


@needs_cc
def test_a_file_that_was_replaced_gives_no_wrong_names(library: Path) -> None:
    symbols, offset = _symbols(), _offsets(library)["near"]
    symbols.mapped(_mapping(filename=str(library), ino=library.stat().st_ino + 1, length=1 << 20))
    assert symbols.name(symbols.place(PID, 0x10000 + offset, kernel=False)) == "[lib.so]"


def test_a_file_that_is_no_elf_file_stands_for_its_functions(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    symbols = _symbols()
    symbols.mapped(_mapping(filename=str(script), ino=os.stat(script).st_ino))
    assert symbols.name(symbols.place(PID, 0x10010, kernel=False)) == "[script]"
