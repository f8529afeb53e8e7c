"""Our names against the installed header, through a C compiler: nobody retyped this side."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from perfring import abi
from perfring.abi import constants, data_source, ioctls, mmap_page

HEADER = Path("/usr/include/linux/perf_event.h")
NAMES = sorted(name for module in (constants, data_source, ioctls) for name in module.__all__ if name.isupper())
STRUCT_FIELDS = sorted(abi.MMAP_PAGE_FIELDS)

PROGRAM = """
#include <linux/perf_event.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
int main(void) {{
{prints}
    return 0;
}}
"""


def _compiler() -> str:
    compiler = shutil.which("gcc")
    if compiler is None or not HEADER.exists():
        pytest.skip(f"needs gcc (found: {compiler}) and {HEADER}: install gcc and linux-libc-dev")
    return compiler


def run_c(tmp_path: Path, prints: list[str]) -> dict[str, int]:
    """Compiles and runs statements that print ``name value`` lines."""
    source, binary = tmp_path / "probe.c", tmp_path / "probe"
    source.write_text(PROGRAM.format(prints="\n".join(prints)))
    subprocess.run([_compiler(), "-w", "-o", binary, source], check=True, capture_output=True, text=True)
    output = subprocess.run([binary], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def _known_to_header(tmp_path: Path) -> list[str]:
    """Those of our names that this header has: enumerators are no macros, so the compiler is asked."""
    source = tmp_path / "names.c"
    uses = "\n".join(f"    (void)({name});" for name in NAMES)
    source.write_text(PROGRAM.format(prints=uses))
    command = [_compiler(), "-w", "-fsyntax-only", "-fmax-errors=0", str(source)]
    environment = {**os.environ, "LC_ALL": "C"}
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return [name for name in NAMES if f"'{name}' undeclared" not in asked.stderr]


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    directory = tmp_path_factory.mktemp("header")
    names = _known_to_header(directory)
    return run_c(directory, [f'    printf("{name} %llu\\n", (unsigned long long)({name}));' for name in names])


def test_every_constant_equals_the_header(header: dict[str, int]) -> None:
    ours = {name: getattr(abi, name) for name in header}
    assert ours == header


def test_every_constant_of_the_header_is_ours() -> None:
    if not HEADER.exists():
        pytest.skip(f"needs {HEADER}: install linux-libc-dev")
    defined = re.findall(r"^(?:#define)?\s*((?:PERF|[A-Z]+_NS)_[A-Z0-9_]+)(?=[\s,])", HEADER.read_text(), re.MULTILINE)
    growing = re.compile(r"(?<!PERF_CONTEXT)_MAX(_SHIFT)?$")
    assert {name for name in defined if not growing.search(name)} - set(NAMES) == set()


def test_the_header_knows_most_of_our_names(header: dict[str, int]) -> None:
    assert len(header) > 0.9 * len(NAMES)  # the rest is from kernels newer than the header


def test_every_metadata_page_offset_equals_the_header(tmp_path: Path) -> None:
    wanted = "offsetof(struct perf_event_mmap_page, {0})"
    c_offsets = run_c(tmp_path, [f'    printf("{f} %zu\\n", {wanted.format(f)});' for f in STRUCT_FIELDS])
    assert {field: abi.MMAP_PAGE_FIELDS[field][0] for field in STRUCT_FIELDS} == c_offsets


def test_every_metadata_page_width_equals_the_header(tmp_path: Path) -> None:
    wanted = "sizeof(((struct perf_event_mmap_page *)0)->{0})"
    c_sizes = run_c(tmp_path, [f'    printf("{f} %zu\\n", {wanted.format(f)});' for f in STRUCT_FIELDS])
    assert {field: struct.calcsize("=" + abi.MMAP_PAGE_FIELDS[field][1]) for field in STRUCT_FIELDS} == c_sizes


def test_every_offset_constant_is_in_the_table_of_fields() -> None:
    named = {name: getattr(abi, name) for name in mmap_page.__all__ if name != "MMAP_PAGE_FIELDS"}
    assert named == {f"MMAP_PAGE_{field.upper()}": offset for field, (offset, _) in abi.MMAP_PAGE_FIELDS.items()}


@pytest.mark.parametrize("module", [constants, data_source, ioctls, mmap_page, abi])
def test_all_lists_what_a_module_defines_in_capitals(module: object) -> None:
    defined = {name for name in vars(module) if name[0].isupper() and name.isupper()}
    assert defined - set(module.__all__) == set()  # type: ignore[attr-defined]


def test_a_context_mark_is_a_u64() -> None:
    assert abi.PERF_CONTEXT_USER == 0xFFFF_FFFF_FFFF_FE00


def test_the_newest_record_type_has_a_name() -> None:
    assert abi.RECORD_NAMES[22] == "CALLCHAIN_DEFERRED"
