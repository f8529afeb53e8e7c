"""Builds the package as a release would, and installs it as a user would: outside the checkout, with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.quality.project import ROOT

OLDEST, NEWEST = "3.11", "3.13"
PATIENCE = 100


def run(*words: str | Path, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """A program to its end, with its output as text; the environment holds nothing of the checkout."""
    command = [str(word) for word in words]
    options = {"env": clean_environment(), "cwd": cwd or "/", "timeout": PATIENCE} | options
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, **options
    )


def succeed(*words: str | Path, **options: Any) -> str:
    """What a program prints; fails with all of it unless it exits with 0."""
    done = run(*words, **options)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clean_environment(**changes: str) -> dict[str, str]:
    """Ours without what would let another Python see the checkout, or change how perfring builds and runs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PERFRING_"))}
    return kept | {"NO_COLOR": "1", "COLUMNS": "100"} | changes


def interpreter(version: str) -> str:
    """The Python of this version, found as ci/test finds it; the test is skipped where there is none."""
    found = run("bash", "-c", f". ci/lib.sh; find_python {version}", cwd=ROOT).stdout.strip()
    if not found:
        pytest.skip(f"this machine has no Python {version}")
    return found


def build(source: Path, into: Path, *options: str, environment: Mapping[str, str]) -> list[Path]:
    """What `python -m build` makes, in an isolated environment."""
    succeed(sys.executable, "-m", "build", *options, "--outdir", into, source, env=dict(environment))
    return sorted(into.iterdir())


def unpacked(sdist: Path, into: Path) -> Path:
    """The source tree in an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (tree,) = into.iterdir()
    return tree


def without_compiler() -> dict[str, str]:
    """An environment whose PATH has no program at all. The build's own interpreters are found without it."""
    return clean_environment(PATH="/nonexistent")


def has_compiler() -> bool:
    """Whether something answers to the name by which this Python links its libraries."""
    import sysconfig

    name = str(sysconfig.get_config_var("LDSHARED") or "").split(" ")[0]
    return bool(name) and shutil.which(name) is not None


class Installed:
    """A virtual environment with what was asked for, and what that needs.

    Args:
        where: a directory that does not exist yet.
        python: the interpreter it is made with.
        requirements: for pip.
        engine: what takes records apart there: "compiled" or "python".
    """

    def __init__(self, where: Path, python: str, requirements: Sequence[str | Path], *, engine: str) -> None:
        self.where = where
        self.engine = engine
        succeed(python, "-m", "venv", where)
        succeed(self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.where / "bin" / "python"

    def command(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """``perfring WORDS``."""
        return run(self.where / "bin" / "perfring", *words, **options)

    def code(self, text: str, **options: Any) -> str:
        """What a program prints; it must not fail, nor warn."""
        return succeed(self.python, "-W", "error", "-c", text, **options)
