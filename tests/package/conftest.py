"""What is built once for all tests of the package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.package._environments import (
    NEWEST,
    OLDEST,
    Installed,
    build,
    clean_environment,
    has_compiler,
    interpreter,
    unpacked,
    without_compiler,
)
from tests.quality.project import ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks everything in this directory."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("package")


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel and the sdist that a release has: the wheel is built from the sdist."""
    environment = clean_environment(PERFRING_BUILD="compiled") if has_compiler() else clean_environment()
    return build(ROOT, tmp_path_factory.mktemp("dist"), environment=environment)


@pytest.fixture(scope="session")
def sdist(distributions: list[Path]) -> Path:
    """The source distribution."""
    return next(path for path in distributions if path.name.endswith(".tar.gz"))


@pytest.fixture(scope="session")
def compiled_wheel(distributions: list[Path]) -> Path:
    """The wheel with the compiled engine in it."""
    if not has_compiler():
        pytest.skip("this machine has no C compiler")
    return next(path for path in distributions if path.suffix == ".whl")


@pytest.fixture(scope="session")
def source_tree(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who unpacked the sdist."""
    return unpacked(sdist, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="session")
def pure_wheel(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that comes of a machine without a compiler."""
    (wheel,) = build(source_tree, tmp_path_factory.mktemp("pure"), "--wheel", environment=without_compiler())
    return wheel


@pytest.fixture(scope="session", params=[OLDEST, NEWEST])
def version(request: pytest.FixtureRequest) -> str:
    """The oldest and the newest Python."""
    return str(request.param)


@pytest.fixture(scope="session", params=["compiled", "python"])
def installed(request: pytest.FixtureRequest, version: str, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Each wheel, without extras, in a clean environment of each Python."""
    python = interpreter(version)
    wheel = request.getfixturevalue("compiled_wheel" if request.param == "compiled" else "pure_wheel")
    return Installed(tmp_path_factory.mktemp("clean") / "venv", python, [wheel], engine=request.param)


@pytest.fixture(scope="session")
def shell_user(compiled_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """One environment for what does not depend on the interpreter."""
    where = tmp_path_factory.mktemp("shell") / "venv"
    return Installed(where, sys.executable, [compiled_wheel], engine="compiled")
