"""The corpus: files of programs, each under a heading."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from simkernel.contract.program import Program, ProgramError
from simkernel.foreign import read_text, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["programs_in"]

_MOST_BYTES: Final = 1 << 20
_HEADING: Final = re.compile(r"==\s*(\S.*?)\s*")


def programs_in(directory: Path) -> Iterator[tuple[str, Program]]:
    """All programs of the ``*.programs`` files of a directory, with names such as ``rings/full_ring_wakes_nobody``.

    A file holds any number of programs; each begins with a line ``== name`` and may begin with comments that say which
    fact it shows.

    Raises:
        FileNotFoundError: there is no such file in the directory.
        ProgramError: the file, the line, and what is wrong in it.
        OSError: a file cannot be read.
    """
    files = sorted(directory.glob("*.programs"))
    if not files:
        raise FileNotFoundError(f"no *.programs in {directory}")
    for path in files:
        yield from _programs_of(path)


def _programs_of(path: Path) -> Iterator[tuple[str, Program]]:
    name, start, lines, seen = "", 0, list[str](), set[str]()
    for number, line in enumerate([*_text_of(path).splitlines(), "== "], 1):
        if not line.startswith("=="):
            lines.append(line)
            continue
        if name:
            yield name, _program(path, start, lines)
        elif any(each.strip() and not each.startswith("#") for each in lines):
            raise ProgramError(f"{path}, line {start + 1}: a program begins with a line '== name'")
        heading = _HEADING.fullmatch(line)
        name, start, lines = f"{path.stem}/{heading[1]}" if heading else "", number, []
        if name in seen:
            raise ProgramError(f"{path}, line {number}: a second program of the name {shown(name)}")
        seen.add(name) if name else None


def _text_of(path: Path) -> str:
    try:
        return read_text(path, most=_MOST_BYTES)
    except ValueError as wrong:
        raise ProgramError(f"{path}: {wrong}") from None


def _program(path: Path, start: int, lines: list[str]) -> Program:
    try:
        program = Program.parse("\n".join(lines))
    except ProgramError as wrong:
        raise ProgramError(f"{path}, below line {start}: {wrong}") from None
    if not program.steps:
        raise ProgramError(f"{path}, line {start}: a program without a step")
    return program
