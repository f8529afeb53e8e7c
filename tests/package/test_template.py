"""docs/template, as somebody starts with it: copied, installed beside our wheel, and tested by an unprivileged user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.package._environments import NEWEST, OLDEST, Installed, run, succeed
from tests.quality.project import ROOT

TEMPLATE = ROOT / "docs" / "template"
NOBODY = 65534
CANDIDATES = f"""
. ci/lib.sh
for version in {NEWEST} 3.12 {OLDEST} 3; do
    python_candidates $version
    ls /usr/bin/python$version 2>/dev/null
done
"""
FITS = "import sys, venv, ensurepip; print(sys.executable if sys.version_info >= (3, 11) else '')"


def as_nobody() -> dict[str, Any]:
    """How a program is started without privileges: as another user, if we are root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def python_of_nobody() -> str:
    """An interpreter that an unprivileged user can start: the one of the suite may lie in root's home."""
    for candidate in run("bash", "-c", CANDIDATES, cwd=ROOT).stdout.split():
        try:
            found = run(candidate, "-c", FITS, **as_nobody()).stdout.strip()
        except OSError:
            continue
        if found:
            return found
    pytest.skip("no Python from 3.11 on is readable for other users: install python3-venv")


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A directory that another user can read, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="perfring-template-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def copied(public: Path) -> Path:
    """The template, where nothing of the checkout is near it."""
    return shutil.copytree(TEMPLATE, public / "mycollector", ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))


@pytest.fixture(scope="module")
def environment(public: Path, copied: Path, compiled_wheel: Path) -> Installed:
    """Our wheel, the template and what its tests need, and nothing else."""
    requirements = (compiled_wheel, f"{copied}[test]")
    return Installed(public / "venv", python_of_nobody(), requirements, engine="compiled")


def run_tests(environment: Installed, copied: Path, *options: str, **started: Any) -> subprocess.CompletedProcess[str]:
    """A run of the template's own tests."""
    return run(environment.python, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *options, cwd=copied, **started)


def test_its_tests_pass_for_an_unprivileged_user(environment: Installed, copied: Path) -> None:
    done = run_tests(environment, copied, **as_nobody())
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[1-9] passed", done.stdout), done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="who may record is not certain unless we were root")
def test_what_the_real_kernel_refuses_is_skipped_with_the_reason(environment: Installed, copied: Path) -> None:
    done = run_tests(environment, copied, "--perf-kernel=linux", **as_nobody())
    assert "real-kernel tests: 0 ran, 4 skipped (4: this machine refuses real perf events" in done.stdout, done.stdout


@pytest.mark.perf_linux
def test_its_tests_pass_on_the_real_kernel_where_that_is_permitted(environment: Installed, copied: Path) -> None:
    done = run_tests(environment, copied, "--perf-kernel=linux")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "real-kernel tests: 4 ran, 0 skipped" in done.stdout


@pytest.mark.perf_linux
def test_its_command_counts_on_this_machine(environment: Installed) -> None:
    printed = succeed(environment.where / "bin" / "callcount", "sched:sched_switch", "0.2")
    assert re.search(r"^[1-9]\d* counted, \d+ lost$", printed, re.MULTILINE), printed


@pytest.mark.skipif(os.geteuid() != 0, reason="who may record is not certain unless we were root")
def test_its_command_says_what_is_missing_to_who_may_not_record(environment: Installed) -> None:
    done = run(environment.where / "bin" / "callcount", "sched:sched_switch", **as_nobody())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("callcount: ")


def test_a_reader_with_a_mistake_is_found(environment: Installed, copied: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(copied, tmp_path / "broken")
    source = broken / "src/callcount/collector.py"
    right = "isinstance(record, Sample)]"
    assert right in source.read_text()
    source.write_text(source.read_text().replace(right, f"{right}[:64]"))
    done = run_tests(environment, broken, "tests/test_consumer.py", "-o", "pythonpath=src")
    assert done.returncode == 1
    assert "what found room must be delivered" in done.stdout


def test_its_workflow_does_what_was_tested_here() -> None:
    steps = re.findall(r"- run: (.*)", (TEMPLATE / ".github/workflows/test.yml").read_text())
    assert steps[:2] == ["python -m pip install '.[test]'", "python -m pytest"]
    assert steps[-1].endswith("-m pytest --perf-kernel=linux")
