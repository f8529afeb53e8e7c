"""The scripts in ci/ on machines that lack something."""

from __future__ import annotations

import configparser
import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.project import ROOT

VERSION = "{}.{}".format(*sys.version_info)


def _bash(script: str, tools: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs bash at the root of the checkout with only what is in one directory on its PATH."""
    return subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-c", script],
        cwd=ROOT,
        env={"PATH": str(tools), "HOME": str(tools)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the coreutils that the scripts need, and no Python."""
    for name in ("sort", "dirname", "cat"):
        (tmp_path / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    return tmp_path


def test_an_unknown_environment_is_refused(tools: Path) -> None:
    assert _bash("set -- py27; . ci/test", tools).returncode == 2


def test_a_machine_without_python_is_told_so(tools: Path) -> None:
    done = _bash("set --; . ci/test", tools)
    assert done.returncode == 3
    assert "none of them was found" in done.stderr


def test_a_missing_interpreter_is_named(tools: Path) -> None:
    assert "Python 3.12: MISSING" in _bash("set --; . ci/test", tools).stdout


def test_an_interpreter_on_the_path_is_found(tools: Path) -> None:
    _script(tools / f"python{VERSION}", f'exec {sys.executable} "$@"')
    assert _bash(f". ci/lib.sh; find_python {VERSION}", tools).stdout.strip() == sys.executable


def test_an_interpreter_of_a_version_manager_is_found(tools: Path) -> None:
    _script(tools / f"pyenv/versions/{VERSION}.1/bin/python{VERSION}", f'exec {sys.executable} "$@"')
    done = _bash(f". ci/lib.sh; find_python {VERSION}", tools, PYENV_ROOT=str(tools / "pyenv"))
    assert done.stdout.strip() == sys.executable


def test_an_interpreter_that_does_not_start_is_missing(tools: Path) -> None:
    _script(tools / f"python{VERSION}", "echo not switched on >&2; exit 127")
    assert _bash(f". ci/lib.sh; find_python {VERSION}", tools).returncode == 1


def test_an_interpreter_of_another_version_is_missing(tools: Path) -> None:
    _script(tools / "python3.10", f'exec {sys.executable} "$@"')
    assert _bash(". ci/lib.sh; find_python 3.10", tools).returncode == 1


def test_a_chromium_that_is_there_is_not_installed_again(tools: Path) -> None:
    _script(tools / "chromium", "exit 0")
    done = _bash(". ci/lib.sh; install_chromium /dev/null", tools)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_who_may_not_install_chromium_is_told_that_its_tests_are_skipped(tools: Path) -> None:
    _script(tools / "id", "echo 1000")
    done = _bash(". ci/lib.sh; install_chromium /dev/null", tools)
    assert done.returncode == 0
    assert "no chromium" in done.stdout
    assert "its tests will be skipped" in done.stdout


@pytest.mark.parametrize("page", ["tests/README.md", "docs/perfdata.md", "docs/howto/columns.md"])
def test_what_a_page_says_of_the_environment_holds_under_tox(page: str) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    passed = tox["testenv"]["pass_env"].split()
    told = set(re.findall(r"\b(?:PERFRING|HYPOTHESIS)_[A-Z_]+", (ROOT / page).read_text()))
    assert told
    assert not [name for name in told if not any(fnmatch.fnmatch(name, pattern) for pattern in passed)]
