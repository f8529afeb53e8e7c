"""What the quality tests know about the checkout: its files, parsed, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("perfring", "simkernel")


@dataclass(frozen=True)
class Module:
    """One source file of a package."""

    name: str
    path: Path

    @property
    def tree(self) -> ast.Module:
        return _parse(self.path)

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    def imports(self, *, for_typing: bool = True) -> Iterator[str]:
        """Every module that this one names in an import, at any depth of the code, by its full name.

        Args:
            for_typing: also those under ``if TYPE_CHECKING``, which never run.
        """
        for node in _walk(self.tree, for_typing):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = self._absolute(node)
                yield source
                yield from (f"{source}.{alias.name}" for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*base, node.module] if node.module else base)


def _walk(tree: ast.AST, for_typing: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING" and not for_typing:
            continue
        yield child
        yield from _walk(child, for_typing)


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def python_files() -> list[Path]:
    """All Python files of the checkout, in order."""
    folders = (*PACKAGES, "tests", "benchmarks", "docs", "ci")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def modules() -> list[Module]:
    """All modules of the packages, in order."""
    found = (path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))
    return [Module(_dotted(path), path) for path in sorted(found)]


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or something in it."""
    return name == package or name.startswith(package + ".")


def label(module: Module) -> str:
    """The name that a test parametrized by modules goes by."""
    return module.name
