"""Builds the C files of this directory, at the moment in which they are measured."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.measuring import UnavailableError

HERE = Path(__file__).parent


@functools.cache
def build(name: str, *options: str) -> Path:
    """Compiles ``NAME.c`` with ``cc -O2`` and these options, once in a process; the path of what came out.

    Raises:
        UnavailableError: there is no compiler, or it refuses; with what it said.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise UnavailableError("no C compiler: install gcc or clang, so that there is a `cc`")
    made = _directory() / name
    command = [compiler, "-O2", "-Wall", "-o", str(made), str(HERE / f"{name}.c"), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UnavailableError(f"cc cannot build {name}.c: {_first_error(ended.stderr)}")
    return made


@functools.cache
def _directory() -> Path:
    made = tempfile.mkdtemp(prefix="perfring-benchmarks-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def _first_error(said: str) -> str:
    """The line that tells most: the first with the word in it."""
    lines = said.splitlines() or ["it said nothing"]
    return next((line for line in lines if "error" in line), lines[0])
