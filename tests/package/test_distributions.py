"""What is in the wheel and the sdist, before anybody installs them."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import perfring
from tests.package._environments import build, clean_environment, run, succeed, without_compiler
from tests.quality.project import ROOT

SOURCE_ONLY = (
    "perfring/_core.c",
    "perfring/_core.h",
    "perfring/_walk.c",
    "hatch_build.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "tests/README.md",
    "ci/test",
)


def names(path: Path) -> list[str]:
    """The files in it; those of an sdist without its own directory."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.namelist()
    with tarfile.open(path) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def metadata(wheel: Path, name: str) -> Message:
    """METADATA or WHEEL."""
    with zipfile.ZipFile(wheel) as opened:
        (path,) = (each for each in opened.namelist() if each.endswith(f".dist-info/{name}"))
        return Parser().parsestr(opened.read(path).decode())


def test_an_index_would_take_them_and_show_the_readme(distributions: list[Path]) -> None:
    succeed(sys.executable, "-m", "twine", "check", "--strict", *distributions)


def test_the_wheel_holds_what_the_checkout_has_and_nothing_else(pure_wheel: Path) -> None:
    succeed(sys.executable, "-m", "check_wheel_contents", pure_wheel, cwd=ROOT)


def test_a_compiler_adds_one_library_and_no_other_file(compiled_wheel: Path, pure_wheel: Path) -> None:
    assert set(names(compiled_wheel)) - set(names(pure_wheel)) == {"perfring/_core.abi3.so"}
    succeed(sys.executable, "-m", "check_wheel_contents", "--ignore=W009,W102", compiled_wheel, cwd=ROOT)


def test_the_sdist_holds_what_builds_and_tests_it(sdist: Path) -> None:
    assert set(SOURCE_ONLY) <= set(names(sdist))


def test_the_sdist_holds_nothing_that_was_built(sdist: Path) -> None:
    assert not [name for name in names(sdist) if name.endswith((".so", ".pyc", ".tmp")) or name.startswith(".venv")]


def test_a_wheel_made_with_a_compiler_serves_every_python_from_the_oldest(compiled_wheel: Path) -> None:
    assert "perfring/_core.abi3.so" in names(compiled_wheel)
    (tag,) = metadata(compiled_wheel, "WHEEL").get_all("Tag", [])
    assert tag.startswith("cp311-abi3-linux_")
    assert metadata(compiled_wheel, "WHEEL")["Root-Is-Purelib"] == "false"


def test_a_wheel_made_without_a_compiler_is_pure(pure_wheel: Path) -> None:
    assert not [name for name in names(pure_wheel) if name.endswith(".so")]
    assert metadata(pure_wheel, "WHEEL").get_all("Tag") == ["py3-none-any"]


def test_a_build_without_a_compiler_says_what_is_left_out(source_tree: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source_tree)
    done = run(*command, env=without_compiler())
    assert "installed without its compiled engine: gcc: No such file" in done.stdout + done.stderr


def test_a_build_that_must_compile_and_cannot_fails(source_tree: Path, tmp_path: Path) -> None:
    done = run(
        *(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source_tree),
        env=without_compiler() | {"PERFRING_BUILD": "compiled"},
    )
    assert done.returncode != 0
    assert "the compiled engine could not be built" in done.stdout + done.stderr


def test_a_build_that_must_not_compile_does_not(source_tree: Path, tmp_path: Path) -> None:
    (wheel,) = build(source_tree, tmp_path, "--wheel", environment=clean_environment(PERFRING_BUILD="python"))
    assert wheel.name == f"perfring-{perfring.__version__}-py3-none-any.whl"


def test_the_metadata_says_which_pythons_and_what_it_needs(compiled_wheel: Path) -> None:
    said = metadata(compiled_wheel, "METADATA")
    assert (said["Version"], said["Requires-Python"], said["License-Expression"]) == (
        perfring.__version__,
        ">=3.11",
        "MIT",
    )
    always = [text for text in said.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert sorted(text.split("<")[0].split(">")[0] for text in always) == ["rich", "typer"]


@pytest.mark.parametrize("file", ["perfring/py.typed", "simkernel/py.typed", "simkernel/pytest_plugin.py"])
def test_the_wheel_holds_what_other_programs_look_for(compiled_wheel: Path, file: str) -> None:
    assert file in names(compiled_wheel)
