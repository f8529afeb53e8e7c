"""What an address belongs to."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from examples.guarded import Work, opened
from examples.symbols import KERNEL, PERF_MAP, Place, Symbols, _owners, printable
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


# What a hostile process can put in its place.


def _named_jit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Symbols, str]:
    """An address in memory without a file, looked up in a perf map below ``tmp_path``."""
    monkeypatch.setattr("examples.symbols.PERF_MAP", f"{tmp_path}/perf-")
    symbols = _symbols()
    symbols.mapped(_mapping(filename="//anon", ino=0))
    return symbols, symbols.name(symbols.place(PID, 0x10001, kernel=False))


def _named_elf(path: Path) -> tuple[Symbols, str]:
    """The name of an address in a file."""
    symbols = _symbols()
    symbols.mapped(_mapping(filename=str(path), ino=os.stat(path).st_ino, length=1 << 20))
    return symbols, symbols.name(symbols.place(PID, 0x10010, kernel=False))


def test_wrong_lines_of_a_perf_map_are_skipped_and_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = ["", "10000", "10000 20", "10000 20 ", "10000 zz f", "-10000 20 f", "1_0 20 f", "9" * 5000]
    (tmp_path / f"perf-{PID}.map").write_text(
        "\n".join([*wrong, "0x10000 20 right", "\udcff"]), "utf-8", "surrogateescape"
    )
    symbols, name = _named_jit(monkeypatch, tmp_path)
    assert name == "right"
    assert symbols.remarks == [f"{tmp_path}/perf-{PID}.map: 10 lines that are no symbol were skipped"]


def test_a_perf_map_that_is_a_fifo_does_not_hang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"perf-{PID}.map")
    symbols, name = _named_jit(monkeypatch, tmp_path)
    assert name == "[jit]"
    assert symbols.remarks == [f"{tmp_path}/perf-{PID}.map: only 0 symbols are used: it is no regular file"]


def test_a_perf_map_of_somebody_else_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / f"perf-{PID}.map").write_text("10000 20 forged\n")
    monkeypatch.setattr("examples.symbols._owners", lambda pid: {os.geteuid() + 1} if pid == str(PID) else set())
    symbols, name = _named_jit(monkeypatch, tmp_path)
    assert name == "[jit]"
    assert f"it belongs to uid {os.geteuid()}, neither to root nor" in symbols.remarks[0]


def test_root_and_the_users_of_process_and_profiler_may_write_a_perf_map(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _owners("no such process") == {0, os.geteuid()}
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda path: SimpleNamespace(st_uid=4711) if path == "/proc/7" else None)
        assert _owners("7") == {0, os.geteuid(), 4711}


def test_a_perf_map_that_is_a_link_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("10000 20 linked\n")
    (tmp_path / f"perf-{PID}.map").symlink_to(tmp_path / "elsewhere")
    symbols, name = _named_jit(monkeypatch, tmp_path)
    assert name == "[jit]"
    assert "Too many levels of symbolic links" in symbols.remarks[0]


def test_more_symbols_than_there_is_room_for_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("examples.symbols.MOST_SYMBOLS", 2)
    (tmp_path / f"perf-{PID}.map").write_text("10000 1 a\n10001 1 b\n10002 1 c\n")
    symbols, name = _named_jit(monkeypatch, tmp_path)
    assert (name, symbols.name(symbols.place(PID, 0x10002, kernel=False))) == ("b", "[jit]")
    assert "only 2 symbols are used: it and others have more than 2" in symbols.remarks[0]


def test_a_perf_map_is_read_no_further_than_the_work_allows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("examples.guarded.MOST_BYTES", 1 << 20)
    with (tmp_path / f"perf-{PID}.map").open("wb") as enormous:
        enormous.truncate(1 << 40)
    symbols, name = _named_jit(monkeypatch, tmp_path)
    assert name == "[jit]"
    assert "more than 1 MiB would have to be read of this file and others" in symbols.remarks[0]


def test_all_files_share_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("examples.guarded.MOST_BYTES", 3 * 64)  # a line counts for 64 bytes, and so does the end
    (tmp_path / f"perf-{PID}.map").write_text("10000 20 f\n")
    symbols, name = _named_jit(monkeypatch, tmp_path)
    symbols.forked(8, PID)
    (tmp_path / "perf-8.map").write_text("10000 20 g\n")
    assert (name, symbols.name(symbols.place(8, 0x10001, kernel=False))) == ("f", "g")
    assert [remark.split(": ")[0] for remark in symbols.remarks] == [f"{tmp_path}/perf-8.map"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_mapped_and_no_file_any_more_does_not_hang(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "lib.so")
    symbols, name = _named_elf(tmp_path / "lib.so")
    assert name == "[lib.so]"
    assert len(symbols.remarks) == 1


@needs_cc
def test_a_file_that_is_exchanged_just_before_it_is_opened_gives_no_names(library: Path) -> None:
    with pytest.raises(FileNotFoundError), opened(str(library), Work(), inode=library.stat().st_ino + 1):
        pass


def _elf_file(*, symbols: int, segments: int = 0) -> bytes:
    """A 64-bit ELF file of nothing but the claim of so many symbols, in the empty bytes at its end."""
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 4096, 4096, 4096) * segments
    at_names = 64 + 4 * 64 + len(load)
    tables = [(0, 0, 0, 0, 0), (1, 2, 8192, 24 * symbols, 24), (9, 3, at_names, 1, 0), (17, 3, at_names, len(names), 0)]
    ident = b"\x7fELF\2\1\1"
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 3, 62, 1, 0, 64 + 4 * 64, 64, 0, 64, 56, segments, 64, len(tables), 3
    )
    for name, kind, start, size, each in tables:
        head += struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, start, size, 2, 0, 1, each)
    return (head + load + names).ljust(8192, b"\0") + bytes(1 << 16)


def test_an_elf_file_that_claims_more_symbols_than_it_has_room_for_is_remarked(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(_elf_file(symbols=1 << 56))
    symbols, name = _named_elf(tmp_path / "lib.so")
    assert (name, len(symbols.remarks)) == ("[lib.so]", 1)


def test_an_enormous_table_of_symbols_is_left_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("examples.guarded.MOST_BYTES", 1 << 20)
    (tmp_path / "lib.so").write_bytes(_elf_file(symbols=1 << 35))
    os.truncate(tmp_path / "lib.so", 1 << 40)
    symbols, name = _named_elf(tmp_path / "lib.so")
    assert name == "[lib.so]"
    assert "more than 1 MiB would have to be read" in symbols.remarks[0]


def test_an_elf_file_with_so_many_segments_that_each_symbol_takes_long_is_left(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(_elf_file(symbols=0, segments=65))
    symbols, _ = _named_elf(tmp_path / "lib.so")
    assert symbols.remarks == [f"{tmp_path}/lib.so: only 0 symbols are used: it has 65 segments"]


@needs_cc
def test_a_library_that_is_called_like_a_perf_map_is_a_library(monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    monkeypatch.setattr("examples.symbols.PERF_MAP", str(library)[:-1])
    symbols = _symbols()
    symbols.mapped(_mapping(filename=str(library), ino=library.stat().st_ino, pgoff=0, length=1 << 20))
    named = [symbols.name(symbols.place(PID, 0x10000 + at, kernel=False)) for at in (_offsets(library)["near"], 0)]
    assert named == ["near", "[lib.so]"]


@needs_cc
def test_an_elf_file_is_read_no_further_than_the_work_allows(monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    monkeypatch.setattr("examples.guarded.MOST_BYTES", 4096)
    symbols, _ = _named_elf(library)
    assert "more than 0 MiB would have to be read" in symbols.remarks[0]


@needs_cc
@pytest.mark.parametrize("place", range(16, 64, 2))
def test_a_garbled_head_of_an_elf_file_is_remarked_or_survived(library: Path, tmp_path: Path, place: int) -> None:
    contents = bytearray(library.read_bytes())
    contents[place : place + 2] = b"\xff\xff"
    (tmp_path / "garbled.so").write_bytes(contents)
    symbols, name = _named_elf(tmp_path / "garbled.so")
    assert name == "[garbled.so]"
    assert all(remark.startswith(f"{tmp_path}/garbled.so: only 0 symbols are used: ") for remark in symbols.remarks)


@needs_cc
def test_half_an_elf_file_is_remarked(library: Path, tmp_path: Path) -> None:
    contents = library.read_bytes()
    (tmp_path / "half.so").write_bytes(contents[: len(contents) // 2])
    symbols, name = _named_elf(tmp_path / "half.so")
    assert (name, len(symbols.remarks)) == ("[half.so]", 1)


def test_a_name_cannot_drive_the_terminal() -> None:
    assert printable("\x1b[2J\nroot;x\u202e é") == "?[2J?root;x? é"
