"""The rules of the project that no single module can keep alone."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.quality.project import ROOT, Module, label, modules, python_files, within

MODULES = modules()
PUBLIC = [module for module in MODULES if module.is_public]
LONGEST_FILE = 600

# Lowest first. A module imports from its own layer and from those below it, never from above.
LAYERS = {
    "what the kernel defines": ("abi",),
    "the seam and the rule": ("kernel", "errors", "engine", "geometry"),
    "what to change": ("advice",),
    "bytes and files": (
        *("fields", "bodies", "records", "sideband", "layout", "decoding", "record_sizes", "ring", "statistics"),
        *("procfs", "tracepoint", "tracefs", "findings", "permissions", "environment"),
    ),
    "what to record": ("plan", "sampling", "common_attr", "events", "event_names", "planning"),
    "how to read": (
        "batch",
        "columns",
        "ordering",
        "guard",
        "draining",
        "dispatch",
        "waiting",
        "sweeping",
        "reading",
        "opening",
        "probing",
    ),
    "sessions": ("recording", "overwrite", "session", "stopping"),
    "what happened": ("timeline", "picture", "perfdata"),
    # Only what is above the session chooses a kernel; all below takes the one it is given.
    "on this machine": ("linux", "builder", "command", "verify", "stories"),
    "the public names": ("",),
    "the command": ("cli", "__main__"),
}
# What private helpers are made of: the layer that they may not look above.
HELPERS = 1
COMMANDS_WITH_SIMKERNEL = ("perfring.cli.verify", "perfring.cli.simulate", "perfring.cli._simulated")
ON_TOP_OF_PERFRING = ("simkernel.contract", "simkernel.simulate")


def _layer(name: str) -> int | None:
    part = name.removeprefix("perfring").removeprefix(".").split(".")[0]
    if part.startswith("_") and part != "__main__":
        return HELPERS
    return next((level for level, names in enumerate(LAYERS.values()) if part in names), None)


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("module", MODULES, ids=label)
def test_imports_point_down_the_layers(module: Module) -> None:
    own = _layer(module.name) if within(module.name, "perfring") else None
    imported = module.imports(for_typing=False)
    above = [name for name in imported if within(name, "perfring") and _is_above(name, own)]
    assert not above, f"{module.name} imports from a layer above its own"


def _is_above(name: str, own: int | None) -> bool:
    layer = _layer(name)
    return own is not None and layer is not None and name != "perfring" and layer > own


def test_every_public_module_has_a_layer() -> None:
    homeless = [m.name for m in PUBLIC if within(m.name, "perfring") and _layer(m.name) is None]
    assert not homeless, "name them in LAYERS"


@pytest.mark.parametrize("module", MODULES, ids=label)
def test_the_library_does_without_the_packages_of_the_command(module: Module) -> None:
    if not within(module.name, "perfring.cli"):
        assert not {name.split(".")[0] for name in module.imports()} & {"typer", "rich", "click"}


@pytest.mark.parametrize("module", MODULES, ids=label)
def test_perfring_knows_nothing_of_simkernel(module: Module) -> None:
    if within(module.name, "perfring") and not any(within(module.name, name) for name in COMMANDS_WITH_SIMKERNEL):
        assert not [name for name in module.imports() if within(name, "simkernel")]


@pytest.mark.parametrize("module", MODULES, ids=label)
def test_simkernel_takes_only_abi_and_geometry(module: Module) -> None:
    if within(module.name, "simkernel") and not any(within(module.name, name) for name in ON_TOP_OF_PERFRING):
        taken = [name for name in module.imports() if within(name, "perfring")]
        allowed = ("perfring.abi", "perfring.geometry", "perfring.kernel")
        assert not [n for n in taken if n != "perfring" and not any(within(n, ok) for ok in allowed)]


@pytest.mark.parametrize("module", MODULES, ids=label)
def test_every_module_says_what_it_is_for(module: Module) -> None:
    assert ast.get_docstring(module.tree)


@pytest.mark.parametrize("module", PUBLIC, ids=label)
def test_all_has_every_public_name_that_is_defined(module: Module) -> None:
    missing = _offered(module) - set(_exported(module))
    assert not missing, f"add to __all__ of {module.name}, or begin with an underscore"


@pytest.mark.parametrize("module", PUBLIC, ids=label)
def test_all_has_nothing_else(module: Module) -> None:
    exported = _exported(module)
    # Not only parsed: perfring itself loads its names when they are asked for.
    offered = importlib.import_module(module.name)
    assert not [name for name in exported if not hasattr(offered, name)]
    assert len(exported) == len(set(exported))


def _exported(module: Module) -> list[str]:
    return list(importlib.import_module(module.name).__all__)


def _offered(module: Module) -> set[str]:
    """What a module defines; what a package takes from its own modules is offered as well."""
    names = set().union(*map(_defined_by, module.tree.body))
    if module.is_package:
        names |= _taken_from(module, module.name)
    return {name for name in names if not name.startswith("_") or name == "__version__"}


def _taken_from(module: Module, *packages: str) -> set[str]:
    """The names, other than modules, that are imported from something below these packages."""
    names: set[str] = set()
    for node in module.tree.body:
        source = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and any(source.startswith(package + ".") for package in packages):
            names |= _names_of(node)
    return names


def _names_of(node: ast.ImportFrom) -> set[str]:
    if node.names[0].name == "*":
        return set(importlib.import_module(node.module or "").__all__)
    return {alias.asname or alias.name for alias in node.names}


def _defined_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    if isinstance(node, ast.Assign):
        return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return set()


@pytest.mark.parametrize("module", PUBLIC, ids=label)
def test_every_exported_class_and_function_has_a_docstring(module: Module) -> None:
    definitions = [
        node for node in module.tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not [n.name for n in definitions if not n.name.startswith("_") and not ast.get_docstring(n)]
